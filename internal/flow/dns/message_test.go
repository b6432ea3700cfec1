// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// header of a message: id 0x1234, and counts of questions and answers.
func header(bits uint16, questions, answers int) []byte {
	return []byte{0x12, 0x34, byte(bits >> 8), byte(bits), byte(questions >> 8), byte(questions), byte(answers >> 8), byte(answers), 0, 0, 0, 0}
}

// wire joins the parts of a message.
func wire(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case []byte:
			b = append(b, p...)
		case string:
			b = append(b, p...)
		case int:
			b = append(b, byte(p))
		}
	}
	return b
}

const (
	exampleOrg = "\x07example\x03org\x00"
	questionA  = exampleOrg + "\x00\x01\x00\x01"
	// name by pointer to the question, type and class follow
	toQuestion = "\xc0\x0c"
)

// rr is a resource record of class IN.
func rr(name string, typ uint16, ttl uint32, data string) string {
	return name + string([]byte{byte(typ >> 8), byte(typ), 0, 1, byte(ttl >> 24), byte(ttl >> 16), byte(ttl >> 8), byte(ttl),
		byte(len(data) >> 8), byte(len(data))}) + data
}

func answersOf(m *message) string {
	var all []string
	for _, a := range m.answers {
		all = append(all, fmt.Sprintf("%s %s %d %s", a.Name, a.Type, a.Ttl, a.Data))
	}
	return strings.Join(all, "; ")
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name     string
		wire     []byte
		question string // "name type class"
		answers  string
		reason   string // in message.reason
	}{
		{"query", wire(header(0x0100, 1, 0), questionA), "example.org. A ", "", ""},
		{"root", wire(header(0, 1, 0), 0, "\x00\x02\x00\x01"), ". NS ", "", ""},
		{"class and unknown type", wire(header(0, 1, 0), exampleOrg, "\xff\x00\x00\x03"), "example.org. TYPE65280 CH", "", ""},
		{"no question", wire(header(0x8001, 0, 0)), " None CLASS0", "", ""},
		{"bytes in a name", wire(header(0, 1, 0), "\x06a.\x00\xff\"\\\x00", "\x00\x01\x00\x01"), `a\.\000\255\"\\. A `, "", ""},
		{"addresses", wire(header(0x8180, 1, 2), questionA, rr(toQuestion, 1, 300, "\x0a\x01\x02\x03"),
			rr(toQuestion, 28, 7, "\x20\x01\x0d\xb8"+strings.Repeat("\x00", 11)+"\x01")), "example.org. A ",
			"example.org A 300 10.1.2.3; example.org AAAA 7 2001:db8::1", ""},
		{"chain", wire(header(0x8180, 1, 2), questionA, rr(toQuestion, 5, 1, "\x01w\xc0\x14"), rr("\xc0\x29", 1, 2, "\x01\x02\x03\x04")), "example.org. A ",
			"example.org CNAME 1 w.org; w.org A 2 1.2.3.4", ""},
		{"text and mail", wire(header(0x8180, 1, 2), questionA, rr(toQuestion, 16, 1, "\x03a\"b\x01\xe9"), rr(toQuestion, 15, 1, "\x00\x0a\x01m\xc0\x0c")),
			"example.org. A ", `example.org TXT 1 "a\"b" "\233"; example.org MX 1 10 m.example.org.`, ""},
		{"unknown answer", wire(header(0x8180, 1, 1), questionA, rr(toQuestion, 65280, 1, "\x01\x02")), "example.org. A ", `example.org TYPE65280 1 \# 2 0102`, ""},
		{"empty data", wire(header(0x8180, 1, 2), questionA, rr(toQuestion, 1, 1, ""), rr(toQuestion, 33, 1, "")), "example.org. A ",
			"example.org A 1 ; example.org SRV 1 ", ""},
		{"fewer than said", wire(header(0x8180, 1, 9), questionA, rr(toQuestion, 1, 1, "\x01\x02\x03\x04")), "example.org. A ", "example.org A 1 1.2.3.4", "cut short"},
		{"cut in an answer", wire(header(0x8180, 1, 1), questionA, rr(toQuestion, 1, 1, "\x01\x02\x03\x04"))[:40], "example.org. A ", "", "overflow"},
		{"loop in an answer", wire(header(0x8180, 1, 1), questionA, rr("\xc0\x1d", 1, 1, "\x01\x02\x03\x04")), "example.org. A ", "", "pointers"},
		{"loop in data", wire(header(0x8180, 1, 1), questionA, rr(toQuestion, 5, 1, "\xc0\x29")), "example.org. A ", "", "pointers"},
		{"wrong length of an address", wire(header(0x8180, 1, 1), questionA, rr(toQuestion, 1, 1, "\x01\x02\x03")), "example.org. A ", "", "overflow"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := parse(tt.wire, len(tt.wire))
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%s %s %s", m.name, typeName(m.qtype), className(m.class)); got != tt.question {
				t.Errorf("question %q, want %q", got, tt.question)
			}
			if got := answersOf(&m); got != tt.answers {
				t.Errorf("answers %q, want %q", got, tt.answers)
			}
			if tt.reason == "" && m.reason != "" || !strings.Contains(m.reason, tt.reason) || (m.omitted > 0) != (tt.reason != "") {
				t.Errorf("%d omitted because of %q, want one because of %q", m.omitted, m.reason, tt.reason)
			}
		})
	}
}

