// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"bytes"
	"strings"
	"sync"

	"github.com/skep-io/skep/internal/event"
)

// tail keeps the end of what a process writes.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const (
	tailBytes = 4 << 10
	tailLines = 4
)

// Write implements io.Writer. It takes everything.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p[max(0, len(p)-tailBytes):]...)
	if len(t.buf) > tailBytes {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailBytes:]...)
	}
	return len(p), nil
}

// lines are the last ones that are not empty, safe to print.
func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for line := range bytes.Lines(t.buf) {
		if line := strings.TrimSpace(string(line)); line != "" {
			lines = append(lines, printableLine(line))
		}
	}
	return lines[max(0, len(lines)-tailLines):]
}

// last is the last line, or "".
func (t *tail) last() string {
	if lines := t.lines(); len(lines) > 0 {
		return lines[len(lines)-1]
	}
	return ""
}

// quote is what was said, as a part of a sentence.
func (t *tail) quote() string {
	lines := t.lines()
	if len(lines) == 0 {
		return ""
	}
	return ": " + strings.Join(lines, "; ")
}

// printableLine is a line of somebody else's, safe to print and not long.
func printableLine(s string) string {
	const limit = 300
	if len(s) > limit {
		s = s[:limit] + "..."
	}
	return event.Printable(s)
}
