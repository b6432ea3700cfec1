// SPDX-License-Identifier: Apache-2.0

package bt

import "fmt"

// layout places members as the System V ABI does on the machines that the agent runs on.
type layout struct {
	attributes
	union   bool
	bits    int // used so far
	largest int // bytes, of a union
	align   int // of the whole
	members []Member
}

// alignmentOf a type in bytes.
func alignmentOf(t Type, host *definedHost, depth int) int {
	switch {
	case depth > deepestStruct:
		return 1
	case t.Kind == ArrayOf:
		return alignmentOf(*t.Elem, host, depth+1)
	case t.Kind == Record && host.aligned[t.Name] > 0:
		return host.aligned[t.Name]
	case t.Kind == Record:
		most := 1
		members, _ := host.Members(t.Name)
		for _, m := range members {
			most = max(most, alignmentOf(m.Type, host, depth+1))
		}
		return most
	}
	return max(1, min(t.Size, word))
}

func (l *layout) add(name string, t Type, alignment int) {
	alignment = l.alignment(alignment)
	l.align = max(l.align, alignment)
	offset := 0
	if !l.union {
		offset = roundUp((l.bits+7)/8, alignment)
		l.bits = (offset + t.Size) * 8
	}
	l.largest = max(l.largest, t.Size)
	l.members = append(l.members, Member{Name: name, Type: t, Offset: offset})
}

// addBits places a bit field: it does not cross a boundary of its type.
func (l *layout) addBits(name string, t Type, width int) {
	l.largest = max(l.largest, t.Size)
	unit := t.Size * 8
	if width == 0 {
		l.bits = roundUp(l.bits, unit)
		return
	}
	l.align = max(l.align, l.alignment(t.Size))
	start := 0
	if !l.union {
		if start = l.bits; !l.packed && start/unit != (start+width-1)/unit {
			start = roundUp(start, unit)
		}
		l.bits = start + width
	}
	if name == "" {
		return
	}
	offset := start / unit * t.Size
	if l.packed {
		offset = start / 8
	}
	l.members = append(l.members, Member{Name: name, Type: t, Offset: offset, BitOffset: start - offset*8, BitSize: width})
}

func (l *layout) size() int {
	if l.union {
		return roundUp(l.largest, max(1, l.align))
	}
	return roundUp((l.bits+7)/8, max(1, l.align))
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// structure reads the members of a structure or union, behind the {.
func (p *cParser) structure(name string, union bool, a attributes) (Type, error) {
	all, err := p.behind(a)
	if err != nil {
		return noType, err
	}
	l := &layout{union: union, attributes: all}
	for !p.accept("}") {
		if p.peek() == "" {
			return noType, fmt.Errorf("the structure does not end")
		}
		if p.accept(";") {
			continue
		}
		if err := p.declaration(l); err != nil {
			return noType, err
		}
	}
	if _, err := p.attributes(a); err != nil { // which are known
		return noType, err
	}
	if l.align = max(l.align, l.aligned); l.packed || l.aligned > 0 {
		p.host.aligned[name] = max(1, l.align)
	}
	t := Type{Kind: Record, Name: name, Size: l.size()}
	p.host.types[name], p.host.members[name] = t, l.members
	return t, nil
}

// declaration reads members of one type up to the ; behind them.
func (p *cParser) declaration(l *layout) error {
	base, err := p.base()
	if err != nil {
		return err
	}
	if base.Kind == Record && (p.peek() == ";" || p.peek() == "}") {
		l.add("", base, alignmentOf(base, p.host, 0))
		return nil
	}
	for {
		if err := p.declarator(l, base); err != nil {
			return err
		}
		if p.accept(",") {
			continue
		}
		if p.accept(";") || p.peek() == "}" {
			return nil
		}
		return fmt.Errorf("found %q, expected ;", p.peek())
	}
}

// declarator reads one member: *name[2][3], name : 4, (*name)(...).
func (p *cParser) declarator(l *layout, t Type) error {
	for p.accept("*") {
		t = pointerTo(t)
		for p.accept("const") || p.accept("volatile") {
			continue
		}
	}
	if p.accept("(") {
		return p.functionPointer(l)
	}
	name := ""
	if p.atWord() {
		name = p.next()
	}
	if p.accept(":") {
		width, err := p.integer()
		if err != nil || width < 0 || t.Kind != Integer || width > int64(t.Size*8) {
			return fmt.Errorf("a bit field %s of %d bits does not fit %s", name, width, t)
		}
		l.addBits(name, t, int(width))
		if last := len(l.members) - 1; width > 0 && name != "" && l.members[last].BitOffset+int(width) > t.Size*8 {
			return fmt.Errorf("the bits of %s, which are packed, are in more bytes than a %s has", name, t)
		}
		return nil
	}
	t, err := p.dimensions(t, 0)
	if err != nil {
		return err
	}
	if t.Kind == None && t.Size == 0 || name == "" || l.bits/8+t.Size > largestStruct {
		return fmt.Errorf("the member %q has no name or no size, or the structure more than %d bytes", name, largestStruct)
	}
	l.add(name, t, alignmentOf(t, p.host, 0))
	return nil
}

const largestStruct = 1 << 20

// dimensions reads [2][3]: the last is the innermost.
func (p *cParser) dimensions(t Type, depth int) (Type, error) {
	if !p.accept("[") {
		return t, nil
	}
	n := int64(0)
	if p.peek() != "]" {
		var err error
		if n, err = p.integer(); err != nil {
			return noType, err
		}
	}
	if err := p.expect("]"); err != nil {
		return noType, err
	}
	elem, err := p.dimensions(t, depth+1)
	if err != nil {
		return noType, err
	}
	if n < 0 || n > largestStruct || n*int64(max(1, elem.Size)) > largestStruct || depth > deepestStruct {
		return noType, fmt.Errorf("an array of %d elements is too large", n)
	}
	return Type{Kind: ArrayOf, Size: int(n) * elem.Size, Elem: &elem}, nil
}

// functionPointer reads (*name)(...), of which only the name matters.
func (p *cParser) functionPointer(l *layout) error {
	if err := p.expect("*"); err != nil {
		return err
	}
	name := p.next()
	if err := p.expect(")"); err != nil {
		return err
	}
	for depth := 0; p.peek() != ""; {
		switch p.next() {
		case "(":
			depth++
		case ")":
			depth--
		}
		if depth == 0 {
			break
		}
	}
	l.add(name, Type{Kind: Pointer, Size: word}, word)
	return nil
}
