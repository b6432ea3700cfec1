// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"testing"

	"github.com/skep-io/skep/internal/bt"
)

// TestSubstitutesLoad: each row of the table of substitutes loads here, or this kernel has
// not the tracepoint.
func TestSubstitutesLoad(t *testing.T) {
	for _, row := range bt.Substitutes() {
		name := map[bt.ProbeKind]string{bt.Kprobe: "kprobe:", bt.Kretprobe: "kretprobe:"}[row.Kind] + row.Function
		value := "arg0, arg1, arg2, arg3"
		if row.Kind == bt.Kretprobe {
			value = "retval"
		}
		t.Run(name, func(t *testing.T) {
			s := start(t, fmt.Sprintf(`%s { @[%s, func, kstack(1)] = count(); }`, name, value), bt.Options{Without: withoutFunctions})
			t.Log(s.script.Probes[0].Targets[0].Via)
		})
	}
}

var withoutFunctions = map[bt.ProbeKind]bool{bt.Kprobe: true, bt.Kretprobe: true, bt.Fentry: true, bt.Fexit: true}
