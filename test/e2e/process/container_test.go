// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"strings"
	"testing"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/containers"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// probe matches the exec of the image's program with these arguments.
func probe(args ...string) func(*skepv1.Record) bool {
	want := strings.Join(append([]string{"/probe"}, args...), " ")
	return func(r *skepv1.Record) bool {
		return r.Kind == "exec" && strings.Join(r.GetExec().Args, " ") == want
	}
}

func TestContainerd(t *testing.T) {
	c := containers.StartContainerd(t)
	a := skepdtest.Start(t, "--config", skepdtest.WriteConfig(t, fmt.Sprintf("containers:\n  sockets: [%q]\n", c.Socket)))
	s := a.Observe(t, nil)
	name := containers.UniqueName("skep-e2e")
	// 603, as other packages' tests may run at once, and sleep for 600 s.
	// The init's first image ends in its first millisecond, by an exec: as an entrypoint script does.
	made := c.Run(t, name, "--label", "app=shop", "exec", "/probe", "seq", "/probe", "exit", "0", "--", "/probe", "sleep", "603")
	for _, first := range [][]string{
		{"exec", "/probe", "seq", "/probe", "exit", "0", "--", "/probe", "sleep", "603"},
		{"seq", "/probe", "exit", "0", "--", "/probe", "sleep", "603"},
	} {
		r := s.WaitFor(t, fmt.Sprint(first), probe(first...))
		equal(t, "pid of init", r.Process.Pid, uint32(made.PID))
		checkInside(t, r, name, false)
		equal(t, "ns_pid of init", r.GetExec().NsPid, 1)
	}
	for _, child := range [][]string{{"exit", "0"}, {"sleep", "603"}} {
		r := s.WaitFor(t, fmt.Sprint(child), probe(child...))
		checkInside(t, r, name, false)
		equal(t, "ppid", r.Process.Ppid, uint32(made.PID))
	}
	if out := c.Exec(t, name, "fork", "/probe", "exec", "/probe", "sleep", "0.03"); !strings.HasPrefix(out, "child ") {
		t.Errorf("exec printed %q", out)
	}
	checkInside(t, s.WaitFor(t, "exec'd", probe("fork", "/probe", "exec", "/probe", "sleep", "0.03")), name, true)
	checkInside(t, s.WaitFor(t, "its child", probe("exec", "/probe", "sleep", "0.03")), name, false)
	checkInside(t, s.WaitFor(t, "its child's second image", probe("sleep", "0.03")), name, false)

	containers.Eventually(t, "name, image and labels of the container", func() bool {
		r, err := a.GetProcess(t.Context(), &skepv1.GetProcessRequest{Pid: uint32(made.PID)})
		must(t, err)
		p := r.Process.Process.Container
		return p.GetId() == name && p.Name == name && p.Image == containers.Image && p.Labels["app"] == "shop" && p.Runtime == "containerd"
	})
}

// checkInside: every record of a process in a container says so, from its first on.
func checkInside(t *testing.T, r *skepv1.Record, id string, entered bool) {
	t.Helper()
	what := fmt.Sprint(r.GetExec().Args)
	equal(t, "container of "+what, r.Process.GetContainer().GetId(), id)
	equal(t, "entered_container of "+what, r.GetExec().EnteredContainer, entered)
	if !strings.Contains(r.GetExec().Cgroup, id) {
		t.Errorf("cgroup of %s is %q", what, r.GetExec().Cgroup)
	}
}

// TestRunc: without a runtime's daemon, and an agent that comes after the container.
func TestRunc(t *testing.T) {
	name := containers.UniqueName("skep-e2e-runc")
	before := containers.RuncRun(t, name, "sleep", "601")
	a := skepdtest.Start(t)
	s := a.Observe(t, nil)
	r, err := a.GetProcess(t.Context(), &skepv1.GetProcessRequest{Pid: uint32(before.PID)})
	must(t, err)
	equal(t, "container of a preexisting process", r.Process.Process.GetContainer().GetId(), name)
	containers.RuncExec(t, name, "exit", "0")
	checkEntered(t, s.WaitFor(t, "exec'd", probe("exit", "0")), name, true)

	second := containers.UniqueName("skep-e2e-runc2")
	containers.RuncRun(t, second, "exec", "/probe", "sleep", "602")
	checkEntered(t, s.WaitFor(t, "init", probe("exec", "/probe", "sleep", "602")), second, false)
	checkEntered(t, s.WaitFor(t, "init's second image", probe("sleep", "602")), second, false)
	containers.RuncExec(t, second, "exec", "/probe", "sleep", "0.07")
	checkEntered(t, s.WaitFor(t, "exec'd", probe("exec", "/probe", "sleep", "0.07")), second, true)
	checkEntered(t, s.WaitFor(t, "exec'd second image", probe("sleep", "0.07")), second, true)
}

func checkEntered(t *testing.T, r *skepv1.Record, id string, entered bool) {
	t.Helper()
	what := fmt.Sprint(r.GetExec().Args)
	equal(t, "container of "+what, r.Process.GetContainer().GetId(), id)
	equal(t, "entered_container of "+what, r.GetExec().EnteredContainer, entered)
}
