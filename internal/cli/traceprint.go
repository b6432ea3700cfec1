// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/bt/render"
	"github.com/skep-io/skep/internal/bt/wire"
	"github.com/skep-io/skep/internal/event"
)

// tracePrinter shows what a script says, as bpftrace does: its words on the standard
// output, those about it on the standard error.
type tracePrinter struct {
	app   *app
	flags *traceFlags
	name  string // of the script
	json  bool
	runs  bool // the script is attached, and not only looked at
	buf   []byte
	// parted: the empty lines that come before the last maps are there.
	ready, parted bool
	tool          *toolView // of a named tool, or nil
	// beside does something that may take long; if it cannot be waited for any more, the error is
	// the context's, and do may go on.
	beside func(do func(context.Context) error) error
}

func (a *app) newTracePrinter(f *traceFlags, req *skepv1.TraceRequest) *tracePrinter {
	p := &tracePrinter{app: a, flags: f, name: req.GetName(), json: f.output == "json", runs: req.GetMode() == skepv1.TraceMode_TRACE_MODE_RUN}
	if f.tool != nil {
		p.name, p.tool = f.tool.Name, newToolView(p, f.tool)
	}
	return p
}

// event shows one; what must be in order with what others write is flushed first.
func (p *tracePrinter) event(e *skepv1.TraceEvent) error {
	switch b := e.GetBody().(type) {
	case *skepv1.TraceEvent_Ready:
		p.attached(b.Ready)
	case *skepv1.TraceEvent_Text:
		if p.tool != nil && b.Text.GetFrom() == "printf" {
			p.tool.record(wire.ValuesOf(b.Text.GetValues()))
			return nil
		}
		p.said(or(b.Text.GetFrom(), "printf"), string(b.Text.GetText()))
	case *skepv1.TraceEvent_Print:
		if p.tool != nil {
			p.tool.printed(b.Print)
			return nil
		}
		p.printed(b.Print)
	case *skepv1.TraceEvent_Command:
		return p.command(b.Command)
	case *skepv1.TraceEvent_Listed:
		p.listed(b.Listed)
	case *skepv1.TraceEvent_Emitted:
		p.text(b.Emitted.GetText())
	case *skepv1.TraceEvent_Loss:
		p.lost(b.Loss)
	case *skepv1.TraceEvent_Diagnostic:
		return p.diagnosed(b.Diagnostic)
	}
	return nil
}

// text is for a person, or for whoever reads the pipe.
func (p *tracePrinter) text(s string) {
	if !p.app.screen.terminal {
		p.buf = append(p.buf, s...)
		return
	}
	for i, line := range strings.Split(s, "\n") {
		if i > 0 {
			p.buf = append(p.buf, '\n')
		}
		for j, part := range strings.Split(line, "\t") {
			if j > 0 {
				p.buf = append(p.buf, '\t')
			}
			p.buf = append(p.buf, event.Printable(part)...)
		}
	}
}

func (p *tracePrinter) said(kind, text string) {
	if !p.json {
		p.text(text)
		return
	}
	if kind == "join" { // the end of the line is none of its strings
		text = strings.TrimSuffix(text, "\n")
	}
	p.object(kind, render.AppendText(nil, text))
}

// object is a line of JSON.
func (p *tracePrinter) object(kind string, data []byte) {
	p.buf = append(render.AppendText(append(p.buf, `{"type": `...), kind), `, "data": `...)
	p.buf = append(append(p.buf, data...), "}\n"...)
}

