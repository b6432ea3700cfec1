// SPDX-License-Identifier: Apache-2.0

package compile

// expandDivision replaces signed division, which instruction set 3 lacks, by unsigned
// division of magnitudes: with s the sign of a number, 0 or -1, its magnitude is (x^s)-s,
// and the same gives a quotient its sign. Division by 0 comes out right by itself: 0, and
// the dividend for the remainder.
//
// It is done for set 4 too where the divisor is not known: kernels before 6.12 trap there
// on the smallest number divided by -1.
func expandDivision(f *Func, o Options) {
	for _, b := range f.Blocks {
		e := expander{f: f, b: b}
		for _, v := range b.Values {
			known := v.Op.isBinary() && v.Args[1].Op == Const && v.Args[1].Imm != -1
			if (v.Op == SDiv || v.Op == SMod) && (o.CPU < 4 || !known) {
				e.division(v)
			}
			e.out = append(e.out, v)
		}
		b.Values = e.out
	}
}

// expander appends values to a block in place of others.
type expander struct {
	f   *Func
	b   *Block
	at  *Value
	out []*Value
}

func (e *expander) value(v Value) *Value {
	v.ID, v.Block, v.Pos = e.f.values, e.b, e.at.Pos
	e.f.values++
	e.out = append(e.out, &v)
	return &v
}

func (e *expander) word(n int64) *Value { return e.value(Value{Op: Const, Type: Word, Imm: n}) }

func (e *expander) binary(op Op, x, y *Value) *Value {
	return e.value(Value{Op: op, Type: Word, Args: []*Value{x, y}})
}

func (e *expander) sign(x *Value) *Value { return e.binary(AShr, x, e.word(63)) }

// negateIf is x where the sign is 0, and -x where it is -1.
func (e *expander) negateIf(x, sign *Value) *Value {
	return e.binary(Sub, e.binary(Xor, x, sign), sign)
}

func (e *expander) division(v *Value) {
	e.at = v
	x, y := v.Args[0], v.Args[1]
	sx, sy := e.sign(x), e.sign(y)
	op, sign := UMod, sx
	if v.Op == SDiv {
		op, sign = UDiv, e.binary(Xor, sx, sy)
	}
	r := e.binary(op, e.negateIf(x, sx), e.negateIf(y, sy))
	v.Op, v.Args = Sub, []*Value{e.binary(Xor, r, sign), sign}
}
