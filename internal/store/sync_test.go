// SPDX-License-Identifier: Apache-2.0

package store

import (
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSynchronised: what was written is durable within a second and a half, the disk rests
// while nothing is written, and what it then refuses to keep is lost, and counted.
func TestSynchronised(t *testing.T) {
	var syncs atomic.Int64
	var broken atomic.Bool
	s, log, stop := running(t, Options{Dir: t.TempDir(), Sync: func(fd int) error {
		syncs.Add(1)
		if broken.Load() {
			return unix.EIO
		}
		return unix.Fdatasync(fd)
	}})
	records := someRecords(300)
	for round := range 2 {
		feed(log, records[100*round:100*round+100])
		begin := time.Now()
		eventually(t, "it is synchronised", func() bool { return syncs.Load() > int64(round) })
		if took := time.Since(begin); took > 1500*time.Millisecond {
			t.Errorf("synchronised after %v", took)
		}
	}
	time.Sleep(1500 * time.Millisecond)
	if n := syncs.Load(); n != 2 {
		t.Errorf("an idle log was synchronised: %d times, want 2", n)
	}
	broken.Store(true)
	feed(log, records[200:])
	eventually(t, "the loss is counted", func() bool { return total(s.Losses()) == 100 && s.Failing() != nil })
	broken.Store(false)
	stop()
}
