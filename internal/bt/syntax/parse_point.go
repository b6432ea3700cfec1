// SPDX-License-Identifier: Apache-2.0

package syntax

import (
	"fmt"
	"strconv"
	"strings"
)

// providers are the types of probes, by the short and old names that scripts use.
var providers = map[string]string{
	"BEGIN": "begin", "begin": "begin", "END": "end", "end": "end", "self": "self",
	"kprobe": "kprobe", "k": "kprobe", "kretprobe": "kretprobe", "kr": "kretprobe",
	"uprobe": "uprobe", "u": "uprobe", "uretprobe": "uretprobe", "ur": "uretprobe",
	"usdt": "usdt", "U": "usdt", "tracepoint": "tracepoint", "t": "tracepoint",
	"rawtracepoint": "rawtracepoint", "rt": "rawtracepoint",
	"profile": "profile", "p": "profile", "interval": "interval", "i": "interval",
	"software": "software", "s": "software", "hardware": "hardware", "h": "hardware",
	"watchpoint": "watchpoint", "w": "watchpoint", "asyncwatchpoint": "asyncwatchpoint", "aw": "asyncwatchpoint",
	"fentry": "fentry", "f": "fentry", "kfunc": "fentry",
	"fexit": "fexit", "fr": "fexit", "kretfunc": "fexit",
	"iter": "iter", "it": "iter", "bench": "bench", "test": "test",
}

// providerNames are the long names, for suggestions.
func providerNames() []string {
	seen := map[string]bool{}
	var names []string
	for _, long := range providers {
		if !seen[long] {
			seen[long] = true
			names = append(names, long)
		}
	}
	return append(names, "BEGIN", "END")
}

// points reads a list of attach points. A comma may be last.
func (p *parser) points() []*AttachPoint {
	var list []*AttachPoint
	for {
		if p.tok.is("{") || p.tok.is("/") || p.tok.kind == tokEnd {
			if len(list) == 0 {
				p.expected("a probe, such as kprobe:vfs_read")
			}
			return list
		}
		list = append(list, p.point())
		if !p.accept(",") {
			return list
		}
	}
}

// point reads one attach point. It has tokens of its own: the text up to a blank, a brace,
// a comma or, unless paths can be in it, a slash.
func (p *parser) point() *AttachPoint {
	a := &AttachPoint{At: p.here()}
	if p.tok.kind == tokBad || p.tok.kind == tokPunct && !p.tok.is("*") && !p.tok.is("[") {
		p.expected("a probe, such as kprobe:vfs_read")
	}
	start := p.tok.start
	parts, end := p.pointParts(start)
	a.Text = strings.Join(parts.quoted, ":")
	r := pointReader{point: a, parts: parts.plain}
	if err := r.read(); err != nil {
		p.fail(start, max(end, start+1), err.Error(), r.hint)
	}
	p.seek(end)
	return a
}

// pointText is an attach point cut at its colons: the parts without quotes, and as they
// can be written again.
type pointText struct {
	plain, quoted []string
	size          int
}

// maxPoint is how long an attach point can be, in bytes.
const maxPoint = 8192

func (t *pointText) add(part string) {
	t.plain = append(t.plain, part)
	first := len(t.quoted) == 0
	t.size += len(part) + 1
	if first && providers[part] == "" && part != "*" || !first && !isPlain(part, hasPath(t.plain)) {
		part = quoteString(part)
	}
	t.quoted = append(t.quoted, part)
}

// isPlain tells whether a part of an attach point can be written without quotes.
func isPlain(part string, path bool) bool {
	for i := range len(part) {
		c := part[i]
		if !isWordByte(c) && strings.IndexByte("*?[]+-.#@!~^%<>&()", c) < 0 && (c != '/' || !path) {
			return false
		}
	}
	return true
}

// pointParts cuts the attach point at an offset into its parts, and finds its end.
func (p *parser) pointParts(i int) (parts pointText, end int) {
	s := p.scan
	var part strings.Builder
	for {
		if parts.size+part.Len() > maxPoint {
			p.fail(p.tok.start, p.tok.end, fmt.Sprintf("found a probe of more than %d bytes", maxPoint), "")
		}
		c := s.at(i)
		switch {
		case i >= len(s.text) || c == '{' || c == ',' || c == '}' && part.Len() == 0:
			parts.add(part.String())
			return parts, i
		case isBlank(c):
			next, _ := s.skip(i)
			open := part.Len() == 0 && len(parts.plain) > 0 || strings.HasSuffix(part.String(), "+")
			if !p.pointGoesOn(next, open) {
				parts.add(part.String())
				return parts, i
			}
			i = next
		case c == '/' && !hasPath(parts.plain):
			parts.add(part.String())
			return parts, i
		case c == ':':
			parts.add(part.String())
			part.Reset()
			i++
		case c == '"':
			t := s.scanString(i)
			if t.kind == tokBad {
				p.fail(t.start, t.end, "found "+t.msg, "")
			}
			part.WriteString(t.value)
			i = t.end
		case c == '\\' && i+1 < len(s.text):
			part.WriteByte(s.text[i+1])
			i += 2
		case c == '$':
			i = p.pointArg(i, &part, &parts)
		default:
			part.WriteByte(c)
			i++
		}
	}
}

// pointGoesOn tells whether an attach point goes on behind a blank: where a colon or a plus
// stands on either side of it. open tells that one does in front.
func (p *parser) pointGoesOn(next int, open bool) bool {
	switch c := p.scan.at(next); c {
	case ':', '+':
		return true
	case 0, '{', ',', '/':
		return false
	}
	return open
}

// hasPath tells whether slashes belong to the attach point that begins with parts.
func hasPath(parts []string) bool {
	if len(parts) == 0 {
		return false
	}
	switch providers[parts[0]] {
	case "uprobe", "uretprobe", "usdt", "iter":
		return true
	case "":
		return len(parts) == 1 // a pattern such as u*:/bin/sh
	}
	return false
}

// pointArg puts the argument for $1 into an attach point; its colons count.
func (p *parser) pointArg(i int, part *strings.Builder, parts *pointText) int {
	t := p.scan.scanDollar(i)
	if t.kind != tokPositional {
		p.fail(t.start, t.end, "found "+t.describe()+" in a probe; only parameters such as $1 can stand there", "")
	}
	text := strconv.Itoa(len(p.args))
	if t.text != "$#" {
		n, err := strconv.Atoi(t.text[1:])
		if err != nil || n < 1 {
			p.fail(t.start, t.end, "found "+quote(t.text)+"; parameters are counted from $1", "")
		}
		if text = ""; n <= len(p.args) {
			text = p.args[n-1]
		}
	}
	pieces := strings.Split(text, ":")
	part.WriteString(pieces[0])
	for _, piece := range pieces[1:] {
		parts.add(part.String())
		part.Reset()
		part.WriteString(piece)
	}
	return t.end
}

// HasWildcard tells whether a name is a pattern.
func HasWildcard(name string) bool { return strings.ContainsAny(name, "*[?") }

// HasWildcard tells whether the attach point stands for all that match a pattern.
func (a *AttachPoint) HasWildcard() bool {
	for _, name := range []string{a.Provider, a.Module, a.Path, a.Function, a.Category, a.Event} {
		if HasWildcard(name) {
			return true
		}
	}
	return false
}

// count says how many parts an attach point has to have.
func (r *pointReader) count(least, most int, form string) error {
	n := len(r.parts) - 1
	if least <= n && n <= most {
		return nil
	}
	return fmt.Errorf("found %s with %d parts behind it, expected %s", r.point.Provider, n, form)
}
