// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const kernelConfig = "# Linux/x86 6.1\nCONFIG_BPF_SYSCALL=y\n# CONFIG_KPROBES is not set\nCONFIG_LSM=\"lockdown,bpf\"\nCONFIG_BPF_LSM=y\n"

func TestKernelConfig(t *testing.T) {
	dir := t.TempDir()
	plain, packed, none := filepath.Join(dir, "config-6.1"), filepath.Join(dir, "config.gz"), filepath.Join(dir, "none")
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	w.Write([]byte(kernelConfig))
	w.Close()
	for path, content := range map[string][]byte{plain: []byte(kernelConfig), packed: gz.Bytes()} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{plain, packed} {
		c := checkKernelConfig(none, path)
		with, without, _ := strings.Cut(c.Detail, "; without ")
		if c.Result != "ok" || with != path+": BPF_SYSCALL=y BPF_LSM=y" || !strings.Contains(without, "KPROBES") {
			t.Errorf("%s: %s", c.Result, c.Detail)
		}
	}
	if err := os.WriteFile(packed, []byte("no gzip"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c := checkKernelConfig(none, packed); c.Result != "ok" || !strings.HasPrefix(c.Detail, "not known") {
		t.Errorf("%s: %s", c.Result, c.Detail)
	}
}

func FuzzKernelConfig(f *testing.F) {
	f.Add([]byte(kernelConfig))
	f.Add([]byte("=\nCONFIG_=\nCONFIG_BPF_JIT=y\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := parseKernelConfig(bytes.NewReader(text))
		if err == nil {
			describeKernel(set)
		}
	})
}
