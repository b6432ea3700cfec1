// SPDX-License-Identifier: Apache-2.0

package syntax

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/skep-io/skep/internal/spelling"
)

// pointReader fills an attach point from its parts.
type pointReader struct {
	point *AttachPoint
	parts []string // the provider first
	hint  string
}

// read fills the fields that the provider has.
func (r *pointReader) read() error {
	a, name := r.point, r.parts[0]
	a.Provider = providers[name]
	if a.Provider == "" && HasWildcard(name) {
		a.Provider = name
		return r.pattern()
	}
	switch a.Provider {
	case "begin", "end":
		if len(r.parts) == 2 && r.parts[1] == "*" {
			r.parts = r.parts[:1]
		}
		return r.count(0, 0, name)
	case "self":
		a.Category, a.Event = r.part(1), r.part(2)
		return r.count(2, 2, "self:signal:NAME")
	case "bench", "test":
		a.Event = r.part(1)
		return r.count(1, 1, a.Provider+":NAME")
	case "kprobe", "kretprobe":
		return r.kprobe()
	case "fentry", "fexit":
		return r.fentry()
	case "uprobe", "uretprobe":
		return r.uprobe()
	case "usdt":
		return r.usdt()
	case "tracepoint":
		return r.tracepoint()
	case "rawtracepoint":
		a.Event = r.last()
		if len(r.parts) == 3 {
			a.Module = r.parts[1]
		}
		return r.count(1, 2, "rawtracepoint:EVENT")
	case "profile", "interval":
		return r.timer()
	case "software", "hardware":
		return r.perfEvent()
	case "iter":
		a.Event, a.Path = r.part(1), r.part(2)
		return r.count(1, 2, "iter:OBJECT or iter:OBJECT:PIN")
	case "watchpoint", "asyncwatchpoint":
		return r.watchpoint()
	}
	if near := spelling.Nearest(name, providerNames()); near != "" {
		r.hint = "did you mean " + quote(near) + "?"
	}
	return fmt.Errorf("found %s, which is no type of probe", quote(name))
}

// part is a part by number, "" if it is missing.
func (r *pointReader) part(i int) string {
	if i < len(r.parts) {
		return r.parts[i]
	}
	return ""
}

func (r *pointReader) last() string { return r.parts[len(r.parts)-1] }

// pattern keeps the rest of a point whose provider is not known yet: where it names a path
// that is one, and the last part can be an event as well as a function.
func (r *pointReader) pattern() error {
	a := r.point
	if len(r.parts) == 1 {
		if !slices.ContainsFunc(providerNames(), func(name string) bool { ok, err := path.Match(a.Provider, name); return ok && err == nil }) {
			a.Provider, a.Function, a.Event = "*", r.last(), r.last() // *sleep* is *:*sleep*
		}
		return nil
	}
	a.Function, a.Event = r.last(), r.last()
	if len(r.parts) > 2 {
		if a.Category = r.parts[1]; strings.Contains(r.parts[1], "/") {
			a.Path, a.Category = r.parts[1], ""
		} else {
			a.Module = r.parts[1]
		}
	}
	return r.count(0, 3, "a pattern such as *:*vfs*")
}

func (r *pointReader) kprobe() error {
	a := r.point
	if err := r.count(1, 2, a.Provider+":FUNCTION or "+a.Provider+":MODULE:FUNCTION"); err != nil {
		return err
	}
	if len(r.parts) == 3 {
		a.Module = r.parts[1]
	}
	return r.function(r.last(), a.Provider == "kprobe")
}

// function reads FUNCTION, FUNCTION+OFFSET or an address.
func (r *pointReader) function(text string, offset bool) error {
	a := r.point
	name, rest, plus := strings.Cut(text, "+")
	if plus && !offset {
		return fmt.Errorf("found an offset in %s; only the entry of a function can have one", quote(text))
	}
	if plus {
		n, err := parseInteger(rest)
		if err != nil {
			return fmt.Errorf("found offset %s, expected a number", quote(rest))
		}
		a.Function, a.Offset, a.HasOffset = name, n.Value, true
		return r.named(name)
	}
	if text != "" && isDigit(text[0]) {
		if n, err := parseInteger(text); err == nil {
			a.Address, a.HasAddress = n.Value, true
			return nil
		}
	}
	a.Function = text
	return r.named(text)
}

// named refuses an empty name.
func (r *pointReader) named(name string) error {
	if name == "" {
		return fmt.Errorf("found %s without a name at its end", r.point.Provider)
	}
	return nil
}

func (r *pointReader) fentry() error {
	a := r.point
	if len(r.parts) > 2 && r.parts[1] == "bpf" {
		a.BPF, a.Function = true, r.last()
		if len(r.parts) == 4 {
			n, err := parseInteger(r.parts[2])
			if err != nil || n.Value > 1<<32-1 {
				return fmt.Errorf("found %s, expected the number of a BPF program", quote(r.parts[2]))
			}
			a.ID = uint32(n.Value)
		}
		return r.count(2, 3, a.Provider+":bpf:PROGRAM or "+a.Provider+":bpf:ID:PROGRAM")
	}
	if len(r.parts) == 3 {
		a.Module = r.parts[1]
	}
	if err := r.count(1, 2, a.Provider+":FUNCTION or "+a.Provider+":MODULE:FUNCTION"); err != nil {
		return err
	}
	a.Function = r.last()
	return r.named(a.Function)
}

// uprobe reads BINARY:FUNCTION and BINARY:LANGUAGE:FUNCTION; the binary may be missing,
// where a process is traced.
func (r *pointReader) uprobe() error {
	a := r.point
	if err := r.count(1, 3, a.Provider+":BINARY:FUNCTION or "+a.Provider+":BINARY:LANGUAGE:FUNCTION"); err != nil {
		return err
	}
	switch {
	case len(r.parts) == 4:
		a.Path, a.Language = r.parts[1], r.parts[2]
	case len(r.parts) == 3 && isLanguage(r.parts[1]):
		a.Language = r.parts[1]
	case len(r.parts) == 3:
		a.Path = r.parts[1]
	}
	if a.Language != "" && !isLanguage(a.Language) {
		return fmt.Errorf("found language %s, expected cpp", quote(a.Language))
	}
	return r.function(r.last(), a.Provider == "uprobe")
}

func isLanguage(name string) bool { return name == "cpp" }

// usdt reads BINARY:EVENT and BINARY:PROVIDER:EVENT; the binary may be missing.
func (r *pointReader) usdt() error {
	a := r.point
	a.Event = r.last()
	if len(r.parts) > 2 {
		a.Path = r.parts[1]
	}
	if len(r.parts) == 4 {
		a.Category = r.parts[2]
	}
	return r.count(1, 3, "usdt:BINARY:EVENT or usdt:BINARY:PROVIDER:EVENT")
}

func (r *pointReader) tracepoint() error {
	a := r.point
	if len(r.parts) == 2 && HasWildcard(r.parts[1]) {
		r.parts = []string{r.parts[0], "*", r.parts[1]}
	}
	a.Category, a.Event = r.part(1), r.part(2)
	return r.count(2, 2, "tracepoint:CATEGORY:EVENT")
}
