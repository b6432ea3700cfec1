// SPDX-License-Identifier: Apache-2.0

package syntax

// Stmt is a statement: one of the types in this file.
type Stmt interface {
	Node
	stmt()
}

// Block is { statements }, the body of something or a statement itself.
type Block struct {
	At
	Stmts []Stmt
}

// ExprStmt is an expression for its effect.
type ExprStmt struct {
	At
	X Expr
}

// Assign is target = value or target op= value.
type Assign struct {
	At
	Target Expr // Variable, Map, or the Name of a macro's parameter; Name "_" discards
	Op     Op   // of op=, else NoOp
	Value  Expr
}

// Let is let $x, let $x : type, let $x = value or let $x : type = value.
type Let struct {
	At
	Name  string // with $
	Type  *Type  // or nil
	Value Expr   // or nil
}

// If is if (cond) { } else { }. Else is nil if it is missing, and else if a Block with one
// If.
type If struct {
	At
	Cond Expr
	Then *Block
	Else *Block
}

// While is while (cond) { }.
type While struct {
	At
	Cond Expr
	Body *Block
}

// Unroll is unroll (count) { }.
type Unroll struct {
	At
	Count Expr
	Body  *Block
}

// For is for ($kv : @map) { }, or for ($i : from..to) { } if To is not nil.
type For struct {
	At
	Name string // with $
	From Expr   // the Map, or where the range begins
	To   Expr   // behind the last of the range
	Body *Block
}

// Jump is break, continue or return.
type Jump struct {
	At
	Kind  JumpKind
	Value Expr // of return, or nil
}

// JumpKind is where a Jump goes.
type JumpKind uint8

// The kinds of jumps.
const (
	Break JumpKind = iota
	Continue
	Return
)

func (*Block) stmt()    {}
func (*ExprStmt) stmt() {}
func (*Assign) stmt()   {}
func (*Let) stmt()      {}
func (*If) stmt()       {}
func (*While) stmt()    {}
func (*Unroll) stmt()   {}
func (*For) stmt()      {}
func (*Jump) stmt()     {}
