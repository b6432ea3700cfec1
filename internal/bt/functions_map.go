// SPDX-License-Identifier: Apache-2.0

package bt

import "github.com/skep-io/skep/internal/bt/syntax"

// mapFunctions are those that take a map.
func mapFunctions() []*function {
	return []*function{
		{name: "delete", signature: "delete(map m, key k)", doc: "removes a key",
			least: 1, most: anyNumber, check: (*checker).deletes, lower: (*lowering).deletes},
		{name: "has_key", signature: "int has_key(map m, key k)", doc: "tells whether a key is there",
			least: 2, most: 2, check: (*checker).hasKey, lower: (*lowering).hasKey},
		{name: "clear", signature: "clear(map m)", doc: "removes all keys",
			least: 1, most: 1, check: (*checker).wholeOnly, lower: (*lowering).clearMap},
		{name: "zero", signature: "zero(map m)", doc: "sets all values to 0",
			least: 1, most: 1, check: (*checker).wholeOnly, lower: (*lowering).clearMap},
		{name: "len", signature: "int len(map m), int len(stack s)", doc: "counts keys or frames",
			least: 1, most: 1, check: (*checker).length, lower: (*lowering).length},
	}
}

// deletes checks delete(@m) and delete(@m, k), which tell whether there was such a key, and the
// older delete(@m[k], ...).
func (c *checker) deletes(call *syntax.Call) Type {
	m, info := c.wholeMap(call.Args[0])
	if m != nil {
		key := noType
		if len(call.Args) > 2 {
			return c.errorf(call.Pos, "a key of several parts is one tuple: delete(%s, (a, b))", m.Name)
		}
		if len(call.Args) == 2 {
			if key = c.value(call.Args[1]); key.Kind == None {
				return noType
			}
		}
		c.learnKey(info, key, call)
		return int64Type
	}
	for _, arg := range call.Args {
		m, ok := arg.(*syntax.Map)
		if !ok {
			c.expr(arg)
			return c.errorf(arg.Position(), "delete() removes keys of maps")
		}
		c.mapOf(m)
	}
	return noType
}

func (c *checker) hasKey(call *syntax.Call) Type {
	m, info := c.wholeMap(call.Args[0])
	key := c.value(call.Args[1])
	if m == nil {
		c.expr(call.Args[0])
		return c.errorf(call.Args[0].Position(), "has_key() looks into a map: has_key(@m, key)")
	}
	if key.Kind != None {
		c.learnKey(info, key, call)
	}
	return int64Type
}

func (c *checker) wholeOnly(call *syntax.Call) Type {
	if m, _ := c.wholeMap(call.Args[0]); m == nil {
		c.expr(call.Args[0])
		return c.errorf(call.Args[0].Position(), "%s() takes a whole map, without a key", call.Name)
	}
	return noType
}

func (c *checker) length(call *syntax.Call) Type {
	if m, _ := c.wholeMap(call.Args[0]); m != nil {
		return int64Type
	}
	t := c.value(call.Args[0])
	if t.Kind != None && t.Kind != KStack && t.Kind != UStack {
		return c.errorf(call.Pos, "len() counts the keys of a map or the frames of a stack, not %s", t)
	}
	return int64Type
}

// aggregateFunctions are those whose result is only ever assigned to a map.
func aggregateFunctions() []*function {
	one := func(name, doc string, kind Kind, size int) *function {
		return &function{name: name, signature: name + "_t " + name + "(int n)", doc: doc, least: 1, most: 1,
			check: func(c *checker, call *syntax.Call) Type {
				t := c.number(call.Args[0])
				if t.Kind == None {
					return noType
				}
				return Type{Kind: kind, Size: size, Signed: t.Signed && t.Kind == Integer}
			}, lower: (*lowering).misplaced}
	}
	return []*function{
		{name: "count", signature: "count_t count()", doc: "counts calls",
			check: func(*checker, *syntax.Call) Type { return Type{Kind: CountOf, Size: word} }, lower: (*lowering).misplaced},
		one("sum", "adds up", SumOf, word),
		one("min", "keeps the smallest", MinOf, 2*word),
		one("max", "keeps the largest", MaxOf, 2*word),
		one("avg", "keeps sum and count", AvgOf, 2*word),
		one("stats", "keeps sum and count", StatsOf, 2*word),
		{name: "hist", signature: "hist_t hist(int n[, int k])", doc: "counts by powers of two, 2^k buckets in each",
			least: 1, most: 2, check: (*checker).hist, lower: (*lowering).misplaced},
		{name: "lhist", signature: "lhist_t lhist(int n, int min, int max, int step)", doc: "counts by steps",
			least: 4, most: 4, check: (*checker).lhist, lower: (*lowering).misplaced},
	}
}

// histogramBuckets is how many buckets a histogram of powers of two has: one for what is
// negative, then those of [HistogramIndex].
func histogramBuckets(bits int) int { return (65-bits)<<bits + 1 }

func (c *checker) hist(call *syntax.Call) Type {
	c.number(call.Args[0])
	bits := int64(0)
	if len(call.Args) == 2 {
		bits = min(5, max(0, c.constantArg(call.Args[1], "the bits of a histogram", 0, 5)))
	}
	return Type{Kind: HistogramOf, Size: histogramBuckets(int(bits)) * word, Bits: int(bits)}
}

const mostLinearBuckets = 1000

func (c *checker) lhist(call *syntax.Call) Type {
	c.number(call.Args[0])
	unbounded := int64(1) << 62
	low := c.constantArg(call.Args[1], "the smallest value", -unbounded, unbounded)
	high := c.constantArg(call.Args[2], "the largest value", -unbounded, unbounded)
	step := c.constantArg(call.Args[3], "the step", 1, unbounded)
	switch {
	case step < 1:
		return noType
	case low >= high:
		return c.errorf(call.Pos, "lhist() goes from a smaller value to a larger one, not from %d to %d", low, high)
	case (high-low)/step > mostLinearBuckets:
		return c.errorf(call.Pos, "lhist() has %d buckets; at most %d are possible", (high-low)/step, mostLinearBuckets)
	}
	buckets := int((high-low+step-1)/step) + 2
	return Type{Kind: LinearHistogramOf, Size: buckets * word, Min: low, Max: high, Step: step}
}
