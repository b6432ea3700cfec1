// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

const docsDir = "../../docs/cli"

// docs/cli is written by skep itself. Update it with UPDATE_DOCS=1.
func TestDocsAreCurrent(t *testing.T) {
	if os.Getenv("UPDATE_DOCS") != "" {
		if err := os.RemoveAll(docsDir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(docsDir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := writeMarkdown((&app{out: os.Stdout}).root(nil), docsDir); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	if err := writeMarkdown((&app{out: os.Stdout}).root(nil), dir); err != nil {
		t.Fatal(err)
	}
	want, got := files(t, dir), files(t, docsDir)
	for name, content := range want {
		if !bytes.Equal(got[name], content) {
			t.Errorf("docs/cli/%s is not what skep writes; run: UPDATE_DOCS=1 go test -run TestDocsAreCurrent ./internal/cli", name)
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

// Each command says what it does, how it ends, and shows how it is used.
func TestEachCommandIsDocumented(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() == "completion" || c.Name() == "help" { // cobra's own, and its words
			return
		}
		if c.Short == "" || !strings.Contains(strings.ToLower(c.Long), "exit status") || c.Example == "" && !c.Hidden {
			t.Errorf("%s: no summary, exit status or example", c.CommandPath())
		}
		for _, l := range strings.Split(c.Long+"\n"+c.Example, "\n") {
			if len(l) > 100 {
				t.Errorf("%s: a line of the help is longer than 100 columns: %s", c.CommandPath(), l)
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk((&app{out: os.Stdout}).root(nil))
}
