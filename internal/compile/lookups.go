// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
)

// shareLookups lets a lookup use what one before it found, if that dominates it, was of the
// same map and key, and nothing on any way between may have changed the map: a call that
// updates it or deletes from it, a function, or a helper that may. That other processors
// may change it meanwhile is no different from a lookup that ran a moment earlier.
//
// It is available expressions over the dominator tree: where ways come together, what the
// blocks between there and the dominator change is taken out, and at the head of a loop
// what the loop changes.
func shareLookups(f *Func, shapes map[string]MapShape) bool {
	l := &lookups{shapes: shapes, slots: slotsOf(f), tree: dominators(f), by: map[*Value]*Value{}, place: map[*Block]int{}}
	if l.count(f) < 2 {
		return false
	}
	l.around = loops(l.tree)
	for i, b := range l.tree.order {
		l.place[b] = i
		if slices.ContainsFunc(b.Values, mayChange) {
			l.changing = append(l.changing, b)
		}
	}
	l.walk(f.Blocks[0], nil)
	if len(l.by) == 0 {
		return false
	}
	find := func(v *Value) *Value {
		for l.by[v] != nil {
			v = l.by[v]
		}
		return v
	}
	substitute(f, l.by, find)
	return true
}

type lookups struct {
	shapes map[string]MapShape
	slots  *slotSet
	tree   *domTree
	around map[*Block][]*Block
	place  map[*Block]int // in reverse postorder
	by     map[*Value]*Value
	// changing are the blocks that may change a map, in reverse postorder.
	changing []*Block
}

// found are lookups by the map and the contents of the key.
type found map[lookupKey]*Value

// mostKnown bounds what is remembered, as it is copied for each block.
const mostKnown = 100

type lookupKey struct{ symbol, key string }

func (l *lookups) count(f *Func) int {
	n := 0
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.Op == Call && v.Imm == mapLookup {
				n++
			}
		}
	}
	return n
}

// walk goes through a block with what is known at its start, and then through those that
// it dominates.
func (l *lookups) walk(b *Block, known found) {
	known = maps.Clone(known)
	if known == nil {
		known = found{}
	}
	for i, v := range b.Values {
		known.change(v)
		if v.Op != Call || v.Imm != mapLookup || v.Args[0].Op != MapOf {
			continue
		}
		key, ok := l.contents(b, i)
		if !ok {
			continue
		}
		k := lookupKey{v.Args[0].Symbol, key}
		if before := known[k]; before != nil && before.Type == v.Type {
			l.by[v] = before
		} else if len(known) < mostKnown {
			known[k] = v
		}
	}
	for _, c := range l.tree.children[b] {
		l.walk(c, l.entering(c, b, known))
	}
}

// entering is what is known at the start of c, whose dominator is b.
func (l *lookups) entering(c, b *Block, known found) found {
	header := times(l.around[c], c) > 0
	if len(c.Preds) == 1 && c.Preds[0] == b || len(known) == 0 {
		return known
	}
	known = maps.Clone(known)
	from := sort.Search(len(l.changing), func(i int) bool { return l.place[l.changing[i]] > l.place[b] })
	to := sort.Search(len(l.changing), func(i int) bool { return l.place[l.changing[i]] >= l.place[c] })
	for _, x := range l.changing[from:max(from, to)] {
		known.changeAll(x)
	}
	for _, x := range l.changing {
		if !header {
			break
		}
		if times(l.around[x], c) > 0 {
			known.changeAll(x)
		}
	}
	return known
}

func (known found) changeAll(b *Block) {
	for _, v := range b.Values {
		known.change(v)
	}
}

// mayChange tells whether a value may change any map.
func mayChange(v *Value) bool {
	switch {
	case v.Op == CallFunc:
		return true
	case v.Op != Call || constantHelpers[v.Imm]:
		return false
	}
	return v.Imm == mapUpdate || v.Imm == mapDelete || v.Imm == forEach || v.Imm == loop || !quietHelpers[v.Imm]
}

// change takes out what a value may change.
func (known found) change(v *Value) {
	switch {
	case !mayChange(v):
	case v.Op == Call && (v.Imm == mapUpdate || v.Imm == mapDelete):
		for k := range known {
			if v.Args[0].Op != MapOf || v.Args[0].Symbol == k.symbol {
				delete(known, k)
			}
		}
	default:
		clear(known)
	}
}

// contents is what the key of the lookup at place i of a block consists of, byte by byte,
// if it was made in this block by stores alone.
func (l *lookups) contents(b *Block, i int) (string, bool) {
	call := b.Values[i]
	slot, off := slotAddress(call.Args[1])
	size := l.shapes[call.Args[0].Symbol].KeySize
	if slot == nil || off != 0 || size < 1 || int64(size) > slot.Imm || l.slots.escaped[l.slots.index[slot]] {
		return "", false
	}
	bytes := make([]string, slot.Imm)
	made := false
	for _, v := range b.Values[:i] {
		switch {
		case v == slot:
			made = true
		case !l.touches(v, slot):
		case v.Op == Store || v.Op == Zero:
			known, at := slotAddress(v.Args[0])
			if known == nil {
				return "", false
			}
			for n := range v.Width {
				bytes[at+v.Imm+int64(n)] = storedByte(v, n)
			}
		case v.Op == Load || v.Op == Call && v.Imm >= mapLookup && v.Imm <= mapDelete: // read it
		default:
			return "", false
		}
	}
	for _, x := range bytes[:size] {
		if x == "" {
			return "", false
		}
	}
	return strings.Join(bytes[:size], " "), made
}

func (l *lookups) touches(v, slot *Value) bool {
	touched := false
	l.slots.accesses(v, func(a access) { touched = touched || l.slots.all[a.slot] == slot })
	return touched
}

// storedByte names the n-th byte in memory of what is stored.
func storedByte(v *Value, n int) string {
	if bigEndian() {
		n = v.Width - 1 - n
	}
	switch {
	case v.Op == Zero:
		return "0"
	case v.Args[1].Op == Const:
		return fmt.Sprint(byte(v.Args[1].Imm >> (8 * n)))
	}
	return fmt.Sprintf("v%d.%d", v.Args[1].ID, n)
}
