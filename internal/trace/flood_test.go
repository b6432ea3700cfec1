// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/bt"
)

// flood makes so many system calls.
func flood(n int) func() {
	return func() {
		for range n {
			unix.Syscall(unix.SYS_GETSID, 0, 0, 0)
		}
	}
}

func flooding() string {
	return fmt.Sprintf(`tracepoint:syscalls:sys_enter_getsid /pid == %d/ { printf("%%d\n", args.pid); @ = count(); }`, os.Getpid())
}

// losses sums what was lost, by place.
func (s said) losses() map[Place]uint64 {
	out := map[Place]uint64{}
	for _, o := range s.outputs {
		if o.Kind == Loss {
			out[o.Place] += o.Count
		}
	}
	return out
}

// TestNoSilentLoss: what a script prints, and what it is told that it lost, is what happened,
// with a small ring, with a limit on what may be said, and with a slow listener.
func TestNoSilentLoss(t *testing.T) {
	const n = 8_000
	for _, c := range []struct {
		name    string
		ring    int
		options Options
		slow    time.Duration
		lossy   Place
	}{
		{"large", 1 << 24, Options{PerSecond: 1 << 30, Queue: 1 << 30}, 0, ""},
		{"ring", 1 << 12, Options{PerSecond: 1 << 30, Queue: 1 << 30}, 0, InRing},
		{"rate", 1 << 24, Options{PerSecond: 1000, Queue: 1 << 30}, 0, ByRate},
		{"queue", 1 << 24, Options{PerSecond: 1 << 30, Queue: 100}, 20 * time.Millisecond, InQueue},
	} {
		t.Run(c.name, func(t *testing.T) {
			limits := bt.DefaultLimits()
			limits.RingBytes = c.ring
			s := start(t, flooding(), bt.Options{Limits: limits})
			s.options, s.rate.perSecond, s.queue.room = c.options, c.options.PerSecond, c.options.Queue
			got := followSlowly(t, s, flood(n), c.slow)
			printed := uint64(0)
			for _, o := range got.outputs {
				if o.Kind == Printf {
					printed++
				}
			}
			lost := got.losses()
			if sum := printed + lost[InRing] + lost[ByRate] + lost[InQueue]; sum != n {
				t.Errorf("%d printed, lost %v: %d of %d", printed, lost, sum, n)
			}
			if c.lossy != "" && lost[c.lossy] == 0 || c.lossy == "" && len(lost) > 0 {
				t.Errorf("lost %v", lost)
			}
			if want := fmt.Sprintf("@: %d\n", n); !strings.HasSuffix(got.text, want) {
				t.Errorf("counted %s", got.text[max(0, len(got.text)-40):])
			}
		})
	}
}

// TestListenerGone: a script whose listener fails, or is gone, ends and leaves nothing.
func TestListenerGone(t *testing.T) {
	failed := errors.New("the listener has failed")
	for name, wait := range map[string]bool{"fails": false, "gone": true} {
		t.Run(name, func(t *testing.T) {
			s := start(t, flooding()+` END { printf("the end\n"); }`, bt.Options{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, err := s.Run(ctx, nil, func(batch []Output) error {
				if batch[0].Kind == Attached {
					time.AfterFunc(50*time.Millisecond, flood(100))
				}
				if wait {
					cancel()
					return nil
				}
				if batch[len(batch)-1].Kind == Printf {
					return failed
				}
				return nil
			})
			if wait && !errors.Is(err, context.Canceled) || !wait && !errors.Is(err, failed) {
				t.Errorf("ended with %v", err)
			}
			if names := s.group.Attached(0); len(names) > 0 {
				t.Errorf("still attached: %v", names)
			}
		})
	}
}

// TestStuckListener: a listener that takes nothing holds up neither the end of the script nor
// what is counted meanwhile.
func TestStuckListener(t *testing.T) {
	s := start(t, flooding(), bt.Options{})
	s.queue.room = 10
	stuck := make(chan struct{})
	end := make(chan string, 1)
	attached := make(chan struct{})
	first := true
	finished := make(chan error, 1)
	go func() {
		_, err := s.Run(t.Context(), end, func([]Output) error {
			if first {
				first = false
				close(attached)
				<-stuck
			}
			return nil
		})
		finished <- err
	}()
	<-attached
	flood(1000)()
	end <- "asked"
	for deadline := time.Now().Add(5 * time.Second); len(s.group.Attached(0)) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("still attached")
		}
	}
	close(stuck)
	if err := <-finished; err != nil {
		t.Error(err)
	}
}

// TestListenerPanics: what fails on the goroutine that hands on ends the script, not the agent.
func TestListenerPanics(t *testing.T) {
	s := start(t, `interval:ms:5 { printf("x\n"); }`, bt.Options{})
	_, err := s.Run(t.Context(), nil, func([]Output) error { panic("broken") })
	if err == nil || !strings.Contains(err.Error(), "broken") || len(s.group.Attached(0)) > 0 {
		t.Errorf("ended with %v, attached %v", err, s.group.Attached(0))
	}
}
