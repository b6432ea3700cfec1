// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"strings"
	"testing"
)

// TestCommandsOfTools: there are those of the tools that arguments name, and all where they may
// be listed.
func TestCommandsOfTools(t *testing.T) {
	for args, want := range map[string][]string{
		"trace -e opens":              nil,
		"opensnoop --comm x":          {"skep opensnoop"},
		"tool --help":                 {"skep tool opensnoop", "skep tool tcplife"},
		"tool opensnoop":              {"skep opensnoop", "skep tool opensnoop", "skep tool tcplife"},
		"__complete tcplife --":       {"skep tcplife"},
		"help tool tcplife":           {"skep tcplife", "skep tool opensnoop", "skep tool tcplife"},
		"--socket /opensnoop tcplife": {"skep tcplife"},
	} {
		var got []string
		root := (&app{out: os.Stdout}).root(strings.Fields(args))
		for _, path := range []string{"opensnoop", "tcplife", "tool opensnoop", "tool tcplife"} {
			if c, _, err := root.Find(strings.Fields(path)); err == nil && c.CommandPath() == "skep "+path {
				got = append(got, c.CommandPath())
			}
		}
		if strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("%s: got %q, want %q", args, got, want)
		}
	}
}

// TestVerbs: each is found by the name that it is made for, alone and among all.
func TestVerbs(t *testing.T) {
	a := &app{out: os.Stdout}
	for name, verb := range a.verbs() {
		if got := verb().Name(); got != name {
			t.Errorf("%s is called %s", name, got)
		}
		for _, args := range [][]string{{"--socket", "/x", name, "-x"}, {"no-verb"}, nil} {
			if c, _, err := a.root(args).Find([]string{name}); err != nil || c.Name() != name {
				t.Errorf("%s is not there for %q: %v", name, args, err)
			}
		}
	}
}
