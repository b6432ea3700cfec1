// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"slices"
	"strings"

	"github.com/skep-io/skep/internal/bt/syntax"
)

// argsRecord is the name of the type of the builtin args, which no C type has.
const argsRecord = "args"

// field checks base.name and base->name.
func (c *checker) field(x *syntax.Field) Type {
	base := c.value(x.Base)
	user := base.User
	if base.Kind == Pointer && base.Elem != nil && base.Elem.Kind == Record {
		base = *base.Elem
	}
	switch base.Kind {
	case None:
		return noType
	case Tuple:
		return c.tupleField(x, base)
	case Record:
		if base.Fields != nil {
			return c.tupleField(x, base)
		}
		m, ok := c.memberOf(base, x.Name)
		if !ok {
			return c.noField(x, base)
		}
		return c.member(m.Type, user || m.Type.User)
	}
	return c.errorf(x.Pos, "%s has no fields, so no %s", base, x.Name)
}

func (c *checker) tupleField(x *syntax.Field, base Type) Type {
	var names []string
	for _, f := range base.Fields {
		if f.Name == x.Name {
			return f.Type
		}
		names = append(names, f.Name)
	}
	return c.hintf(x.Pos, nearest(x.Name, names), "%s has no field %s", base, x.Name)
}

func (c *checker) noField(x *syntax.Field, base Type) Type {
	members := c.membersOf(base)
	if len(members) == 0 {
		if base.Name == argsRecord {
			return c.errorf(x.Pos, "%s has no arguments that are known by name", c.unit.targets[0].Name)
		}
		return c.errorf(x.Pos, "the fields of %s are not known", base)
	}
	var names []string
	for _, m := range members {
		names = append(names, m.Name)
	}
	what := base.Name
	if what == argsRecord {
		what = c.unit.targets[0].Name
	}
	return c.hintf(x.Pos, nearest(x.Name, names), "%s has no field %s", what, x.Name)
}

// membersOf a record: of a structure of the kernel, or of args.
func (c *checker) membersOf(t Type) []Member {
	if t.Name == argsRecord {
		return c.arguments()
	}
	members, _ := c.host.Members(t.Name)
	return members
}

func (c *checker) memberOf(t Type, name string) (Member, bool) {
	if t.Name == argsRecord {
		i := slices.IndexFunc(c.arguments(), func(m Member) bool { return m.Name == name })
		if i < 0 {
			return Member{}, false
		}
		return c.unit.args[i], true
	}
	return c.findMember(t.Name, name, 0)
}

// deepestAnonymous bounds how many structures without a name are looked into.
const deepestAnonymous = 8

// findMember looks into members without names too, as C does.
func (s *script) findMember(record, name string, depth int) (Member, bool) {
	members, _ := s.host.Members(record)
	for _, m := range members {
		if m.Name == name && name != "" {
			return m, true
		}
	}
	if depth == deepestAnonymous {
		return Member{}, false
	}
	for _, m := range members {
		if m.Name != "" || m.Type.Kind != Record {
			continue
		}
		if inner, ok := s.findMember(m.Type.Name, name, depth+1); ok {
			inner.Offset += m.Offset
			return inner, true
		}
	}
	return Member{}, false
}

// member is the type that a field, an element or a pointer's target has in an expression:
// arrays of char are strings.
func (c *checker) member(t Type, user bool) Type {
	if t.Kind == ArrayOf && t.Elem != nil && t.Elem.Kind == Integer && t.Elem.Name == "char" && t.Size > 0 {
		return Type{Kind: String, Size: t.Size, User: user}
	}
	t.User = user
	return t
}

// cast checks (type)x.
func (c *checker) cast(x *syntax.Cast) Type {
	from := c.value(x.X)
	to := c.resolve(x.Type)
	if from.Kind == None || to.Kind == None {
		return noType
	}
	switch {
	case to.Kind == ArrayOf:
		return c.castToArray(x, from, to)
	case from.Kind == ArrayOf && to.Kind == Integer:
		if from.Size != to.Size {
			return c.errorf(x.Pos, "%s has %d bytes and %s has %d: they must be as many", from, from.Size, to, to.Size)
		}
		return to
	case to.Kind == Record && from.Kind == Integer:
		to.User = c.userSpace()
		return to
	case to.Kind == Pointer && (from.isNumber() || from.Kind == KSymbol):
		to.User = from.User
		if from.Kind == Integer {
			to.User = from.User || c.userSpace()
		}
		return to
	case to.Kind == Integer && from.isWord(), same(from, to):
		return to
	}
	return c.errorf(x.Pos, "%s cannot be cast to %s", from, to)
}

func (c *checker) castToArray(x *syntax.Cast, from, to Type) Type {
	if to.Size == 0 {
		to.Size = from.Size
	}
	sizes := from.Kind == Integer || from.Kind == ArrayOf || from.Kind == Pointer || from.Kind == String
	if !sizes || from.Size != to.Size {
		return c.errorf(x.Pos, "%s has %d bytes and %s has %d: they must be as many", from, from.Size, to, to.Size)
	}
	return to
}

// resolve finds a type that was written.
func (c *checker) resolve(t *syntax.Type) Type {
	switch t.Kind {
	case syntax.PointerTo:
		if t.Elem.Kind == syntax.Named && t.Elem.Name == "void" {
			return Type{Kind: Pointer, Size: word}
		}
		return pointerTo(c.resolve(t.Elem))
	case syntax.ArrayOf:
		elem := c.resolve(t.Elem)
		n := int(min(t.Length, largestValue))
		return Type{Kind: ArrayOf, Size: n * elem.Size, Elem: &elem}
	case syntax.TypeOf:
		if t.Elem != nil {
			return c.resolve(t.Elem)
		}
		return c.value(t.Of)
	}
	return c.named(t)
}

// known tells whether a type can be resolved, where it may also stay unknown: that of a
// variable that nothing is assigned to.
func (c *checker) known(t *syntax.Type) bool {
	for t.Elem != nil {
		t = t.Elem
	}
	if t.Kind != syntax.Named || t.Tag == "" {
		return true
	}
	_, ok := c.host.Type(t.Tag + " " + t.Name)
	return ok
}

func (c *checker) named(t *syntax.Type) Type {
	name := strings.TrimSpace(t.Tag + " " + t.Name)
	if t.Tag == "" {
		if own, ok := c.ownType(t); ok {
			return own
		}
	}
	for _, candidate := range []string{name, "struct " + name, "union " + name, "enum " + name} {
		if found, ok := c.host.Type(candidate); ok {
			return found
		}
		if t.Tag != "" {
			break
		}
	}
	return c.errorf(t.Pos, "there is no type %s", name)
}

// ownType are the types that the language has without a kernel.
func (c *checker) ownType(t *syntax.Type) (Type, bool) {
	n := int(min(t.Length, largestString))
	switch t.Name {
	case "string":
		if n == 0 {
			n = c.limits.MaxStrlen
		}
		return stringType(n), true
	case "buffer":
		return Type{Kind: Buffer, Size: 4 + n}, true
	case "inet":
		return Type{Kind: InetAddress, Size: 24}, true
	case "void":
		return Type{Kind: Pointer, Size: word}, true
	case "username":
		return Type{Kind: UserName, Size: word}, true
	}
	return integerNamed(t.Name)
}
