// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"math"
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/bt/render"
)

func samples() []render.Value {
	number := render.Value{Kind: render.Integer, Int: -1, Size: 4}
	frames := []render.Frame{{Address: 1, Name: "f", Offset: 2, Module: "m", User: true}, {Address: math.MaxUint64}}
	return []render.Value{
		{}, number,
		{Kind: render.Integer, Int: math.MinInt64}, {Kind: render.Unsigned, Int: -1}, {Kind: render.Bool, Int: 1}, {Kind: render.Bool},
		{Kind: render.Pointer, Int: -4096}, {Kind: render.Enum, Int: 3, Text: "THREE"}, {Kind: render.Text, Text: "a\xff\x00b"}, {Kind: render.Buffer, Text: "\x00\xff"},
		{Kind: render.Tuple, Elems: []render.Value{number, {Kind: render.Array, Elems: []render.Value{number, number}}}},
		{Kind: render.Array, Elems: []render.Value{number}},
		{Kind: render.Record, Names: []string{"a", "b"}, Elems: []render.Value{number, number}},
		{Kind: render.Symbol, Frames: frames[:1]},
		{Kind: render.Stack, Form: render.ByName, Frames: frames}, {Kind: render.Stack, Form: render.AsPerf, Frames: frames}, {Kind: render.Stack, Form: render.Addresses, Frames: frames},
		{Kind: render.Average, Int: -7, Count: 3}, {Kind: render.Stats, Int: -7, Count: 3},
		{Kind: render.Histogram, Linear: true, Buckets: []render.Bucket{{High: 5, Below: true, Count: 1}, {Low: 5, High: 10, Count: 2}, {Low: 10, Above: true, Count: math.MaxUint64}}},
		{Kind: render.Histogram, Buckets: []render.Bucket{{Low: 1, High: 2, Count: 1}}},
	}
}

// through sends a message over the wire.
func through[M proto.Message](t *testing.T, m, into M) M {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
	return into
}

// TestThere: what arrives is what was sent, of every kind that render knows.
func TestThere(t *testing.T) {
	seen := map[render.Kind]bool{}
	for _, v := range samples() {
		seen[v.Kind] = true
		if got := ValueOf(through(t, Value(v), &skepv1.TraceValue{})); !reflect.DeepEqual(got, v) {
			t.Errorf("sent %+v\ngot  %+v", v, got)
		}
	}
	if len(seen) != int(render.Histogram)+1 {
		t.Errorf("only %d kinds of values are tested", len(seen))
	}
}

func TestMapThere(t *testing.T) {
	m := &render.Map{Name: "@x", Divisor: 10, Top: 2}
	for i, v := range samples() {
		m.Entries = append(m.Entries, render.Entry{Key: []render.Value{{Kind: render.Integer, Int: int64(i)}}, Value: v})
	}
	got := MapOf(through(t, Print(m), &skepv1.TracePrint{}))
	if got.String() != m.String() || len(got.Entries) != 2 {
		t.Errorf("sent\n%s\ngot\n%s", m, got)
	}
	bare := &render.Map{Name: "@", Entries: []render.Entry{{Value: samples()[1]}}}
	if got := MapOf(through(t, Print(bare), &skepv1.TracePrint{})); got.String() != "@: -1\n" {
		t.Errorf("got %q", got)
	}
}

// TestNames: what a program calls its symbols need not be UTF-8, and must not make a message
// that cannot be read.
func TestNames(t *testing.T) {
	v := render.Value{Kind: render.Symbol, Frames: []render.Frame{{Name: "f\xff", Module: "/tmp/\xfe"}}}
	if got := ValueOf(through(t, Value(v), &skepv1.TraceValue{})); got.Frames[0].Name != "f\ufffd" || got.Frames[0].Module != "/tmp/\ufffd" {
		t.Errorf("got %+v", got)
	}
}

// FuzzValue: whatever an agent sends can be shown, and sent on.
func FuzzValue(f *testing.F) {
	for _, v := range samples() {
		data, err := proto.Marshal(&skepv1.TracePrint{Name: "@", Entries: []*skepv1.TraceEntry{{Key: Values([]render.Value{v}), Value: Value(v)}}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var p skepv1.TracePrint
		if proto.Unmarshal(data, &p) != nil {
			return
		}
		m := MapOf(&p)
		if text := m.String(); MapOf(Print(m)).String() != text {
			t.Errorf("%q changes on the way", text)
		}
	})
}
