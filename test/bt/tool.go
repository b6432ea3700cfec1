// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tool is what runs the programs of the cases.
type tool struct {
	name string
	path string   // called as bpftrace is
	env  []string // besides that of each case
}

// isReady tells whether a line says that the probes are attached.
func (t *tool) isReady(line string) bool { return line == attached }

// command is the line of shell that runs a case.
func (t *tool) command(c *testCase) string {
	if c.Run != "" {
		return strings.ReplaceAll(c.Run, "{{BPFTRACE}}", t.path)
	}
	flags := ""
	if len(c.Expects) > 0 && c.Expects[0].Mode == matchJSON {
		flags = "-q -f json "
	}
	return fmt.Sprintf("%s %s-e '%s'", t.path, flags, strings.ReplaceAll(c.Prog, "'", `'\''`))
}

// environment is what a case runs in: little, so that it is the same everywhere.
func (t *tool) environment(c *testCase) []string {
	env := []string{
		"test=" + c.Name,
		"__BPFTRACE_NOTIFY_PROBES_ATTACHED=1",
		"__BPFTRACE_NOTIFY_AOT_PORTABILITY_DISABLED=1",
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + os.Getenv("HOME"),
	}
	return append(append(env, t.env...), c.Env...)
}

// features are what the suite's cases can require, by what the reference says of itself
// with --info.
func (t *tool) features() (map[string]bool, error) {
	out, err := exec.Command(t.path, "--info").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("ask %s for its features: %w: %s", t.path, err, out)
	}
	info := string(out)
	found := map[string]bool{"aot": false}
	for name, text := range map[string]string{
		"loop": "Loop support: yes", "probe_read_kernel": "probe_read_kernel: yes", "btf": "btf: yes",
		"fentry": "fentry: yes", "dpath": "dpath: yes", "uprobe_refcount": "uprobe refcount",
		"signal": "send_signal: yes", "iter": "iter: yes", "libpath_resolv": "bcc library path resolution: yes",
		"dwarf": "liblldb (DWARF support): yes", "kernel_dwarf": "Kernel DWARF: yes",
		"kprobe_multi": "kprobe_multi: yes", "uprobe_multi": "uprobe_multi: yes", "skboutput": "skboutput: yes",
		"get_tai_ns": "get_ktime_ns: yes", "get_func_ip": "get_func_ip: yes", "jiffies64": "jiffies64: yes",
		"lookup_percpu_elem": "lookup_percpu_elem: yes",
	} {
		found[name] = strings.Contains(info, text)
	}
	return found, nil
}

// version is the first line of what a tool says with --version.
func (t *tool) version() string {
	out, err := exec.Command(t.path, "--version").Output()
	if err != nil {
		return "version unknown: " + err.Error()
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// newSkep makes skep a tool that is called as bpftrace is: through a link of that name, which
// is how skep takes that program's flags. It finds its agent by SKEP_SOCKET, if that is set.
func newSkep(dir, path string) (*tool, error) {
	program, err := exec.LookPath(path)
	if err != nil {
		return nil, fmt.Errorf("find skep: %w", err)
	}
	if program, err = filepath.Abs(program); err != nil {
		return nil, err
	}
	link := filepath.Join(dir, "bpftrace")
	if err := os.Symlink(program, link); err != nil {
		return nil, fmt.Errorf("make link to skep: %w", err)
	}
	t := &tool{name: "skep", path: link}
	if socket := os.Getenv("SKEP_SOCKET"); socket != "" {
		t.env = append(t.env, "SKEP_SOCKET="+socket)
	}
	return t, nil
}
