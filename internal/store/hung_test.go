// SPDX-License-Identifier: Apache-2.0

package store

import (
	"sync"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// TestHungDisk: whoever asks how the store is, as the reader of the kernel's rings does,
// does not wait while it is busy with the disk.
func TestHungDisk(t *testing.T) {
	hung, released := make(chan struct{}), make(chan struct{})
	var begun int
	processes := func() []*skepv1.Record { // at the begin of each log, between its writes
		if begun++; begun == 2 {
			close(hung)
			<-released
		}
		return nil
	}
	s, log, stop := running(t, Options{Dir: t.TempDir(), LogBytes: 64 << 10, Processes: processes})
	release := sync.OnceFunc(func() { close(released) })
	defer release()
	records := someRecords(20000)
	feed(log, records[:10])
	eventually(t, "the first are stored", func() bool { return len(ask(t, s, time.Time{}, time.Time{}, nil)) == 10 })
	feed(log, records[10:])
	select {
	case <-hung:
	case <-time.After(30 * time.Second):
		t.Fatal("no second log within 30 s: the test tests nothing")
	}
	for what, f := range map[string]func() bool{
		"Losses":  func() bool { return total(s.Losses()) == 0 },
		"Failing": func() bool { return s.Failing() == nil },
		"Gaps":    func() bool { return len(s.Gaps()) == 0 },
		"Status":  func() bool { st := s.Status(); return st.Bytes > 0 && st.Logs == 1 && st.Oldest != nil },
	} {
		answer := make(chan bool, 1)
		go func() { answer <- f() }()
		select {
		case right := <-answer:
			if !right {
				t.Errorf("%s does not say how it was before: %v", what, s.Status())
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s waits for the disk", what)
		}
	}
	release()
	stop()
	if got := len(ask(t, stillStore(t, s.opts.Dir), time.Time{}, time.Time{}, nil)); uint64(got)+total(s.Losses()) != uint64(len(records)) {
		t.Errorf("%d stored, %d lost of %d", got, total(s.Losses()), len(records))
	}
}
