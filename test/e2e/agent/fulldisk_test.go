// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// smallDisk mounts a file system of some MiB.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("skep-test", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestDiskLogOnFullDisk: an agent whose disk log has no room any more says so and goes on; its
// stream has everything. When there is room again it writes on, and the log itself says what it
// lacks: what is stored and what it says was lost are what the generator has made. So it is
// after the disk was full a second time, until the agent ended.
func TestDiskLogOnFullDisk(t *testing.T) {
	disk := smallDisk(t, "8m")
	filler := filepath.Join(disk, "filler")
	h := newHouse(t, "store: {enabled: true, dir: "+disk+"/store}")
	begin := time.Now()
	a := h.start()
	s := a.follow("oom", "loss")
	g := h.generator()
	old := sleeper(t)
	g.run(40, time.Second)
	within(t, skepdtest.Patience, "the first are stored", func() error { return h.stored(begin, 40*perTurn) })

	fill(t, disk)
	old.Process.Kill() // what happens to processes meanwhile is not in the log either
	old.Wait()
	young := sleeper(t)
	h.wantFailing(a, g)
	g.run(80, 3*time.Second)
	within(t, skepdtest.Patience, "the stream has everything", func() error {
		if got, made := generated(s.all())["oom"], g.produced()["oom"]; got != made {
			return fmt.Errorf("%d of %d", got, made)
		}
		return nil
	})
	if lost := losses(s.all(), "ring_full", "subscriber", "malformed"); len(lost) > 0 {
		t.Errorf("the stream has lost %v", lost)
	}
	s.find("it is told that the disk is full", func(r *skepv1.Record) bool {
		return r.GetLoss().GetPlace() == "store" && strings.Contains(r.GetLoss().Detail, "no space left on device")
	})

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	h.waitWritten(a, g)
	g.run(40, time.Second)
	counted, then := a.status(), time.Now()
	a.stop()
	a = h.start() // which has nothing in memory
	lost := h.wantAccounted(begin, g)
	if n := lossOf(counted, "store", "oom"); n != lost {
		t.Errorf("the status says that %d are lost, the log %d", n, lost)
	}
	h.wantLiving(then, young.Process.Pid, old.Process.Pid)

	fill(t, disk)
	h.wantFailing(a, g)
	a.stop()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	h.start()
	if again := h.wantAccounted(begin, g); again <= lost {
		t.Errorf("%d are lost after the disk was full twice, %d after once", again, lost)
	}
}

// stored waits until the disk log has so many OOM kills.
func (h *house) stored(since time.Time, want int) error {
	got := 0
	for _, r := range tellings(h.t, h.skep("observe", "--since", since.Format(time.RFC3339Nano), "--kind", "oom", "-o", "json")) {
		if r.Kind == "oom" {
			got++
		}
	}
	if got != want {
		return fmt.Errorf("%d, want %d", got, want)
	}
	return nil
}

// wantFailing has things happen until the agent finds its disk full, and checks that it says so.
func (h *house) wantFailing(a *agent, g *generator) {
	h.t.Helper()
	within(h.t, skepdtest.Patience, "the disk is full", func() error {
		g.run(1, 0)
		if st := a.status().Store; !strings.Contains(st.Failing, "no space left on device") {
			return fmt.Errorf("%v", st)
		}
		return nil
	})
	for _, verb := range []string{"status", "doctor"} {
		if out := h.skep(verb); len(grep(out, "no space left on device")) == 0 {
			h.t.Errorf("skep %s does not say that the disk is full:\n%s", verb, out)
		}
	}
	if said := grep(a.text(), "the disk log is not written"); len(said) == 0 || !strings.Contains(said[0], "no space left on device") {
		h.t.Errorf("the agent's log does not say it: %q", said)
	}
}

// waitWritten has things happen until the agent writes its disk log again.
func (h *house) waitWritten(a *agent, g *generator) {
	h.t.Helper()
	within(h.t, skepdtest.Patience, "the disk log is written again", func() error {
		g.run(1, 0)
		if st := a.status().Store; st.Failing != "" {
			return errors.New(st.Failing)
		}
		return nil
	})
}

// wantAccounted compares what the disk log has, and what it says was lost, with what was made.
func (h *house) wantAccounted(since time.Time, g *generator) (lost uint64) {
	h.t.Helper()
	made := g.produced()["oom"]
	within(h.t, skepdtest.Patience, "stored and lost are all that was made", func() error {
		var stored uint64
		lost = 0
		for _, r := range tellings(h.t, h.skep("observe", "--since", since.Format(time.RFC3339Nano), "--kind", "oom", "-o", "json")) {
			switch {
			case r.Kind == "oom":
				stored++
			case r.Loss.LostKind == "oom":
				lost += r.Loss.Count
			}
		}
		if lost == 0 || stored+lost != made {
			return fmt.Errorf("%d stored, %d lost, %d made", stored, lost, made)
		}
		return nil
	})
	return lost
}

// wantLiving: by the disk log one process lived at a time, and another one did not any more.
func (h *house) wantLiving(at time.Time, living, ended int) {
	h.t.Helper()
	table := h.skep("ps", "--timeout", "60s", "--at", at.Format(time.RFC3339Nano), "-o", "json")
	for pid, want := range map[int]bool{living: true, ended: false} {
		if strings.Contains(table, fmt.Sprintf(`"pid":%d,`, pid)) != want {
			h.t.Errorf("process %d in the table of that time: %v", pid, !want)
		}
	}
}
