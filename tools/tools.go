// SPDX-License-Identifier: Apache-2.0

// Package tools is the named tools: scripts in the tracing language, one file each, with a
// header in comments that says what the tool is called with and what it shows.
//
// A header is the comment lines at the start of the file, each a word, a colon and a value;
// README.md describes them. Whatever lists, runs or documents tools reads it from here:
// there is no Go for any single tool.
package tools

import (
	"embed"
	"fmt"
	"path"
	"strings"

	"github.com/skep-io/skep/internal/spelling"
)

//go:embed *.bt
var files embed.FS

// Role is who may run a tool.
type Role string

// The roles: Operate for tools that show what happens, Admin for those that show other
// people's secrets or take any probe.
const (
	Operate Role = "operate"
	Admin   Role = "admin"
)

// Tool is a script and what its header says.
type Tool struct {
	Name    string
	Script  string // the whole file
	Summary string // one sentence
	Role    Role
	Options []Option
	// Columns are those of the records, in the order of printf's arguments.
	Columns []Column
	Maps    []Map
	Filter  Filter
	Example string // a command line
	Notes   []string
}

// Filter is what the common options --pid, --comm, --uid and --container look at, where that
// is neither a column or part of a key of that name nor the current process. Expressions are
// in the tracing language.
type Filter struct {
	None  string            // why they cannot be used
	At    []string          // maps: the options decide where these change, not where something is shown
	Task  string            // a pointer to the task_struct that an event is about
	Facts map[string]string // pid, comm, uid, cgroup
}

// Option is a positional parameter of the script.
type Option struct {
	Number   int // of $1, $2 ...
	Name     string
	Type     string
	Required bool
	Default  string // "" if Required
	Text     string
}

// Column is a field of each record that a tool prints.
type Column struct {
	Name string
	// Type is how it is shown and filtered: int, text, bool, ip, the units ns, us, ms,
	// bytes and kib, kstack, ustack, or what a number stands for (errno, signal, ...).
	Type string
}

// Map is a map that the tool prints.
type Map struct {
	Name      string   // with @
	Keys      []string // what each part of the key is
	Histogram bool
	Unit      string // of the values, or ""
}

// All are the tools, by name.
func All() ([]*Tool, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("list tools: %w", err)
	}
	var all []*Tool
	for _, e := range entries {
		t, err := Get(strings.TrimSuffix(e.Name(), path.Ext(e.Name())))
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// Get is a tool by its name.
func Get(name string) (*Tool, error) {
	text, err := files.ReadFile(name + ".bt")
	if err != nil {
		return nil, fmt.Errorf("find tool %q: there is none of that name", name)
	}
	return parseTool(name, string(text))
}

// Near is the tool whose name differs least from a word, "" if none is near.
func Near(word string) string {
	entries, _ := files.ReadDir(".") // cannot fail: it is in the program
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), path.Ext(e.Name())))
	}
	return spelling.Nearest(word, names)
}

// Value is what the values of the map are called: as the map is.
func (m Map) Value() string { return strings.TrimPrefix(m.Name, "@") }
