// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf/asm"

	"github.com/skep-io/skep/internal/kern/ctype"
)

// TestHelpers: helpers that every kernel has for tracing, and those that none has.
func TestHelpers(t *testing.T) {
	needRoot(t)
	f := NewFeatures(&ctype.Kernel{})
	for _, hook := range []Hook{OnDemand, Clock, Tracepoint, RawTracepoint, Uprobe} {
		for _, known := range []asm.BuiltinFunc{asm.FnMapLookupElem, asm.FnGetCurrentPidTgid, asm.FnGetStackid, asm.FnRingbufReserve} {
			if !f.Helper(int64(known), hook) {
				t.Errorf("hook %d: %v is not known", hook, known)
			}
		}
		for _, unknown := range []int64{int64(asm.FnXdpAdjustHead), 100000} {
			if f.Helper(unknown, hook) {
				t.Errorf("hook %d: %d is known", hook, unknown)
			}
		}
	}
}

// TestHooks: what the probe says is what attaching says.
func TestHooks(t *testing.T) {
	needRoot(t)
	f := NewFeatures(&ctype.Kernel{})
	for _, hook := range []Hook{Fentry, Kprobe} {
		g, err := LoadGroup(GroupSpec{Maps: []GroupMap{runsMap}, Programs: []GroupProgram{{
			Name: "test", Hook: hook, Instructions: counting(false), Places: []Place{{Name: "f", Function: "vfs_read"}}}}}, nil)
		if err == nil {
			_, err = g.Attach()
			g.Close()
		}
		if said := f.Hook(hook); (said == nil) != (err == nil) || said != nil && !errors.Is(said, ErrUnavailable) {
			t.Errorf("hook %d: %v, but attaching says %v", hook, said, err)
		}
	}
	if err := f.Hook(Tracepoint); err != nil {
		t.Error(err)
	}
}
