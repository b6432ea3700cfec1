// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// TestDeal: the longest does not wait for its turn behind others, and none is left out.
func TestDeal(t *testing.T) {
	spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{}}
	for name, size := range map[string]int{"a": 1, "b": 2, "c": 3, "long": 6} {
		spec.Programs[name] = &ebpf.ProgramSpec{Instructions: make(asm.Instructions, size)}
	}
	if got := fmt.Sprint(deal(spec, []string{"a", "b", "c", "long"}, 2)); got != "[[long] [c b a]]" {
		t.Error(got)
	}
	if got := deal(spec, nil, 0); len(got) != 0 {
		t.Error(got)
	}
}

// TestNoKprobes: only a kernel that shows its kinds of events, and no kprobe among them, has none.
func TestNoKprobes(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		kind   string
		absent bool
	}{{"", false}, {"tracepoint", true}, {"kprobe", false}} {
		if err := os.MkdirAll(filepath.Join(dir, c.kind), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := noKprobes(dir); (err != nil) != c.absent {
			t.Errorf("with %q too: %v", c.kind, err)
		}
	}
}
