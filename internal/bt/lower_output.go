// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// item is what goes into a record: an expression, or a word that is known already.
type item struct {
	x    syntax.Expr
	word *compile.Value
	typ  Type
	// text is what was built before the record was reserved, if done says so.
	text value
	done bool
}

// emit writes a record for an action to the ring. Words are computed first, as what they
// call may not be called while a part of the ring is held; texts are read where they stay.
func (f *lowering) emit(action Action, flags int64, items ...item) {
	size := word
	for i, it := range items {
		action.Args = append(action.Args, Field{Type: f.exported(it.typ), Offset: size})
		size += it.typ.stored()
		if it.word == nil && it.typ.isWord() {
			items[i].word = f.asWord(f.eval(it.x))
		}
		if it.word == nil && !it.typ.isWord() && runs(it.x) {
			items[i].text, items[i].done = f.eval(it.x), true
		}
	}
	f.record(action, size, flags, func(p *compile.Value) {
		for i, it := range items {
			at := place{base: p, offset: int64(action.Args[i].Offset), loose: true}
			if it.word != nil {
				f.b.Store(at.base, at.offset, word, it.word)
				continue
			}
			if it.done {
				f.put(at, it.typ, it.text)
				continue
			}
			f.into(at, it.typ, it.x)
		}
	})
}

// runs tells whether an expression does more than read: statements in it may end the
// program, and functions may call others, neither of which may be while a record is reserved.
func runs(x syntax.Expr) bool {
	found := false
	syntaxWalk(x, func(n syntax.Node) {
		switch n := n.(type) {
		case *syntax.BlockExpr:
			found = true
		case *syntax.Call:
			found = found || !textReads[n.Name]
		}
	})
	return found
}

// textReads are the functions that only read.
var textReads = map[string]bool{"str": true, "kstr": true, "ustr": true, "buf": true}

// record reserves a part of the ring, and counts a loss where there is none.
func (f *lowering) record(action Action, size int, flags int64, fill func(p *compile.Value)) {
	action.Size = size
	if action.Kind != HelperError {
		action.Pos = f.b.Pos
	}
	if size > largestRecord {
		f.errorf(f.b.Pos, "what is printed here takes %d bytes; at most %d are possible: make max_strlen smaller", size, largestRecord)
		return
	}
	id := len(f.out.actions)
	f.out.actions = append(f.out.actions, action)
	f.useMap(ringMap, compile.MapShape{})
	full, after := f.b.NewBlock(), f.b.NewBlock()
	full.Unlikely = true
	p := f.b.Call(fnReserve, compile.NullableMemory, f.b.Map(ringMap), f.constant(int64(size)), f.constant(0))
	p = f.b.NonNull(p, full)
	f.b.Store(p, 0, word, f.constant(int64(id)))
	fill(p)
	f.b.Call(fnSubmit, compile.Void, p, f.constant(flags))
	f.b.Jump(after)
	f.arm(full, after, f.countLoss)
	f.b.Seal(after)
	f.b.Enter(after)
}

// largestRecord in bytes: an offset in one has 16 bits with a sign.
const largestRecord = 32 << 10

func (f *lowering) countLoss() {
	f.useMap(lossMap, compile.MapShape{KeySize: 4, ValueSize: word * maxPrograms})
	f.b.AtomicAdd(f.b.ValueOf(lossMap, int64(f.main.index*word)), 0, word, f.constant(1))
}

// maxPrograms bounds the programs of a script.
const maxPrograms = 1024

// exported is a type with all that who reads its bytes must know: fields of structures.
func (f *lowering) exported(t Type) Type { return f.script.exported(t, 0) }

const deepestExport = 4

func (s *script) exported(t Type, depth int) Type {
	if t.Kind == Pointer {
		t.Elem = nil
	}
	if depth > deepestExport {
		return t
	}
	switch t.Kind {
	case Tuple:
		fields := make([]Field, len(t.Fields))
		for i, f := range t.Fields {
			f.Type = s.exported(f.Type, depth+1)
			fields[i] = f
		}
		t.Fields = fields
	case ArrayOf:
		elem := s.exported(*t.Elem, depth+1)
		t.Elem = &elem
	case Record:
		if t.Fields != nil {
			t.Fields = s.exported(Type{Kind: Tuple, Fields: t.Fields}, depth).Fields
			return t
		}
		members, _ := s.host.Members(t.Name)
		t.Fields = nil
		for _, m := range members {
			inner := s.exported((&checker{}).member(m.Type, false), depth+1)
			t.Fields = append(t.Fields, Field{Name: m.Name, Type: inner, Offset: m.Offset, BitOffset: m.BitOffset, BitSize: m.BitSize})
		}
	}
	return t
}

