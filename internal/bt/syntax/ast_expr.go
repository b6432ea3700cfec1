// SPDX-License-Identifier: Apache-2.0

package syntax

// Expr is an expression: one of the types in this file.
type Expr interface {
	Node
	expr()
}

// Integer is a literal: 10, 0x1f, 1_000, 1e6, 10u, 5ms, 'c', true, false. A minus sign
// before it is a Unary.
type Integer struct {
	At
	Value uint64 // of a duration in nanoseconds
	Text  string // as written
	// Unsigned tells that it has a suffix u or is above the largest int64.
	Unsigned bool
	// Bool tells that it is true or false.
	Bool bool
	// Duration tells that it had a unit of time.
	Duration bool
}

// String is a literal.
type String struct {
	At
	Value string // escapes resolved; any bytes
}

// Name is a word that stands alone: a builtin (pid, comm, args, arg0, kstack), an
// enumerator, a stack mode, a macro's parameter.
type Name struct {
	At
	Name string
}

// Positional is $1, or $# if Number is 0.
type Positional struct {
	At
	Number int
	// Given tells that there is such an argument; Text is it. Missing ones are 0 and "".
	Given bool
	Text  string
	// Numeric tells that Text is an integer, or that Number is 0; Value is it, in two's
	// complement, and Negative if it had a sign.
	Numeric  bool
	Negative bool
	Value    uint64
}

// Variable is $name.
type Variable struct {
	At
	Name string // with $
}

// Map is @name or @name[key]. Key is nil without brackets, and a Tuple of @name[a, b].
type Map struct {
	At
	Name string // with @
	Key  Expr
}

// Tuple is (a, b), (a,) or ().
type Tuple struct {
	At
	Elems []Expr
}

// Record is (a=1, b=2).
type Record struct {
	At
	Fields []*RecordField
}

// RecordField is a=1.
type RecordField struct {
	At
	Name  string
	Value Expr
}

// Call is f(a, b).
type Call struct {
	At
	Name string
	Args []Expr
}

// Field is base.name, or base->name if Arrow.
type Field struct {
	At
	Base  Expr
	Name  string
	Arrow bool
	Start At // where Base begins, with its parentheses
}

// TupleIndex is base.0.
type TupleIndex struct {
	At
	Base  Expr
	Index int
}

// Index is base[index], where base is not a map.
type Index struct {
	At
	Base  Expr
	Index Expr
}

// Unary is -x, !x, ~x, *x or &x.
type Unary struct {
	At
	Op Op // Minus, Not, Complement, Deref or AddressOf
	X  Expr
}

// Step is x++, x--, ++x or --x.
type Step struct {
	At
	X      Expr // Variable or Map, or the Name of a macro's parameter
	Down   bool
	Prefix bool // the value is that after the step
}

// Binary is left op right.
type Binary struct {
	At
	Op          Op
	Left, Right Expr
}

// Ternary is cond ? then : otherwise, and if cond { then } else { otherwise } as an
// expression. Then is nil in cond ?: otherwise, where it is the value of cond.
type Ternary struct {
	At
	Cond, Then, Else Expr
}

// Cast is (type)x.
type Cast struct {
	At
	Type *Type
	X    Expr
}

// Sizeof is sizeof(type) or sizeof(expression); the other is nil. (name) alone is taken
// for an expression unless it names a type of the language: look it up as both.
type Sizeof struct {
	At
	Type *Type
	X    Expr
}

// Offsetof is offsetof(struct x, a.b) or offsetof(expression, a.b).
type Offsetof struct {
	At
	Type *Type
	X    Expr
	Path []string
}

// TypeArg is typeof(type) or typeof(expression) as the argument of a macro.
type TypeArg struct {
	At
	Type *Type // of Kind TypeOf
}

// BlockExpr is { statements; value }, an expression.
type BlockExpr struct {
	At
	Stmts []Stmt
	Value Expr
}

func (*Integer) expr()    {}
func (*String) expr()     {}
func (*Name) expr()       {}
func (*Positional) expr() {}
func (*Variable) expr()   {}
func (*Map) expr()        {}
func (*Tuple) expr()      {}
func (*Record) expr()     {}
func (*Call) expr()       {}
func (*Field) expr()      {}
func (*TupleIndex) expr() {}
func (*Index) expr()      {}
func (*Unary) expr()      {}
func (*Step) expr()       {}
func (*Binary) expr()     {}
func (*Ternary) expr()    {}
func (*Cast) expr()       {}
func (*Sizeof) expr()     {}
func (*Offsetof) expr()   {}
func (*BlockExpr) expr()  {}
func (*TypeArg) expr()    {}

// Op is an operator.
type Op uint8

// The operators, the binary ones from the weakest.
const (
	NoOp Op = iota
	LogicalOr
	LogicalAnd
	BitOr
	BitXor
	BitAnd
	Equal
	NotEqual
	Less
	LessEqual
	Greater
	GreaterEqual
	ShiftLeft
	ShiftRight
	Add
	Subtract
	Multiply
	Divide
	Modulo

	Minus
	Not
	Complement
	Deref
	AddressOf
)
