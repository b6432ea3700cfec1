// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// checkMarks: of the processes that were started here each is there once, but those of the last
// second before a kill.
func (k *diskKills) checkMarks(records []*skepv1.Record, from, ended time.Time) {
	t := k.house.t
	t.Helper()
	seen := map[string]int{}
	for _, r := range records {
		if args := r.GetExec().GetArgs(); len(args) == 3 && args[1] == "disk-kill" {
			seen[args[2]]++
		}
	}
	excused := func(m marked) bool {
		return slices.ContainsFunc(k.kills, func(kill time.Time) bool { return m.begun.Before(kill) && m.ended.After(kill.Add(-lastSecond)) })
	}
	for i, m := range k.marks.all() {
		if m.begun.Before(from.Add(clocksApart)) || m.ended.After(ended) {
			continue
		}
		switch n := seen[strconv.Itoa(i)]; {
		case n > 2 || n == 2 && !excused(m):
			t.Errorf("process %d is there %d times", i, n)
		case n == 0 && !excused(m):
			t.Errorf("process %d, which ran from %v to %v, is not there", i, m.begun, m.ended)
		case n == 0:
			k.lostMarks[i] = true
		}
	}
}

// marker runs processes one after the other; their arguments have their number.
type marker struct {
	stop  func()
	mutex sync.Mutex
	runs  []marked
}

type marked struct{ begun, ended time.Time }

func startMarks(t *testing.T) *marker {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	m := &marker{}
	go func() {
		for i := 0; ctx.Err() == nil; i++ {
			begun := time.Now()
			c := exec.Command("true", "disk-kill", strconv.Itoa(i))
			c.Stdout = io.Discard
			if err := c.Run(); err != nil {
				done <- err
				return
			}
			m.mutex.Lock()
			m.runs = append(m.runs, marked{begun, time.Now()})
			m.mutex.Unlock()
			time.Sleep(4 * time.Millisecond)
		}
		done <- nil
	}()
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(m.stop)
	return m
}

func (m *marker) all() []marked {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return slices.Clone(m.runs)
}
