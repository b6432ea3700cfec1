// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event/sample"
	"github.com/skep-io/skep/test/filled"
)

func TestAppendJSON(t *testing.T) {
	for _, c := range []struct {
		name string
		in   proto.Message
		want string
	}{
		{"nil", nil, `{}`},
		{"nil message", (*skepv1.Record)(nil), `{}`},
		{"empty", &skepv1.Record{}, `{}`},
		{"set but empty body", &skepv1.Record{Kind: "fork", Body: &skepv1.Record_Fork{Fork: &skepv1.Fork{}}}, `{"kind":"fork","fork":{}}`},
		{"nil body", &skepv1.Record{Body: &skepv1.Record_Fork{}}, `{"fork":{}}`},
		{"uint64 is a number", &skepv1.Record{Seq: math.MaxUint64}, `{"seq":18446744073709551615}`},
		{"nine digits", &skepv1.Record{Time: timestamppb.New(time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("x", 3600)))}, `{"time":"2026-01-02T02:04:05.000000000Z"}`},
		{"invalid time", &skepv1.Record{Time: &timestamppb.Timestamp{Seconds: math.MaxInt64}}, `{"time":null}`},
		{"bytes", &skepv1.Exec{ArgsRaw: []byte{0xff, 0, 'a'}}, `{"args_raw":"/wBh"}`},
		{"list keeps empty strings", &skepv1.Exec{Args: []string{"", "a"}}, `{"args":["","a"]}`},
		{"map is sorted", &skepv1.Container{Labels: map[string]string{"z": "1", "a": "", "m<": "2"}}, `{"labels":{"a":"","m\u003c":"2","z":"1"}}`},
		{"bool", &skepv1.Exec{Memfd: true}, `{"memfd":true}`},
		{"enum", &skepv1.GetIdentityResponse{Uid: 7, Role: skepv1.Role_ROLE_OPERATE}, `{"uid":7,"role":"operate"}`},
		{"unnamed enum", &skepv1.GetIdentityResponse{Role: 42}, `{"role":42}`},
		{"duration", &skepv1.CreateTokenRequest{Ttl: durationpb.New(1500 * time.Millisecond)}, `{"ttl":"1.5s"}`},
		{"whole duration", &skepv1.CreateTokenRequest{Ttl: durationpb.New(time.Minute)}, `{"ttl":"60s"}`},
		{"negative duration", &skepv1.CreateTokenRequest{Ttl: durationpb.New(-time.Nanosecond)}, `{"ttl":"-0.000000001s"}`},
		{"zero duration that is set", &skepv1.CreateTokenRequest{Ttl: durationpb.New(0)}, `{"ttl":"0s"}`},
		{"doubles", &skepv1.ProgramStatus{NsPerRun: 812.5, CpuShare: math.NaN(), RunsPerSecond: math.Inf(-1)}, `{"runs_per_second":"-Infinity","ns_per_run":812.5,"cpu_share":"NaN"}`},
		{"list of messages", &skepv1.ListProcessesResponse{Processes: []*skepv1.ProcessInfo{{}, nil, {Cwd: "/"}}}, `{"processes":[{},{},{"cwd":"/"}]}`},
		{"order of the schema", &skepv1.Process{Unit: "u", Pid: 1, ProcessId: "p"}, `{"process_id":"p","pid":1,"uid":0,"unit":"u"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(AppendJSON([]byte("x "), c.in)); got != "x "+c.want {
				t.Errorf("got  %s\nwant x %s", got, c.want)
			}
		})
	}
}

// What a process chooses must reach neither the terminal nor the page as
// anything but text.
func TestJSONStringsAreHarmless(t *testing.T) {
	for in, want := range map[string]string{
		`say "hi" \ there`:           `"say \"hi\" \\ there"`,
		"\x1b[31m":                   `"\u001b[31m"`,
		"\x7f\u0080\u009b\u0085":     `"\u007f\u0080\u009b\u0085"`,
		"a\nb\rc\td\x00":             `"a\nb\rc\td\u0000"`,
		"</script><b>&amp;":          `"\u003c/script\u003e\u003cb\u003e\u0026amp;"`,
		"\u2028\u2029":               `"\u2028\u2029"`,
		"\u202eabc\u2066":            `"\u202eabc\u2066"`,
		"\xff\xc3(":                  "\"\uFFFD\uFFFD(\"",
		"cut \xe2\x82":               "\"cut \uFFFD\uFFFD\"",
		"größe 日本 \U0001F41D \uFFFD": "\"größe 日本 \U0001F41D \uFFFD\"",
	} {
		if got := string(appendString(nil, in)); got != want {
			t.Errorf("appendString(%q)\n got %s\nwant %s", in, got, want)
		}
	}
}

// Every message of the schema must have a plan: a panic here is a type that
// AppendJSON does not know.
func TestJSONOfWholeSchema(t *testing.T) {
	bodies := (&skepv1.Record{}).ProtoReflect().Descriptor().Oneofs().ByName("body").Fields().Len()
	messages := 0
	protoregistry.GlobalTypes.RangeMessages(func(typ protoreflect.MessageType) bool {
		if typ.Descriptor().ParentFile().Package() != "skep.v1" || typ.Descriptor().IsMapEntry() {
			return true
		}
		messages++
		for turn := range bodies {
			m := typ.New()
			filled.Message(m, turn, 6)
			unnamed(m)
			checkSameAsProtojson(t, m.Interface())
		}
		return true
	})
	if messages < 40 {
		t.Errorf("the schema has only %d messages", messages)
	}
}

// unnamed gives enums a value without a name: ours are short, which protojson does not read.
func unnamed(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				unnamed(v.List().Get(i).Message())
			}
		case f.Message() != nil:
			unnamed(v.Message())
		case f.Enum() != nil:
			m.Set(f, protoreflect.ValueOfEnum(42))
		}
		return true
	})
}

// checkSameAsProtojson reads our JSON back with the reference implementation,
// which takes numbers and schema names too, and compares the messages.
func checkSameAsProtojson(t *testing.T, m proto.Message) {
	t.Helper()
	text := AppendJSON(nil, m)
	back := m.ProtoReflect().New().Interface()
	if err := protojson.Unmarshal(text, back); err != nil {
		t.Fatalf("protojson refuses %s: %v", text, err)
	}
	if !proto.Equal(m, back) {
		t.Fatalf("%s\nreads back as %v\nwas           %v", text, back, m)
	}
	checkHarmless(t, text)
}

func checkHarmless(t *testing.T, text []byte) {
	t.Helper()
	if !json.Valid(text) || !utf8.Valid(text) {
		t.Fatalf("not JSON: %q", text)
	}
	if i := bytes.IndexFunc(text, func(r rune) bool { return r < 0x20 || strings.ContainsRune("<>&", r) || r == 0x7f || deceptive(r) }); i >= 0 {
		t.Fatalf("unescaped character at %d: %q", i, text)
	}
}

func FuzzJSONString(f *testing.F) {
	for _, s := range []string{"", "a", "\x1b]0;x\x07", "<b>", "\xff", "\u2028", "\"\\", "\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ours := appendString(nil, s)
		checkHarmless(t, ours)
		theirs, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var a, b string
		if err := json.Unmarshal(ours, &a); err != nil {
			t.Fatal(err)
		}
		if json.Unmarshal(theirs, &b); a != b {
			t.Fatalf("%q reads back as %q, encoding/json's as %q", s, a, b)
		}
	})
}

func FuzzJSONRecord(f *testing.F) {
	for _, r := range []*skepv1.Record{{}, sample.Exec(1), sample.Close(2), sample.Loss("")} {
		wire, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		r := &skepv1.Record{}
		if (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(wire, r) != nil {
			return
		}
		if !r.GetTime().IsValid() {
			r.Time = nil
		}
		checkSameAsProtojson(t, r)
	})
}

func BenchmarkJSONExec(b *testing.B) {
	r, dst := sample.Exec(1), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendJSON(dst[:0], r)
	}
	b.SetBytes(int64(len(dst)))
}

func BenchmarkJSONExecProtojson(b *testing.B) {
	r, dst := sample.Exec(1), make([]byte, 0, 4096)
	options := protojson.MarshalOptions{UseProtoNames: true}
	for b.Loop() {
		dst, _ = options.MarshalAppend(dst[:0], r)
	}
}

func BenchmarkJSONClose(b *testing.B) {
	r, dst := sample.Close(1), make([]byte, 0, 4096)
	for b.Loop() {
		dst = AppendJSON(dst[:0], r)
	}
}
