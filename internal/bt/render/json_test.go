// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"testing"
)

// The texts are what Debian's bpftrace 0.23.2 prints with -f json, and, of records, what
// its own runtime tests want.
func TestMapJSON(t *testing.T) {
	n := func(i int64) Value { return Value{Kind: Integer, Int: i} }
	s := func(text string) Value { return Value{Kind: Text, Text: text} }
	hist := Value{Kind: Histogram, Buckets: []Bucket{{Low: 4, High: 8, Count: 1}}}
	wide := Value{Kind: Histogram, Linear: true, Buckets: []Bucket{{High: 0, Below: true, Count: 1}, {Low: 0, High: 10}, {Low: 10, Above: true, Count: 20}}}
	for _, c := range []struct {
		m    Map
		want string
	}{
		{Map{Name: "@a", Entries: []Entry{{[]Value{n(1), s("x")}, n(5)}}}, `{"type": "map", "data": {"@a": {"1,x": 5}}}`},
		{Map{Name: "@b", Entries: []Entry{{[]Value{s("k"), n(1)}, hist}}}, `{"type": "hist", "data": {"@b": {"k,1": [{"min": 4, "max": 7, "count": 1}]}}}`},
		{Map{Name: "@bb", Entries: []Entry{{nil, Value{Kind: Buffer, Text: "ab\x01"}}}}, `{"type": "map", "data": {"@bb": "ab\\x01"}}`},
		{Map{Name: "@d", Entries: []Entry{{nil, Value{Kind: Average, Int: 7, Count: 1}}}}, `{"type": "stats", "data": {"@d": 7}}`},
		{Map{Name: "@e", Entries: []Entry{{nil, Value{Kind: Stats, Int: 12, Count: 2}}}}, `{"type": "stats", "data": {"@e": {"count": 2, "average": 6, "total": 12}}}`},
		{Map{Name: "@ff", Entries: []Entry{{[]Value{n(1), {Kind: Tuple, Elems: []Value{n(2), n(3)}}}, Value{Kind: Average, Int: 2, Count: 1}}}}, `{"type": "stats", "data": {"@ff": {"1,[2,3]": 2}}}`},
		{Map{Name: "@h", Entries: []Entry{{[]Value{s("a")}, hist}, {[]Value{s("b")}, hist}}},
			`{"type": "hist", "data": {"@h": {"a": [{"min": 4, "max": 7, "count": 1}], "b": [{"min": 4, "max": 7, "count": 1}]}}}`},
		{Map{Name: "@w", Divisor: 10, Entries: []Entry{{nil, wide}}}, `{"type": "hist", "data": {"@w": [{"max": -1, "count": 0}, {"min": 0, "max": 9, "count": 0}, {"min": 10, "count": 2}]}}`},
		{Map{Name: "@z", Entries: []Entry{{nil, Value{Kind: Histogram}}}}, `{"type": "hist", "data": {"@z": []}}`},
		{Map{Name: "@p", Entries: []Entry{{nil, Value{Kind: Pointer, Int: 4096}}}}, `{"type": "map", "data": {"@p": 4096}}`},
		{Map{Name: "@u", Entries: []Entry{{nil, Value{Kind: Unsigned, Int: -1}}}}, `{"type": "map", "data": {"@u": 18446744073709551615}}`},
		{Map{Name: "@t", Top: 1, Divisor: 10, Entries: []Entry{{[]Value{n(1)}, n(5)}, {[]Value{n(2)}, n(70)}}}, `{"type": "map", "data": {"@t": {"2": 7}}}`},
		{Map{Name: "@none"}, `{"type": "map", "data": {"@none": {}}}`},
	} {
		got := c.m.AppendJSON(nil)
		if string(got) != c.want || !json.Valid(got) {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestValueJSON(t *testing.T) {
	one := Value{Kind: Integer, Int: 1}
	for _, c := range []struct {
		v    Value
		want string
	}{
		{Value{Kind: Tuple, Elems: []Value{one, {Kind: Text, Text: "string \"q\" <\n"}, {Kind: Tuple, Elems: []Value{one, one}}}}, `[1,"string \"q\" <\n",[1,1]]`},
		{Value{Kind: Record, Names: []string{"m", "n"}, Elems: []Value{one, {Kind: Record, Names: []string{"i"}, Elems: []Value{one}}}}, `{ "m": 1, "n": { "i": 1 } }`},
		{Value{Kind: Enum, Int: 333, Text: "FOO"}, `333`},
		{Value{Kind: Bool, Int: 1}, `true`},
		{Value{Kind: Text, Text: "a\xffb"}, "\"a\ufffdb\""},
		{Value{Kind: Text, Text: "\x1b[31m\r\n\t\u009b\u202e\U000e0001 é"}, `"\u001b[31m\r\n\t\u009b\u202e\udb40\udc01 é"`},
		{Value{}, `""`},
	} {
		got := c.v.AppendJSON(nil)
		if string(got) != c.want || !json.Valid(got) {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
