// SPDX-License-Identifier: Apache-2.0

package generate

import "fmt"

// mapOf is a map: what its keys and values are.
type mapOf struct {
	name string
	// key is the number of the form of its keys, see keyOf.
	key   int
	value kind
	// aggregate is the function that its values are of, or "".
	aggregate string
}

// castable are the aggregates that are numbers where they are read.
var castable = []string{"count", "sum", "avg", "min", "max"}

// The forms of keys.
const (
	noKey = iota
	numberKey
	textKey
	pairKey // of two numbers
	mixedKey
	keyForms
)

func (g *generator) newMap(i int) mapOf {
	m := mapOf{name: fmt.Sprintf("@m%d", i), key: g.Pick(keyForms), value: kind(g.Pick(int(kinds)))}
	if g.Pick(3) == 2 {
		m.value = number
		m.aggregate = g.of("count", "sum", "avg", "min", "max", "stats", "hist", "lhist")
	}
	return m
}

// isCastable tells whether the map can be read as a number.
func (m mapOf) isCastable() bool {
	for _, name := range castable {
		if m.aggregate == name {
			return true
		}
	}
	return false
}

// keyOf is a key of the map, without brackets.
func (g *generator) keyOf(m mapOf) string {
	switch m.key {
	case numberKey:
		return g.smallNumber()
	case textKey:
		return g.shortText()
	case pairKey:
		return g.smallNumber() + ", " + g.smallNumber()
	case mixedKey:
		return g.smallNumber() + ", " + g.shortText()
	}
	return ""
}

// smallNumber is one of few, so that keys meet.
func (g *generator) smallNumber() string {
	if g.Pick(2) == 0 {
		return fmt.Sprint(g.Pick(4))
	}
	return "(" + g.number(1) + ") & 3"
}

// element is the map with a key.
func (g *generator) element(m mapOf) string {
	if key := g.keyOf(m); key != "" {
		return m.name + "[" + key + "]"
	}
	return m.name
}

// some is one of the maps that fit, if there is one.
func (g *generator) some(fits func(mapOf) bool) (mapOf, bool) {
	var list []mapOf
	for _, m := range g.maps {
		if fits(m) {
			list = append(list, m)
		}
	}
	if len(list) == 0 {
		return mapOf{}, false
	}
	return list[g.Pick(len(list))], true
}

func isPlain(m mapOf) bool { return m.aggregate == "" }

// read is a map's value of a kind.
func (g *generator) read(k kind) (string, bool) {
	m, ok := g.some(func(m mapOf) bool { return m.value == k && (isPlain(m) || m.isCastable()) })
	if !ok || !g.known {
		return "", false
	}
	if m.aggregate != "" {
		return "(int64)" + g.element(m), true
	}
	return g.element(m), true
}

// store writes to a map.
func (g *generator) store() {
	if !g.isFunction {
		g.storeTo(g.maps[g.Pick(len(g.maps))])
	}
}

func (g *generator) storeTo(m mapOf) {
	switch m.aggregate {
	case "":
		g.assignElement(m)
	case "count":
		g.line("%s = count();", g.element(m))
	case "hist":
		bits := len(m.name) % 3 // the same wherever the map is
		g.line("%s = hist(%s, %d);", g.element(m), g.number(2), bits)
	case "lhist":
		g.line("%s = lhist(%s, -10, 100, 7);", g.element(m), g.number(2))
	default:
		g.line("%s = %s((int64)(%s));", g.element(m), m.aggregate, g.number(2))
	}
}

func (g *generator) assignElement(m mapOf) {
	if m.value != number {
		g.line("%s = %s;", g.element(m), g.value(m.value, 2))
		return
	}
	switch g.Pick(4) {
	case 0:
		g.line("%s%s;", g.element(m), g.of("++", "--"))
	case 1:
		g.line("%s %s %s;", g.element(m), g.of("+=", "-=", "*=", "|=", "&=", "^="), g.number(2))
	default:
		g.line("%s = %s;", g.element(m), g.number(3))
	}
}

// remove deletes a key.
func (g *generator) remove() {
	m, ok := g.some(func(m mapOf) bool { return m.key != noKey })
	if !ok || g.isFunction {
		return
	}
	if m.key > textKey || g.Pick(2) == 0 {
		g.line("delete(%s);", g.element(m))
		return
	}
	g.line("delete(%s, %s);", m.name, g.keyOf(m))
}

// again reads an element, changes the map, and reads it again.
func (g *generator) again() {
	m, ok := g.some(func(m mapOf) bool { return m.key == numberKey && m.value == number && isPlain(m) })
	if !ok || g.isFunction {
		return
	}
	element := fmt.Sprintf("%s[%d]", m.name, g.Pick(3))
	before, after := g.name("n"), g.name("n")
	g.line("%s = %s;", before, element)
	switch g.Pick(3) {
	case 0:
		g.line("delete(%s);", element)
	case 1:
		g.line("%s = %s;", element, g.number(1))
	default:
		g.line("if (%s) { delete(%s); }", g.number(1), element)
	}
	g.line("%s = %s;", after, element)
	g.vars[number] = append(g.vars[number], before, after)
}

// each goes over a map. The order of keys is the kernel's: what is done with each must not
// depend on it.
func (g *generator) each() {
	m, ok := g.some(func(m mapOf) bool { return m.key != noKey && (isPlain(m) || m.isCastable()) })
	if !ok || g.isFunction {
		return
	}
	pair, sum := g.name("e"), g.name("n")
	g.line("%s = 0;", sum)
	g.line("for (%s : %s) {", pair, m.name)
	g.block(func() {
		if m.key == numberKey {
			g.line("%s += %s.0 * 3;", sum, pair)
		}
		switch m.value {
		case number:
			g.line("%s += %s.1;", sum, pair)
		case text:
			g.line("if (%s.1 == %s) { %s++; }", pair, g.literal(), sum)
		default:
			g.line("%s += %s.1.0;", sum, pair)
		}
	})
	g.vars[number] = append(g.vars[number], sum)
}
