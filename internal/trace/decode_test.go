// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/render"
	"github.com/skep-io/skep/internal/trace/host"
)

// words are numbers as programs write them.
func words(n ...int64) []byte {
	var out []byte
	for _, one := range n {
		out = binary.LittleEndian.AppendUint64(out, uint64(one))
	}
	return out
}

// deaf is a session without a kernel side.
func deaf(script *bt.Script) *Session {
	h := host.New("")
	d := &decoder{script: script, host: h, names: newNames(h, nil), maps: map[string]*bt.Map{}}
	s := &Session{decoder: d, rate: &rate{perSecond: 1 << 30}, queue: newQueue(1<<20, 1<<30)}
	for _, a := range script.Actions {
		s.formats = append(s.formats, render.ParseFormat(a.Format))
	}
	return s
}

var (
	signed   = bt.Type{Kind: bt.Integer, Size: 8, Signed: true}
	unsigned = bt.Type{Kind: bt.Integer, Size: 8}
	int8Type = bt.Type{Kind: bt.Integer, Size: 1, Signed: true}
	uint32s  = bt.Type{Kind: bt.Integer, Size: 4}
)

func TestValues(t *testing.T) {
	s := deaf(&bt.Script{ProbeNames: []string{"a", "kprobe:b"}})
	record := bt.Type{Kind: bt.Record, Fields: []bt.Field{{Name: "x", Type: uint32s, Offset: 4}, {Name: "low", Type: uint32s, BitSize: 3}, {Name: "high", Type: bt.Type{Kind: bt.Integer, Size: 4, Signed: true}, BitOffset: 3, BitSize: 5}}}
	for _, c := range []struct {
		what string
		t    bt.Type
		data []byte
		want string
	}{
		{"signed", signed, words(-5), "-5"},
		{"unsigned", unsigned, words(-1), "18446744073709551615"},
		{"small", int8Type, words(-1), "-1"},
		{"cut", uint32s, words(-1), "4294967295"},
		{"missing", signed, nil, "0"},
		{"pointer", bt.Type{Kind: bt.Pointer, Size: 8}, words(4096), "0x1000"},
		{"string", bt.Type{Kind: bt.String, Size: 8}, []byte("abc\x00defgh"), "abc"},
		{"full string", bt.Type{Kind: bt.String, Size: 4}, []byte("abcdef"), "abcd"},
		{"buffer", bt.Type{Kind: bt.Buffer, Size: 16}, append([]byte{3, 0, 0, 0}, "ab\x01zzz"...), `ab\x01`},
		{"lying buffer", bt.Type{Kind: bt.Buffer, Size: 8}, append([]byte{255, 255, 255, 255}, "abcdef"...), "abcd"},
		{"array", bt.Type{Kind: bt.ArrayOf, Size: 8, Elem: &uint32s}, []byte{1, 0, 0, 0, 2, 0, 0, 0}, "[1,2]"},
		{"tuple", bt.Type{Kind: bt.Tuple, Fields: []bt.Field{{Type: signed}, {Type: bt.Type{Kind: bt.String, Size: 8}, Offset: 8}}}, append(words(7), "seven\x00"...), "(7, seven)"},
		{"record", record, []byte{0xfd, 0, 0, 0, 9, 0, 0, 0}, "{ .x = 9, .low = 5, .high = 31 }"},
		{"inet", bt.Type{Kind: bt.InetAddress}, append(words(2), 127, 0, 0, 1), "127.0.0.1"},
		{"inet6", bt.Type{Kind: bt.InetAddress}, append(words(10), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), "::1"},
		{"mac", bt.Type{Kind: bt.MACAddress, Size: 6}, []byte{0, 0x1a, 2, 3, 4, 0xff}, "00:1A:02:03:04:FF"},
		{"user", bt.Type{Kind: bt.UserName}, words(0), "root"},
		{"nobody", bt.Type{Kind: bt.UserName}, words(987654), "987654"},
		{"errno", bt.Type{Kind: bt.KernelErrno}, words(-2), "ENOENT"},
		{"strerror", bt.Type{Kind: bt.Strerror}, words(5), "Input/output error"},
		{"signal", bt.Type{Kind: bt.SignalName}, words(9), "SIGKILL"},
		{"probe", bt.Type{Kind: bt.ProbeName}, words(1), "kprobe:b"},
		{"no probe", bt.Type{Kind: bt.ProbeName}, words(2), ""},
		{"timestamp", bt.Type{Kind: bt.Timestamp, Name: "%Y"}, words(int64(bootTime())), time.Now().Format("2006")},
		{"no stack", bt.Type{Kind: bt.KStack, Name: "stacks 1"}, words(-14), "\n"},
	} {
		if got := s.value(c.t, c.data).String(); got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, got, c.want)
		}
	}
}

