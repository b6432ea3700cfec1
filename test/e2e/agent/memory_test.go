// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/identity/cgroup"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

const maxResident = 120 << 20

// TestForkBomb: any number of short processes leaves the agent's memory where it is, and
// what it remembers of them within its bound.
func TestForkBomb(t *testing.T) {
	const remembered = 1000
	h := newPrivateHouse(t, "history: {max_bytes: 4MiB}\ntables:\n  processes: 1024\n  exited_processes: "+strconv.Itoa(remembered))
	a := h.start()
	bomb(t, 6*remembered, time.Minute) // what fills up has filled
	first, before := kindOf(t, a.status(), "fork").Received, peak(t, a)
	bomb(t, 20*remembered, time.Minute)
	more := kindOf(t, a.status(), "fork").Received - first
	if first < 5*remembered || more < 10*remembered {
		t.Fatalf("%d and %d processes, each in at most a minute: too few to tell", first, more)
	}
	grown := peak(t, a) - before
	t.Logf("%d more processes took %d KiB more", more, grown>>10)
	if grown > 16<<20 {
		t.Errorf("%d more processes took %d MiB more, want at most 16", more, grown>>20)
	}
	within(t, 10*time.Second, "the table is small again", func() error {
		r, err := a.ListProcesses(t.Context(), &skepv1.ListProcessesRequest{Exited: true})
		if err != nil {
			return err
		}
		live, _ := filepath.Glob("/proc/[0-9]*")
		if most := remembered + 2*len(live) + 100; len(r.Processes) > most {
			return fmt.Errorf("%d processes are in the table, want at most %d", len(r.Processes), most)
		}
		return nil
	})
	wantSmall(t, a)
	a.stop()
}

// bomb makes that many processes that end at once, or as many as there is time for.
func bomb(t *testing.T, n int, atMost time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), atMost)
	defer cancel()
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			script := fmt.Sprintf("i=0; while [ $i -lt %d ]; do (:); i=$((i+1)); done", n/2)
			if out, err := exec.CommandContext(ctx, "sh", "-c", script).CombinedOutput(); err != nil && ctx.Err() == nil {
				t.Errorf("fork: %v: %s", err, out)
			}
		})
	}
	group.Wait()
}

// peak is the most memory that an agent had resident, in bytes.
func peak(t *testing.T, a *agent) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	lines := grep(string(text), "VmHWM:")
	if len(lines) != 1 {
		t.Fatalf("no peak of memory in %s", text)
	}
	kib, err := strconv.Atoi(strings.Fields(lines[0])[1])
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

func wantSmall(t *testing.T, a *agent) {
	t.Helper()
	got := peak(t, a)
	t.Logf("peak of resident memory: %d MiB", got>>20)
	if got > maxResident {
		t.Errorf("it took %d MiB at its peak, want at most %d", got>>20, maxResident>>20)
	}
}

// TestManyContainers: of containers that come and go the table holds no more than the
// last that went, as many as late events may ask for. That these go too, after a minute,
// the tests of internal/identity/cgroup show with a clock of their own.
func TestManyContainers(t *testing.T) {
	h := newPrivateHouse(t)
	a := h.start()
	before := a.status().Containers.Entries
	const containers = cgroup.MaxRemoved * 3 / 2
	for i := range containers {
		inCgroup(t, fmt.Sprintf("docker-%064x.scope", i+1), func() {
			if i%50 == 0 {
				exec.Command("true").Run()
			}
		})
	}
	within(t, cgroup.Grace/2, "the containers go", func() error { // and not because their time is over
		if now := a.status().Containers.Entries; now > before+cgroup.MaxRemoved {
			return fmt.Errorf("%d containers are in the table, %d were before", now, before)
		}
		return nil
	})
	wantSmall(t, a)
	a.stop()
}

// TestResidentOnce: what the status calls resident is what the kernel says of the process,
// but for the pages of BPF maps, which it counts apart.
func TestResidentOnce(t *testing.T) {
	a := newPrivateHouse(t).start()
	within(t, skepdtest.Patience, "the status agrees with smaps", func() error {
		got := a.status().Memory.ResidentBytes // first: what reading smaps takes is not in it
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", a.command.Process.Pid))
		if err != nil {
			return err
		}
		var want, maps uint64
		ofMap := false
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if !strings.HasSuffix(fields[0], ":") {
				ofMap = strings.HasSuffix(strings.TrimSpace(line), "anon_inode:bpf-map")
			}
			if fields[0] != "Rss:" {
				continue
			}
			kib, err := strconv.ParseUint(fields[1], 10, 64)
			if err != nil {
				return err
			}
			if ofMap {
				maps += kib << 10
			} else {
				want += kib << 10
			}
		}
		if maps < 16<<20 {
			t.Fatalf("the process has mapped %d bytes of its rings", maps)
		}
		if d := int64(got) - int64(want); d > 2<<20 || d < -2<<20 {
			return fmt.Errorf("resident: %d bytes, smaps says %d and %d of maps", got, want, maps)
		}
		return nil
	})
	a.stop()
}
