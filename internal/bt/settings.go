// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"strings"

	"github.com/skep-io/skep/internal/bt/syntax"
)

// settings reads the config block. Settings of the reference that change nothing here are
// taken without a word: what they tune this compiler does not have.
func (s *script) settings() {
	for _, setting := range s.program.Config {
		name := strings.TrimPrefix(strings.ToLower(setting.Name), "bpftrace_")
		if number, ok := s.numericSettings()[name]; ok {
			s.setNumber(setting, number)
			continue
		}
		switch name {
		case "stack_mode":
			s.setWord(setting, &s.limits.StackMode, "bpftrace", "perf", "raw")
		case "missing_probes":
			s.setWord(setting, &s.limits.MissingProbe, "error", "warn", "ignore")
		case "print_maps_on_exit":
			n, _ := settingNumber(setting.Value)
			s.limits.PrintAtExit = n != 0
		case "unstable_import", "probe_inline", "unstable_map_decl", "cache_user_symbols", "cpp_demangle", "lazy_symbolication",
			"log_size", "max_cat_bytes", "max_type_res_iterations", "on_stack_limit", "perf_rb_pages", "str_trunc_trailer",
			"symbol_source", "use_blazesym", "show_debug_info", "license", "unstable_macro", "unstable_tseries", "unstable_addr":
		default:
			known := append(sortedNames(s.numericSettings()), "stack_mode", "missing_probes", "print_maps_on_exit")
			s.hintf(setting.Pos, nearest(name, known), "there is no setting %s", setting.Name)
		}
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
	}
}

func (s *script) setNumber(setting *syntax.Setting, b bounded) {
	n, ok := settingNumber(setting.Value)
	if !ok || n < b.least || n > b.most {
		s.errorf(setting.Pos, "%s must be a number from %d to %d", setting.Name, b.least, b.most)
		return
	}
	*b.to = int(n)
}

// settingNumber is a number, true or false.
func settingNumber(x syntax.Expr) (int64, bool) {
	if name, ok := x.(*syntax.Name); ok {
		return boolWord(name.Name == "true"), name.Name == "true" || name.Name == "false"
	}
	return constantOf(x)
}

func (s *script) setWord(setting *syntax.Setting, to *string, words ...string) {
	var text string
	switch x := setting.Value.(type) {
	case *syntax.Name:
		text = x.Name
	case *syntax.String:
		text = x.Value
	}
	for _, w := range words {
		if text == w {
			*to = w
			return
		}
	}
	s.hintf(setting.Pos, nearest(text, words), "%s must be one of %s", setting.Name, strings.Join(words, ", "))
}
