// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cilium/ebpf/link"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// tight is a limit that no agent keeps while processes start all the time.
const tight = "limits: {cpu: 0.1%}\n"

// loose is one that every agent keeps.
const loose = "limits: {cpu: 100000%}\n"

// quick has the budget measure and decide five times as fast: what it decides rests on as many measurements, and on
// fifths of the times that it waits (internal/budget tests these with a clock of their own).
const quick = "--budget-second=200ms"

// shedNow are the sensors that the status says are shed.
func (a *agent) shedNow() (names []string) {
	a.house.t.Helper()
	for _, s := range a.status().GetBudget().GetSensors() {
		if s.Shed {
			names = append(names, s.Sensor)
		}
	}
	return names
}

// waitShed waits until just these sensors are shed.
func (a *agent) waitShed(want ...string) {
	a.house.t.Helper()
	arrived := false
	within(a.house.t, 3*skepdtest.Patience, fmt.Sprint("shed: ", want), func() error {
		got := a.shedNow()
		if arrived = slices.Equal(got, want); !arrived {
			return fmt.Errorf("shed are %v", got)
		}
		return nil
	})
	if !arrived {
		a.house.t.FailNow()
	}
}

// runner runs a program until it is stopped, and counts how often.
type runner struct {
	path       string
	runs       atomic.Uint64
	stop, done chan struct{}
}

func startRunner(t *testing.T) *runner {
	t.Helper()
	text, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{path: filepath.Join(t.TempDir(), "counted"), stop: make(chan struct{}), done: make(chan struct{})}
	if err := os.WriteFile(r.path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.done)
		for {
			select {
			case <-r.stop:
				return
			default:
			}
			if exec.Command(r.path).Run() != nil {
				return
			}
			r.runs.Add(1)
		}
	}()
	return r
}

func (r *runner) end() uint64 {
	close(r.stop)
	<-r.done
	return r.runs.Load()
}

func events(records []*skepv1.Record, event string) (details []string) {
	for _, r := range records {
		if r.GetAgent().GetEvent() == event {
			details = append(details, r.GetAgent().Detail)
		}
	}
	return details
}

// wantSensors checks that records name these sensors, in this order.
func wantSensors(t *testing.T, details []string, sensors ...string) {
	t.Helper()
	for i, d := range details {
		if i >= len(sensors) || !strings.HasPrefix(d, "sensor "+sensors[i]+" ") {
			t.Fatalf("%q are not of %v", details, sensors)
		}
	}
	if len(details) != len(sensors) {
		t.Fatalf("%q are not of %v", details, sensors)
	}
}

