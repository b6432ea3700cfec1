// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event/sample"
)

func where(t *testing.T, expression string) *Filter {
	t.Helper()
	f, err := Compile(&skepv1.Filter{Where: expression}, Deps{})
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return f
}

func TestWhere(t *testing.T) {
	big := sample.Exec(1)
	big.GetExec().CgroupId = 1 << 63
	for _, c := range []struct {
		expression string
		record     *skepv1.Record
		want       bool
	}{
		{`kind == "exec" && process.uid == 1000`, sample.Exec(1), true},
		{`process.uid == 0`, sample.Exec(1), false},
		{`process.uid in [0, 1000]`, sample.Exec(1), true},
		{`exec.args.exists(a, a.startsWith("https:"))`, sample.Exec(1), true},
		{`exec.args[0] == "curl" && size(exec.args) == 3`, sample.Exec(1), true},
		{`exec.credentials.login_uid == 4294967295`, sample.Exec(1), true},
		{`exec.file.inode * 2 == 2469134`, sample.Exec(1), true},
		{`exec.cgroup_id > 0`, big, true},
		{`connection.bytes_received > 1024 * 1024`, sample.Close(1), true},
		{`connection.remote.port == 443 && connection.rtt_us < 100`, sample.Close(1), true},
		{`connection.remote.port == 443`, sample.Exec(1), false},
		{`exec.setuid`, sample.Exec(1), false},
		{`process.comm.matches("^c[a-z]+l$")`, sample.Exec(1), true},
		{`"a" in process.container.labels && process.container.labels["a"] == "1"`, sample.Exec(1), true},
		{`process.container.name == ""`, sample.Close(1), false},
		{`time > timestamp("2026-01-01T00:00:00Z")`, sample.Exec(1), true},
		{`has(record.exec) && !has(record.exit)`, sample.Exec(1), true},
		{`record.namespace == ""`, sample.Exec(1), true},
		{`process.container.namespace == "shop"`, sample.Exec(1), true},
		{`seq >= 7`, sample.Exec(7), true},
		{`dns.name == "example.org" && dns.answers.exists(a, a.data == "2001:db8::5")`, sample.DNS(1), true},
		{`dns.rcode == "NXDOMAIN" || dns.latency_ns > 1000 * 1000 * 1000`, sample.DNS(1), false},
		{`process.pid == 0`, &skepv1.Record{Kind: "exit"}, true}, // an absent message reads as empty
	} {
		f := where(t, c.expression)
		if got := f.Match(c.record); got != c.want || f.Failures() != 0 {
			t.Errorf("%s: %v, %d failures; want %v", c.expression, got, f.Failures(), c.want)
		}
	}
}

// Every field of every record must be readable in an expression, as the type
// that its JSON has.
func TestWhereKnowsEveryField(t *testing.T) {
	checked := 0
	var walk func(path string, m protoreflect.MessageDescriptor)
	walk = func(path string, m protoreflect.MessageDescriptor) {
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			name := path + string(f.Name())
			if name == "namespace" {
				name = "record.namespace"
			}
			checked++
			expression := name + " == " + literal(f)
			if f.IsList() && f.Message() != nil { // a condition on one of them, as a user would write it
				expression = "size(" + name + ") == 0"
				name += "[0]"
			}
			if err := compileError(expression); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if f.Message() != nil && !f.IsMap() && f.Message().ParentFile().Package() == "skep.v1" {
				walk(name+".", f.Message())
			}
		}
	}
	walk("", (&skepv1.Record{}).ProtoReflect().Descriptor())
	if checked < 100 {
		t.Errorf("only %d fields", checked)
	}
}

func compileError(expression string) error {
	_, err := Compile(&skepv1.Filter{Where: expression}, Deps{})
	return err
}

// literal is how a value of the field's JSON type is written in CEL.
func literal(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsMap():
		return `{"a": "b"}`
	case f.IsList():
		return `["a"]`
	}
	switch f.Kind() {
	case protoreflect.StringKind:
		return `"a"`
	case protoreflect.BoolKind:
		return "true"
	case protoreflect.BytesKind:
		return `b"a"`
	case protoreflect.MessageKind:
		if f.Message().FullName() == "google.protobuf.Timestamp" {
			return `timestamp("2026-01-01T00:00:00Z")`
		}
		return "null"
	}
	return "1"
}

