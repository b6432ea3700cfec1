// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"encoding/binary"
	"slices"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

func bigEndian() bool { return binary.NativeEndian.Uint16([]byte{0, 1}) == 1 }

// link puts the blocks one behind the other with the jumps between them. It takes two
// rounds: jumps are written as soon as it is known which are needed, and their offsets as
// soon as it is known where the blocks are.
func (e *emitter) link() {
	target := e.targets()
	var order []int
	for i := range e.body {
		if target[i] == i {
			order = append(order, i)
		}
	}
	entered := e.entered(order, target)
	var fixes []fix
	slots := 0
	for n, i := range order {
		next := -1
		if n+1 < len(order) {
			next = order[n+1]
		}
		e.cur = &e.body[i]
		e.cur.start = slots
		first := len(e.cur.insts)
		to := e.jumps(i, next, target, entered)
		slots += width(e.cur.insts)
		for k, t := range to {
			fixes = append(fixes, fix{len(e.out) + first + k, slots - len(to) + k, t})
		}
		e.out = append(e.out, e.cur.insts...)
		for k := range e.cur.insts {
			for range e.cur.insts[k].Width() {
				e.positions = append(e.positions, e.cur.pos[k])
			}
		}
	}
	for _, f := range fixes {
		if f.target >= 0 {
			e.out[f.index].Offset = e.short(int64(e.body[f.target].start - f.slot - 1))
		}
	}
}

// fix is a jump whose offset is not known yet.
type fix struct{ index, slot, target int }

func width(insts asm.Instructions) int {
	n := 0
	for i := range insts {
		n += int(insts[i].Width())
	}
	return n
}

// targets is where a jump to each block really goes: through those that are empty.
func (e *emitter) targets() []int {
	target := make([]int, len(e.body))
	for i := range e.body {
		t := i
		for range e.body {
			if p := &e.body[t]; len(p.insts) > 0 || p.exit.kind != iJump || t == 0 && i == 0 {
				break
			}
			t = e.m.blocks[t].succs[0].index
		}
		target[i] = t
	}
	for i, t := range target { // an empty loop stays
		if target[t] != t {
			target[i] = i
		}
	}
	return target
}

// jumps ends a block, and gives the blocks that the jumps it wrote go to; -1 is for one
// whose offset is known.
func (e *emitter) jumps(i, next int, target []int, entered map[int]bool) []int {
	to := e.ways(i, target)
	e.pos = e.cur.exit.pos
	switch len(to) {
	case 0:
		return nil
	case 1:
		return e.leave(to[0], next, target, entered)
	}
	return e.fork(e.cur, to, next)
}

// ways are the blocks that a block leads to, one if its branch decides nothing.
func (e *emitter) ways(i int, target []int) []int {
	var to []int
	for _, s := range e.m.blocks[i].succs {
		to = append(to, target[s.index])
	}
	if len(to) == 2 && to[0] == to[1] {
		to = to[:1]
	}
	return to
}

// leave goes to a block that does not follow. If that is only a branch, as at the head of a
// loop, or only returns, it is written here again, which saves a jump. This is done where
// the block stays reachable without: the verifier refuses instructions that are not.
func (e *emitter) leave(to, next int, target []int, entered map[int]bool) []int {
	if to == next {
		return nil
	}
	there := &e.body[to]
	switch {
	case !entered[to]:
	case there.exit.kind == iExit && len(there.insts) <= 2:
		e.cur.insts = append(e.cur.insts, there.insts...)
		e.cur.pos = append(e.cur.pos, there.pos...)
		return nil
	case there.exit.kind == iBranch && there.bare:
		if ways := e.ways(to, target); len(ways) == 2 && (ways[1] == next || ways[0] == next && opposite[there.exit.jump] != 0) {
			return e.fork(there, ways, next)
		}
	}
	e.emit(asm.Ja.Label(""))
	return []int{to}
}

// entered are the blocks that the one before them in memory leads to.
func (e *emitter) entered(order []int, target []int) map[int]bool {
	entered := map[int]bool{}
	for n, i := range order {
		e.body[i].bare = len(e.body[i].insts) == 0
		if n > 0 && slices.Contains(e.ways(order[n-1], target), i) {
			entered[i] = true
		}
	}
	return entered
}

// fork writes the jumps of the branch of a block, in the current one.
func (e *emitter) fork(b *part, to []int, next int) []int {
	exit := b.exit
	e.pos = exit.pos
	if to[1] == next {
		e.emit(e.jump(exit.jump, exit.narrow, b.x, b.y, 0))
		return to[:1]
	}
	if op, ok := opposite[exit.jump]; ok && to[0] == next {
		e.emit(e.jump(op, exit.narrow, b.x, b.y, 0))
		return to[1:]
	}
	if to[0] == next {
		e.emit(e.jump(exit.jump, exit.narrow, b.x, b.y, 1))
		e.emit(asm.Ja.Label(""))
		return []int{-1, to[1]}
	}
	e.emit(e.jump(exit.jump, exit.narrow, b.x, b.y, 0))
	e.emit(asm.Ja.Label(""))
	return to
}

// describe gives functions the types that the kernel wants where one calls another.
func describe(insts asm.Instructions, funcs []*Func) {
	types := map[string]*btf.Func{}
	word := &btf.Int{Name: "long", Size: 8, Encoding: btf.Signed}
	for _, f := range funcs {
		proto := &btf.FuncProto{Return: word}
		for i, t := range f.Params {
			p := btf.FuncParam{Name: "p" + string(rune('0'+i)), Type: word}
			if t.IsPointer() {
				p.Type = &btf.Pointer{Target: &btf.Void{}}
			}
			proto.Params = append(proto.Params, p)
		}
		types[f.Name] = &btf.Func{Name: identifier(f.Name), Type: proto, Linkage: btf.StaticFunc}
	}
	for i := range insts {
		if f := types[insts[i].Symbol()]; f != nil {
			insts[i] = btf.WithFuncMetadata(insts[i], f)
		}
	}
}

// identifier is a name as C would allow it.
func identifier(name string) string {
	out := []byte(name)
	for i, c := range out {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			out[i] = '_'
		}
	}
	return string(out)
}