// TestAggregates: what several CPUs have counted is one value.
func TestAggregates(t *testing.T) {
	s := deaf(&bt.Script{})
	for _, c := range []struct {
		what   string
		t      bt.Type
		values [][]byte
		want   string
	}{
		{"count", bt.Type{Kind: bt.CountOf}, [][]byte{words(3), words(4)}, "7"},
		{"sum", bt.Type{Kind: bt.SumOf, Signed: true}, [][]byte{words(3), words(-4)}, "-1"},
		{"min", bt.Type{Kind: bt.MinOf, Signed: true}, [][]byte{words(0, 0), words(5, 1), words(-3, 1)}, "-3"},
		{"min of positive", bt.Type{Kind: bt.MinOf, Signed: true}, [][]byte{words(0, 0), words(5, 1)}, "5"},
		{"max of negative", bt.Type{Kind: bt.MaxOf, Signed: true}, [][]byte{words(0, 0), words(-5, 1), words(-9, 1)}, "-5"},
		{"unsigned", bt.Type{Kind: bt.MaxOf}, [][]byte{words(-1, 1), words(5, 1)}, "18446744073709551615"},
		{"nothing seen", bt.Type{Kind: bt.MaxOf}, [][]byte{words(0, 0)}, "0"},
		{"avg", bt.Type{Kind: bt.AvgOf}, [][]byte{words(10, 3), words(5, 1)}, "3"},
		{"avg of nothing", bt.Type{Kind: bt.AvgOf}, [][]byte{words(0, 0)}, "0"},
		{"stats", bt.Type{Kind: bt.StatsOf}, [][]byte{words(10, 3), words(-5, 1)}, "count 4, average 1, total 5"},
		{"plain", signed, [][]byte{words(9)}, "9"},
		{"none", signed, nil, ""},
	} {
		if got := s.aggregate(c.t, c.values).String(); got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, got, c.want)
		}
	}
}

// TestBuckets: the limits are those of the values that programs put there.
func TestBuckets(t *testing.T) {
	linear := bt.Type{Kind: bt.LinearHistogramOf, Min: 10, Max: 30, Step: 10}
	v := (&decoder{}).histogram(linear, [][]byte{words(1, 0, 2, 3), words(0, 1, 0, 0)})
	want := []render.Bucket{{High: 10, Below: true, Count: 1}, {Low: 10, High: 20, Count: 1}, {Low: 20, High: 30, Count: 2}, {Low: 30, Above: true, Count: 3}}
	if len(v.Buckets) != len(want) || !v.Linear {
		t.Fatalf("got %+v", v)
	}
	for i := range want {
		if v.Buckets[i] != want[i] {
			t.Errorf("bucket %d: %+v, want %+v", i, v.Buckets[i], want[i])
		}
	}
	powers := (&decoder{}).histogram(bt.Type{Kind: bt.HistogramOf}, [][]byte{words(0, 0, 0, 4, 0, 1, 0)})
	if len(powers.Buckets) != 3 || powers.Buckets[0].Count != 4 || powers.Buckets[1].Count != 0 || powers.Total() != 5 {
		t.Errorf("got %+v", powers.Buckets)
	}
	if empty := (&decoder{}).histogram(linear, [][]byte{words(0, 0, 0, 0)}); len(empty.Buckets) != 0 {
		t.Errorf("got %+v", empty.Buckets)
	}
}

