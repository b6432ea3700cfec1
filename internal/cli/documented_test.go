// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

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
