// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// demoColumns is the width that the prose of the demo is wrapped to.
const demoColumns = 92

func (a *app) announce(p played) {
	fmt.Fprintf(a.out, "%s\n", a.screen.paint(bold, fmt.Sprintf("%d/%d  %s", p.number, p.of, p.Title)))
	fmt.Fprintf(a.out, "%s\n\n", wrap(p.Story, "     ", demoColumns))
}

// walkThrough shows what was told of a scene and says what to look at.
func (a *app) walkThrough(p played, private bool) error {
	var b bytes.Buffer
	if p.skipped != "" {
		fmt.Fprintf(&b, "     not played: %s\n\n", p.skipped)
		_, err := a.out.Write(b.Bytes())
		return err
	}
	lines := newCompact(a.screen)
	// Execs and connections come by rings of their own.
	slices.SortStableFunc(p.seen, func(a, b *skepv1.Record) int { return a.GetTime().AsTime().Compare(b.GetTime().AsTime()) })
	for _, r := range p.seen {
		if slices.Contains(p.Kinds, r.GetKind()) {
			b.WriteString("     ")
			b.Write(lines.record(nil, r))
		}
	}
	b.WriteByte('\n')
	for _, f := range p.facts() {
		fmt.Fprintf(&b, "     %s  %s\n", a.screen.paint(dim, fmt.Sprintf("%-9s", f.name)), f.text)
	}
	fmt.Fprintf(&b, "\n%s\n", wrap(p.Look, "     ", demoColumns))
	for _, m := range p.missing {
		fmt.Fprintf(&b, "     %s %s\n", a.screen.paint(red, "missing:"), m)
	}
	if !private {
		fmt.Fprintf(&b, "     %s\n", a.screen.paint(dim, "again: "+p.again()))
	}
	b.WriteByte('\n')
	_, err := a.out.Write(b.Bytes())
	return err
}

type fact struct{ name, text string }

// facts are who it was, where, whom it talked to and how much.
func (p played) facts() []fact {
	var who, names []string
	var container string
	var up, down uint64
	for _, r := range p.seen {
		process := r.GetProcess()
		if !slices.Contains(p.Kinds, r.GetKind()) {
			continue
		}
		who = append(who, fmt.Sprintf("%s[%d]", event.Printable(process.GetComm()), process.GetPid()))
		if id := process.GetContainer().GetId(); id != "" {
			container = event.Printable(process.GetContainer().GetRuntime()) + " " + event.Printable(id[:min(12, len(id))])
		}
		if d := r.GetDns(); d != nil {
			names = append(names, event.Printable(d.GetName()))
		}
		if c := r.GetConnection(); c.GetDirection() == "outbound" {
			names = append(names, event.Printable(c.GetRemoteName()))
			if r.GetKind() == "close" {
				up, down = up+c.GetBytesSent(), down+c.GetBytesReceived()
			}
		}
	}
	facts := []fact{{"process", join(who)}, {"container", container}}
	if slices.Contains(p.Kinds, "connect") || slices.Contains(p.Kinds, "dns") {
		facts = append(facts, fact{"name", cmp.Or(join(names), "none: the address was not asked for by name")})
	}
	if up+down > 0 {
		facts = append(facts, fact{"bytes", fmt.Sprintf("%s sent, %s received", formatBytes(up), formatBytes(down))})
	}
	return facts
}

// join lists what is not empty, each once, in the order of its first appearance.
func join(texts []string) string {
	var once []string
	for _, t := range texts {
		if t != "" && !slices.Contains(once, t) {
			once = append(once, t)
		}
	}
	return strings.Join(once, ", ")
}

// again is the command that shows the scene's records once more.
func (p played) again() string {
	var container string
	for _, r := range p.seen {
		if id := r.GetProcess().GetContainer().GetId(); id != "" {
			container = id[:min(12, len(id))]
		}
	}
	return fmt.Sprintf("skep observe --container %s --kind %s --since 5m", event.Printable(container), strings.Join(p.Kinds, ","))
}

// wrap breaks prose into lines of so many columns, each with an indent.
func wrap(text, indent string, width int) string {
	var b strings.Builder
	line := indent
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > width && line != indent {
			b.WriteString(line + "\n")
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	return b.String() + line
}
