// SPDX-License-Identifier: Apache-2.0

package syntax

import (
	"fmt"
	"strconv"
	"strings"
)

// PrintExpr writes an expression, with the parentheses that it needs.
func PrintExpr(x Expr) string {
	var b strings.Builder
	writeExpr(&b, x)
	return b.String()
}

// opTexts are the operators as they are written.
var opTexts = [...]string{
	NoOp: "", LogicalOr: "||", LogicalAnd: "&&", BitOr: "|", BitXor: "^", BitAnd: "&",
	Equal: "==", NotEqual: "!=", Less: "<", LessEqual: "<=", Greater: ">", GreaterEqual: ">=",
	ShiftLeft: "<<", ShiftRight: ">>", Add: "+", Subtract: "-", Multiply: "*", Divide: "/", Modulo: "%",
	Minus: "-", Not: "!", Complement: "~", Deref: "*", AddressOf: "&",
}

// String is the operator as it is written.
func (op Op) String() string { return opText(op) }

func opText(op Op) string {
	if int(op) < len(opTexts) {
		return opTexts[op]
	}
	return fmt.Sprintf("op(%d)", op)
}

// operand is an expression where only an operand can stand.
func operand(x Expr) string {
	var b strings.Builder
	writeOperand(&b, x)
	return b.String()
}

func writeOperand(b *strings.Builder, x Expr) {
	switch x.(type) {
	case *Binary, *Ternary, *BlockExpr:
		b.WriteByte('(')
		writeExpr(b, x)
		b.WriteByte(')')
	default:
		writeExpr(b, x)
	}
}

// writeBase writes what .field, [index], ++ or -- is applied to.
func writeBase(b *strings.Builder, x Expr) {
	switch x.(type) {
	case *Unary, *Cast:
		b.WriteByte('(')
		writeExpr(b, x)
		b.WriteByte(')')
	case *Step, *Map:
		writeMapBase(b, x)
	default:
		writeOperand(b, x)
	}
}

// writeMapBase sets @m and x++ apart from a bracket that is not theirs.
func writeMapBase(b *strings.Builder, x Expr) {
	if m, ok := x.(*Map); ok && m.Key != nil {
		writeExpr(b, x)
		return
	}
	b.WriteByte('(')
	writeExpr(b, x)
	b.WriteByte(')')
}

func writeExpr(b *strings.Builder, x Expr) {
	switch x := x.(type) {
	case *Integer:
		b.WriteString(x.Text)
	case *String:
		b.WriteString(quoteString(x.Value))
	case *Name:
		b.WriteString(x.Name)
	case *Positional:
		if b.WriteByte('$'); x.Number == 0 {
			b.WriteByte('#')
		} else {
			b.WriteString(strconv.Itoa(x.Number))
		}
	case *Variable:
		b.WriteString(x.Name)
	case *Map:
		writeMap(b, x)
	case *Call:
		b.WriteString(x.Name + "(")
		writeList(b, x.Args)
		b.WriteByte(')')
	case *Tuple:
		writeTuple(b, x.Elems)
	case *Record:
		writeRecord(b, x)
	default:
		writeCompound(b, x)
	}
}

func writeCompound(b *strings.Builder, x Expr) {
	switch x := x.(type) {
	case *Field:
		writeBase(b, x.Base)
		b.WriteString(map[bool]string{false: ".", true: "->"}[x.Arrow] + x.Name)
	case *TupleIndex:
		writeBase(b, x.Base)
		fmt.Fprintf(b, ".%d", x.Index)
	case *Index:
		writeBase(b, x.Base)
		b.WriteByte('[')
		writeExpr(b, x.Index)
		b.WriteByte(']')
	case *Unary:
		b.WriteString(opText(x.Op))
		writeUnaryOperand(b, x)
	case *Step:
		writeStep(b, x)
	case *Binary:
		writeBinary(b, x)
	case *Ternary:
		writeTernary(b, x)
	case *Cast:
		b.WriteString("(" + x.Type.String() + ")")
		writeCastOperand(b, x.X)
	case *Sizeof:
		b.WriteString("sizeof(" + typeOrExpr(x.Type, x.X) + ")")
	case *Offsetof:
		b.WriteString("offsetof(" + typeOrExpr(x.Type, x.X) + ", " + strings.Join(x.Path, ".") + ")")
	case *TypeArg:
		b.WriteString(x.Type.String())
	case *BlockExpr:
		writeBlock(b, x)
	}
}

