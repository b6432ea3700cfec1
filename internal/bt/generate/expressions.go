// SPDX-License-Identifier: Apache-2.0

package generate

import "fmt"

// value is an expression of a kind, with so many levels of operators at most.
func (g *generator) value(k kind, depth int) string {
	switch k {
	case number:
		return g.number(depth)
	case text:
		return g.words(depth)
	}
	switch g.Pick(4) {
	case 0:
		if len(g.vars[pair]) > 0 {
			return g.variable(pair)
		}
	case 1:
		if s, ok := g.read(pair); ok && !g.isFunction {
			return s
		}
	}
	return "(" + g.number(depth-1) + ", " + g.words(depth-1) + ")"
}

// number is an integer.
func (g *generator) number(depth int) string {
	if depth <= 0 {
		return g.simple()
	}
	x := func() string { return g.number(depth - 1) }
	switch n := g.Pick(22); {
	case n < 3:
		return g.simple()
	case n < 9:
		return "(" + x() + " " + g.of("+", "-", "*", "&", "|", "^", "<<", ">>") + " " + x() + ")"
	case n < 11:
		return "(" + x() + " " + g.of("==", "!=", "<", "<=", ">", ">=") + " " + x() + ")"
	case n < 12:
		return "(" + x() + " " + g.of("&&", "||") + " " + x() + ")"
	case n < 13:
		return "(" + x() + " " + g.of("/", "%") + " " + g.divisor() + ")"
	case n < 14:
		return g.of("!", "~", "-") + "(" + x() + ")"
	case n < 15:
		return "((" + g.integerType() + ")(" + x() + "))"
	case n < 16:
		return "(" + x() + " ? " + x() + " : " + x() + ")"
	case n < 17:
		return fmt.Sprintf("bswap((%s)(%s))", g.of("uint16", "uint32", "uint64", "uint8"), x())
	case n < 18:
		return g.call(depth)
	case n < 20:
		return "((" + g.of("int32", "uint32", "int8") + ")(" + x() + ") " + g.of("<", "<=", ">", ">=", "==") + " " + g.of("0", "1", "5", "-1", "100") + ")"
	}
	return g.ofTexts(depth)
}

// divisor is a number that the text does not show to be 0.
func (g *generator) divisor() string {
	if g.Pick(2) == 0 || len(g.vars[number]) == 0 {
		return fmt.Sprint([]int64{1, 2, 3, 7, 10, 64, -1, -3, 1 << 31, 1 << 40}[g.Pick(10)])
	}
	return g.variable(number)
}

// call is a function of the script or one that looks at maps.
func (g *generator) call(depth int) string {
	if n := len(g.functions); n > 0 && !g.isFunction && g.Pick(2) == 0 {
		i := g.Pick(n)
		args := g.number(depth - 1)
		for range g.functions[i] - 1 {
			args += ", " + g.number(depth-1)
		}
		return fmt.Sprintf("f%d(%s)", i, args)
	}
	if m, ok := g.some(func(m mapOf) bool { return m.key == numberKey || m.key == textKey }); ok && !g.isFunction {
		if g.Pick(2) == 0 {
			return "len(" + m.name + ")"
		}
		return "has_key(" + m.name + ", " + g.keyOf(m) + ")"
	}
	return g.simple()
}

// ofTexts is what a text or a pair says as a number.
func (g *generator) ofTexts(depth int) string {
	if g.isFunction {
		return g.simple()
	}
	switch g.Pick(5) {
	case 0:
		return "(" + g.words(depth-1) + " " + g.of("==", "!=") + " " + g.words(depth-1) + ")"
	case 1:
		return fmt.Sprintf("strncmp(%s, %s, %d)", g.words(depth-1), g.words(depth-1), 1+g.Pick(9))
	case 2:
		return "strcontains(" + g.words(0) + ", " + g.literal() + ")"
	case 3:
		if len(g.vars[pair]) > 0 {
			return g.variable(pair) + ".0"
		}
	}
	return "(" + g.words(depth-1) + " == " + g.literal() + ")"
}

// simple is a number without operators.
func (g *generator) simple() string {
	switch n := g.Pick(12); {
	case n < 4 && len(g.vars[number]) > 0:
		return g.variable(number)
	case n < 6 && !g.isFunction:
		if s, ok := g.read(number); ok {
			return s
		}
	case n == 6:
		return g.of("pid", "tid", "uid", "gid", "cpu", "ncpus")
	case n == 7 && len(g.at.Words) > 0:
		return g.of(g.at.Words...)
	case n == 8 && !g.isFunction:
		return g.memory()
	}
	special := []string{
		"0", "1", "2", "-1", "3", "5", "7", "8", "10", "31", "63", "64", "127", "128", "255", "256", "-128", "1000", "65535",
		"2147483648", "2147483647", "-2147483648", "4294967296", "4294967295", "9223372036854775807", "-9223372036854775807",
		"18446744073709551615",
	}
	if n := g.Pick(len(special) + 4); n < len(special) {
		return special[n]
	}
	return fmt.Sprint(int32(g.Raw()))
}

// memory reads a number at $1, which is memory of the process.
func (g *generator) memory() string {
	width := []int{4, 8, 2, 1}[g.Pick(4)]
	name := map[int][]string{1: {"int8", "uint8"}, 2: {"int16", "uint16"}, 4: {"int32", "uint32"}, 8: {"int64", "uint64"}}[width]
	return fmt.Sprintf("*uptr((%s *)($1 + %d))", g.of(name...), g.Pick(MemorySize/width)*width)
}

// words is a text.
func (g *generator) words(depth int) string {
	switch n := g.Pick(10); {
	case n < 3 && len(g.vars[text]) > 0:
		return g.variable(text)
	case n < 5:
		if s, ok := g.read(text); ok {
			return s
		}
	case n == 5:
		return "comm"
	case n == 6 && depth > 0:
		return "(" + g.number(depth-1) + " ? " + g.words(depth-1) + " : " + g.words(depth-1) + ")"
	case n == 7 && len(g.vars[pair]) > 0:
		return g.variable(pair) + ".1"
	case n == 8:
		return g.textInMemory(depth)
	case n == 9 && len(g.at.Texts) > 0:
		return g.of(g.at.Texts...)
	}
	return g.literal()
}

// shortText is a text for a key, which reads no map itself.
func (g *generator) shortText() string {
	if g.Pick(2) == 1 && len(g.vars[text]) > 0 {
		return g.variable(text)
	}
	return g.of(`"a"`, `"b"`, "comm", `"a longer key"`)
}

func (g *generator) textInMemory(depth int) string {
	address := fmt.Sprintf("uptr($1 + %d)", 64+g.Pick(48))
	switch g.Pick(4) {
	case 0:
		return fmt.Sprintf("str(%s, %d)", address, 1+g.Pick(20))
	case 1:
		return fmt.Sprintf("str(%s, (%s) & 15)", address, g.number(depth-1))
	}
	return "str(" + address + ")"
}

func (g *generator) literal() string {
	return g.of(`"a"`, `""`, `"ab"`, `"abcdefgh"`, `"abcdefghi"`, `"zz top"`, `"a rather long text, longer than a name"`, `"abc"`)
}
