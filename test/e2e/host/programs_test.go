// SPDX-License-Identifier: Apache-2.0

package host

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// TestPrograms: real programs, by what they say they have done.
func TestPrograms(t *testing.T) {
	for _, program := range []string{"strace", "unshare", "mount", "umount", "nsenter", "setpriv", "python3", "sh"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s: %v", program, err)
		}
	}
	s := newScene(t, "", every())
	run := func(args ...string) (int, string) {
		t.Helper()
		c := exec.Command(args[0], args[1:]...)
		c.Dir = s.dir
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
		return c.Process.Pid, strings.TrimSpace(string(out))
	}
	find := func(what string, match func(*skepv1.HostCall) bool) *skepv1.Record {
		t.Helper()
		return s.stream.WaitFor(t, what, func(r *skepv1.Record) bool { return r.GetHost() != nil && match(r.GetHost()) })
	}

	tracer, _ := run("strace", "-f", "-o", filepath.Join(s.dir, "trace"), "/bin/true")
	text, err := os.ReadFile(filepath.Join(s.dir, "trace"))
	if err != nil {
		t.Fatal(err)
	}
	traced, _, _ := strings.Cut(string(text), " ")
	find("strace traces "+traced, func(h *skepv1.HostCall) bool {
		return (h.Request == "PTRACE_SEIZE" || h.Request == "PTRACE_TRACEME") && h.ErrorName == "" && h.Target != nil
	})
	if calls := s.stream.Of("host", tracer); len(calls) == 0 || calls[0].Process.Comm != "strace" {
		t.Errorf("strace is told as %v", calls)
	}

	run("unshare", "--mount", "sh", "-c", "mount -t tmpfs -o nosuid hello m && umount m")
	mounted := find("mount", func(h *skepv1.HostCall) bool { return h.Call == "mount" && h.Source == "hello" })
	if h := mounted.GetHost(); h.Fstype != "tmpfs" || h.Path != filepath.Join(s.dir, "m") || h.Flags != "MS_NOSUID" || mounted.Process.Comm != "mount" {
		t.Errorf("mount is told as %v", mounted)
	}
	find("umount", func(h *skepv1.HostCall) bool { return h.Call == "umount" && h.Path == filepath.Join(s.dir, "m") })
	find("unshare", func(h *skepv1.HostCall) bool { return h.Call == "unshare" && strings.Join(h.Namespaces, ",") == "mnt" })

	pid, own := run("nsenter", "--uts=/proc/self/ns/uts", "readlink", "/proc/self/ns/uts")
	s.stream.Wait(t, "host", pid)
	if h := s.of(t, pid, 1)[0]; h.Call != "setns" && h.Call != "capability" || !strings.HasPrefix(own, "uts:[") {
		t.Errorf("nsenter is told as %v", h)
	}
	find("nsenter into "+own, func(h *skepv1.HostCall) bool {
		return h.Call == "setns" && own == "uts:["+strconv.FormatUint(uint64(h.NamespaceInode), 10)+"]" && h.Namespaces[0] == "uts"
	})

	pid, uid := run("setpriv", "--reuid", "65534", "--regid", "65533", "--clear-groups", "sh", "-c", "echo $(id -u):$(id -g)")
	changed := map[string]string{}
	for _, h := range s.of(t, pid, 2) {
		if h.Call == "setresuid" || h.Call == "setresgid" {
			changed[h.Call] = h.IdsBefore + ">" + h.IdsAfter
		}
	}
	if uid != "65534:65533" || changed["setresuid"] != "0:0:0:0>65534:65534:65534:65534" || changed["setresgid"] != "0:0:0:0>65533:65533:65533:65533" {
		t.Errorf("setpriv to %s is told as %v", uid, changed)
	}

	pid, name := run("python3", "-c", `import os; print(os.readlink("/proc/self/fd/%d" % os.memfd_create("of python", 0)))`)
	found := false
	for _, h := range s.of(t, pid, 1) {
		found = found || h.Call == "memfd_create" && "/memfd:"+h.Name+" (deleted)" == name && h.Flags == ""
	}
	if !found {
		t.Errorf("python made %s, and is told as %v", name, s.stream.Of("host", pid))
	}
}
