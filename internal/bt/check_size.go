// SPDX-License-Identifier: Apache-2.0

package bt

import "github.com/skep-io/skep/internal/bt/syntax"

func (c *checker) sizeof(x *syntax.Sizeof) Type {
	var t Type
	if x.Type != nil {
		t = c.resolve(x.Type)
	} else if named, ok := c.typeNamedBy(x.X); ok {
		t = named
	} else {
		t = c.value(x.X)
	}
	size, _ := c.inC(t, 0)
	c.unit.constants[x] = int64(size)
	return uint64Type
}

// inC is the size and the alignment that a type has in C, in bytes: tuples are structures
// there, and are kept otherwise here.
func (s *script) inC(t Type, depth int) (size, alignment int) {
	if depth > deepestStruct {
		return t.Size, 1
	}
	switch t.Kind {
	case String, Buffer:
		return t.Size, 1
	case ArrayOf:
		_, alignment = s.inC(*t.Elem, depth+1)
		return t.Size, alignment
	case Tuple:
		alignment = 1
		for _, f := range t.Fields {
			n, to := s.inC(f.Type, depth+1)
			size, alignment = roundUp(size, to)+n, max(alignment, to)
		}
		return roundUp(size, alignment), alignment
	case Record:
		alignment = 1
		members, _ := s.host.Members(t.Name)
		for _, m := range members {
			_, to := s.inC(m.Type, depth+1)
			alignment = max(alignment, to)
		}
		return t.Size, alignment
	}
	return t.Size, max(1, min(t.Size, word))
}

// typeNamedBy is the type that an expression of one word may also be.
func (c *checker) typeNamedBy(x syntax.Expr) (Type, bool) {
	n, ok := x.(*syntax.Name)
	if !ok {
		return noType, false
	}
	if _, isBuiltin := c.builtins[n.Name]; isBuiltin {
		return noType, false
	}
	if t, ok := integerNamed(n.Name); ok {
		return t, true
	}
	return c.host.Type(n.Name)
}

func (c *checker) offsetof(x *syntax.Offsetof) Type {
	var t Type
	if x.Type != nil {
		t = c.resolve(x.Type)
	} else {
		t = c.value(x.X)
	}
	if t.Kind == Pointer && t.Elem != nil {
		t = *t.Elem
	}
	offset := 0
	for _, name := range x.Path {
		if t.Kind == None {
			return noType
		}
		m, ok := c.memberOf(t, name)
		if t.Kind != Record || !ok {
			return c.errorf(x.Pos, "%s has no field %s", t, name)
		}
		offset += m.Offset
		t = m.Type
	}
	c.unit.constants[x] = int64(offset)
	return uint64Type
}
