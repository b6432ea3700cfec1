// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// TestMissing: records of something else meet no expectation, and none is met by nothing.
func TestMissing(t *testing.T) {
	others := []*skepv1.Record{
		{}, {Kind: "exec", Body: &skepv1.Record_Exec{Exec: &skepv1.Exec{}}},
		{Kind: "close", Body: &skepv1.Record_Connection{Connection: &skepv1.Connection{}}},
		{Kind: "dns", Body: &skepv1.Record_Dns{Dns: &skepv1.Dns{}}}, {Kind: "oom"},
		{Kind: "exit", Body: &skepv1.Record_Exit{Exit: &skepv1.Exit{}}},
	}
	names := map[string]bool{}
	for _, s := range Scenes() {
		if missing := s.Missing(others); len(missing) != len(s.Expect) || len(missing) == 0 {
			t.Errorf("%s: missing %q", s.Name, missing)
		}
		if names[s.Name] || s.play == nil || s.Wait == 0 {
			t.Errorf("scene %+v", s)
		}
		names[s.Name] = true
	}
	crash := &skepv1.Record{Kind: "exit", Process: &skepv1.Process{Comm: "sh"}, Body: &skepv1.Record_Exit{Exit: &skepv1.Exit{SignalName: "SIGSEGV"}}}
	loop := Scenes()[len(Scenes())-1]
	if len(loop.Missing([]*skepv1.Record{crash, crash, crash})) != 1 || len(loop.Missing([]*skepv1.Record{crash, crash, crash, crash})) != 0 {
		t.Error("crashes are not counted")
	}
}

// TestStageOfItsOwn: by itself the stage does nothing to the host.
func TestStageOfItsOwn(t *testing.T) {
	var answers strings.Builder
	if err := Main(t.TempDir(), nil, strings.NewReader("nonsense\n"), &answers); err == nil || answers.Len() > 0 {
		t.Errorf("the stage obeys outside of its namespaces: %q, %v", answers.String(), err)
	}
}

func question(t testing.TB, name string) []byte {
	t.Helper()
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, RecursionDesired: true}, Questions: []dnsmessage.Question{{
		Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	query, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return query
}

func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		rcode   dnsmessage.RCode
		answers int
	}{{poolName, dnsmessage.RCodeSuccess, 1}, {missingName, dnsmessage.RCodeNameError, 0}} {
		raw, err := answerTo(question(t, tt.name+"."))
		if err != nil {
			t.Fatal(err)
		}
		var m dnsmessage.Message
		if err := m.Unpack(raw); err != nil {
			t.Fatal(err)
		}
		if m.ID != 7 || !m.Response || m.RCode != tt.rcode || len(m.Answers) != tt.answers {
			t.Errorf("%s: %+v", tt.name, m)
		}
	}
	if raw, err := answerTo(question(t, silentName+".")); len(raw) != 0 || err != nil {
		t.Errorf("the silent name: %x, %v", raw, err)
	}
	if _, err := answerTo([]byte{1}); err == nil {
		t.Error("a byte is a query")
	}
}
