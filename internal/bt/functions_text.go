// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"net/netip"

	"github.com/skep-io/skep/internal/bt/syntax"
)

// textFunctions make or compare strings and bytes.
func textFunctions() []*function {
	return []*function{
		{name: "str", signature: "string str(char *data[, int length])", doc: "reads a text that ends with 0",
			least: 1, most: 2, check: (*checker).str, lower: (*lowering).str},
		{name: "kstr", signature: "string kstr(char *data[, int length])", doc: "reads a text in the kernel",
			least: 1, most: 2, check: (*checker).str, lower: (*lowering).str},
		{name: "ustr", signature: "string ustr(char *data[, int length])", doc: "reads a text in the process",
			least: 1, most: 2, check: (*checker).str, lower: (*lowering).str},
		{name: "buf", signature: "buffer buf(void *data[, int length])", doc: "reads bytes",
			least: 1, most: 2, check: (*checker).buf, lower: (*lowering).buf},
		{name: "strncmp", signature: "int strncmp(string a, string b, int n)", doc: "compares the first n bytes",
			least: 3, most: 3, check: (*checker).strncmp, lower: (*lowering).strncmp},
		{name: "strcontains", signature: "int strcontains(string haystack, string needle)", doc: "looks for a text in another",
			least: 2, most: 2, check: (*checker).strcontains, lower: (*lowering).strcontains},
		{name: "strftime", signature: "timestamp strftime(const string format, int nsecs)", doc: "formats a time",
			least: 2, most: 2, check: (*checker).strftime, lower: (*lowering).strftime},
		{name: "strerror", signature: "strerror_t strerror(int error)", doc: "names an error",
			least: 1, most: 1, check: numberTo(Type{Kind: Strerror, Size: word}), lower: (*lowering).relabel},
		{name: "bswap", signature: "uint bswap(uint n)", doc: "reverses bytes",
			least: 1, most: 1, check: (*checker).bswap, lower: (*lowering).bswap},
		{name: "ntop", signature: "inet ntop([int family,] int|char[4]|char[16] address)", doc: "formats an address",
			least: 1, most: 2, check: (*checker).ntop, lower: (*lowering).ntop},
		{name: "pton", signature: "char[] pton(const string address)", doc: "reads an address",
			least: 1, most: 1, check: (*checker).pton, lower: (*lowering).pton},
		{name: "macaddr", signature: "mac_address macaddr(char[6] address)", doc: "formats an address of a card",
			least: 1, most: 1, check: (*checker).macaddr, lower: (*lowering).macaddr},
	}
}

// numberTo checks a function that gives an integer another meaning.
func numberTo(t Type) func(*checker, *syntax.Call) Type {
	return func(c *checker, call *syntax.Call) Type {
		c.number(call.Args[0])
		return t
	}
}

// str checks str(address[, length]); its size is the constant length, which the 0 at the end
// is part of, or the largest.
func (c *checker) str(call *syntax.Call) Type {
	if s, ok := literalText(call); ok {
		c.unit.types[call.Args[0]] = stringType(len(s) + 1)
		return stringType(len(s) + 1)
	}
	t := c.value(call.Args[0])
	size := c.limits.MaxStrlen
	switch {
	case t.Kind == String:
		size = max(t.Size, 1)
	case t.Kind == ArrayOf:
		size = t.Size + 1
	case t.Kind != None && !t.isNumber():
		return c.errorf(call.Args[0].Position(), "%s() wants an address, not %s", call.Name, t)
	}
	if len(call.Args) == 2 {
		c.number(call.Args[1])
		if n, ok := c.constant(call.Args[1]); ok && n >= 0 && n < int64(size) {
			size = int(max(n, 1))
		}
	}
	return stringType(size)
}

func (c *checker) buf(call *syntax.Call) Type {
	t := c.value(call.Args[0])
	size := c.limits.MaxStrlen
	if t.Kind == ArrayOf || t.Kind == String {
		size = min(t.Size, largestString)
	} else if len(call.Args) == 1 && t.Kind != None {
		return c.errorf(call.Pos, "buf() must be told the length of what %s points to", t)
	}
	if len(call.Args) == 2 {
		c.number(call.Args[1])
		if n, ok := c.constant(call.Args[1]); ok {
			if n < 1 {
				return c.errorf(call.Args[1].Position(), "buf() reads at least one byte, not %d", n)
			}
			if t.isNumber() {
				size = int(min(n, int64(size)))
			}
		}
	}
	return Type{Kind: Buffer, Size: 4 + size}
}

// asText makes a text of the builtin probe where it is compared with one: the program is
// then one for each probe.
func (c *checker) asText(x syntax.Expr, t Type) Type {
	if name, ok := x.(*syntax.Name); ok && t.Kind == ProbeName && len(c.unit.targets) > 0 {
		c.unit.particular = true
		t = Type{Kind: String, Size: len(c.unit.nameOf(t)) + 1, Name: t.Name}
		c.unit.types[name] = t
	}
	return t
}

func (c *checker) strings(args ...syntax.Expr) {
	for _, arg := range args {
		if t := c.asText(arg, c.value(arg)); t.Kind != None && t.Kind != String {
			c.errorf(arg.Position(), "a string is wanted here, not %s", t)
		}
	}
}

func (c *checker) strncmp(call *syntax.Call) Type {
	c.strings(call.Args[0], call.Args[1])
	c.constantArg(call.Args[2], "the number of bytes", 0, largestString)
	return uint64Type
}

func (c *checker) strcontains(call *syntax.Call) Type {
	c.strings(call.Args[0], call.Args[1])
	return int64Type
}

func (c *checker) strftime(call *syntax.Call) Type {
	format, _ := c.text(call.Args[0], "the format of strftime()")
	c.number(call.Args[1])
	return Type{Kind: Timestamp, Size: word, Name: format}
}

func (c *checker) bswap(call *syntax.Call) Type {
	t := c.number(call.Args[0])
	if t.Kind == None {
		return noType
	}
	return Type{Kind: Integer, Size: t.Size}
}

func (c *checker) ntop(call *syntax.Call) Type {
	if len(call.Args) == 2 {
		c.number(call.Args[0])
	}
	t := c.value(call.Args[len(call.Args)-1])
	switch {
	case t.Kind == None, t.isNumber():
	case (t.Kind == ArrayOf || t.Kind == String) && (t.Size == 4 || t.Size == 16):
	case t.Kind == Record && (t.Size == 4 || t.Size == 16):
	default:
		return c.errorf(call.Pos, "ntop() wants an integer or an array of 4 or 16 bytes, not %s", t)
	}
	return Type{Kind: InetAddress, Size: 3 * word}
}

func (c *checker) pton(call *syntax.Call) Type {
	text, ok := c.text(call.Args[0], "the address of pton()")
	if !ok {
		return noType
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return c.errorf(call.Args[0].Position(), "pton(): %q is no address", text)
	}
	byteType := Type{Kind: Integer, Size: 1}
	return Type{Kind: ArrayOf, Size: address.BitLen() / 8, Elem: &byteType}
}

func (c *checker) macaddr(call *syntax.Call) Type {
	t := c.value(call.Args[0])
	if t.Kind != None && !t.isNumber() && (t.Kind != ArrayOf && t.Kind != String || t.Size != 6) {
		return c.errorf(call.Pos, "macaddr() wants an array of 6 bytes, not %s", t)
	}
	return Type{Kind: MACAddress, Size: 6}
}
