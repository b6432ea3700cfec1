// SPDX-License-Identifier: Apache-2.0

package event

import (
	"strings"
	"testing"
)

func TestKindNames(t *testing.T) {
	for _, k := range Kinds() {
		back, err := ParseKind(k.String())
		if err != nil || back != k {
			t.Errorf("ParseKind(%q) = %v, %v", k, back, err)
		}
		if strings.Contains(k.String(), "(") {
			t.Errorf("kind %d has no name", k)
		}
	}
	if len(Kinds()) != NumKinds || NumKinds != 15 {
		t.Errorf("%d kinds, NumKinds %d", len(Kinds()), NumKinds)
	}
	if got := Kind(200).String(); got != "kind(200)" {
		t.Errorf("unknown kind is %q", got)
	}
}

func TestParseKindNamesTheNearest(t *testing.T) {
	for input, near := range map[string]string{"exce": "exec", "conect": "connect", "EXEC": "exec", "zzz": "", "": "", "closed": "close"} {
		_, err := ParseKind(input)
		if err == nil {
			t.Fatalf("ParseKind(%q) found something", input)
		}
		if near != "" && !strings.Contains(err.Error(), `did you mean "`+near+`"?`) {
			t.Errorf("ParseKind(%q): %v; want %q", input, err, near)
		}
		if near == "" && strings.Contains(err.Error(), "did you mean") {
			t.Errorf("ParseKind(%q): %v; want no guess", input, err)
		}
		if !strings.Contains(err.Error(), "connect, accept") {
			t.Errorf("%v does not list the kinds", err)
		}
	}
}

func TestKindSet(t *testing.T) {
	s := SetOf(Exec, Agent)
	for _, k := range Kinds() {
		if want := k == Exec || k == Agent; s.Has(k) != want {
			t.Errorf("Has(%s) = %v", k, !want)
		}
		if !AllKinds.Has(k) {
			t.Errorf("AllKinds has no %s", k)
		}
	}
}
