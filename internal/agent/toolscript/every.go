// SPDX-License-Identifier: Apache-2.0

package toolscript

import (
	"fmt"
	"strings"
	"time"

	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/tools"
)

// Every makes the program print and clear its maps so often.
func Every(t *tools.Tool, program *syntax.Program, interval time.Duration) error {
	count := uint64(interval / time.Microsecond)
	point := fmt.Sprintf("interval:us:%d", count)
	found := false
	for _, p := range program.Probes {
		for _, at := range p.Points {
			if at.Provider == "interval" {
				at.Text, at.Unit, at.Count, found = point, "us", count, true
			}
		}
	}
	switch {
	case found:
		return nil
	case len(t.Maps) == 0:
		return fmt.Errorf("run tool %s: --interval: it keeps nothing, and shows each event as it happens", t.Name)
	}
	var b strings.Builder
	b.WriteString(point + " {")
	for _, m := range t.Maps {
		fmt.Fprintf(&b, " print(%s); clear(%s);", m.Name, m.Name)
	}
	b.WriteString(" }")
	more, errs := syntax.Parse(b.String(), nil)
	if len(errs) > 0 {
		return fmt.Errorf("run tool %s: --interval: %w", t.Name, errs.Err())
	}
	program.Probes = append(program.Probes, more.Probes...)
	return nil
}
