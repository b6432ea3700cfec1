// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"testing"

	"github.com/skep-io/skep/internal/kern"
)

// maxVerified is the most instructions that the verifier may walk through for one program,
// a tenth above what the largest takes on any kernel of the matrix.
const maxVerified = 1200

// TestLoad: how much of the verifier the programs take; without reads of the kernel, as
// under lockdown=confidentiality, the best rung loads too.
func TestLoad(t *testing.T) {
	for _, rung := range Sensor().Ladders[0].Rungs {
		t.Run(rung.Name, func(t *testing.T) {
			needRung(t, rung.Name)
			for _, reads := range []bool{true, false} {
				if !reads && rung.Name != "cgroup_skb" {
					continue // that rung is made of reads
				}
				w := start(t, rung.Name, kern.Options{Constants: map[string]any{"cfg_probe_read": reads}})
				for _, p := range w.kernel.Stats() {
					if p.Hook[:6] != "cgroup" {
						continue
					}
					t.Logf("reads %t: %s takes the verifier %d instructions", reads, p.Name, p.Instructions)
					if p.Instructions > maxVerified {
						t.Errorf("%s takes more than %d", p.Name, maxVerified)
					}
				}
				w.kernel.Close()
			}
		})
	}
}
