// SPDX-License-Identifier: Apache-2.0

package questions

import (
	"os"
	"regexp"
	"testing"
)

// question is one of the document's: its title, and the command as it stands there.
type question struct{ title, command string }

var asked = regexp.MustCompile("(?m)^## ([0-9]+\\. .*)\n(?:[^`#].*\n|\n)*```sh\n(.*)\n```\n")

// document reads the questions of docs/questions.md: each is a heading with a number, and
// the first block below it is one command.
func document(t *testing.T) (all []question) {
	t.Helper()
	text, err := os.ReadFile("../../../docs/questions.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range asked.FindAllStringSubmatch(string(text), -1) {
		all = append(all, question{m[1], m[2]})
	}
	return all
}
