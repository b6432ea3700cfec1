// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"sync"
)

// tailBytes is how much of the agent's own log is kept for skep sysdump.
const tailBytes = 256 << 10

// Tail keeps the last lines that were written to it. Each Write is whole lines, as those
// of package slog are.
type Tail struct {
	mutex sync.Mutex
	text  []byte
}

// Write implements io.Writer; it never fails.
func (t *Tail) Write(lines []byte) (int, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.text = append(t.text, lines...)
	if over := len(t.text) - tailBytes; over > 0 {
		if end := bytes.IndexByte(t.text[over:], '\n'); end >= 0 {
			over += end + 1
		}
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(lines), nil
}

// Bytes returns a copy of what is kept.
func (t *Tail) Bytes() []byte {
	if t == nil {
		return nil
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return bytes.Clone(t.text)
}
