// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"errors"
	"fmt"
)

// Variable is a name of the front end that may be written more than once.
type Variable int

// Builder makes a function block by block. Variables become values and phis as they are
// read, by the algorithm of Braun, Buchwald, Hack, Leißa, Mallon and Zwinkau, "Simple and
// Efficient Construction of Static Single Assignment Form" (CC 2013). Its methods panic
// with a *BuildError on misuse: that is a fault of the front end, not of the user's text.
type Builder struct {
	Func *Func
	// Pos is given to each value made from now on.
	Pos Pos
	// Room, if it is not nil, is how many values and blocks may still be made. What makes one
	// more panics with [ErrTooLarge]: that is a fault of the user's text.
	Room *int

	block *Block
	types []Type // of variables
	defs  []map[*Block]*Value
}

// BuildError is a misuse of a Builder.
type BuildError struct{ Text string }

func (e *BuildError) Error() string { return "compile: " + e.Text }

// ErrTooLarge says that a program has more parts than its builder has room for.
var ErrTooLarge = errors.New("the program is too large")

func (b *Builder) take() {
	if b.Room == nil {
		return
	}
	if *b.Room <= 0 {
		panic(ErrTooLarge)
	}
	*b.Room--
}

func misuse(format string, args ...any) {
	panic(&BuildError{fmt.Sprintf(format, args...)})
}

// NewBuilder begins a function; values go to its entry block at first.
func NewBuilder(name string, result Type, params ...Type) *Builder {
	b := &Builder{Func: &Func{Name: name, Params: params, Result: result}}
	b.block = b.NewBlock()
	b.Seal(b.block)
	return b
}

// NewBlock makes a block, which must be sealed when all that lead to it are known.
func (b *Builder) NewBlock() *Block {
	b.take()
	block := &Block{ID: len(b.Func.Blocks), Pos: b.Pos}
	b.Func.Blocks = append(b.Func.Blocks, block)
	return block
}

// Enter makes further values go to a block.
func (b *Builder) Enter(block *Block) { b.block = block }

// Block is where values go now.
func (b *Builder) Block() *Block { return b.block }

// Reachable tells whether what is built now can ever run: not after a return, nor in a
// sealed block that nothing leads to.
func (b *Builder) Reachable() bool {
	return b.block.Exit == None && (b.block == b.Func.Blocks[0] || !b.block.sealed || len(b.block.Preds) > 0)
}

// Jump ends the block, if it has not ended.
func (b *Builder) Jump(to *Block) { b.end(Jump, nil, to) }

// Branch ends the block, if it has not ended. A constant condition is a jump.
func (b *Builder) Branch(condition *Value, then, otherwise *Block) {
	if condition.Op == Const {
		if condition.Imm == 0 {
			then = otherwise
		}
		b.Jump(then)
		return
	}
	b.end(Branch, condition, then, otherwise)
}

// Return ends the block, if it has not ended.
func (b *Builder) Return(v *Value) { b.end(Return, v) }

func (b *Builder) end(exit Exit, control *Value, succs ...*Block) {
	if b.block.Exit != None {
		return
	}
	b.block.Exit, b.block.Control, b.block.Succs = exit, control, succs
	for _, s := range succs {
		if s.sealed {
			misuse("%s: block %d is sealed, and block %d leads to it", b.Func.Name, s.ID, b.block.ID)
		}
		s.Preds = append(s.Preds, b.block)
	}
}

// Value appends an operation to the block and returns its result. The methods below are
// shorter for most.
func (b *Builder) Value(v Value) *Value {
	b.take()
	made := v
	made.ID, made.Block, made.Pos = b.Func.values, b.block, b.Pos
	b.Func.values++
	b.block.Values = append(b.block.Values, &made)
	return &made
}

// Const is a word.
func (b *Builder) Const(n int64) *Value { return b.Value(Value{Op: Const, Type: Word, Imm: n}) }

// Parameter is the i-th parameter of the function.
func (b *Builder) Parameter(i int) *Value {
	return b.Value(Value{Op: Parameter, Type: b.Func.Params[i], Imm: int64(i)})
}

// Binary is arithmetic or a comparison.
func (b *Builder) Binary(op Op, x, y *Value) *Value {
	t := Word
	if op == Add || op == Sub && !y.Type.IsPointer() {
		t = x.Type
	}
	return b.Value(Value{Op: op, Type: t, Args: []*Value{x, y}})
}

