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
