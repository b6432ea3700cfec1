// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"fmt"
	"strconv"
	"strings"
)

// definedHost is a host with the types that a script defines in C in front of those of the
// kernel.
type definedHost struct {
	Host
	types   map[string]Type     // "struct x", "union x", "enum x"
	members map[string][]Member // by Type.Name
	enums   map[string]int64
	enumOf  map[string]string
	names   map[string]map[int64]string // of enumerators, by enumeration and value
	aligned map[string]int              // structures whose attributes say so, in bytes
	unnamed int
}

// Type implements Host.
func (d *definedHost) Type(name string) (Type, bool) {
	if t, ok := d.types[name]; ok {
		return t, true
	}
	return d.Host.Type(name)
}

// Members implements Host.
func (d *definedHost) Members(name string) ([]Member, bool) {
	if m, ok := d.members[name]; ok {
		return m, true
	}
	return d.Host.Members(name)
}

// EnumValue implements Host.
func (d *definedHost) EnumValue(name string) (int64, string, bool) {
	if n, ok := d.enums[name]; ok {
		return n, d.enumOf[name], true
	}
	return d.Host.EnumValue(name)
}

// define reads the definitions of C in front of a script. Included headers are not read:
// what they would define, the kernel's type information has.
func (s *script) define() {
	d := &definedHost{Host: s.host, types: map[string]Type{}, members: map[string][]Member{},
		enums: map[string]int64{}, enumOf: map[string]string{}, names: map[string]map[int64]string{}, aligned: map[string]int{}}
	for _, definition := range s.program.Definitions {
		if definition.Kind == "#" {
			continue
		}
		p := &cParser{host: d, tokens: cTokens(definition.Text)}
		if _, err := p.base(); err != nil {
			s.errorf(definition.Pos, "this definition cannot be read: %v", err)
		}
	}
	if len(d.types) > 0 {
		s.host, s.enums = d, d.names
	}
}

// cTokens are the words, numbers and signs of a text in C, without comments.
func cTokens(text string) []string {
	var out []string
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case strings.HasPrefix(text[i:], "//"):
			i += lineEnd(text[i:])
		case strings.HasPrefix(text[i:], "/*"):
			end := strings.Index(text[i+2:], "*/")
			if end < 0 {
				return out
			}
			i += end + 4
		case isWordByte(c):
			start := i
			for i < len(text) && isWordByte(text[i]) {
				i++
			}
			out = append(out, text[start:i])
		case strings.IndexByte(" \t\n\r", c) >= 0:
			i++
		default:
			out = append(out, text[i:i+1])
			i++
		}
	}
	return out
}

func lineEnd(text string) int {
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		return i
	}
	return len(text)
}

func isWordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// cParser reads one definition of C: a structure, a union or an enumeration.
type cParser struct {
	host   *definedHost
	tokens []string
	depth  int
}

const deepestStruct = 16

func (p *cParser) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