// TestBudget: over its limit the agent sheds file operations, DNS and TCP, in this order:
// their programs are gone from the kernel. Processes stay exact. With a higher limit all
// come back, and the connections made meanwhile are known.
func TestBudget(t *testing.T) {
	watched := t.TempDir()
	sensors := fmt.Sprintf("sensors: {files: {paths: [%s]}}\n", watched)
	h := newHouse(t, tight, sensors)
	base := strings.Replace(h.yaml, tight, "", 1)
	a := h.start("--ephemeral", quick)
	attached := h.linkIDs()
	s := a.observe()
	load := startRunner(t)
	a.waitShed("files", "host", "dns", "unix", "udp", "tcp")
	within(t, skepdtest.Patience, "it is told", func() error {
		if n := len(events(s.all(), "shed")); n != 6 {
			return fmt.Errorf("%d records", n)
		}
		return nil
	})
	wantSensors(t, events(s.all(), "shed"), "files", "host", "dns", "unix", "udp", "tcp")

	// The kernel's word: of the links that were pinned, those of the process sensor are there.
	left := h.linkIDs()
	for program, id := range attached {
		l, err := link.NewFromID(id)
		if err == nil {
			l.Close()
		}
		shed := strings.HasPrefix(program, "file_") || strings.HasPrefix(program, "dns_") || left[program] == 0
		if shed == (err == nil) {
			t.Errorf("link %d of %s: %v", id, program, err)
		}
	}
	for _, program := range []string{"exec_btf", "fork_btf", "exit_btf"} {
		if left[program] != attached[program] || left[program] == 0 {
			t.Errorf("%s: link %d before, %d now", program, attached[program], left[program])
		}
	}
	for _, program := range []string{"state", "dns_egress"} {
		if left[program] != 0 || attached[program] == 0 {
			t.Errorf("%s: link %d before, %d now", program, attached[program], left[program])
		}
	}
	within(t, skepdtest.Patience, "the status has none of their programs", func() error { // its figures are up to a second old
		for _, p := range a.status().Programs {
			if strings.HasPrefix(p.Name, "file_") || strings.HasPrefix(p.Name, "dns_") || p.Name == "state" {
				return fmt.Errorf("it has program %s", p.Name)
			}
		}
		return nil
	})
	for _, signal := range a.status().Signals {
		shed, stays := slices.Contains([]string{"file", "kill", "dns", "unix", "udp", "tcp", "traffic"}, signal.Signal), slices.Contains([]string{"fork", "exec", "exit"}, signal.Signal)
		if shed && signal.Available || stays && !signal.Available {
			t.Errorf("signal %s: available %v", signal.Signal, signal.Available)
		}
	}
	if page := h.skep("status"); !strings.Contains(page, "shed tcp for") {
		t.Errorf("the page does not say what is shed:\n%s", page)
	}
	if page := h.skep("doctor"); len(grep(page, "shed")) < 3 {
		t.Errorf("doctor does not say what is shed:\n%s", page)
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	unseen := dialPair(t, listener)
	port := uint32(unseen.LocalAddr().(*net.TCPAddr).Port)

	if detail := a.reload(s, 1, base+loose); detail != "changed: limits.cpu" {
		t.Errorf("the reload says %q", detail)
	}
	a.waitShed()
	within(t, skepdtest.Patience, "it is told", func() error {
		if n := len(events(s.all(), "restore")); n != 6 {
			return fmt.Errorf("%d records", n)
		}
		return nil
	})
	wantSensors(t, events(s.all(), "restore"), "tcp", "udp", "unix", "dns", "host", "files")

	of := func(kind string, port uint32) func(*skepv1.Record) bool {
		return func(r *skepv1.Record) bool { return r.Kind == kind && r.GetConnection().GetLocal().GetPort() == port }
	}
	conns, err := a.ListConnections(t.Context(), &skepv1.ListConnectionsRequest{Filter: &skepv1.Filter{Ports: []uint32{port}, Pids: []uint32{uint32(os.Getpid())}}})
	if err != nil || len(conns.Connections) != 2 {
		t.Errorf("both ends of the connection from meanwhile: %v, %v", conns, err)
	}
	unseen.Close()
	s.find("the close of the connection from meanwhile", of("close", port))
	if slices.ContainsFunc(s.all(), of("connect", port)) {
		t.Error("its connect is there, from when TCP was shed")
	}
	seen := dialPair(t, listener)
	seen.Close()
	s.find("a connect after it", of("connect", uint32(seen.LocalAddr().(*net.TCPAddr).Port)))
	if err := os.WriteFile(filepath.Join(watched, "after"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.find("a file operation after it", func(r *skepv1.Record) bool { return strings.HasSuffix(r.GetFile().GetPath(), "/after") })

	runs := load.end()
	count := func(kind string) (n uint64) {
		for _, r := range s.all() {
			if r.Kind == kind && r.Process.GetExe() == load.path {
				n++
			}
		}
		return n
	}
	within(t, skepdtest.Patience, "every process is there", func() error {
		if e, x := count("exec"), count("exit"); e != runs || x != runs {
			return fmt.Errorf("of %d runs: %d exec, %d exit", runs, e, x)
		}
		return nil
	})
	wantContinuous(t, s.all(), nil)
	if lost := losses(s.all(), "ring_full", "restart", "subscriber", "program_missed", "malformed"); len(lost) > 0 {
		t.Errorf("lost: %v", lost)
	}
	for _, line := range grep(a.text(), "level=ERROR") {
		t.Error(line)
	}
	t.Logf("%d processes; %q", runs, events(s.all(), "shed"))
}

// dialPair makes a connection that a goroutine of this process accepts and holds open.
func dialPair(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			t.Cleanup(func() { c.Close() })
		}
		accepted <- c
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if <-accepted == nil {
		t.Fatal("not accepted")
	}
	return c
}

// TestKilledWhileShed: the next agent begins with everything, and decides anew.
func TestKilledWhileShed(t *testing.T) {
	h := newHouse(t, tight)
	a := h.start(quick)
	attached := h.linkIDs()
	load := startRunner(t)
	a.waitShed("host", "dns", "unix", "udp", "tcp")
	load.end()
	a.kill()
	h.yaml = strings.Replace(h.yaml, tight, "", 1)
	b := h.start("--ephemeral")
	if after := h.linkIDs(); len(after) != len(attached) {
		t.Errorf("%d programs are pinned, there were %d", len(after), len(attached))
	}
	if st := b.status(); st.Budget != nil {
		t.Errorf("without limits there is a budget: %v", st.Budget)
	}
	s := b.observe()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := uint32(dialPair(t, listener).LocalAddr().(*net.TCPAddr).Port)
	s.find("a connect", func(r *skepv1.Record) bool {
		return r.Kind == "connect" && r.GetConnection().GetLocal().GetPort() == port
	})
	b.stop()
}

// TestLoadEnds: when the load is over what was shed comes back by itself.
func TestLoadEnds(t *testing.T) {
	// One sensor that can be shed: each comes back after its own wait.
	h := newHouse(t, "limits: {cpu: 40%}", "sensors: {dns: {enabled: false}, udp: {enabled: false}, unix: {enabled: false}, host: {calls: []}}")
	a := h.start("--ephemeral", quick)
	s := a.observe("agent")
	g := h.generator()
	within(t, 3*skepdtest.Patience, "something is shed", func() error {
		for range 50 {
			g.run(20, 0)
		}
		if len(a.shedNow()) == 0 {
			return fmt.Errorf("%v", a.status().Budget)
		}
		return nil
	})
	a.waitShed()
	within(t, skepdtest.Patience, "it is told", func() error {
		shed, back := events(s.all(), "shed"), events(s.all(), "restore")
		if len(shed) == 0 || len(shed) != len(back) {
			return fmt.Errorf("shed %q, restored %q", shed, back)
		}
		return nil
	})
	a.stop()
}

// TestMemoryLimit: a limit below what an agent takes sheds all that may be, once Go has
// given back what it can, and says that it is not enough.
func TestMemoryLimit(t *testing.T) {
	h := newPrivateHouse(t, "limits: {memory: 16MiB}")
	a := h.start(quick)
	a.waitShed("host", "dns", "unix", "udp", "tcp")
	within(t, skepdtest.Patience, "it is told", func() error {
		if b := a.status().Budget; !b.Exhausted || b.MemoryBytes <= b.MemoryLimitBytes {
			return fmt.Errorf("%v", b)
		}
		return nil
	})
	if len(grep(a.text(), "memory given back")) == 0 {
		t.Error("nothing was given back before")
	}
	a.stop()
}

// TestBadLimits: a limit that is none is an error with its line.
func TestBadLimits(t *testing.T) {
	h := newPrivateHouse(t, "limits:\n  cpu: 0.5")
	refused(t, h.command("run"), "skep.yaml:2:8", "limits.cpu must be a share of one CPU")
}
