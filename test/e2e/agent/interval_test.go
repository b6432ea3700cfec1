// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// TestNobodyThere: what runs while there is no agent is told by the next one, whole.
func TestNobodyThere(t *testing.T) {
	h := newHouse(t)
	h.start().kill()
	marks := map[uint32]string{}
	for i := range 100 {
		c := exec.Command("sh", "-c", "exit 3", fmt.Sprint("nobody-there-", i))
		c.Run()
		marks[uint32(c.Process.Pid)] = c.Args[3]
	}
	a := h.start()
	s := a.observe()
	adopt := s.find("record of the takeover", isAgent("adopt")).GetAgent()
	if adopt.Lost != 0 || adopt.Drained < 300 {
		t.Errorf("drained %d, lost %d", adopt.Drained, adopt.Lost)
	}
	kinds := map[uint32][]string{}
	for _, r := range s.all() {
		pid := r.Process.GetPid()
		mark, ours := marks[pid]
		if !ours {
			continue
		}
		kinds[pid] = append(kinds[pid], r.Kind)
		if e := r.GetExec(); e != nil && !slices.Contains(e.Args, mark) {
			t.Errorf("process %d: arguments %q, want %s among them", pid, e.Args, mark)
		}
		if e := r.GetExit(); e != nil && e.Code != 3 {
			t.Errorf("process %d ended with %d, want 3", pid, e.Code)
		}
	}
	for pid, mark := range marks {
		if !slices.Equal(kinds[pid], []string{"fork", "exec", "exit"}) {
			t.Errorf("%s: records %v", mark, kinds[pid])
		}
	}
	a.stop()
}

// TestKilledWhileStarting: a start that was killed at any point is in nobody's way.
func TestKilledWhileStarting(t *testing.T) {
	h := newHouse(t)
	for range 15 {
		c := h.command("run")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond)
		c.Process.Kill()
		c.Wait()
	}
	a := h.start()
	s := a.observe()
	s.find("record of the start", func(r *skepv1.Record) bool { return r.GetAgent().GetEvent() != "" })
	wantWhole(t, s)
	wantContinuous(t, s.all(), nil)
	a.stop()
}
