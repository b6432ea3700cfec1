// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestManPage: nothing that a command says of itself is taken for a macro or an escape, and
// what is laid out by indentation stays so.
func TestManPage(t *testing.T) {
	parent := &cobra.Command{Use: "skep", Short: "see"}
	c := &cobra.Command{
		Use: "look", Short: "Look at a\\b", Long: "One line\n.SH of two.\n\n    0    indented\n'1'",
		Example: "  skep look --all", Run: func(*cobra.Command, []string) {},
	}
	c.Flags().StringP("where", "w", "here", "look at this `PLACE`\n.or not")
	c.Flags().Bool("secret", false, "")
	if err := c.Flags().MarkHidden("secret"); err != nil {
		t.Fatal(err)
	}
	parent.AddCommand(c)
	want := `.TH "SKEP-LOOK" 1 "Jan 2026" skep "skep manual"
.nh
.SH NAME
skep\-look \- Look at a\eb
.SH SYNOPSIS
\fBskep look [flags]\fP
.SH DESCRIPTION
.PP
One line
\&.SH of two.
.PP
.nf
    0    indented
\&'1'
.fi
.SH OPTIONS
.TP
\fB\-w\fP, \fB\-\-where\fP \fIPLACE\fP
look at this PLACE
\&.or not (default here)
.SH EXAMPLE
.nf
  skep look \-\-all
.fi
.SH SEE ALSO
\fBskep\fP(1)
`
	if got := manPage(c); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestMan: every command has a page, those of the tools too, whichever was asked for.
func TestMan(t *testing.T) {
	dir := t.TempDir()
	a := &app{out: os.Stdout}
	root := a.root([]string{"man", dir})
	root.SetArgs([]string{"man", dir})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	for name := range files(t, docsDir) {
		page := strings.ReplaceAll(strings.TrimSuffix(name, ".md"), "_", "-") + ".1"
		if _, err := os.Stat(filepath.Join(dir, page)); err != nil {
			t.Errorf("no page for %s: %v", name, err)
		}
	}
}

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