// Extend makes a word of the lowest bytes of one.
func (b *Builder) Extend(x *Value, width int, signed bool) *Value {
	op := ZeroExtend
	if signed {
		op = SignExtend
	}
	return b.Value(Value{Op: op, Type: Word, Args: []*Value{x}, Width: width})
}

// Slot is so many bytes of the frame. Make it where it is first used: another's may then
// have the same place.
func (b *Builder) Slot(size int) *Value {
	return b.Value(Value{Op: Slot, Type: Stack, Imm: int64(size)})
}

// Load reads width bytes at p+offset.
func (b *Builder) Load(p *Value, offset int64, width int, signed bool) *Value {
	return b.Value(Value{Op: Load, Type: Word, Args: []*Value{p}, Imm: offset, Width: width, Signed: signed})
}

// LoadPtr reads a pointer at p+offset.
func (b *Builder) LoadPtr(p *Value, offset int64, t Type) *Value {
	return b.Value(Value{Op: LoadPtr, Type: t, Args: []*Value{p}, Imm: offset, Width: 8})
}

// PacketPtr reads the beginning or end of the packet, a Packet or PacketEnd, from 4 bytes of
// the context: data and data_end of xdp_md and __sk_buff, which the kernel widens.
func (b *Builder) PacketPtr(context *Value, offset int64, t Type) *Value {
	return b.Value(Value{Op: LoadPtr, Type: t, Args: []*Value{context}, Imm: offset, Width: 4})
}

// Store writes the lowest width bytes of v at p+offset.
func (b *Builder) Store(p *Value, offset int64, width int, v *Value) {
	b.Value(Value{Op: Store, Args: []*Value{p, v}, Imm: offset, Width: width})
}

// Zero clears size bytes at p+offset.
func (b *Builder) Zero(p *Value, offset int64, size int) {
	b.Value(Value{Op: Zero, Args: []*Value{p}, Imm: offset, Width: size})
}

// Copy copies size bytes from source to p+offset; they do not overlap.
func (b *Builder) Copy(p *Value, offset int64, source *Value, size int) {
	b.Value(Value{Op: Copy, Args: []*Value{p, source}, Imm: offset, Width: size})
}

// AtomicAdd adds v to the width bytes at p+offset.
func (b *Builder) AtomicAdd(p *Value, offset int64, width int, v *Value) {
	b.Value(Value{Op: AtomicAdd, Args: []*Value{p, v}, Imm: offset, Width: width})
}

// Map is a map of the program, by name.
func (b *Builder) Map(name string) *Value {
	return b.Value(Value{Op: MapOf, Type: Map, Symbol: name})
}

// ValueOf is an address in the only value of an array map.
func (b *Builder) ValueOf(name string, offset int64) *Value {
	return b.Value(Value{Op: ValueOf, Type: MapValue, Symbol: name, Imm: offset})
}

// FuncOf is a function of the program, for a helper that calls it.
func (b *Builder) FuncOf(name string) *Value {
	return b.Value(Value{Op: FuncOf, Type: Function, Symbol: name})
}

// Call calls a helper of the kernel, whose result has type t.
func (b *Builder) Call(helper int64, t Type, args ...*Value) *Value {
	return b.Value(Value{Op: Call, Type: t, Imm: helper, Args: args})
}

// CallFunc calls a function of the program, which returns a word.
func (b *Builder) CallFunc(name string, args ...*Value) *Value {
	return b.Value(Value{Op: CallFunc, Type: Word, Symbol: name, Args: args})
}

// NonNull goes on where a nullable pointer is not 0, as its result, and leads to isNull
// where it is.
func (b *Builder) NonNull(p *Value, isNull *Block) *Value {
	there := b.NewBlock()
	b.Branch(b.Binary(NotEqual, p, b.Const(0)), there, isNull)
	b.Seal(there)
	b.Enter(there)
	return b.Value(Value{Op: NonNull, Type: p.Type.nonNull(), Args: []*Value{p}})
}

// If builds what happens where a condition holds and, unless it is nil, otherwise.
func (b *Builder) If(condition *Value, then, otherwise func()) {
	yes, no, after := b.NewBlock(), b.NewBlock(), b.NewBlock()
	b.Branch(condition, yes, no)
	b.Seal(yes)
	b.Seal(no)
	b.Enter(yes)
	then()
	b.Jump(after)
	b.Enter(no)
	if otherwise != nil {
		otherwise()
	}
	b.Jump(after)
	b.Seal(after)
	b.Enter(after)
}
