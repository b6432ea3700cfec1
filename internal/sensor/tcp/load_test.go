// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"slices"
	"testing"
)

// maxVerified is the most instructions that the verifier may walk through for one program:
// twice what the largest, "state", takes on 6.18, which is 42,968. Kernels differ in it.
const maxVerified = 86_000

// TestLoad: each rung that the kernel has the parts for loads, for how much of the verifier
// is in the log.
func TestLoad(t *testing.T) {
	for _, rung := range Sensor().Ladders[0].Rungs {
		t.Run(rung.Name, func(t *testing.T) {
			needRung(t, rung.Name)
			w := start(t, rung.Name)
			for _, p := range w.kernel.Stats() {
				if !slices.Contains(slices.Concat(rung.Programs, w.traffic.Programs), p.Name) {
					continue // of the process sensor
				}
				t.Logf("%s takes the verifier %d instructions", p.Name, p.Instructions)
				if p.Instructions > maxVerified {
					t.Errorf("%s takes %d, more than %d", p.Name, p.Instructions, maxVerified)
				}
			}
		})
	}
}
