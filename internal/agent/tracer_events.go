// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"slices"
	"strings"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/render"
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/bt/wire"
	"github.com/skep-io/skep/internal/compile"
	"github.com/skep-io/skep/internal/trace"
)

// valid: names of programs and of the kernel need not be UTF-8, a message's strings are.
func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

// outputs is the job's trace.Sink.
func (j *traceJob) outputs(batch []trace.Output) error {
	for chunk := range slices.Chunk(batch, maxScriptEvents) {
		events := make([]*skepv1.TraceEvent, 0, len(chunk))
		for i := range chunk {
			if e := j.output(&chunk[i]); e != nil {
				events = append(events, e)
			}
		}
		if len(events) > 0 {
			if err := j.send(events...); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *traceJob) output(o *trace.Output) *skepv1.TraceEvent {
	switch o.Kind {
	case trace.Attached:
		return j.ready()
	case trace.Printf, trace.Time, trace.Join:
		if o.Kind == trace.Printf {
			j.tool.record(o.Values)
		}
		text := &skepv1.TraceText{From: textKinds[o.Kind], Text: []byte(o.Text), Values: wire.Values(o.Values)}
		return &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Text{Text: text}}
	case trace.Value:
		return printed(&skepv1.TracePrint{Entries: []*skepv1.TraceEntry{{Value: wire.Value(o.Value)}}})
	case trace.MapDump:
		j.tool.shape(o.Map)
		return dumped(o.Map, o.Final)
	case trace.Errorf:
		return j.complaint(skepv1.TraceDiagnostic_SEVERITY_ERROR, o)
	case trace.Warnf:
		return j.complaint(skepv1.TraceDiagnostic_SEVERITY_WARNING, o)
	case trace.System:
		return commanded(skepv1.TraceCommand_KIND_SYSTEM, o.Text)
	case trace.Cat:
		e := commanded(skepv1.TraceCommand_KIND_CAT, o.Text)
		e.GetCommand().MaxBytes = uint64(j.script.Limits.MaxCatBytes)
		return e
	case trace.Confirm:
		return commanded(skepv1.TraceCommand_KIND_CONFIRM, "")
	case trace.Failure, trace.HelperError:
		d := &skepv1.TraceDiagnostic{
			Severity: skepv1.TraceDiagnostic_SEVERITY_WARNING, Text: valid(o.Text), Reference: o.Reference, Helper: o.Helper, Returned: o.Returned,
		}
		j.place(d, o.Pos)
		return &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Diagnostic{Diagnostic: d}}
	case trace.Loss:
		return &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Loss{Loss: &skepv1.TraceLoss{Probe: valid(o.Probe), Place: string(o.Place), Count: o.Count}}}
	}
	return nil // trace.Exit: the result of Run says more
}

// complaint is what the script itself finds wrong. It says that often, so the line is not shown.
func (j *traceJob) complaint(severity skepv1.TraceDiagnostic_Severity, o *trace.Output) *skepv1.TraceEvent {
	d := &skepv1.TraceDiagnostic{Severity: severity, Text: valid(strings.TrimSuffix(o.Text, "\n"))}
	j.place(d, o.Pos)
	d.Source = ""
	return &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Diagnostic{Diagnostic: d}}
}

var textKinds = map[trace.OutputKind]string{trace.Printf: "printf", trace.Time: "time", trace.Join: "join"}

func dumped(m *render.Map, final bool) *skepv1.TraceEvent {
	p := wire.Print(m)
	p.Final = final
	return printed(p)
}

func printed(p *skepv1.TracePrint) *skepv1.TraceEvent {
	return &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Print{Print: p}}
}

func commanded(kind skepv1.TraceCommand_Kind, text string) *skepv1.TraceEvent {
	return &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Command{Command: &skepv1.TraceCommand{Kind: kind, Text: []byte(text)}}}
}

// tell sends diagnostics, with the lines that they are about.
func (j *traceJob) tell(list []*skepv1.TraceDiagnostic) error {
	var events []*skepv1.TraceEvent
	for _, d := range list {
		j.place(d, compile.Pos{Line: int(d.GetLine()), Column: int(d.GetColumn())})
		events = append(events, &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Diagnostic{Diagnostic: d}})
	}
	return j.send(events...)
}

// maxSourceLine bounds what of a line goes with a diagnostic; what is behind it is not shown.
const maxSourceLine = 4 << 10

func (j *traceJob) place(d *skepv1.TraceDiagnostic, pos compile.Pos) {
	d.Name, d.Line, d.Column = j.req.GetName(), uint32(pos.Line), uint32(pos.Column)
	lines := strings.SplitN(j.req.GetScript(), "\n", pos.Line+1)
	if pos.Line > 0 && pos.Line <= len(lines) {
		line := lines[pos.Line-1]
		d.Source = strings.ToValidUTF8(line[:min(len(line), maxSourceLine)], "")
		if d.Length == 0 {
			d.Length = uint32(syntax.WordLength(d.Source, pos.Column))
		}
	}
}

func syntaxErrors(errs syntax.Errors) []*skepv1.TraceDiagnostic {
	var out []*skepv1.TraceDiagnostic
	for _, e := range errs {
		out = append(out, &skepv1.TraceDiagnostic{
			Severity: skepv1.TraceDiagnostic_SEVERITY_ERROR, Line: uint32(e.Pos.Line), Column: uint32(e.Pos.Column), Length: uint32(e.Length),
			Text: valid(e.Text), Hint: valid(e.Hint),
		})
	}
	return out
}

func diagnostics(list []bt.Diagnostic, severity skepv1.TraceDiagnostic_Severity) []*skepv1.TraceDiagnostic {
	var out []*skepv1.TraceDiagnostic
	for _, d := range list {
		out = append(out, &skepv1.TraceDiagnostic{
			Severity: severity, Line: uint32(d.Pos.Line), Column: uint32(d.Pos.Column), Length: uint32(d.Length), Text: valid(d.Text), Hint: valid(d.Hint),
			Reference: valid(d.Reference),
		})
	}
	return out
}

// maxVerifierLines is how much of the verifier's log goes to the client: its end says why.
const maxVerifierLines = 200

func rejection(r *trace.Rejected) *skepv1.TraceDiagnostic {
	return &skepv1.TraceDiagnostic{
		Severity: skepv1.TraceDiagnostic_SEVERITY_ERROR, Line: uint32(r.Pos.Line), Column: uint32(r.Pos.Column),
		Text:   valid(r.Reason()),
		Detail: valid(strings.Join(r.Log[max(0, len(r.Log)-maxVerifierLines):], "\n")),
	}
}
