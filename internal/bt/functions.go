// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"slices"

	"github.com/skep-io/skep/internal/bt/syntax"
)

// function is a function of the language.
type function struct {
	name string
	// signature as the reference shows it.
	signature string
	doc       string
	least     int // arguments
	most      int
	unsafe    bool
	kinds     []ProbeKind // of probes that have it; nil for all
	helper    int64       // of the kernel that it needs, or 0
	check     func(c *checker, call *syntax.Call) Type
	lower     func(f *lowering, call *syntax.Call) value
}

const anyNumber = 1 << 10

func functionTable() map[string]*function {
	table := map[string]*function{}
	for _, fn := range slices.Concat(mapFunctions(), aggregateFunctions(), outputFunctions(),
		textFunctions(), symbolFunctions(), addressFunctions(), actionFunctions()) {
		table[fn.name] = fn
	}
	return table
}

// call checks a call of a function of the language or of the script.
func (c *checker) call(x *syntax.Call) Type {
	if p := c.subprograms[x.Name]; p != nil {
		return c.callSubprogram(x, p)
	}
	fn := c.functions[x.Name]
	if fn == nil {
		for _, arg := range x.Args {
			c.expr(arg)
		}
		known := append(sortedNames(c.functions), sortedNames(c.subprograms)...)
		return c.hintf(x.Pos, nearest(x.Name, known), "there is no function %s", x.Name)
	}
	if n := len(x.Args); n < fn.least || n > fn.most {
		return c.hintf(x.Pos, fn.signature, "%s() takes %s, not %d", fn.name, countText(fn.least, fn.most), n)
	}
	if fn.unsafe && !c.options.Unsafe {
		return c.errorf(x.Pos, "%s() changes the system: it needs --unsafe", fn.name)
	}
	if !c.allowed(fn.kinds) {
		return c.errorf(x.Pos, "%s() is not there in %s", fn.name, c.where())
	}
	if fn.helper != 0 && c.unit.fn == nil && !c.host.Helper(fn.helper, c.unit.kind) {
		return c.errorf(x.Pos, "%s() needs a helper that this kernel does not have for %s", fn.name, c.where())
	}
	return fn.check(c, x)
}

func countText(least, most int) string {
	switch {
	case most == anyNumber:
		return "at least " + plural(least)
	case least == most:
		return plural(least)
	}
	return itoa(least) + " to " + plural(most)
}

func plural(n int) string {
	if n == 1 {
		return "1 argument"
	}
	return itoa(n) + " arguments"
}

func (c *checker) callSubprogram(x *syntax.Call, p *subprogram) Type {
	if c.unit.fn != nil && !slices.Contains(c.unit.fn.calls, x.Name) {
		c.unit.fn.calls = append(c.unit.fn.calls, x.Name)
	}
	if len(x.Args) != len(p.params) {
		return c.errorf(x.Pos, "%s() takes %s, not %d", x.Name, plural(len(p.params)), len(x.Args))
	}
	for i, arg := range x.Args {
		if t := c.value(arg); t.Kind != None && !same(t, p.params[i]) {
			c.errorf(arg.Position(), "argument %d of %s() must be %s, not %s", i+1, x.Name, p.params[i], t)
		}
	}
	return p.result
}

// text is the value of an argument that must be a literal, or a positional parameter.
func (c *checker) text(x syntax.Expr, what string) (string, bool) {
	if s, ok := literalText(x); ok {
		c.unit.types[x] = stringType(len(s) + 1)
		return s, true
	}
	c.expr(x)
	c.errorf(x.Position(), "%s must be a literal string", what)
	return "", false
}

// literalText is the text of a literal, or of str($1), str($1 + 2) and str($1, 5).
func literalText(x syntax.Expr) (string, bool) {
	switch x := x.(type) {
	case *syntax.String:
		return x.Value, true
	case *syntax.Positional:
		if x.Number > 0 {
			return x.Text, true
		}
	case *syntax.Call:
		if x.Name == "str" {
			return positionalText(x.Args)
		}
	}
	return "", false
}

// positionalText is what str() makes of a positional parameter.
func positionalText(args []syntax.Expr) (string, bool) {
	if len(args) == 0 {
		return "", false
	}
	from := int64(0)
	if sum, ok := args[0].(*syntax.Binary); ok && sum.Op == syntax.Add {
		if from, ok = constantOf(sum.Right); !ok || from < 0 {
			return "", false
		}
		args = append([]syntax.Expr{sum.Left}, args[1:]...)
	}
	p, ok := args[0].(*syntax.Positional)
	if !ok || p.Number == 0 {
		return "", false
	}
	text := p.Text[min(from, int64(len(p.Text))):]
	if len(args) > 1 {
		n, ok := constantOf(args[1])
		if !ok {
			return "", false
		}
		text = text[:min(max(n-1, 0), int64(len(text)))]
	}
	return text, true
}

// constantArg is the value of an argument that must be a constant integer.
func (c *checker) constantArg(x syntax.Expr, what string, least, most int64) int64 {
	c.value(x)
	n, ok := c.constant(x)
	switch {
	case !ok:
		c.errorf(x.Position(), "%s must be a constant", what)
	case n < least || n > most:
		c.errorf(x.Position(), "%s must be from %d to %d, not %d", what, least, most, n)
	}
	return n
}
