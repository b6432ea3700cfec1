// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/render"
)

// hammer calls getsid on every CPU until it is told to stop, and counts.
func hammer() (stop func() (calls uint64)) {
	var done atomic.Bool
	var calls atomic.Uint64
	var all sync.WaitGroup
	for range runtime.NumCPU() {
		all.Go(func() {
			n := uint64(0)
			for ; !done.Load(); n++ {
				unix.Syscall(unix.SYS_GETSID, 0, 0, 0)
			}
			calls.Add(n)
		})
	}
	return func() uint64 { done.Store(true); all.Wait(); return calls.Load() }
}

// counted is how many events a value is of.
func counted(v render.Value) (n uint64) {
	switch v.Kind {
	case render.Histogram:
		for _, b := range v.Buckets {
			n += b.Count
		}
	case render.Stats, render.Average:
		n = v.Count
	default:
		n = uint64(v.Int)
	}
	return n
}

// TestPrintAndClear: of what is printed and cleared again and again nothing is lost, and
// nothing comes twice, while every CPU adds to it.
func TestPrintAndClear(t *testing.T) {
	values := map[string]string{"@c": "count()", "@s": "sum(1)", "@a": "avg(5)", "@t": "stats(5)", "@h": "hist(9)", "@l": "lhist(9, 0, 100, 10)"}
	adds, shows := "", ""
	for name, value := range values {
		adds += fmt.Sprintf("%s = %s; %s2[tid] = %s; ", name, value, name, value)
		shows += fmt.Sprintf("print(%s); print(%s2); clear(%s); clear(%s2); ", name, name, name, name)
	}
	script := fmt.Sprintf("tracepoint:syscalls:sys_enter_getsid /pid == %d/ { %s } interval:ms:20 { %s }", os.Getpid(), adds, shows)
	calls := uint64(0)
	got := follow(t, start(t, script, bt.Options{}), func() {
		stop := hammer()
		unix.Nanosleep(&unix.Timespec{Sec: 2}, nil)
		calls = stop()
	})
	sums, times, missed := map[string]uint64{}, map[string]int{}, uint64(0)
	for _, o := range got.outputs {
		if o.Kind == Loss && (o.Place == Missed || o.Place == InMap) {
			missed += o.Count
		}
		if o.Kind == MapDump {
			times[o.Map.Name]++
			for _, e := range o.Map.Entries {
				sums[o.Map.Name] += counted(e.Value)
			}
		}
	}
	for name := range values {
		for _, one := range []string{name, name + "2"} {
			if sums[one]+missed != calls || times[one] < 10 {
				t.Errorf("%s: %d in %d prints and %d missed, called %d times", one, sums[one], times[one], missed, calls)
			}
		}
	}
}
