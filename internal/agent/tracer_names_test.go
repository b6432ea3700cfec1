// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/identity"
)

// TestScriptNames: a name that comes is waited for, and a thousand that do not come take no longer
// than one.
func TestScriptNames(t *testing.T) {
	caught, asked := 0, 0
	n := &scriptNames{
		find: func(_ bt.Kind, name string) ([]uint64, bool) {
			if name == "late" {
				asked++
			}
			if asked > 3 {
				return []uint64{7}, false
			}
			return nil, true
		},
		scriptIdentity: &scriptIdentity{catchUp: func(context.Context) { caught++ }},
	}
	if got := n.Cgroups(bt.Container, "late"); !slices.Equal(got, []uint64{7}) || caught != 1 {
		t.Errorf("found %v, caught up %d times", got, caught)
	}
	asked = 0
	begun := time.Now()
	for i := range 1000 {
		if got := n.Cgroups(bt.Container, "never"+strconv.Itoa(i)); got != nil {
			t.Fatalf("found %v", got)
		}
	}
	if took := time.Since(begun); took > 5*resolvingTakes || caught != 1 {
		t.Errorf("1000 names took %v, caught up %d times", took, caught)
	}
}

// TestImageOnItsWay: the record of a process's last exec is still in the ring when a script
// speaks of it; the table has the image before it.
func TestImageOnItsWay(t *testing.T) {
	s := newTestSink()
	fork, first, _ := lifecycle(100, 1000)
	second := bytes.Replace(bytes.Clone(first), []byte("tiny\x00tmp\x00"), []byte("next\x00tmp\x00"), 1)
	next := abi.ExecID{StartNS: 1000, ExecNS: 1200, Tgid: 100}
	at := unsafe.Offsetof(abi.ExecHead{}.Process) + unsafe.Offsetof(abi.Process{}.ID) + unsafe.Offsetof(abi.ExecID{}.ExecNS)
	binary.NativeEndian.PutUint64(second[at:], next.ExecNS)
	s.take(fork)
	s.take(first)
	i := &scriptIdentity{view: identity.View{Table: s.processes}, catchUp: func(context.Context) { s.take(second) }}
	if exe := i.Executable(next); exe != "/tmp/next" || s.malformed.Load() != 0 {
		t.Errorf("%q (%v)", exe, s.malformedBy)
	}
}
