// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/bt/render"
	"github.com/skep-io/skep/internal/event"
)

// maxSourceColumns is how much of a line of a script is shown around a fault.
const maxSourceColumns = 100

// diagnostic shows what is wrong in a script, and where:
//
//	slow.bt:3:5: error: there is no tracepoint sched:sched_swich
//	    tracepoint:sched:sched_swich { @ = count() }
//	    ^~~~~~~~~~~~~~~~~~~~~~~~~~~~
//	    did you mean tracepoint:sched:sched_switch?
func (p *tracePrinter) diagnostic(d *skepv1.TraceDiagnostic) string {
	if p.app.asBpftrace {
		return dropInDiagnostic(d)
	}
	s := p.app.errScreen
	var b strings.Builder
	place := ""
	if d.GetLine() > 0 {
		place = fmt.Sprintf("%s:%d:%d: ", event.Printable(or(d.GetName(), "-e")), d.GetLine(), d.GetColumn())
	} else if d.GetName() != "" {
		place = event.Printable(d.GetName()) + ": "
	}
	kind := s.paint(yellow, "warning")
	if d.GetSeverity() == skepv1.TraceDiagnostic_SEVERITY_ERROR {
		kind = s.paint(loud, "error")
	}
	fmt.Fprintf(&b, "%s%s: %s\n", s.paint(bold, place), kind, printableLines(d.GetText(), "    "))
	if line, mark := excerpt(d.GetSource(), int(d.GetColumn()), int(d.GetLength())); line != "" && d.GetLine() > 0 {
		fmt.Fprintf(&b, "    %s\n    %s\n", line, s.paint(green, mark))
	}
	if d.GetHint() != "" {
		fmt.Fprintf(&b, "    %s\n", s.paint(cyan, printableLines(d.GetHint(), "    ")))
	}
	if d.GetDetail() != "" && p.flags.verbose {
		fmt.Fprintf(&b, "    %s\n", printableLines(d.GetDetail(), "    "))
	}
	return b.String()
}

func (p *tracePrinter) diagnosed(d *skepv1.TraceDiagnostic) error {
	switch {
	case d.GetSeverity() == skepv1.TraceDiagnostic_SEVERITY_WARNING && p.flags.noWarnings:
		return nil
	case p.json && d.GetHelper() != "":
		p.buf = append(p.buf, helperError(d)...)
		return nil
	}
	return p.tell(p.diagnostic(d))
}

// helperError is a line of JSON, as bpftrace has it.
func helperError(d *skepv1.TraceDiagnostic) []byte {
	reason, _, _ := strings.Cut(d.GetReference(), "\n")
	out := render.AppendText([]byte(`{"type": "helper_error", "msg": `), reason)
	out = render.AppendText(append(out, `, "helper": `...), d.GetHelper())
	return fmt.Appendf(out, ", \"retcode\": %d, \"line\": %d, \"col\": %d}\n", d.GetReturned(), d.GetLine(), d.GetColumn())
}

// printableLines makes each line safe; all but the first are indented.
func printableLines(text, indent string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, l := range lines {
		lines[i] = event.Printable(strings.ReplaceAll(l, "\t", "    "))
	}
	return strings.Join(lines, "\n"+indent)
}

// excerpt is the part of a line around a column, which counts bytes from 1, and a mark of
// so many bytes to put below it.
func excerpt(line string, column, length int) (text, mark string) {
	line = strings.TrimRight(line, "\r\n")
	shown := func(s string) string { return event.Printable(strings.ReplaceAll(s, "\t", " ")) }
	if column < 1 || column > len(line)+1 {
		return shown(cutTo(line, maxSourceColumns)), ""
	}
	before, at := line[:column-1], line[column-1:]
	if cut := len(before) - maxSourceColumns*2/3; cut > 0 && len(line) > maxSourceColumns {
		before = "..." + strings.ToValidUTF8(before[cut:], "")
	}
	before = shown(before)
	marked := shown(at[:min(max(length, 1), len(at))])
	at = shown(cutTo(at, max(maxSourceColumns-len(before), 16)))
	width := max(min(columns(marked), columns(at)), 1)
	return before + at, strings.Repeat(" ", columns(before)) + "^" + strings.Repeat("~", width-1)
}

func cutTo(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}
