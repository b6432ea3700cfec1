// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"fmt"
	"strconv"
	"strings"
)

// parseTool reads the header of a script.
func parseTool(name, text string) (*Tool, error) {
	t := &Tool{Name: name, Script: text, Role: Operate}
	for line := range strings.Lines(text) {
		comment, ok := strings.CutPrefix(strings.TrimSpace(line), "//")
		if !ok {
			break
		}
		word, value, ok := strings.Cut(strings.TrimSpace(comment), ":")
		if !ok || word == "SPDX-License-Identifier" {
			continue
		}
		if err := t.set(word, strings.TrimSpace(value)); err != nil {
			return nil, fmt.Errorf("read header of tool %s: %s: %w", name, word, err)
		}
	}
	if t.Summary == "" || t.Example == "" {
		return nil, fmt.Errorf("read header of tool %s: it has no summary or no example", name)
	}
	return t, nil
}

// set reads one line of the header.
func (t *Tool) set(word, value string) error {
	switch word {
	case "summary":
		t.Summary = value
	case "role":
		if t.Role = Role(value); t.Role != Operate && t.Role != Admin {
			return fmt.Errorf("unknown role %q", value)
		}
	case "example":
		t.Example = value
	case "note":
		t.Notes = append(t.Notes, value)
	case "column":
		words := strings.Fields(value)
		if len(words) != 2 {
			return fmt.Errorf("%q is not a name and a type", value)
		}
		t.Columns = append(t.Columns, Column{words[0], words[1]})
	case "map":
		return t.addMap(value)
	case "filter":
		return t.addFilter(value)
	case "option":
		return t.addOption(value)
	default:
		return fmt.Errorf("unknown word")
	}
	return nil
}

// addMap reads @NAME [KEY,KEY...] [histogram] [UNIT].
func (t *Tool) addMap(value string) error {
	words := strings.Fields(value)
	if len(words) < 2 || !strings.HasPrefix(words[0], "@") {
		return fmt.Errorf("%q is not a map and what is in it", value)
	}
	m := Map{Name: words[0]}
	rest := words[1:]
	if rest[0] != "histogram" && (len(rest) > 1 || strings.Contains(rest[0], ",")) {
		m.Keys, rest = strings.Split(rest[0], ","), rest[1:]
	}
	if len(rest) > 0 && rest[0] == "histogram" {
		m.Histogram, rest = true, rest[1:]
	}
	if len(rest) > 1 {
		return fmt.Errorf("%q has more than one unit", value)
	}
	if len(rest) == 1 {
		m.Unit = rest[0]
	}
	t.Maps = append(t.Maps, m)
	return nil
}

// addOption reads $N NAME TYPE DEFAULT TEXT, where DEFAULT may be the word required.
func (t *Tool) addOption(value string) error {
	words := strings.Fields(value)
	if len(words) < 5 || !strings.HasPrefix(words[0], "$") {
		return fmt.Errorf("%q is not a parameter, a name, a type, a default and a text", value)
	}
	n, err := strconv.Atoi(words[0][1:])
	if err != nil || n != len(t.Options)+1 {
		return fmt.Errorf("%s is out of order", words[0])
	}
	o := Option{Number: n, Name: words[1], Type: words[2], Default: words[3], Text: strings.Join(words[4:], " ")}
	if o.Required = o.Default == "required"; o.Required {
		o.Default = ""
	}
	t.Options = append(t.Options, o)
	return nil
}

// addFilter reads none REASON, at @MAP,@MAP, task EXPR, or the name of a fact and EXPR.
func (t *Tool) addFilter(value string) error {
	what, rest, ok := strings.Cut(value, " ")
	if !ok {
		return fmt.Errorf("%q is not a word and what it means", value)
	}
	f := &t.Filter
	switch what {
	case "none":
		f.None = rest
		return nil
	case "at":
		f.At = strings.Split(rest, ",")
		return nil
	case "task":
		f.Task = rest
	case "pid", "comm", "uid", "cgroup":
		if f.Facts == nil {
			f.Facts = map[string]string{}
		}
		f.Facts[what] = rest
	default:
		return fmt.Errorf("unknown word %q", what)
	}
	return nil
}
