// SPDX-License-Identifier: Apache-2.0

package compile

// NewVariable makes a variable, which must be written on every way to where it is read.
func (b *Builder) NewVariable(t Type) Variable {
	b.types = append(b.types, t)
	b.defs = append(b.defs, map[*Block]*Value{})
	return Variable(len(b.types) - 1)
}

// Write gives a variable a value, from here on.
func (b *Builder) Write(v Variable, value *Value) { b.defs[v][b.block] = value }

// Read is the value that a variable has here.
func (b *Builder) Read(v Variable) *Value { return b.read(v, b.block) }

// Seal says that nothing more will lead to a block.
func (b *Builder) Seal(block *Block) {
	if block.sealed {
		misuse("%s: block %d is sealed twice", b.Func.Name, block.ID)
	}
	block.sealed = true
	for _, p := range block.incomplete {
		b.complete(p.variable, p.phi)
	}
	block.incomplete = nil
}

func (b *Builder) read(v Variable, block *Block) *Value {
	if def := b.defs[v][block]; def != nil {
		return def
	}
	var value *Value
	switch {
	case !block.sealed:
		value = b.phi(v, block)
		block.incomplete = append(block.incomplete, pending{v, value})
	case len(block.Preds) == 0:
		if block == b.Func.Blocks[0] {
			misuse("%s: variable %d is read before it is written", b.Func.Name, v)
		}
		// Nothing leads here: any value will do, and the block will be dropped.
		value = b.first(block, Value{Op: Const, Type: b.types[v]})
	case len(block.Preds) == 1:
		value = b.read(v, block.Preds[0])
	default:
		phi := b.phi(v, block)
		b.defs[v][block] = phi // ends the search where it goes round
		value = b.complete(v, phi)
	}
	b.defs[v][block] = value
	return value
}

func (b *Builder) phi(v Variable, block *Block) *Value {
	return b.first(block, Value{Op: Phi, Type: b.types[v]})
}

// first puts a value at the start of a block, where phis are.
func (b *Builder) first(block *Block, v Value) *Value {
	b.take()
	v.ID, v.Block, v.Pos = b.Func.values, block, b.Pos
	b.Func.values++
	block.Values = append([]*Value{&v}, block.Values...)
	return &v
}

// complete gives a phi its operands. One that only ever is one other value stays: Compile
// removes it.
func (b *Builder) complete(v Variable, phi *Value) *Value {
	for _, pred := range phi.Block.Preds {
		phi.Args = append(phi.Args, b.read(v, pred))
	}
	return phi
}
