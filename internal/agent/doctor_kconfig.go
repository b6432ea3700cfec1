// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// kernelOptions are those of the kernel's configuration that decide which hooks there are.
var kernelOptions = []string{
	"BPF_SYSCALL", "BPF_JIT", "BPF_EVENTS", "DEBUG_INFO_BTF", "CGROUPS", "CGROUP_BPF", "MEMCG", "FTRACE_SYSCALLS", "KPROBES",
	"DYNAMIC_FTRACE_WITH_DIRECT_CALLS", "BPF_LSM",
}

// maxKernelConfig bounds what is read; a distribution's has 300 KiB.
const maxKernelConfig = 4 << 20

// kernelConfigs is where the configuration of the running kernel may lie.
func kernelConfigs() []string {
	return []string{"/proc/config.gz", "/boot/config-" + kernelRelease()}
}

// checkKernelConfig says how the kernel was built. It only informs: whether a feature is
// there is found by trying it.
func checkKernelConfig(paths ...string) *skepv1.Check {
	c := &skepv1.Check{Name: "kernel configuration", Result: "ok"}
	for _, path := range paths {
		set, err := readKernelConfig(path)
		if err == nil {
			c.Detail = path + ": " + describeKernel(set)
			return c
		}
	}
	c.Detail = "not known: neither " + strings.Join(paths, " nor ") + " can be read; features are probed all the same"
	return c
}

func describeKernel(set map[string]string) string {
	var with, without []string
	for _, name := range kernelOptions {
		if value := set[name]; value != "" {
			with = append(with, name+"="+value)
		} else {
			without = append(without, name)
		}
	}
	text := strings.Join(with, " ")
	if len(without) > 0 {
		text += "; without " + strings.Join(without, " ")
	}
	return text
}

// readKernelConfig reads the options that are set.
func readKernelConfig(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var text io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if text, err = gzip.NewReader(f); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
	}
	return parseKernelConfig(text)
}

func parseKernelConfig(text io.Reader) (map[string]string, error) {
	set := map[string]string{}
	lines := bufio.NewScanner(io.LimitReader(text, maxKernelConfig))
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), "="); ok {
			set[strings.TrimPrefix(name, "CONFIG_")] = value
		}
	}
	return set, lines.Err()
}
