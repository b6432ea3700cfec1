// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"strings"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
	"github.com/skep-io/skep/internal/server"
)

// list sends the probes that a pattern names.
func (t *tracer) list(req *skepv1.TraceRequest, send sendEvents) error {
	job := &traceJob{tracer: t, req: req, send: send}
	if tag, _, ok := strings.Cut(req.GetPattern(), " "); ok && (tag == "struct" || tag == "union") {
		return job.define(req.GetPattern())
	}
	points, errs := syntax.ParsePoints(req.GetPattern(), nil)
	if len(errs) > 0 {
		return errors.Join(job.tell(syntaxErrors(errs)), server.ErrScript)
	}
	return job.listPoints(points)
}

// listScript sends the probes of a script.
func (j *traceJob) listScript(program *syntax.Program) error {
	var points []*syntax.AttachPoint
	for _, p := range program.Probes {
		points = append(points, p.Points...)
	}
	return j.listPoints(points)
}

func (j *traceJob) listPoints(points []*syntax.AttachPoint) error {
	var batch []*skepv1.TraceEvent
	var failed error
	flush := func() bool {
		if len(batch) > 0 {
			failed = j.send(batch...)
			batch = nil
		}
		return failed == nil
	}
	var known probeList
	problems := bt.List(points, j.host, bt.Options{PID: int(j.req.GetPid()), Directory: j.req.GetDirectory()}, j.req.GetArguments(), func(one bt.Listed) bool {
		before := len(known.probes)
		p := known.add(compile.Pos{}, one.Name, one.Via, one.Differs)
		if one.Via == "" {
			known = probeList{}
		} else if len(known.probes) == before {
			return true // another place of the same
		}
		for _, m := range one.Members {
			if strings.HasPrefix(m.Name, "common_") { // every tracepoint has them
				continue
			}
			of, length, isArray := strings.Cut(cTypeName(m.Type), "[")
			if isArray {
				length = "[" + length
			}
			p.Arguments = append(p.Arguments, &skepv1.TraceArgument{Type: valid(of), Name: valid(m.Name + length)})
		}
		batch = append(batch, &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Listed{Listed: p}})
		return len(batch) < maxScriptEvents || flush()
	})
	if !flush() {
		return failed
	}
	if len(problems) > 0 {
		return j.wrong(diagnostics(problems, skepv1.TraceDiagnostic_SEVERITY_ERROR))
	}
	return nil
}

// define sends what a structure or union of the kernel consists of.
func (j *traceJob) define(name string) error {
	if t, ok := j.host.Type(name); !ok || t.Kind != bt.Record {
		return fmt.Errorf("the kernel has no %s", name)
	}
	var b strings.Builder
	j.members(&b, name, name, 1)
	return j.emit(b.String() + ";\n")
}

// members writes a structure with its members; those without a name have theirs inside.
func (j *traceJob) members(b *strings.Builder, title, name string, depth int) {
	indent := strings.Repeat("    ", depth)
	b.WriteString(title + " {\n")
	list, _ := j.host.Members(name)
	for _, m := range list {
		b.WriteString(indent)
		tag, _, _ := strings.Cut(m.Type.Name, " ")
		if m.Name == "" && m.Type.Kind == bt.Record && depth < deepestDefinition {
			j.members(b, tag, m.Type.Name, depth+1)
			b.WriteString(";\n")
			continue
		}
		of, length, isArray := strings.Cut(cTypeName(m.Type), "[")
		if isArray {
			length = "[" + length
		}
		if m.BitSize > 0 {
			length = fmt.Sprintf(" : %d", m.BitSize)
		}
		b.WriteString(of + " " + m.Name + length + ";\n")
	}
	b.WriteString(strings.Repeat("    ", depth-1) + "}")
}

// deepestDefinition bounds how many structures without a name are inside each other.
const deepestDefinition = 8

// cTypeName is a type as C writes it, as far as it is known.
func cTypeName(t bt.Type) string {
	switch {
	case t.Kind == bt.Pointer && t.Elem != nil:
		return strings.TrimSpace(cTypeName(*t.Elem) + " *")
	case t.Kind == bt.Pointer:
		return "void *"
	case t.Kind == bt.ArrayOf && t.Elem != nil && t.Elem.Size > 0:
		return fmt.Sprintf("%s[%d]", cTypeName(*t.Elem), t.Size/t.Elem.Size)
	case t.Kind == bt.String:
		return fmt.Sprintf("char[%d]", t.Size)
	case t.Name != "":
		return t.Name
	case t.Kind == bt.None:
		return "void"
	case t.Signed:
		return fmt.Sprintf("int%d_t", 8*t.Size)
	}
	return fmt.Sprintf("uint%d_t", 8*t.Size)
}

func (j *traceJob) emit(text string) error {
	return j.send(&skepv1.TraceEvent{Body: &skepv1.TraceEvent_Emitted{Emitted: &skepv1.TraceEmitted{Text: valid(text)}}})
}

func (j *traceJob) representation() string {
	var b strings.Builder
	for _, p := range j.script.Probes {
		fmt.Fprintf(&b, "// %s\n%s\n", p.Targets[0].Name, p.Program)
	}
	return b.String()
}

func (j *traceJob) assembly() string {
	var b strings.Builder
	for i, p := range j.script.Probes {
		fmt.Fprintf(&b, "// %s: %d instructions, %d bytes of stack\n%s\n", p.Targets[0].Name, j.codes[i].Stats.Slots, j.codes[i].Frame, j.codes[i])
	}
	return b.String()
}

// scriptCgroups finds the cgroups of a container, by its name or the beginning of its id.
func (a *Agent) scriptCgroups(name string) ([]uint64, error) {
	ids := a.tracer.identity.ofScript().Cgroups(bt.Container, name)
	if len(ids) == 0 {
		return nil, fmt.Errorf("find container %q: none of that name or id runs", name)
	}
	return ids, nil
}
