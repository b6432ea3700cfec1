// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"slices"
	"strconv"
	"strings"

	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// settings reads the config block, and then what goes before it.
func (s *script) settings() {
	for _, one := range s.program.Config {
		value := written{pos: one.Pos}
		switch x := one.Value.(type) {
		case *syntax.Name:
			value.text = x.Name
		case *syntax.String:
			value.text = x.Value
		}
		value.number, value.numeric = settingNumber(one.Value)
		s.set(one.Name, value)
	}
	for _, name := range sortedNames(s.options.Settings) {
		value := written{text: s.options.Settings[name]}
		n, err := strconv.ParseInt(value.text, 0, 64)
		value.number, value.numeric = n, err == nil
		s.set(name, value)
	}
}

// written is the value of a setting as it was given.
type written struct {
	pos     compile.Pos
	text    string
	number  int64
	numeric bool
}

// set changes one setting. Those of the reference that change nothing here are taken without
// a word: what they tune this compiler does not have.
func (s *script) set(name string, value written) {
	name = strings.TrimPrefix(strings.ToLower(name), "bpftrace_")
	if number, ok := s.numericSettings()[name]; ok {
		s.setNumber(name, value, number)
		return
	}
	switch name {
	case "stack_mode":
		s.setWord(name, value, &s.limits.StackMode, "bpftrace", "perf", "raw")
	case "missing_probes":
		s.setWord(name, value, &s.limits.MissingProbe, "error", "warn", "ignore")
	case "print_maps_on_exit":
		s.limits.PrintAtExit = value.number != 0
	case "str_trunc_trailer":
		s.limits.CutMark = value.text
	case "unstable_import", "probe_inline", "unstable_map_decl", "cache_user_symbols", "cpp_demangle", "lazy_symbolication",
		"log_size", "max_type_res_iterations", "on_stack_limit", "perf_rb_pages",
		"symbol_source", "use_blazesym", "show_debug_info", "license", "unstable_macro", "unstable_tseries", "unstable_addr":
	default:
		known := append(sortedNames(s.numericSettings()), "stack_mode", "missing_probes", "print_maps_on_exit", "str_trunc_trailer")
		reference := "Unrecognized config variable: " + name
		if name == "debug_output" {
			reference = name + " can only be set as an environment variable"
		}
		s.problem(Diagnostic{Pos: value.pos, Length: len(name) + 1, Text: "there is no setting " + name, Hint: nearest(name, known), Reference: reference})
	}
}

// bounded is a setting that is a number within bounds.
type bounded struct {
	to          *int
	least, most int64
}

func (s *script) numericSettings() map[string]bounded {
	return map[string]bounded{
		"max_map_keys":  {&s.limits.MaxMapKeys, 1, mostEntries},
		"max_strlen":    {&s.limits.MaxStrlen, 1, largestString},
		"max_probes":    {&s.limits.MaxProbes, 1, 1 << 20},
		"max_bpf_progs": {&s.limits.MaxPrograms, 1, maxPrograms},
		"max_cat_bytes": {&s.limits.MaxCatBytes, 1, 1 << 30},
	}
}

func (s *script) setNumber(name string, value written, b bounded) {
	if !value.numeric || value.number < b.least || value.number > b.most {
		s.errorf(value.pos, "%s must be a number from %d to %d", name, b.least, b.most)
		return
	}
	*b.to = int(value.number)
}

// settingNumber is a number, true or false.
func settingNumber(x syntax.Expr) (int64, bool) {
	if name, ok := x.(*syntax.Name); ok {
		return boolWord(name.Name == "true"), name.Name == "true" || name.Name == "false"
	}
	return constantOf(x)
}

func (s *script) setWord(name string, value written, to *string, words ...string) {
	if !slices.Contains(words, value.text) {
		s.hintf(value.pos, nearest(value.text, words), "%s must be one of %s", name, strings.Join(words, ", "))
		return
	}
	*to = value.text
}
