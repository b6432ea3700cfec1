// SPDX-License-Identifier: Apache-2.0

package compile

import "github.com/cilium/ebpf/asm"

// condition is what a conditional jump tests.
type condition struct {
	op     asm.JumpOp
	x, y   operand
	narrow bool // in the lowest 32 bits
}

var jumpOps = map[Op]asm.JumpOp{
	Equal: asm.JEq, NotEqual: asm.JNE, ULess: asm.JLT, ULessEqual: asm.JLE, SLess: asm.JSLT, SLessEqual: asm.JSLE,
}

// exchanged is the test with its operands in the other order.
var exchanged = map[asm.JumpOp]asm.JumpOp{
	asm.JEq: asm.JEq, asm.JNE: asm.JNE, asm.JLT: asm.JGT, asm.JLE: asm.JGE, asm.JSLT: asm.JSGT, asm.JSLE: asm.JSGE,
}

// opposite is the test that holds where this one does not. JSet has none.
var opposite = map[asm.JumpOp]asm.JumpOp{
	asm.JEq: asm.JNE, asm.JNE: asm.JEq, asm.JLT: asm.JGE, asm.JGE: asm.JLT, asm.JGT: asm.JLE, asm.JLE: asm.JGT,
	asm.JSLT: asm.JSGE, asm.JSGE: asm.JSLT, asm.JSGT: asm.JSLE, asm.JSLE: asm.JSGT,
}

// condition takes a comparison into a conditional jump. Its operands are marked as
// refined: the verifier learns of their registers here.
func (l *lowering) condition(v *Value) condition {
	x, y, op := v.Args[0], v.Args[1], jumpOps[v.Op]
	if x.Op == Const && y.Op != Const {
		x, y, op = y, x, exchanged[op]
	}
	if c, ok := l.testBits(op, x, y); ok {
		return c
	}
	if c, ok := l.narrowed(v.Op, op, x, y); ok {
		return c
	}
	return l.refine(condition{op: op, x: l.register(x), y: l.source(y)})
}

func (l *lowering) refine(c condition) condition {
	for _, o := range []operand{c.x, c.y} {
		if o.is(virtual) {
			l.m.refined[o.reg] = true
		}
	}
	return c
}

// testBits makes one jump of (a & b) != 0, if nothing else wants a & b.
func (l *lowering) testBits(op asm.JumpOp, x, y *Value) (condition, bool) {
	if op != asm.JNE || x.Op != And || l.uses[x.ID] != 1 || y.Op != Const || y.Imm != 0 {
		return condition{}, false
	}
	a, b := x.Args[0], x.Args[1]
	if a.Op == Const {
		a, b = b, a
	}
	return l.refine(condition{op: asm.JSet, x: l.register(a), y: l.source(b)}), true
}

// narrowed compares in 32 bits what was extended from 4 bytes for nothing else. Were the
// extended value used elsewhere too, the verifier would learn only of what it was
// extended from.
func (l *lowering) narrowed(op Op, jump asm.JumpOp, x, y *Value) (condition, bool) {
	extend := ZeroExtend
	if op == SLess || op == SLessEqual {
		extend = SignExtend
	}
	same := func(v *Value) bool {
		return (v.Op == extend || v.Op == ZeroExtend && (op == Equal || op == NotEqual)) && v.Width == 4 && l.uses[v.ID] == 1
	}
	if !same(x) {
		return condition{}, false
	}
	c := condition{op: jump, narrow: true}
	switch {
	case y.Op == Const && extend == ZeroExtend && y.Imm>>32 == 0:
		c.y = useImm(int64(int32(y.Imm)))
	case y.Op == Const && extend == SignExtend && fits(y.Imm):
		c.y = useImm(y.Imm)
	case same(y):
		c.y = l.register(y.Args[0])
	default:
		return condition{}, false
	}
	c.x = l.register(x.Args[0])
	return l.refine(c), true
}

// exit selects the end of a block.
func (l *lowering) exit(b *Block) {
	switch b.Exit {
	case Jump:
		l.emit(inst{kind: iJump})
	case Branch:
		c := l.branchCondition(b.Control)
		l.emit(inst{kind: iBranch, jump: c.op, narrow: c.narrow, base: c.x, src: c.y})
	default:
		src := useImm(0)
		if b.Control != nil && l.m.f.Result == Word {
			src = l.operand(b.Control)
		}
		l.emit(inst{kind: iExit, src: src})
	}
}

// branchCondition takes the comparison into the branch if it can be made where the branch
// is; it is computed twice then if it is also wanted as a value, which is cheaper than to
// test that. Otherwise the branch tests the value.
func (l *lowering) branchCondition(v *Value) condition {
	if v.Op.isCompare() {
		return l.condition(v)
	}
	if v.Op == And && l.uses[v.ID] == 1 {
		zero := &Value{Op: Const, Type: Word}
		if c, ok := l.testBits(asm.JNE, v, zero); ok {
			return c
		}
	}
	return l.refine(condition{op: asm.JNE, x: l.register(v), y: useImm(0)})
}
