// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/skep-io/skep/internal/sensor/tcp"
)

// However many ask at once or one after another, the kernel is asked once a second.
func TestTrafficIsShared(t *testing.T) {
	asked := map[string]int{}
	var fails error
	traffic := &traffic{programs: func() []string { return []string{"stored", "hashed"} }, logger: slog.New(slog.DiscardHandler)}
	traffic.iterate = func(program string) ([]byte, error) {
		asked[program]++ // one asker at a time, or the race detector sees it
		time.Sleep(10 * time.Millisecond)
		c := tcp.Count{ID: uint64(len(program) + asked[program])}
		c.Traffic.BytesSent = 7
		return unsafe.Slice((*byte)(unsafe.Pointer(&c)), tcp.CountBytes), fails
	}
	var askers sync.WaitGroup
	for range 20 {
		askers.Go(func() {
			if got := traffic.recent(); len(got.Of) != 1 || got.Of[7].BytesSent != 7 || got.AtNS == 0 {
				t.Errorf("got %+v", got)
			}
		})
	}
	askers.Wait()
	if asked["stored"] != 1 || asked["hashed"] != 1 {
		t.Errorf("20 at once made the kernel be asked %v", asked)
	}
	traffic.until = time.Now()
	first := traffic.last
	if got := traffic.recent(); got.Of[8].BytesSent != 7 || first.Of[8].BytesSent != 0 || got.AtNS <= first.AtNS {
		t.Errorf("a second later %+v, and before %+v", got, first)
	}
	fails, traffic.until = errors.New("gone"), time.Now()
	for range 3 {
		if got := traffic.recent(); len(got.Of) != 0 {
			t.Errorf("where the kernel says nothing: %+v", got)
		}
	}
	if asked["stored"] != 3 {
		t.Errorf("the kernel was asked %d times, want 3", asked["stored"])
	}
}

func TestTrafficUnavailable(t *testing.T) {
	traffic := &traffic{programs: func() []string { return nil }, logger: slog.New(slog.DiscardHandler)}
	if got := traffic.recent(); len(got.Of) != 0 {
		t.Errorf("without programs: %+v", got)
	}
}
