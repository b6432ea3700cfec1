// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// tinyRings overflow at once.
const tinyRings = "rings:\n  critical_bytes: 65536\n  telemetry_bytes: 65536"

// load forks and execs until it is told to stop.
func load(t *testing.T) (stop func()) {
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					exec.Command("true").Run()
				}
			}
		})
	}
	stop = sync.OnceFunc(func() { close(done); group.Wait() })
	t.Cleanup(stop)
	return stop
}

// sleeper is a process that lives as long as the test.
func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	c := exec.Command("sleep", "3600")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	return c
}

func (a *agent) execID(pid int) string {
	a.house.t.Helper()
	r, err := a.GetProcess(a.house.t.Context(), &skepv1.GetProcessRequest{Pid: uint32(pid)})
	if err != nil {
		a.house.t.Fatalf("get process %d: %v", pid, err)
	}
	return r.Process.Process.ExecId
}

func isAgent(event string) func(*skepv1.Record) bool {
	return func(r *skepv1.Record) bool { return r.GetAgent().GetEvent() == event }
}

// TestKilledUnderLoad: an agent that is killed at any moment loses nothing that it does
// not say. Its programs go on, the next one takes over, tells what happened meanwhile and
// counts what did not fit, and goes on with the same numbers and ids.
func TestKilledUnderLoad(t *testing.T) {
	h := newHouse(t, tinyRings)
	rounds := 20
	if os.Getenv("SKEP_KERNEL") != "" {
		rounds = 3 // emulated
	}
	old := sleeper(t)
	a := h.start()
	links := h.linkIDs()
	if len(links) == 0 {
		t.Fatal("no pinned links")
	}
	s := a.observe()
	young := sleeper(t)
	s.find("exec of a process", func(r *skepv1.Record) bool {
		return r.Kind == "exec" && r.Process.GetPid() == uint32(young.Process.Pid)
	})
	ids := []string{a.execID(old.Process.Pid), a.execID(young.Process.Pid)}
	seq := map[string]uint64{}
	g := h.generator()
	for round := range rounds {
		stop := load(t)
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		a.kill()
		<-s.done
		seq = wantContinuous(t, s.all(), seq)
		stop()
		before := g.produced()
		// From nothing to several times the ring.
		g.run(rand.IntN(40), 0)
		produced := g.produced()

		a = h.start()
		s = a.observe()
		adopt := s.find("record of the takeover", isAgent("adopt")).GetAgent()
		records := s.all()
		got, lost := generated(records), losses(records, "ring_full")
		for _, kind := range []string{"oom", "listen"} {
			if want := produced[kind] - before[kind]; !accounted(kind, got[kind], lost[kind], want) {
				t.Errorf("round %d: of %d %s records %d came and %d are counted as lost", round, want, kind, got[kind], lost[kind])
			}
		}
		t.Logf("round %d: drained %d, lost %d; of the generator's: came %v", round, adopt.Drained, adopt.Lost, got)
		if got["oom"]+got["listen"] > adopt.Drained {
			t.Errorf("round %d: %v came, but only %d were drained", round, got, adopt.Drained)
		}
		if now := h.linkIDs(); fmt.Sprint(now) != fmt.Sprint(links) {
			t.Errorf("round %d: links were %v, are %v", round, links, now)
		}
		if now := []string{a.execID(old.Process.Pid), a.execID(young.Process.Pid)}; now[0] != ids[0] || now[1] != ids[1] {
			t.Errorf("round %d: exec ids were %v, are %v", round, ids, now)
		}
		if t.Failed() {
			break
		}
	}
	a.stop()
	wantContinuous(t, s.end(), seq)
	s.find("record of the stop", isAgent("stop"))
}

// TestOtherABI: the kernel side of an agent with another configuration goes, with what
// waited in its rings counted, and the numbers go on.
func TestOtherABI(t *testing.T) {
	h := newHouse(t, tinyRings)
	a := h.start()
	s := a.observe()
	g := h.generator()
	g.run(1, 0)
	s.find("generated record", func(r *skepv1.Record) bool { return r.Kind == "listen" })
	a.stop()
	seq := wantContinuous(t, s.end(), nil)
	links := h.linkIDs()
	g.run(1, 0)   // waits in the rings
	g.run(100, 0) // and this does not fit
	oldDirs, _ := filepath.Glob(h.pins + "/*")

	h.yaml = "rings:\n  critical_bytes: 131072\nstore: {enabled: false}\nbpffs: " + h.pins + "\n"
	a = h.start()
	s = a.observe()
	s.find("record of the start", isAgent("start"))
	lost := losses(s.all(), "restart")
	for _, kind := range []string{"oom", "listen"} {
		if !accounted(kind, 0, lost[kind], 101*perTurn) {
			t.Errorf("%d %s records are counted as lost, want %d", lost[kind], kind, 101*perTurn)
		}
	}
	told := map[string]uint64{}
	for _, l := range a.status().Losses {
		if l.Place == "restart" && l.Count > 0 {
			told[l.Kind] = l.Count
		}
	}
	if !maps.Equal(told, lost) {
		t.Errorf("lost at the restart: %v in the status, %v in the stream", told, lost)
	}
	dirs, _ := filepath.Glob(h.pins + "/*")
	if len(dirs) != 1 || len(oldDirs) != 1 || dirs[0] == oldDirs[0] {
		t.Errorf("pins were in %v, are in %v", oldDirs, dirs)
	}
	within(t, 10*time.Second, "the old links go", func() error {
		found, _ := all(t)
		for name, id := range links {
			if _, there := found[fmt.Sprintf("link %d", id)]; there {
				return fmt.Errorf("link %d of %s is there", id, name)
			}
		}
		return nil
	})
	exec.Command("true").Run()
	s.find("exit", func(r *skepv1.Record) bool { return r.Kind == "exit" })
	a.stop()
	// The numbers go on where they were: what was lost is the gap.
	first := map[string]uint64{}
	for kind, all := range spans(s.end()) {
		for _, x := range all {
			if first[kind] == 0 || x.first < first[kind] {
				first[kind] = x.first
			}
		}
	}
	for kind, last := range seq {
		if first[kind] != 0 && first[kind] != last+1 {
			t.Errorf("%s: the first agent came to number %d, the second begins with %d", kind, last, first[kind])
		}
	}
	wantContinuous(t, s.all(), seq)
}