func TestRate(t *testing.T) {
	r := &rate{perSecond: 3}
	now := time.Now()
	allowed := 0
	for range 5 {
		if r.allow(now, 1) {
			allowed++
		}
	}
	if allowed != 3 || r.take() != 2 || r.take() != 0 || !r.allow(now.Add(time.Second), 100) || r.allow(now.Add(time.Second), 1) {
		t.Errorf("%d let through", allowed)
	}
}

// FuzzRecord: no bytes in the ring or in a map make it fail, whatever the types.
func FuzzRecord(f *testing.F) {
	text := bt.Type{Kind: bt.String, Size: 16}
	tuple := bt.Type{Kind: bt.Tuple, Fields: []bt.Field{{Type: signed}, {Type: text, Offset: 8}}}
	var all []bt.Field
	for kind := bt.Integer; kind <= bt.Strerror; kind++ {
		all = append(all, bt.Field{Type: bt.Type{Kind: kind, Size: 16, Elem: &uint32s, Fields: tuple.Fields}, Offset: 8 * len(all)})
	}
	script := &bt.Script{Actions: []bt.Action{
		{Kind: bt.Printf, Format: "%s %d %r %p %s", Args: all, Size: 16},
		{Kind: bt.PrintValue, Args: []bt.Field{{Type: tuple, Offset: 8}}, Size: 8},
		{Kind: bt.Join, Format: " ", Args: []bt.Field{{Type: signed, Offset: 8}, {Type: text, Offset: 16}, {Type: text, Offset: 1000}}},
		{Kind: bt.HelperError, Args: []bt.Field{{Type: signed, Offset: 8}}}, {Kind: bt.Time, Format: "%Y"}, {Kind: bt.Cat, Format: "%s"}, {Kind: bt.SystemCommand},
		{Kind: bt.Exit, Args: []bt.Field{{Type: signed, Offset: 8}}},
	}}
	f.Add(words(0, 1, 2, 3, 4, 5, 6, 7))
	f.Add(words(2, 1<<40))
	f.Add(words(3, -14))
	f.Add(words(7, 1))
	f.Add(words(1 << 40))
	shared := deaf(script).names // what it has looked up once
	f.Fuzz(func(t *testing.T, data []byte) {
		s := deaf(script)
		s.names = shared
		s.record(data)
		for _, field := range all {
			s.aggregate(field.Type, [][]byte{data})
		}
		for kind := bt.CountOf; kind <= bt.LinearHistogramOf; kind++ {
			v := s.aggregate(bt.Type{Kind: kind, Min: 1, Max: 100, Step: 3}, [][]byte{data, data[len(data)/2:]})
			_ = v.String()
		}
		for _, o := range s.batch {
			_ = o.Value.String()
		}
	})
}

// A text that max_strlen has cut short says so; one of another size is whole.
func TestCutTexts(t *testing.T) {
	s := deaf(&bt.Script{Limits: bt.Limits{MaxStrlen: 5, CutMark: ".."}, Enums: map[string]map[int64]string{"enum color": {3: "RED"}}})
	for text, want := range map[string]string{"abcd\x00": "abcd..", "abc\x00\x00": "abc"} {
		if got := s.value(bt.Type{Kind: bt.String, Size: 5}, []byte(text)).String(); got != want {
			t.Errorf("%q: %q, expected %q", text, got, want)
		}
	}
	if got := s.value(bt.Type{Kind: bt.String, Size: 4}, []byte("abc\x00")).String(); got != "abc" {
		t.Errorf("a text of another size: %q", got)
	}
	color := bt.Type{Kind: bt.Integer, Size: 4, Name: "enum color"}
	if got := s.value(color, words(3)).String() + s.value(color, words(4)).String(); got != "RED4" {
		t.Errorf("values of an enumeration of the script: %q", got)
	}
}