func (p *tracePrinter) attached(r *skepv1.TraceReady) {
	p.ready = true
	n := len(r.GetProbes())
	switch {
	case p.flags.quiet:
	case p.runs && p.tool != nil && !p.json:
		p.tool.header()
	case !p.runs:
		p.told(fmt.Sprintf("%s: %d probe%s would be attached, %s instructions", or(p.name, "the script"), n, plural(n), formatCount(uint64(r.GetInstructions()))))
	case p.json:
		p.object("attached_probes", fmt.Appendf(nil, `{"probes": %d}`, n))
	default:
		p.text(fmt.Sprintf("Attaching %d probe%s...\n", n, plural(n)))
	}
	if p.app.asBpftrace && os.Getenv(notifyAttached) != "" {
		p.text(notifyAttached + "\n")
	}
	for _, probe := range r.GetProbes() {
		p.instead(probe)
	}
	if r.GetMetrics() != "" && !p.flags.quiet {
		p.told(fmt.Sprintf("its maps are the metrics skep_trace_* with script=%q", event.Printable(r.GetMetrics())))
	}
	if p.flags.verbose {
		of := func(d *durationpb.Duration) string { return formatDuration(d.AsDuration()) }
		p.told(fmt.Sprintf("ready in %s: compiled in %s, loaded in %s (%s instructions), attached in %s", of(r.GetTook()), of(r.GetCompiling()),
			of(r.GetLoading()), formatCount(uint64(r.GetInstructions())), of(r.GetAttaching())))
	}
}

// notifyAttached asks bpftrace, by the environment, for a line that says this when its
// probes are attached.
const notifyAttached = "__BPFTRACE_NOTIFY_PROBES_ATTACHED"

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

func (p *tracePrinter) printed(m *skepv1.TracePrint) {
	if m.GetFinal() {
		p.part()
	}
	switch {
	case m.GetName() == "" && p.json:
		for _, e := range m.GetEntries() {
			p.object("value", wire.ValueOf(e.GetValue()).AppendJSON(nil))
		}
	case m.GetName() == "":
		for _, e := range m.GetEntries() {
			p.text(wire.ValueOf(e.GetValue()).String() + "\n")
		}
	case p.json:
		p.buf = append(wire.MapOf(m).AppendJSON(p.buf), '\n')
	default:
		p.text(wire.MapOf(m).String())
	}
}

// part sets the last maps apart.
func (p *tracePrinter) part() {
	if !p.parted && !p.json {
		p.text("\n\n")
	}
	p.parted = true
}

// instead says what a probe runs on if that is not what its name says.
func (p *tracePrinter) instead(probe *skepv1.TraceProbe) {
	if probe.GetVia() != "" && !p.flags.quiet {
		p.told(fmt.Sprintf("%s runs on %s", event.Printable(probe.GetName()), event.Printable(probe.GetVia())))
	}
}

func (p *tracePrinter) listed(probe *skepv1.TraceProbe) {
	p.text(probe.GetName() + "\n")
	p.instead(probe)
	for _, arg := range probe.GetArguments() {
		p.text("    " + strings.TrimSpace(arg.GetType()+" "+arg.GetName()) + "\n")
	}
}

// tracePlaces say why events did not come, in words.
var tracePlaces = map[string]string{
	"ring": "they came faster than they were read", "rate": "they were more than the limit", "map": "a map is full", "queue": "they were read too slowly", "log": "they are not in the log", "missed": "the kernel did not run the probe",
}

func (p *tracePrinter) lost(l *skepv1.TraceLoss) {
	if p.json {
		data := render.AppendText(fmt.Appendf(nil, `{"events": %d, "probe": `, l.GetCount()), l.GetProbe())
		data = render.AppendText(append(data, `, "place": `...), l.GetPlace())
		p.object("lost_events", append(data, '}'))
		return
	}
	of := ""
	if l.GetProbe() != "" {
		of = " of " + event.Printable(l.GetProbe())
	}
	p.told(fmt.Sprintf("lost %s events%s: %s", formatCount(l.GetCount()), of, or(tracePlaces[l.GetPlace()], event.Printable(l.GetPlace()))))
}

// told is a line about the script.
func (p *tracePrinter) told(line string) { _ = p.tell("skep: " + line + "\n") } // a lost remark is no reason to end

// tell writes on the standard error, behind what has been said so far.
func (p *tracePrinter) tell(text string) error {
	if err := p.flush(); err != nil {
		return err
	}
	_, err := p.app.err.Write([]byte(text))
	return wrapWrite(err)
}

func (p *tracePrinter) flush() error {
	if len(p.buf) == 0 {
		return nil
	}
	_, err := p.app.out.Write(p.buf)
	p.buf = p.buf[:0]
	return wrapWrite(err)
}

// end writes what is left.
func (p *tracePrinter) end() error {
	if p.runs && p.ready && p.tool == nil {
		p.part()
	}
	return p.flush()
}
