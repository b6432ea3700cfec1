// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

func testExit(t *testing.T, s *scene) {
	for _, code := range []string{"0", "1", "42", "255", "256"} {
		t.Run("code "+code, func(t *testing.T) { s.compareExit(t, s.helper("exit", code)) })
	}
	for _, signal := range []string{"TERM", "KILL", "SEGV", "ABRT", "HUP", "BUS"} {
		t.Run("signal "+signal, func(t *testing.T) {
			c := s.helper("signal", signal)
			c.Dir = t.TempDir() // for the core
			e := s.compareExit(t, c)
			equal(t, "signal_name", e.SignalName, "SIG"+signal)
		})
	}
	t.Run("killed", func(t *testing.T) { testKilled(t, s) })
	for _, b := range [][]string{{"0", "1"}, {"150", "1"}, {"20", "100"}} {
		t.Run("burn "+b[0]+" ms "+b[1]+" MiB", func(t *testing.T) { testUsage(t, s, b) })
	}
}

// compareExit compares an exit record with what wait4 says.
func (s *scene) compareExit(t *testing.T, c *exec.Cmd) *skepv1.Exit {
	t.Helper()
	_ = c.Run() // its failure is what this is about
	exit := s.exit(t, c.Process.Pid)
	e, status := exit.GetExit(), c.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		equal(t, "signal", e.Signal, uint32(status.Signal()))
		equal(t, "core_dumped", e.CoreDumped, status.CoreDump())
		equal(t, "code", e.Code, 0)
	} else {
		equal(t, "code", int(e.Code), status.ExitStatus())
		equal(t, "signal", e.Signal, 0)
	}
	s.keep(t, "exit", exit)
	return e
}

func testKilled(t *testing.T, s *scene) {
	c := s.helper("wait")
	in, err := c.StdinPipe()
	must(t, err)
	defer in.Close()
	must(t, c.Start())
	s.stream.Wait(t, "exec", c.Process.Pid)
	must(t, c.Process.Kill())
	_ = c.Wait()
	exit := s.exit(t, c.Process.Pid)
	equal(t, "signal_name", exit.GetExit().SignalName, "SIGKILL")
	equal(t, "core_dumped", exit.GetExit().CoreDumped, false)
}

// testUsage compares with wait4's rusage. What a process uses after the tracepoint is in
// the latter only, and its run time is up to a tick old there: docs/process.md.
func testUsage(t *testing.T, s *scene, args []string) {
	start := time.Now()
	c := s.helper(append([]string{"burn"}, args...)...)
	must(t, c.Run())
	took := time.Since(start)
	e := s.exit(t, c.Process.Pid).GetExit()
	usage := c.ProcessState.SysUsage().(*syscall.Rusage)
	user, system := time.Duration(usage.Utime.Nano()), time.Duration(usage.Stime.Nano())
	t.Logf("user %v of %v, system %v of %v, rss %d of %d KiB, duration %v of %v", time.Duration(e.UserNs), user,
		time.Duration(e.SystemNs), system, e.MaxRssBytes>>10, usage.Maxrss, time.Duration(e.DurationNs), took)
	equal(t, "max_rss_bytes", e.MaxRssBytes>>10, uint64(usage.Maxrss))
	tolerance := 15 * time.Millisecond
	if os.Getenv("SKEP_KERNEL") != "" { // an emulated one: giving memory back takes long
		tolerance = 400 * time.Millisecond
	}
	near(t, "user + system", time.Duration(e.UserNs+e.SystemNs), user+system, tolerance)
	near(t, "user", time.Duration(e.UserNs), user, tolerance)
	if d := time.Duration(e.DurationNs); d > took || d < took-time.Second {
		t.Errorf("duration %v, the test waited %v", d, took)
	}
}

func near(t *testing.T, what string, got, want, tolerance time.Duration) {
	t.Helper()
	if got > want+tolerance || got < want-tolerance-want/20 {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func testOOM(t *testing.T, s *scene) {
	g := newMemoryCgroup(t, 64<<20)
	inner := g.dir + "/inner" // the victim lives below the cgroup that is full
	must(t, os.Mkdir(inner, 0o755))
	t.Cleanup(func() { removeDir(inner) })
	c := s.helper("eat", inner, "200")
	_ = c.Run()
	equal(t, "wait's signal", c.ProcessState.Sys().(syscall.WaitStatus).Signal(), syscall.SIGKILL)
	r := s.stream.Wait(t, "oom", c.Process.Pid)
	exit := s.exit(t, c.Process.Pid)
	equal(t, "victim", r.Process.ExecId, exit.Process.ExecId)
	equal(t, "exit's signal", exit.GetExit().SignalName, "SIGKILL")
	s.keep(t, "oom", r)
	o := r.GetOom()
	if confidential || s.agent.Rung(t, "oom") == "tp_btf_pid" { // tells the victim and its own cgroup only
		equal(t, "limit", o.LimitBytes, 0)
		return
	}
	equal(t, "limit", o.LimitBytes, 64<<20)
	equal(t, "cgroup_id", o.CgroupId, g.id(t))
	equal(t, "cgroup", o.Cgroup, g.path)
	if o.UsageBytes > o.LimitBytes+1<<20 || // the kernel may charge past the limit
		o.UsageBytes < o.LimitBytes-4<<20 {
		t.Errorf("usage %d of %d", o.UsageBytes, o.LimitBytes)
	}
	if o.VictimRssBytes < 40<<20 || o.VictimRssBytes > 200<<20 {
		t.Errorf("victim_rss_bytes is %d", o.VictimRssBytes)
	}
}

// removeDir removes a cgroup, which may be busy for a moment.
func removeDir(dir string) {
	for range 100 {
		if err := unix.Rmdir(dir); err != unix.EBUSY {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	fmt.Fprintln(os.Stderr, "not removed:", dir)
}
