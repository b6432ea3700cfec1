// SPDX-License-Identifier: Apache-2.0

package syntax

import "github.com/skep-io/skep/internal/compile"

// Copier copies parts of a tree with changes. What a function that is nil would change stays
// as it is; no node of the copy is one of the original.
type Copier struct {
	// Expr is what to put in place of an expression, which is copied no further, or nil.
	Expr func(Expr) Expr
	// Stmt is the same of a statement.
	Stmt func(Stmt) Stmt
	// Type is the same of a type.
	Type func(*Type) *Type
	// Name is the new name of a variable or map.
	Name func(string) string
	// Place is where all of the copy is, for one whose original is in another text; zero for none.
	Place compile.Pos
}

// Where is the place in the copy of what is at a place in the original.
func (c *Copier) Where(original compile.Pos) compile.Pos {
	if c.Place != (compile.Pos{}) {
		return c.Place
	}
	return original
}

func (c *Copier) at(original At) At { return At{c.Where(original.Pos)} }

func (c *Copier) name(name string) string {
	if c.Name == nil {
		return name
	}
	return c.Name(name)
}

// CopyBlock copies a block, nil for nil.
func (c *Copier) CopyBlock(b *Block) *Block {
	if b == nil {
		return nil
	}
	return &Block{At: c.at(b.At), Stmts: c.stmts(b.Stmts)}
}

func (c *Copier) stmts(list []Stmt) []Stmt {
	var out []Stmt
	for _, s := range list {
		out = append(out, c.CopyStmt(s))
	}
	return out
}

// CopyStmt copies a statement.
func (c *Copier) CopyStmt(s Stmt) Stmt {
	if c.Stmt != nil {
		if other := c.Stmt(s); other != nil {
			return other
		}
	}
	switch s := s.(type) {
	case *Block:
		return c.CopyBlock(s)
	case *ExprStmt:
		return &ExprStmt{At: c.at(s.At), X: c.CopyExpr(s.X)}
	case *Assign:
		return &Assign{At: c.at(s.At), Target: c.CopyExpr(s.Target), Op: s.Op, Value: c.CopyExpr(s.Value)}
	case *Let:
		return &Let{At: c.at(s.At), Name: c.name(s.Name), Type: c.CopyType(s.Type), Value: c.CopyExpr(s.Value)}
	case *If:
		return &If{At: c.at(s.At), Cond: c.CopyExpr(s.Cond), Then: c.CopyBlock(s.Then), Else: c.CopyBlock(s.Else)}
	case *While:
		return &While{At: c.at(s.At), Cond: c.CopyExpr(s.Cond), Body: c.CopyBlock(s.Body)}
	case *Unroll:
		return &Unroll{At: c.at(s.At), Count: c.CopyExpr(s.Count), Body: c.CopyBlock(s.Body)}
	case *For:
		return &For{At: c.at(s.At), Name: c.name(s.Name), From: c.CopyExpr(s.From), To: c.CopyExpr(s.To), Body: c.CopyBlock(s.Body)}
	case *Jump:
		return &Jump{At: c.at(s.At), Kind: s.Kind, Value: c.CopyExpr(s.Value)}
	}
	return s
}

// CopyType copies a type, nil for nil.
func (c *Copier) CopyType(t *Type) *Type {
	if t == nil {
		return nil
	}
	if c.Type != nil {
		if other := c.Type(t); other != nil {
			return other
		}
	}
	out := *t
	out.At = c.at(t.At)
	out.Elem, out.Of = c.CopyType(t.Elem), c.CopyExpr(t.Of)
	return &out
}

func (c *Copier) exprs(list []Expr) []Expr {
	var out []Expr
	for _, x := range list {
		out = append(out, c.CopyExpr(x))
	}
	return out
}

// CopyExpr copies an expression, nil for nil.
func (c *Copier) CopyExpr(x Expr) Expr {
	if x == nil {
		return nil
	}
	if c.Expr != nil {
		if other := c.Expr(x); other != nil {
			return other
		}
	}
	switch x := x.(type) {
	case *Integer:
		out := *x
		out.At = c.at(x.At)
		return &out
	case *String:
		out := *x
		out.At = c.at(x.At)
		return &out
	case *Name:
		out := *x
		out.At = c.at(x.At)
		return &out
	case *Positional:
		out := *x
		out.At = c.at(x.At)
		return &out
	case *Variable:
		return &Variable{At: c.at(x.At), Name: c.name(x.Name)}
	case *Map:
		return &Map{At: c.at(x.At), Name: c.name(x.Name), Key: c.CopyExpr(x.Key)}
	case *Tuple:
		return &Tuple{At: c.at(x.At), Elems: c.exprs(x.Elems)}
	case *Record:
		return c.copyRecord(x)
	case *Call:
		return &Call{At: c.at(x.At), Name: x.Name, Args: c.exprs(x.Args)}
	}
	return c.copyOperation(x)
}

func (c *Copier) copyRecord(x *Record) Expr {
	out := &Record{At: c.at(x.At)}
	for _, f := range x.Fields {
		out.Fields = append(out.Fields, &RecordField{At: c.at(f.At), Name: f.Name, Value: c.CopyExpr(f.Value)})
	}
	return out
}

func (c *Copier) copyOperation(x Expr) Expr {
	switch x := x.(type) {
	case *Field:
		return &Field{At: c.at(x.At), Base: c.CopyExpr(x.Base), Name: x.Name, Arrow: x.Arrow, Start: c.at(x.Start)}
	case *TupleIndex:
		return &TupleIndex{At: c.at(x.At), Base: c.CopyExpr(x.Base), Index: x.Index}
	case *Index:
		return &Index{At: c.at(x.At), Base: c.CopyExpr(x.Base), Index: c.CopyExpr(x.Index)}
	case *Unary:
		return &Unary{At: c.at(x.At), Op: x.Op, X: c.CopyExpr(x.X)}
	case *Step:
		return &Step{At: c.at(x.At), X: c.CopyExpr(x.X), Down: x.Down, Prefix: x.Prefix}
	case *Binary:
		return &Binary{At: c.at(x.At), Op: x.Op, Left: c.CopyExpr(x.Left), Right: c.CopyExpr(x.Right)}
	case *Ternary:
		return &Ternary{At: c.at(x.At), Cond: c.CopyExpr(x.Cond), Then: c.CopyExpr(x.Then), Else: c.CopyExpr(x.Else)}
	case *Cast:
		return &Cast{At: c.at(x.At), Type: c.CopyType(x.Type), X: c.CopyExpr(x.X)}
	case *Sizeof:
		return &Sizeof{At: c.at(x.At), Type: c.CopyType(x.Type), X: c.CopyExpr(x.X)}
	case *Offsetof:
		return &Offsetof{At: c.at(x.At), Type: c.CopyType(x.Type), X: c.CopyExpr(x.X), Path: x.Path}
	case *TypeArg:
		return &TypeArg{At: c.at(x.At), Type: c.CopyType(x.Type)}
	case *BlockExpr:
		return &BlockExpr{At: c.at(x.At), Stmts: c.stmts(x.Stmts), Value: c.CopyExpr(x.Value)}
	}
	return x
}
