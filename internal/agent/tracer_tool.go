// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/skep-io/skep/internal/agent/toolscript"
	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/render"
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/tools"
)

// toolRun is a tool that is run, and with which of the options that all tools have. Of a nil
// one nothing is changed: the script is the caller's own.
type toolRun struct {
	*tools.Tool
	options tools.CommonOptions
}

// takeTool puts a tool's script in the place of its name.
func (j *traceJob) takeTool() error {
	if j.req.GetTool() == "" {
		return nil
	}
	tool, err := tools.Get(j.req.GetTool())
	if err != nil {
		return err
	}
	j.req = proto.CloneOf(j.req)
	j.req.Script, j.req.Name = tool.Script, tool.Name+".bt"
	if j.req.Args, err = tool.Arguments(j.req.GetArgs()); err != nil {
		return err
	}
	j.tool = &toolRun{Tool: tool}
	j.tool.options, err = tools.ParseOptions(j.req.GetOptions())
	return err
}

// apply puts the common options into the program. What is left of them in options holds for
// the beginning of every probe.
func (t *toolRun) apply(program *syntax.Program, options *bt.Options) error {
	if t == nil {
		return nil
	}
	r := toolscript.Restriction{PID: uint32(options.PID), Comm: t.options.Comm, UID: t.options.UID, Cgroups: options.Cgroups}
	entry, err := toolscript.Restrict(t.Tool, program, r)
	if err == nil && t.options.Interval > 0 {
		err = toolscript.Every(t.Tool, program, t.options.Interval)
	}
	if err != nil {
		return err
	}
	if !entry {
		options.PID, options.Cgroups = 0, nil
	}
	return nil
}

// idle is an error if a tool would run for nothing, as all that it looks at is missing here.
func (t *toolRun) idle(script *bt.Script) error {
	if t == nil || slices.ContainsFunc(script.Probes, func(p bt.Probe) bool { return p.Kind != bt.Begin && p.Kind != bt.End }) {
		return nil
	}
	return fmt.Errorf("run tool %s: this kernel has none of the places that it looks at", t.Name)
}

// shape leaves as many entries of a map as the caller asked for, and types the parts of their keys.
func (t *toolRun) shape(m *render.Map) {
	if t == nil {
		return
	}
	if t.options.Top > 0 {
		m.Top = t.options.Top
	}
	for _, described := range t.Maps {
		if described.Name != m.Name {
			continue
		}
		for _, e := range m.Entries {
			for part := range min(len(e.Key), len(described.Keys)) {
				e.Key[part] = typed(described.Keys[part], e.Key[part])
			}
		}
	}
}

// record types the values of a printf that shows the columns.
func (t *toolRun) record(values []render.Value) {
	if t == nil || len(values) != len(t.Columns) {
		return
	}
	for i, c := range t.Columns {
		values[i] = typed(c.Type, values[i])
	}
}

// typed makes of a value what the header says that it is, so that no client has to know: of a
// number the name of what it stands for, a truth or an address, of a probe's name its system
// call. Numbers of system calls and errors differ between machines: their names are this one's.
func typed(of string, v render.Value) render.Value {
	if of == "call" {
		for _, prefix := range []string{"tracepoint:syscalls:sys_enter_", "tracepoint:syscalls:sys_exit_"} {
			v.Text = strings.TrimPrefix(v.Text, prefix)
		}
		return v
	}
	if v.Kind != render.Integer && v.Kind != render.Unsigned && v.Kind != render.Bool && (v.Kind != render.Enum || v.Text != "") {
		return v
	}
	if name, named := tools.NumberName(of, v.Int); named {
		return render.Value{Kind: render.Enum, Int: v.Int, Text: name}
	}
	switch of {
	case "bool":
		return render.Value{Kind: render.Bool, Int: v.Int}
	case "address":
		return render.Value{Kind: render.Pointer, Int: v.Int}
	}
	return v
}
