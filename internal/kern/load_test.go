// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"os"
	"path/filepath"
	"testing"
)

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
