// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"sync"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/tools"
)

// Tools implements server.Tracer.
func (t *tracer) Tools() ([]*skepv1.Tool, error) { return toolList() }

// toolList tells of all tools what their headers say, which stays as it is.
var toolList = sync.OnceValues(func() ([]*skepv1.Tool, error) {
	all, err := tools.All()
	var list []*skepv1.Tool
	for _, t := range all {
		list = append(list, described(t))
	}
	return list, err
})

func described(t *tools.Tool) *skepv1.Tool {
	d := &skepv1.Tool{Name: t.Name, Summary: t.Summary, Role: skepv1.Role_ROLE_ADMIN, Example: t.Example, Notes: t.Notes}
	if t.Role == tools.Operate {
		d.Role = skepv1.Role_ROLE_OPERATE
	}
	for _, o := range t.Options {
		d.Options = append(d.Options, &skepv1.ToolOption{Name: o.Name, Type: o.Type, Default: o.Default, Required: o.Required, Text: o.Text})
	}
	for _, c := range t.Columns {
		d.Columns = append(d.Columns, &skepv1.ToolColumn{Name: c.Name, Type: c.Type})
	}
	for _, m := range t.Maps {
		d.Maps = append(d.Maps, &skepv1.ToolMap{Name: m.Name, Keys: m.Keys, Histogram: m.Histogram, Unit: m.Unit})
	}
	return d
}
