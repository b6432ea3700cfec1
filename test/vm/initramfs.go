// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed init.sh
var initScript string

// writeInitramfs writes the guest's whole file system, uncompressed: unpacking gzip under emulation costs seconds.
func writeInitramfs(w io.Writer, image *Image, g Guest, nonce string) error {
	busybox, err := findBusybox()
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(w, 1<<20)
	c := newCPIO(buffered)
	c.charDev("/dev/console", 5, 1) // before devtmpfs is there, the kernel opens it for init
	c.file("/bin/busybox", busybox)
	c.symlink("/bin/sh", "busybox")
	c.data("/init", 0o755, initScript)
	c.data("/skep/commands", 0o755, commandScript(g, nonce))
	for _, module := range image.Modules {
		c.file("/skep/modules/"+filepath.Base(module), module)
	}
	for guest, text := range etcFiles() {
		if _, given := g.Files[guest]; !given {
			c.data(guest, 0o644, text)
		}
	}
	for _, guest := range slices.Sorted(maps.Keys(g.Files)) {
		c.file(guest, g.Files[guest])
	}
	return errors.Join(c.close(), buffered.Flush())
}

// findBusybox wants the static one: the guest has no libraries.
func findBusybox() (string, error) {
	file, err := exec.LookPath("busybox")
	if err != nil {
		return "", fmt.Errorf("build initramfs: %w; install busybox-static", err)
	}
	file, err = filepath.EvalSymlinks(file)
	if err != nil {
		return "", fmt.Errorf("build initramfs: %w", err)
	}
	if static, err := isStatic(file); err != nil || !static {
		return "", fmt.Errorf("build initramfs: %s is not a static program (%v); install busybox-static", file, err)
	}
	return file, nil
}

// etcFiles are what the C library's and Go's lookups of users and local names need.
func etcFiles() map[string]string {
	return map[string]string{
		"/etc/passwd":        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
		"/etc/group":         "root:x:0:\nnogroup:x:65534:\n",
		"/etc/hosts":         "127.0.0.1 localhost skep-vm\n::1 localhost\n",
		"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
	}
}

// commandScript is sourced by init. It exports the environment and runs the commands one after another, each between
// two markers on the second serial port.
func commandScript(g Guest, nonce string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "SKEP_VM_MARK=%s\nSKEP_VM_CGROUP_V1=%t\nSKEP_VM_SYSTEMD=%t\n", marker(nonce), g.CgroupV1, g.Systemd)
	b.WriteString("skep_vm_setup() {\n:\n")
	for _, command := range g.Setup {
		b.WriteString(shellLine(command) + " || return\n")
	}
	b.WriteString("}\nskep_vm_commands() {\n")
	for _, env := range g.Env {
		name, value, _ := strings.Cut(env, "=")
		fmt.Fprintf(&b, "export %s=%s\n", name, shellQuote(value))
	}
	for i, command := range g.Commands {
		fmt.Fprintf(&b, "skep_vm_run %d %s\n", i, shellLine(command))
	}
	b.WriteString("}\n")
	return b.String()
}

func shellLine(command []string) string {
	words := make([]string, len(command))
	for i, arg := range command {
		words[i] = shellQuote(arg)
	}
	return strings.Join(words, " ")
}

func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