func TestWhereErrors(t *testing.T) {
	for expression, want := range map[string]string{
		`proces.uid == 0`:                       `column 1: undeclared reference to 'proces'; did you mean "process"?`,
		`kind == "exec" && knid==""`:            `column 19: undeclared reference to 'knid'; did you mean "kind"?`,
		`process.uidd == 0`:                     `column 8: undefined field 'uidd'; did you mean "uid"?`,
		`exec.file.inod == 0`:                   `column 10: undefined field 'inod'; did you mean "inode"?`,
		`process.zzzzzz == 0`:                   `column 8: undefined field 'zzzzzz'; the fields are comm, container, exe,`,
		"true &&\n proces.uid == 0":             `line 2, column 2: undeclared`,
		`namespace == "x"`:                      `column 1: reserved identifier: namespace; write record.namespace`,
		`process`:                               `the expression is of type skep.v1.Process; it must be a condition`,
		`1 +`:                                   `column 4: the expression ends too early`,
		`(kind == "exec"`:                       `column 16: the expression ends too early`,
		`process.comm = "sh"`:                   `column 14: a single = means nothing; equal is ==`,
		`process.uid == 0)`:                     `column 17: syntax error: extraneous input ')'`,
		`process.uid == "root"`:                 `column 13: == does not take (int, string)`,
		`process.comm.matches("(")`:             `column 22: invalid matches argument; it is not a regular expression`,
		"\"\x1b[31m\" == nope":                  `column 12: `,
		strings.Repeat("(", 5000):               ``,
		strings.Repeat("true&&", 2000) + "true": ``,
		strings.Repeat("[", 300) + strings.Repeat("]", 300) + " == []": ``,
	} {
		_, err := Compile(&skepv1.Filter{Where: expression}, Deps{})
		if err == nil || !strings.HasPrefix(err.Error(), "filter where: "+want) {
			t.Errorf("%.40q: %v\nwant %s", expression, err, want)
		}
		if err != nil && (strings.ContainsAny(err.Error(), "\x1b\n") || len(err.Error()) > 400) {
			t.Errorf("%.40q: not one clean sentence: %q", expression, err)
		}
	}
}

func TestWhereFailuresAreCounted(t *testing.T) {
	f := where(t, `exec.args[7] == "x"`)
	if f.Match(sample.Exec(1)) || f.Match(sample.Exec(2)) {
		t.Error("a failed expression matched")
	}
	if f.Failures() != 2 {
		t.Errorf("%d failures, want 2", f.Failures())
	}
	if u := f.Undecided(1); u.GetCount() != 1 || !strings.Contains(u.GetReason(), "index out of bounds: 7") {
		t.Errorf("of two failures, one of which was told, it says %v", u)
	}
	if u := f.Undecided(2); u != nil {
		t.Errorf("all is told, and it says %v", u)
	}
	if or := where(t, `exec.args[7] == "x" || true`); !or.Match(sample.Exec(1)) || or.Failures() != 0 {
		t.Error("CEL's || must absorb the failure of one side")
	}
}

// A user must not be able to stop the agent with an expression.
func TestWhereCostIsBounded(t *testing.T) {
	ten := "[1,2,3,4,5,6,7,8,9,10]"
	expression := "true"
	for _, v := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		expression = ten + ".all(" + v + ", " + expression + ")"
	}
	f := where(t, expression) // 10^8 steps
	start := time.Now()
	if f.Match(sample.Exec(1)) || f.Failures() != 1 {
		t.Error("it ran to its end")
	}
	if u := f.Undecided(0); u.GetCount() != 1 || !strings.Contains(u.GetReason(), "more than the 20000 steps") {
		t.Errorf("it says %v", u)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("it was stopped after %v", took)
	}
}

func BenchmarkWhereAtCostLimit(b *testing.B) {
	f, err := Compile(&skepv1.Filter{Where: `[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, true))))`}, Deps{})
	if err != nil {
		b.Fatal(err)
	}
	r := sample.Exec(1)
	for b.Loop() {
		f.Match(r)
	}
}

func FuzzWhere(f *testing.F) {
	for _, s := range []string{`kind == "exec"`, `process.uid in [1,2]`, `exec.args.exists(a, a.matches("x"))`, `1 +`, "\xff", `record.exec == exec`,
		`kind == "exec" && process.comm == "curl"`, `"exec" == record.kind || process.comm == "curl"`, `!(kind == "exec")`, `(kind == "close") == (dns.name == "a")`,
		`dns.name == "example.org" && true`, `kind == "exec" ? true : process.comm == "x"`, `process.container.labels["a"] == "b"`} {
		f.Add(s)
	}
	records := []*skepv1.Record{{}, sample.Exec(1), sample.Close(2), sample.DNS(3)}
	f.Fuzz(func(t *testing.T, expression string) {
		filter, err := Compile(&skepv1.Filter{Where: expression}, Deps{})
		equalities := Equalities(expression)
		if err != nil {
			if len(equalities) > 0 {
				t.Errorf("%s does not compile and has %v", expression, equalities)
			}
			return
		}
		for _, r := range records {
			if !filter.Match(r) {
				continue
			}
			for _, e := range equalities { // or an index would leave this record out
				if got := textAt(r, e.Path); got != e.Value {
					t.Errorf("%s matches a record in which %s is %q, not %q", expression, e.Path, got, e.Value)
				}
			}
		}
	})
}

// textAt is the string at a path of fields.
func textAt(r *skepv1.Record, path string) string {
	m := r.ProtoReflect()
	for {
		name, rest, more := strings.Cut(path, ".")
		v := m.Get(m.Descriptor().Fields().ByName(protoreflect.Name(name)))
		if !more {
			return v.String()
		}
		m, path = v.Message(), rest
	}
}