// hostileQuestions are messages that nobody can make sense of.
var hostileQuestions = map[string][]byte{
	"nothing":            {},
	"half a header":      header(0, 1, 0)[:11],
	"no question there":  header(0, 1, 0),
	"pointer to itself":  wire(header(0, 1, 0), "\xc0\x0c\x00\x01\x00\x01"),
	"pointers in a ring": wire(header(0, 1, 0), "\xc0\x0e\xc0\x0c\x00\x01\x00\x01"),
	"pointer to the end": wire(header(0, 1, 0), "\xc0\xff\x00\x01\x00\x01"),
	"label too long":     wire(header(0, 1, 0), "\x3fshort"),
	"reserved label":     wire(header(0, 1, 0), "\x80a\x00\x00\x01\x00\x01"),
	"name of 64 KiB":     wire(header(0, 1, 0), strings.Repeat("\x3f"+strings.Repeat("x", 63), 1024), "\x00\x00\x01\x00\x01"),
	"name of 256 bytes":  wire(header(0, 1, 0), strings.Repeat("\x01a", 128), "\x00\x00\x01\x00\x01"),
	"no class":           wire(header(0, 1, 0), exampleOrg, "\x00\x01\x00"),
	"many questions":     wire(header(0, 65535, 0), strings.Repeat(questionA, 100)),
}

func TestParseHostile(t *testing.T) {
	for name, raw := range hostileQuestions {
		if m, err := parse(raw, len(raw)); err == nil {
			t.Errorf("%s: taken for %+v", name, m)
		}
	}
}