func typeOrExpr(t *Type, x Expr) string {
	if t != nil {
		return t.String()
	}
	return notType(x)
}

// notType writes an expression where a type could stand: name[2] would be one.
func notType(x Expr) string {
	if _, ok := x.(*Index); ok {
		return "(" + PrintExpr(x) + ")"
	}
	return PrintExpr(x)
}

// writeCastOperand keeps (name)++$x from becoming name and a step.
func writeCastOperand(b *strings.Builder, x Expr) {
	if _, ok := x.(*Step); ok {
		b.WriteString("(" + PrintExpr(x) + ")")
		return
	}
	writeOperand(b, x)
}

func writeMap(b *strings.Builder, x *Map) {
	if b.WriteString(x.Name); x.Key == nil {
		return
	}
	b.WriteByte('[')
	if t, ok := x.Key.(*Tuple); ok && len(t.Elems) > 1 {
		writeList(b, t.Elems)
	} else {
		writeExpr(b, x.Key)
	}
	b.WriteByte(']')
}

func writeTuple(b *strings.Builder, elems []Expr) {
	b.WriteByte('(')
	writeList(b, elems)
	if len(elems) == 1 {
		b.WriteByte(',')
	}
	b.WriteByte(')')
}

func writeRecord(b *strings.Builder, x *Record) {
	b.WriteByte('(')
	for i, f := range x.Fields {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(f.Name + "=")
		writeExpr(b, f.Value)
	}
	b.WriteByte(')')
}

func list(elems []Expr) string {
	var b strings.Builder
	writeList(&b, elems)
	return b.String()
}

func writeList(b *strings.Builder, elems []Expr) {
	for i, x := range elems {
		if i > 0 {
			b.WriteString(", ")
		}
		writeExpr(b, x)
	}
}

// writeUnaryOperand keeps - - from becoming --, and & & from becoming &&.
func writeUnaryOperand(b *strings.Builder, x *Unary) {
	switch inner := x.X.(type) {
	case *Unary:
		if inner.Op == x.Op {
			b.WriteByte(' ')
		}
	case *Step:
		b.WriteByte(' ')
	}
	writeOperand(b, x.X)
}

func writeStep(b *strings.Builder, x *Step) {
	op := map[bool]string{false: "++", true: "--"}[x.Down]
	if x.Prefix {
		b.WriteString(op)
	}
	writeExpr(b, x.X)
	if !x.Prefix {
		b.WriteString(op)
	}
}

// writeBinary puts parentheses around operands that bind less tightly, and, to be
// clear, around comparisons and bits inside each other.
func writeBinary(b *strings.Builder, x *Binary) {
	level := levels[opText(x.Op)].level
	writeSide(b, x.Left, level)
	b.WriteString(" " + opText(x.Op) + " ")
	writeSide(b, x.Right, level+1)
}

func writeSide(b *strings.Builder, x Expr, least int) {
	if inner, ok := x.(*Binary); ok && levels[opText(inner.Op)].level >= least {
		writeExpr(b, x)
		return
	}
	writeOperand(b, x)
}

func writeTernary(b *strings.Builder, x *Ternary) {
	writeOperand(b, x.Cond)
	b.WriteString(" ?")
	if x.Then != nil {
		b.WriteByte(' ')
		writeOperand(b, x.Then)
		b.WriteByte(' ')
	}
	b.WriteString(": ")
	writeOperand(b, x.Else)
}

// writeBlock writes { statements; value } on lines of its own.
func writeBlock(b *strings.Builder, x *BlockExpr) {
	var p printer
	p.block(x.Stmts, x.Value)
	b.WriteString(p.b.String())
}

// quoteString writes a string with the escapes of the language.
func quoteString(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20 || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
