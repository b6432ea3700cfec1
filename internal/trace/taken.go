// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"encoding/binary"
	"sync"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/kern"
)

// taken is what was shown of maps whose values only grow, and counts as cleared: it stays in
// the kernel and is taken off what is read later.
//
// To delete an entry would lose what a program adds that has found it already: one of a million
// events where every CPU adds. Here nothing is lost, however busy the host. Entries stay as
// long as they take up to an eighth of a map, whose room is for others; of a fuller one they
// are deleted.
type taken struct {
	mutex sync.Mutex
	of    map[string]map[string][][]byte // values, by map and key
}

// mostTaken is how many entries of a map are remembered.
const mostTaken = mostDumped

// each calls fn with every entry of a map, without what was taken; and takes it if it is to.
// Of a map whose values may be anything an entry is read and deleted in one step.
func (t *taken) each(g *kern.Group, m *bt.Map, take bool, fn func(key []byte, values [][]byte)) error {
	if !m.Summed {
		if take {
			return g.Take(m.Name, fn)
		}
		return g.Each(m.Name, fn)
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	before, read, full := t.of[m.Name], g.Each, false
	if before == nil {
		before = map[string][][]byte{}
		t.of[m.Name] = before
	}
	if take {
		n, err := g.Len(m.Name)
		if err != nil {
			return err
		}
		if full = n > min(mostTaken, max(1, m.MaxEntries/8)); full {
			read = g.Take
		}
	}
	return read(m.Name, func(key []byte, values [][]byte) {
		more := since(values, before[string(key)])
		switch {
		case full:
			delete(before, string(key))
		case take:
			before[string(key)] = values
		}
		if more != nil {
			fn(key, more)
		}
	})
}

// since is what was added to values, nil if nothing was; all of them if none was taken.
func since(values, before [][]byte) [][]byte {
	if before == nil {
		return values
	}
	changed := false
	out := make([][]byte, len(values))
	for i, v := range values {
		out[i] = make([]byte, len(v))
		for at := 0; at+8 <= len(v); at += 8 {
			n := binary.NativeEndian.Uint64(v[at:]) - binary.NativeEndian.Uint64(before[i][at:])
			binary.NativeEndian.PutUint64(out[i][at:], n)
			changed = changed || n != 0
		}
	}
	if !changed {
		return nil
	}
	return out
}
