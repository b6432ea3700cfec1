// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// confidential: programs may not read the kernel's memory by helper.
var confidential = func() bool {
	text, _ := os.ReadFile("/sys/kernel/security/lockdown")
	return strings.Contains(string(text), "[confidentiality]")
}()

// TestConfidentiality: under that lockdown every process is told of, with all but its
// paths, which come from /proc if it lives long enough.
func TestConfidentiality(t *testing.T) {
	if !confidential {
		t.Skip("needs lockdown=confidentiality on the kernel's command line")
	}
	s := newScene(t, workDir(t))
	for _, name := range []string{"argv", "script", "gains", "lineage", "threads", "exit", "pid reuse", "terminal", "oom", "storm"} {
		t.Run(name, func(t *testing.T) { cases[name](t, s) })
	}
	t.Run("living", func(t *testing.T) { testNamesOfLiving(t, s) })
	t.Run("gone", func(t *testing.T) { testNamesOfGone(t, s) })
	t.Run("pid namespace", func(t *testing.T) { testInnerPid(t, s) })
	t.Run("container", func(t *testing.T) { testContainerCgroup(t, s) })
	s.checkStatus(t)
}

// TestConfidentialityRefusesLowerRung: a rung that reads by helper says why it cannot.
func TestConfidentialityRefusesLowerRung(t *testing.T) {
	if !confidential {
		t.Skip("needs lockdown=confidentiality on the kernel's command line")
	}
	dir := t.TempDir()
	out, err := exec.Command(skepdtest.Build(t, "skepd"), "run", "--private", "--socket", dir+"/s", "--data-dir", dir+"/data",
		"--force-rung", "exec=raw_tp").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "bpf_probe_read") {
		t.Errorf("skepd with rung raw_tp: %v: %s", err, out)
	}
}

// testNamesOfLiving: paths come from /proc, all else from the kernel.
func testNamesOfLiving(t *testing.T, s *scene) {
	w := startWaiting(t, s, "one", "two")
	r := s.stream.Wait(t, "exec", w.pid())
	e := r.GetExec()
	equal(t, "path", e.File.Path, s.self)
	equal(t, "path_source", e.File.PathSource, "proc")
	equal(t, "cwd", e.Cwd, "/")
	w.input.Close()
	w.truth(t).check(t, r)
}

// testNamesOfGone: a process that has ended before its record is read has no path, and
// nobody else's, but all that the kernel told.
func testNamesOfGone(t *testing.T, s *scene) {
	must(t, syscall.Kill(s.agent.PID, syscall.SIGSTOP))
	said, _, pid := s.run(t, s.helper("exec", s.self, "truth"))
	must(t, syscall.Kill(s.agent.PID, syscall.SIGCONT))
	execs := s.execs(t, pid)
	equal(t, "execs", len(execs), 2)
	r := execs[1]
	equal(t, "path", r.GetExec().File.Path, "")
	equal(t, "path_source", r.GetExec().File.PathSource, "")
	equal(t, "filename", r.GetExec().Filename, s.self)
	said.check(t, r)
}

// testInnerPid: the pid in a namespace of its own is /proc's, too.
func testInnerPid(t *testing.T, s *scene) {
	c := s.helper("wait")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	in, err := c.StdinPipe()
	must(t, err)
	must(t, c.Start())
	defer c.Wait()
	defer in.Close()
	e := s.stream.Wait(t, "exec", c.Process.Pid).GetExec()
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", c.Process.Pid))
	must(t, err)
	equal(t, "ns_pid", e.NsPid, 1)
	equal(t, "pid namespace", fmt.Sprintf("pid:[%d]", e.Namespaces.Pid), link)
}

// testContainerCgroup: a cgroup's name cannot be read when it is made, and is known all
// the same when its first process starts.
func testContainerCgroup(t *testing.T, s *scene) {
	mounted, _ := memoryHierarchy(t)
	id := strings.Repeat("5ca1ab1e", 8)
	dir := filepath.Join(mounted, "docker-"+id+".scope")
	must(t, os.Mkdir(dir, 0o755))
	t.Cleanup(func() { removeDir(dir) })
	group, err := os.Open(dir)
	must(t, err)
	defer group.Close()
	c := s.helper("truth")
	c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())}
	_, r := s.tell(t, c)
	equal(t, "container", r.Process.GetContainer().GetId(), id)
	equal(t, "cgroup", r.GetExec().Cgroup, "/docker-"+id+".scope")
}