func (f *lowering) item(x syntax.Expr) item {
	t := f.typeOf(x)
	if t.Kind == Record && t.Name == argsRecord {
		t = (&checker{script: f.script, unit: f.unit}).keptArguments()
	}
	if t.isAggregate() {
		t = t.read()
	}
	if v, ok := x.(*syntax.Variable); ok {
		t = f.unit.vars[v].typ
	}
	return item{x: x, typ: t}
}

// printf builds printf() and what takes a format as it does.
func (f *lowering) printf(call *syntax.Call) value {
	kinds := map[string]ActionKind{"printf": Printf, "errorf": Errorf, "warnf": Warnf, "system": SystemCommand, "cat": Cat}
	format, _ := literalText(call.Args[0])
	var items []item
	for _, arg := range call.Args[1:] {
		items = append(items, f.item(arg))
	}
	f.emit(Action{Kind: kinds[call.Name], Format: format}, noWakeup, items...)
	return value{}
}

func (f *lowering) print(call *syntax.Call) value {
	m, isMap := call.Args[0].(*syntax.Map)
	if isMap && m.Key == nil {
		var items []item
		for i := range 2 {
			n := int64(0)
			if i+1 < len(call.Args) {
				n, _ = constantOf(call.Args[i+1])
			}
			items = append(items, item{word: f.constant(n), typ: int64Type})
		}
		f.emit(Action{Kind: PrintMap, Map: m.Name, Clears: f.prints[call]}, noWakeup, items...)
		return value{}
	}
	f.emit(Action{Kind: PrintValue}, noWakeup, f.item(call.Args[0]))
	return value{}
}

// clearMap builds clear() and zero(), which the reader of the ring does, but for what print()
// has cleared already.
func (f *lowering) clearMap(call *syntax.Call) value {
	if f.clears[call] {
		return value{}
	}
	kind := Clear
	if call.Name == "zero" {
		kind = Zero
	}
	f.emit(Action{Kind: kind, Map: call.Args[0].(*syntax.Map).Name}, noWakeup)
	return value{}
}

func (f *lowering) time(call *syntax.Call) value {
	format := "%H:%M:%S\n"
	if len(call.Args) == 1 {
		format, _ = literalText(call.Args[0])
	}
	f.emit(Action{Kind: Time, Format: format}, noWakeup)
	return value{}
}

// exit tells the reader at once, and ends the program.
func (f *lowering) exit(call *syntax.Call) value {
	code := item{word: f.constant(0), typ: int64Type}
	if len(call.Args) == 1 {
		code = item{x: call.Args[0], typ: int64Type}
	}
	f.emit(Action{Kind: Exit}, wakeup, code)
	if f.callback != nil {
		f.returnFromCallback(f.constant(0))
	} else {
		f.b.Return(f.constant(0))
	}
	f.b.Enter(f.deadBlock())
	return value{}
}

// deadBlock is where values go behind the end of a program, which nothing leads to.
func (f *lowering) deadBlock() *compile.Block {
	block := f.b.NewBlock()
	f.b.Seal(block)
	return block
}

// Bounds of join().
const (
	joinedStrings = 16
	joinedSize    = 256
)

// join builds join(): a count, then the strings that an array of pointers points to, up to
// the first that is 0.
func (f *lowering) join(call *syntax.Call) value {
	separator := " "
	if len(call.Args) == 2 {
		separator, _ = literalText(call.Args[1])
	}
	base := f.eval(call.Args[0])
	array := f.target(base)
	text := stringType(max(joinedSize, f.limits.MaxStrlen))
	action := Action{Kind: Join, Format: separator, Args: []Field{{Type: int64Type, Offset: word}}}
	size := 2 * word
	for range joinedStrings {
		action.Args = append(action.Args, Field{Type: text, Offset: size})
		size += text.stored()
	}
	f.record(action, size, noWakeup, func(p *compile.Value) { f.joinInto(p, action, array, text) })
	return value{}
}

func (f *lowering) joinInto(p *compile.Value, action Action, array place, text Type) {
	done := f.b.NewBlock()
	f.b.Store(p, word, word, f.constant(0))
	for i := range joinedStrings {
		pointer := f.loadAt(array.plus(i*word), word, false)
		f.unless(f.b.Binary(compile.NotEqual, pointer, f.constant(0)), done)
		to := place{base: p, offset: int64(action.Args[i+1].Offset)}
		f.read(array.space, true, f.pointer(to), f.constant(int64(text.Size)), pointer)
		f.b.Store(p, word, word, f.constant(int64(i+1)))
	}
	f.b.Jump(done)
	f.b.Seal(done)
	f.b.Enter(done)
}
