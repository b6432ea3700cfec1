// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"strings"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/bt/render"
	"github.com/skep-io/skep/internal/bt/wire"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/tools"
)

// toolView shows what a named tool says as its header describes it: records in columns of
// fixed width, as in [recordTable], maps as tables; histograms and stacks as a script's.
type toolView struct {
	out     *tracePrinter
	columns []toolColumn
	maps    map[string]tools.Map
}

// toolColumn is how a column is laid out. Stacks have no width: they follow below.
type toolColumn struct {
	tools.Column
	title string
	width int
	right bool
}

// columnWidths are those of types, in columns of a terminal; 8 of a number of any kind.
var columnWidths = map[string]int{
	"text": 16, "ip": 15, "address": 18, "errno": 12, "signal": 9, "capability": 18, "tcp_state": 11, "drop_reason": 24, "bool": 5, "syscall": 18,
}

func newToolView(out *tracePrinter, tool *tools.Tool) *toolView {
	v := &toolView{out: out, maps: map[string]tools.Map{}}
	for _, c := range tool.Columns {
		col := toolColumn{Column: c, title: strings.ToUpper(c.Name), width: columnWidths[c.Type]}
		if col.width == 0 {
			col.width, col.right = 8, true
		}
		col.width = max(col.width, len(col.title))
		v.columns = append(v.columns, col)
	}
	for _, m := range tool.Maps {
		v.maps[m.Name] = m
	}
	return v
}

func isStack(of string) bool { return of == "kstack" || of == "ustack" }

// header tells the names of the columns, which is the sign that the tool is attached.
func (v *toolView) header() {
	if len(v.columns) == 0 {
		return
	}
	line := []byte{}
	for i, c := range v.columns {
		if !isStack(c.Type) {
			line = v.cell(line, i, c.title)
		}
	}
	s := v.out.app.screen
	v.out.buf = append(s.append(v.out.buf, bold, string(line)), '\n')
}

// cell appends a text that is safe to show; the last one is not padded.
func (v *toolView) cell(line []byte, i int, text string) []byte {
	c := v.columns[i]
	if i > 0 {
		line = append(line, ' ')
	}
	switch {
	case c.right:
		return append(appendSpaces(line, c.width-columns(text)), text...)
	case i == len(v.columns)-1:
		return append(line, text...)
	}
	return appendPadded(line, text, c.width)
}

// record shows one, of which values are the columns.
func (v *toolView) record(values []render.Value) {
	values = values[:min(len(values), len(v.columns))]
	if v.out.json {
		v.out.object("record", v.fields(values))
		return
	}
	line := []byte{}
	for i, value := range values {
		if c := v.columns[i]; !isStack(c.Type) {
			line = v.cell(line, i, shownAs(c.Type, value))
		}
	}
	v.out.buf = append(append(v.out.buf, line...), '\n')
	for i, value := range values {
		if isStack(v.columns[i].Type) {
			v.out.text(strings.TrimPrefix(value.String(), "\n"))
		}
	}
}

// fields are a record as an object of JSON.
func (v *toolView) fields(values []render.Value) []byte {
	names := make([]string, len(values))
	for i := range values {
		names[i] = v.columns[i].Name
	}
	return jsonFields(names, values)
}

// printed shows a map that the header describes; the others are the tool's own.
func (v *toolView) printed(p *skepv1.TracePrint) {
	described, ok := v.maps[p.GetName()]
	if !ok {
		return
	}
	m := wire.MapOf(p)
	switch {
	case v.out.json:
		v.object(described, m, p.GetFinal())
	case len(m.Entries) == 0:
	case described.Histogram, slices.ContainsFunc(described.Keys, isStack):
		v.out.text("\n" + m.String())
	default:
		v.table(described, m)
	}
}

// valueTitle is the title of a map's values. One that is named after its unit would contradict
// the units for people that they are shown in.
func valueTitle(described tools.Map) string {
	switch name := described.Value(); name {
	case "ns", "us", "ms":
		return "TIME"
	default:
		return strings.ToUpper(name)
	}
}

// table shows a map with the greatest entries first.
func (v *toolView) table(described tools.Map, m *render.Map) {
	t := &table{}
	for _, key := range described.Keys {
		t.columns = append(t.columns, column{title: strings.ToUpper(key)})
	}
	t.columns = append(t.columns, column{title: valueTitle(described), right: true})
	for _, e := range slices.Backward(m.Entries) {
		var cells []cell
		for i := range described.Keys {
			shown := ""
			if i < len(e.Key) {
				shown = shownAs(described.Keys[i], e.Key[i])
			}
			cells = append(cells, text(shown))
		}
		t.add(append(cells, text(shownAs(described.Unit, e.Value)))...)
	}
	v.out.buf = t.render(append(v.out.buf, '\n'), v.out.app.screen, v.out.app.width())
}

// object is a map as a line of JSON: a list of its entries, each with the parts of its key
// and its value by name.
func (v *toolView) object(described tools.Map, m *render.Map, final bool) {
	data := render.AppendText([]byte(`{"map": `), described.Name)
	data = fmt.Appendf(data, `, "final": %t, "entries": [`, final)
	names := append(slices.Clone(described.Keys), described.Value())
	for i, e := range slices.Backward(m.Entries) {
		if i < len(m.Entries)-1 {
			data = append(data, ", "...)
		}
		values := append(slices.Clone(e.Key[:min(len(e.Key), len(described.Keys))]), e.Value)
		if len(values) == len(names) {
			data = append(data, jsonFields(names, values)...)
		}
	}
	v.out.object("map", append(data, "]}"...))
}

// oneLine is a text that is safe on a terminal and has one line.
func oneLine(v render.Value) string {
	if v.Kind == render.Text || v.Kind == render.Symbol {
		return event.Printable(v.String())
	}
	return event.Printable(strings.TrimPrefix(v.String(), "\n"))
}