func TestParseBounds(t *testing.T) {
	raw := wire(header(0x8180, 1, 300), questionA, strings.Repeat(rr(toQuestion, 16, 1, "\xff"+strings.Repeat("\xff", 255)+"\xff"+strings.Repeat("\xff", 255)), 300))
	m, err := parse(raw, len(raw))
	if err != nil || len(m.answers) != maxAnswers || m.omitted != 300-maxAnswers {
		t.Errorf("%d answers and %d omitted, %v; want %d of 300", len(m.answers), m.omitted, err, maxAnswers)
	}
	if n := len(m.answers[0].Data); n != maxDataBytes {
		t.Errorf("%d bytes of data, want %d", n, maxDataBytes)
	}
	// What was not captured is said to be missing, not wrong.
	raw = wire(header(0x8180, 1, 2), questionA, rr(toQuestion, 1, 1, "\x01\x02\x03\x04"), rr(toQuestion, 1, 1, "\x01\x02\x03\x04"))
	m, err = parse(raw[:len(raw)-5], len(raw))
	if err != nil || len(m.answers) != 1 || m.reason != fmt.Sprintf("only %d of %d bytes were captured", len(raw)-5, len(raw)) {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestParseCost: what a message costs must not grow with the square of its length.
func TestParseCost(t *testing.T) {
	chain := []byte{}
	for i := range 126 { // each pointer to the one before
		chain = append(chain, wire("\xc0", 12+2*max(0, i-1))...)
	}
	for name, message := range map[string]func(size int) []byte{
		"pointers": func(n int) []byte {
			return wire(header(0x8180, 0, 65535), 0, 0, chain, strings.Repeat(rr("\xc0\xf0", 1, 1, "\x01\x02\x03\x04"), n/16))
		},
		"text": func(n int) []byte {
			return wire(header(0x8180, 0, 65535), rr("\x00", 16, 1, strings.Repeat("\xff"+strings.Repeat("\x00", 255), n/256-1)))
		},
		"empty texts": func(n int) []byte {
			return wire(header(0x8180, 0, 65535), rr("\x00", 16, 1, strings.Repeat("\x00", n-100)))
		},
		"services": func(n int) []byte {
			return wire(header(0x8180, 0, 65535), strings.Repeat(rr("\x00", 64, 1, "\x00\x01\x00\x00\x01\x00\x03\x02h2"), n/20))
		},
	} {
		small, large := parseCost(t, message(4<<10)), parseCost(t, message(64<<10))
		t.Logf("%s: 4 KiB take %v, 64 KiB %v", name, small, large)
		if large > 64*small+8*time.Millisecond { // 16 times as much; its square would be 256
			t.Errorf("%s: 4 KiB take %v, 64 KiB %v", name, small, large)
		}
	}
}

// parseCost is the best of twenty: what else the machine does is not the message's cost.
func parseCost(t *testing.T, raw []byte) time.Duration {
	t.Helper()
	raw = raw[:min(len(raw), 65535)]
	best := time.Hour
	for range 20 {
		start := time.Now()
		if _, err := parse(raw, len(raw)); err != nil {
			t.Error(err)
		}
		best = min(best, time.Since(start))
	}
	return best
}

// FuzzParse: whatever the bytes, what is made of them is bounded and may be shown.
func FuzzParse(f *testing.F) {
	for _, raw := range hostileQuestions {
		f.Add(raw[:min(len(raw), 2000)], uint16(0))
	}
	f.Add(wire(header(0x8180, 1, 2), questionA, rr(toQuestion, 1, 300, "\x0a\x01\x02\x03"), rr(toQuestion, 5, 1, "\x01w\xc0\x14")), uint16(100))
	for typ := range uint16(300) {
		f.Add(wire(header(0x8180, 1, 1), questionA, rr(toQuestion, typ, 1, "\x01\x02\x03\x04\x05\x06\x07\x08\x01a\x00\x00\x00\x00\x00\x00\x01b\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c")), uint16(0))
	}
	f.Fuzz(func(t *testing.T, raw []byte, more uint16) {
		before := bytes.Clone(raw)
		m, err := parse(raw, len(raw)+int(more))
		if !bytes.Equal(raw, before) {
			t.Fatal("the message was changed")
		}
		if err != nil {
			return
		}
		texts := []string{m.name, m.reason, m.rcode(), m.opcode(), typeName(m.qtype), className(m.class)}
		for _, a := range m.answers {
			texts = append(texts, a.Name, a.Type, a.Data)
			if len(a.Data) > maxDataBytes+8 {
				t.Errorf("%d bytes of data", len(a.Data))
			}
		}
		for _, s := range texts {
			if !utf8.ValidString(s) {
				t.Errorf("not UTF-8: %q", s)
			}
		}
		if len(m.answers) > maxAnswers {
			t.Errorf("%d answers", len(m.answers))
		}
		if m.response() && (m.omitted > 0) != (m.reason != "") {
			t.Errorf("%d omitted because of %q", m.omitted, m.reason)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	raw := wire(header(0x8180, 1, 2), questionA, rr(toQuestion, 5, 1, "\x01w\xc0\x14"), rr("\xc0\x29", 1, 2, "\x01\x02\x03\x04"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parse(raw, len(raw)); err != nil {
			b.Fatal(err)
		}
	}
}
