// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"slices"
	"strings"
	"testing"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// TestConditions: an expression implies conditions on the fields that it joins by &&, and
// none that an absent field satisfies, or that speaks of more than one field.
func TestConditions(t *testing.T) {
	for where, want := range map[string][]string{
		"exit.code != 0":                                            {"exit.code"},
		"exit.code != 0 && process.uid == 1000":                     {"exit.code", "process.uid"},
		"exit.signal_name in ['SIGSEGV', 'SIGABRT']":                {"exit.signal_name"},
		"exec.setuid && process.comm == 'su'":                       {"exec.setuid"}, // the other is an equality
		"file.path.startsWith('/etc/')":                             {"file.path"},
		"connection.bytes_sent > 1000 && connection.bytes_sent < 9": {"connection.bytes_sent"}, // 0 is less
		"exit.code == 0":                                            nil,                       // true of what is no exit
		"exit.code != 0 || process.uid == 0":                        nil,
		"int(process.comm) > 5":                                     nil, // no result where it is absent
		"1 / exit.code == 1 && exit.signal > 0":                     {"exit.signal"},
		"exit.code != process.pid":                                  nil,
		"'x' in exec.args":                                          nil,
		"process.container.labels.tier == 'x'":                      nil,
		"has(process.container)":                                    nil,
		"time > timestamp('2026-01-01T00:00:00Z')":                  nil,
		"exec.args.exists(a, a == 'x')":                             nil,
		"1 < 2":                                                     nil,
		"not an expression":                                         nil,
	} {
		var got []string
		for _, c := range Conditions(where) {
			got = append(got, c.Path)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: conditions on %v, want %v", where, got, want)
		}
	}
	c := Conditions("exit.code > 1 && process.pid > 0")[0]
	for code, want := range map[uint32]bool{0: false, 1: false, 2: true} {
		r := &skepv1.Record{Body: &skepv1.Record_Exit{Exit: &skepv1.Exit{Code: code}}}
		if c.Filter.Match(r) != want {
			t.Errorf("code %d: %v", code, !want)
		}
	}
	if n := len(Conditions("exit.code > 0" + strings.Repeat(" && exit.code > 1", 2*maxConditions))); n != maxConditions {
		t.Errorf("%d conditions", n)
	}
}