func (p *cParser) next() string {
	t := p.peek()
	if len(p.tokens) > 0 {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *cParser) accept(t string) bool {
	if p.peek() != t {
		return false
	}
	p.next()
	return true
}

func (p *cParser) expect(t string) error {
	if !p.accept(t) {
		return fmt.Errorf("found %q, expected %q", p.peek(), t)
	}
	return nil
}

func (p *cParser) atWord() bool { return p.peek() != "" && isWordByte(p.peek()[0]) }

// base reads what a declaration begins with: a structure or the name of a type.
func (p *cParser) base() (Type, error) {
	var words []string
	for p.atWord() {
		switch w := p.peek(); w {
		case "const", "volatile", "__user", "__kernel", "restrict":
			p.next()
		case "struct", "union", "enum":
			return p.tagged(p.next())
		case "unsigned", "signed", "long", "short", "int", "char", "bool", "_Bool", "void", "float", "double":
			words = append(words, p.next())
		default:
			if len(words) > 0 {
				return p.named(words)
			}
			return p.named([]string{p.next()})
		}
	}
	return p.named(words)
}

// named is a type by its words: unsigned long int, u32.
func (p *cParser) named(words []string) (Type, error) {
	name := strings.Join(words, " ")
	switch name {
	case "":
		return noType, fmt.Errorf("found %q, expected a type", p.peek())
	case "void":
		return noType, nil
	case "float", "double", "long double": // they have a place, and no value
		return Type{Size: map[string]int{"float": 4, "double": 8, "long double": 16}[name], Name: name}, nil
	case "char", "signed char":
		return Type{Kind: Integer, Size: 1, Signed: true, Name: "char"}, nil
	}
	if t, ok := integerNamed(name); ok {
		return t, nil
	}
	if t, ok := combined(words); ok {
		return t, nil
	}
	if t, ok := p.host.Type(name); ok {
		return t, nil
	}
	return noType, fmt.Errorf("there is no type %s", name)
}

// combined is an integer by the words of C in any order.
func combined(words []string) (Type, bool) {
	t := Type{Kind: Integer, Size: 4, Signed: true}
	for _, w := range words {
		switch w {
		case "unsigned":
			t.Signed = false
		case "long":
			t.Size = 8
		case "short":
			t.Size = 2
		case "char", "bool", "_Bool":
			t.Size = 1
		case "signed", "int":
		default:
			return noType, false
		}
	}
	return t, true
}

// tagged reads struct x, with its members if they stand there.
func (p *cParser) tagged(tag string) (Type, error) {
	a, err := p.attributes(attributes{})
	if err != nil {
		return noType, err
	}
	name := ""
	if p.atWord() {
		name = p.next()
	}
	full := tag + " " + name
	if p.peek() != "{" {
		if t, ok := p.host.Type(full); ok {
			return t, nil
		}
		return Type{Kind: Record, Name: full}, nil // known by its name only
	}
	if name == "" {
		p.host.unnamed++
		full = tag + " #" + strconv.Itoa(p.host.unnamed)
	}
	p.next()
	if p.depth++; p.depth > deepestStruct {
		return noType, fmt.Errorf("structures are nested more than %d deep", deepestStruct)
	}
	defer func() { p.depth-- }()
	if tag == "enum" {
		return p.enumeration(full)
	}
	return p.structure(full, tag == "union", a)
}

func (p *cParser) enumeration(name string) (Type, error) {
	t := Type{Kind: Integer, Size: 4, Name: name}
	value, names := int64(0), map[int64]string{}
	for !p.accept("}") {
		if !p.atWord() {
			return noType, fmt.Errorf("found %q, expected the name of a constant", p.peek())
		}
		word := p.next()
		if p.accept("=") {
			n, err := p.integer()
			if err != nil {
				return noType, err
			}
			value = n
		}
		p.host.enums[word], p.host.enumOf[word] = value, name
		if names[value] == "" {
			names[value] = word
		}
		value++
		if !p.accept(",") && p.peek() != "}" {
			return noType, fmt.Errorf("found %q, expected , or }", p.peek())
		}
	}
	p.host.types[name], p.host.names[name] = t, names
	return t, nil
}

// integer reads a constant or a known enumerator, with a sign, and shifts to the left.
func (p *cParser) integer() (int64, error) {
	minus := p.accept("-")
	word := p.next()
	n, known := p.host.enums[word]
	if !known {
		var err error
		if n, err = strconv.ParseInt(strings.TrimRight(word, "uUlL"), 0, 64); err != nil {
			return 0, fmt.Errorf("found %q, expected a number", word)
		}
	}
	for p.accept("<") && p.accept("<") {
		shift, err := strconv.ParseUint(p.next(), 0, 6)
		if err != nil {
			return 0, fmt.Errorf("read a shift: %w", err)
		}
		n <<= shift
	}
	if minus {
		n = -n
	}
	return n, nil
}
