// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/skep-io/skep/internal/cli"
)

const docsDir = "../../docs/cli"

// TestDocsAreCurrent: docs/cli is written from the commands. Update it with UPDATE_DOCS=1.
func TestDocsAreCurrent(t *testing.T) {
	dir := t.TempDir()
	if err := writeMarkdown(cli.Commands(), dir); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_DOCS") != "" {
		if err := os.RemoveAll(docsDir); err != nil {
			t.Fatal(err)
		}
		if err := writeMarkdown(cli.Commands(), docsDir); err != nil {
			t.Fatal(err)
		}
	}
	want, got := files(t, dir), files(t, docsDir)
	for name, content := range want {
		if !bytes.Equal(got[name], content) {
			t.Errorf("docs/cli/%s is not what the commands say; run: UPDATE_DOCS=1 go test -run TestDocsAreCurrent ./packaging/manual", name)
		}
	}
	for name := range got {
		if want[name] == nil {
			t.Errorf("docs/cli/%s belongs to no command", name)
		}
	}
}

func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = data
	}
	return out
}

// TestPages: every command has a page, which says all that the command does: no word is taken
// for Markdown or for roff.
func TestPages(t *testing.T) {
	dir := t.TempDir()
	if err := writePages(cli.Commands(), dir); err != nil {
		t.Fatal(err)
	}
	pages, commands := files(t, dir), 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if !c.IsAvailableCommand() && c.HasParent() {
			return
		}
		commands++
		name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
		page, ok := pages[name]
		if !ok {
			t.Errorf("no page %s", name)
			return
		}
		shown := plain(string(page))
		expect(t, name, shown, c.Short)
		for _, paragraph := range strings.Split(c.Long, "\n\n") {
			expect(t, name, shown, paragraph)
		}
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				expect(t, name, shown, strings.ReplaceAll(f.Usage, "`", "")) // which only mark the name of the value
			}
		})
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(cli.Commands())
	if len(pages) != commands {
		t.Errorf("%d pages of %d commands", len(pages), commands)
	}
}

// plain is what a reader of a page sees, with single spaces.
func plain(page string) string {
	var out []string
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, ".") {
			out = append(out, line)
		}
	}
	text := strings.NewReplacer(`\-`, "-", `\&`, "", `\\`, `\`, `\e`, `\`, `\fB`, "", `\fP`, "", `\fI`, "", `\fR`, "").Replace(strings.Join(out, ""))
	return strings.Join(strings.Fields(text), " ")
}

func expect(t *testing.T, name, shown, said string) {
	t.Helper()
	if said = strings.Join(strings.Fields(said), " "); !strings.Contains(shown, said) {
		t.Errorf("%s does not say: %s", name, said)
	}
}

// TestLiteral: what looks like Markdown or a macro is text.
func TestLiteral(t *testing.T) {
	c := &cobra.Command{
		Use: "look", Short: "See *all* of a_b_c", Run: func(*cobra.Command, []string) {},
		Long: "One <line> with a\\b\n.SH of `two`.\n\n    0    indented\n    'sched_*'  <b>",
	}
	c.Flags().String("where", "", "look at *this* PLACE_OF_A, or https://HOST[:PORT]")
	want := []string{"See *all* of a_b_c", "One <line> with a\\b .SH of two.", "0 indented 'sched_*' <b>", "look at *this* PLACE_OF_A, or https://HOST[:PORT]"}
	dir := t.TempDir()
	if err := writePages(c, dir); err != nil {
		t.Fatal(err)
	}
	shown := plain(string(files(t, dir)["look.1"]))
	for _, text := range want {
		expect(t, shown, shown, text)
	}
}