// TestDamagedPins: whatever somebody does to the pins between two agents, the next one
// works, and works whole.
func TestDamagedPins(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		warns  string
		adopts bool
	}{
		{"none", func(*testing.T, string) {}, "", true},
		{"a link is missing", func(t *testing.T, dir string) { remove(t, dir+"/links/exec-*/*") }, "not taken over", true},
		{"a signal is missing", func(t *testing.T, dir string) { remove(t, dir+"/links/exec-*") }, "", true},
		{"all links are missing", func(t *testing.T, dir string) { remove(t, dir+"/links/*") }, "", true},
		{"one of several links is missing", func(t *testing.T, dir string) { remove(t, dir+"/links/cgroup-*/rmdir*") }, "not taken over", true},
		{"a map is missing", func(t *testing.T, dir string) { remove(t, dir+"/maps/processes") }, "damaged", false},
		{"the state is missing", func(t *testing.T, dir string) { remove(t, dir+"/maps/agent_state") }, "damaged", false},
		{"all maps are missing", func(t *testing.T, dir string) { remove(t, dir+"/maps/*") }, "damaged", false},
		{"a foreign map under a map's name", func(t *testing.T, dir string) {
			remove(t, dir+"/maps/loss")
			pinMap(t, dir+"/maps/loss")
		}, "damaged", false},
		{"a map under a link's name", func(t *testing.T, dir string) {
			files, _ := filepath.Glob(dir + "/links/exec-*/*")
			remove(t, files[0])
			pinMap(t, files[0])
		}, "not taken over", true},
		{"a link under another's name", func(t *testing.T, dir string) {
			exit, _ := filepath.Glob(dir + "/links/exit-*/*")
			fork, _ := filepath.Glob(dir + "/links/fork-*/*")
			if err := os.Rename(exit[0], fork[0]); err != nil {
				t.Fatal(err)
			}
		}, "not taken over", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			h.start().stop()
			dirs, _ := filepath.Glob(h.pins + "/*")
			if len(dirs) != 1 {
				t.Fatalf("pins in %v", dirs)
			}
			c.damage(t, dirs[0])
			a := h.start()
			s := a.observe()
			want := "start"
			if c.adopts {
				want = "adopt"
			}
			s.find("record of the "+want, isAgent(want))
			wantWarning(t, a, c.warns)
			wantWhole(t, s)
			a.stop()
			// What it has made is whole: the next one has nothing to say.
			a = h.start()
			s = a.observe()
			s.find("record of the takeover", isAgent("adopt"))
			wantWarning(t, a, "")
			wantWhole(t, s)
			a.stop()
		})
	}
}

// wantWhole runs a process and wants each of its records once.
func wantWhole(t *testing.T, s *stream) {
	t.Helper()
	c := exec.Command("true")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	pid := uint32(c.Process.Pid)
	s.find("exit of a process", func(r *skepv1.Record) bool { return r.Kind == "exit" && r.Process.GetPid() == pid })
	counts := map[string]int{}
	for _, r := range s.all() {
		if r.Process.GetPid() == pid {
			counts[r.Kind]++
		}
	}
	if counts["fork"] != 1 || counts["exec"] != 1 || counts["exit"] != 1 {
		t.Errorf("records of one process: %v", counts)
	}
}

func wantWarning(t *testing.T, a *agent, text string) {
	t.Helper()
	warnings := grep(a.text(), "level=WARN")
	if text == "" && len(warnings) > 0 || text != "" && len(grep(a.text(), text)) == 0 {
		t.Errorf("want the warning %q, got %q", text, warnings)
	}
}

func remove(t *testing.T, pattern string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("nothing at %s: %v", pattern, err)
	}
	for _, f := range files {
		if err := os.RemoveAll(f); err != nil {
			t.Fatal(err)
		}
	}
}

// pinMap pins a map that is not skep's.
func pinMap(t *testing.T, file string) *ebpf.Map {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "foreign", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if err := m.Pin(file); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestForeignPinInside: what is not skep's inside its directory stays, and does not hinder.
func TestForeignPinInside(t *testing.T) {
	h := newHouse(t)
	h.start().stop()
	dirs, _ := filepath.Glob(h.pins + "/*")
	foreign := dirs[0] + "/foreign"
	m := pinMap(t, foreign)
	a := h.start()
	s := a.observe()
	s.find("record of the takeover", isAgent("adopt"))
	wantWhole(t, s)
	a.stop()
	refused(t, h.command("remove"), "not skep's", "left there")
	if _, err := os.Lstat(foreign); err != nil {
		t.Errorf("the foreign pin is gone: %v", err)
	}
	if got := pinned(t, dirs[0]); len(got) != 2 {
		t.Errorf("more than the foreign pin is left: %v", got)
	}
	if err := m.Unpin(); err != nil {
		t.Fatal(err)
	}
}
