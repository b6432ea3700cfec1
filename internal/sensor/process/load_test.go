// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os"
	"testing"

	"github.com/skep-io/skep/internal/kern"
)

// TestLoadWithoutKernelReads: what the sensor is under lockdown=confidentiality passes the
// verifier of any kernel. That it is enough there, the kernel matrix shows.
func TestLoadWithoutKernelReads(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: loads BPF programs")
	}
	kernel, err := kern.Open(kern.Options{Constants: map[string]any{"cfg_probe_read": false}}, Sensor())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kernel.Close() })
	signals, err := kernel.Attach(Sensor())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range signals {
		if s.Rung == nil || s.Rung.Name != s.Ladder.Rungs[0].Name && s.Ladder.Signal != "oom" {
			t.Errorf("signal %s: %+v", s.Ladder.Signal, s.Reports)
		}
	}
}
