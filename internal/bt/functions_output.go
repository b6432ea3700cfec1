// SPDX-License-Identifier: Apache-2.0

package bt

import "github.com/skep-io/skep/internal/bt/syntax"

// outputFunctions are those that the reader of the ring does its part of.
func outputFunctions() []*function {
	return []*function{
		{name: "printf", signature: "printf(const string format, ...)", doc: "prints by a format",
			least: 1, most: anyNumber, check: (*checker).formatted, lower: (*lowering).printf},
		{name: "errorf", signature: "errorf(const string format, ...)", doc: "prints an error by a format",
			least: 1, most: anyNumber, check: (*checker).formatted, lower: (*lowering).printf},
		{name: "warnf", signature: "warnf(const string format, ...)", doc: "prints a warning by a format",
			least: 1, most: anyNumber, check: (*checker).formatted, lower: (*lowering).printf},
		{name: "system", signature: "system(const string format, ...)", doc: "runs a command", unsafe: true,
			least: 1, most: anyNumber, check: (*checker).formatted, lower: (*lowering).printf},
		{name: "cat", signature: "cat(const string format, ...)", doc: "prints a file",
			least: 1, most: anyNumber, check: (*checker).formatted, lower: (*lowering).printf},
		{name: "print", signature: "print(value), print(map[, top[, divisor]])", doc: "prints a value or a map",
			least: 1, most: 3, check: (*checker).print, lower: (*lowering).print},
		{name: "time", signature: "time([const string format])", doc: "prints the time of the day",
			least: 0, most: 1, check: (*checker).time, lower: (*lowering).time},
		{name: "join", signature: "join(char *array[][, const string separator])", doc: "prints an array of strings",
			least: 1, most: 2, check: (*checker).join, lower: (*lowering).join},
		{name: "exit", signature: "exit([int code])", doc: "ends the script",
			least: 0, most: 1, check: (*checker).exit, lower: (*lowering).exit},
	}
}

// formatted checks a format and what is put into it.
func (c *checker) formatted(call *syntax.Call) Type {
	format, ok := c.text(call.Args[0], "the format of "+call.Name+"()")
	var types []Type
	for _, arg := range call.Args[1:] {
		t := c.expr(arg)
		if t.isAggregate() {
			t = c.value(arg)
			c.unit.types[arg] = t
		}
		types = append(types, t)
	}
	if !ok {
		return noType
	}
	verbs, err := parseFormat(format)
	if err != "" {
		return c.errorf(call.Args[0].Position(), "%s(): %s", call.Name, err)
	}
	if len(verbs) != len(types) {
		return c.errorf(call.Pos, "%s(): the format wants %d values, and there are %d", call.Name, len(verbs), len(types))
	}
	for i, verb := range verbs {
		if t := types[i]; t.Kind != None && !verb.takes(t) {
			c.errorf(call.Args[i+1].Position(), "%s(): %s does not print %s", call.Name, verb.text, t)
		}
	}
	return noType
}

func (c *checker) print(call *syntax.Call) Type {
	if m, _ := c.wholeMap(call.Args[0]); m == nil {
		t := c.expr(call.Args[0])
		if len(call.Args) > 1 {
			return c.errorf(call.Pos, "only a map can be printed with top and divisor")
		}
		if _, isMap := call.Args[0].(*syntax.Map); isMap && t.isAggregate() && !t.isCastable() {
			return c.errorf(call.Pos, "one value of type %s cannot be printed: print the whole map", t)
		}
		return noType
	}
	for _, arg := range call.Args[1:] {
		c.constantArg(arg, "top and divisor", 0, 1<<62)
	}
	return noType
}

func (c *checker) time(call *syntax.Call) Type {
	if len(call.Args) == 1 {
		c.text(call.Args[0], "the format of time()")
	}
	return noType
}

func (c *checker) join(call *syntax.Call) Type {
	t := c.value(call.Args[0])
	if t.Kind != None && !t.isNumber() {
		c.errorf(call.Args[0].Position(), "join() wants a pointer to pointers to text, not %s", t)
	}
	if len(call.Args) == 2 {
		c.text(call.Args[1], "the separator of join()")
	}
	return noType
}

func (c *checker) exit(call *syntax.Call) Type {
	if len(call.Args) == 1 {
		c.number(call.Args[0])
	}
	return noType
}
