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
	testLoad(t, kern.Options{Constants: map[string]any{"cfg_probe_read": false}})
}

// TestLoadInterpreted: without the kernel functions that a kernel refuses which does not compile programs.
func TestLoadInterpreted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: loads BPF programs")
	}
	testLoad(t, kern.Options{Interpreted: true})
	testLoad(t, kern.Options{Interpreted: true, Force: map[string]string{"exec": "raw_tp"}})
}

func testLoad(t *testing.T, options kern.Options) {
	t.Helper()
	kernel, err := kern.Open(options, Sensor())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kernel.Close() })
	signals, err := kernel.Attach(Sensor())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range signals {
		if s.Rung != nil && s.Rung.Name == options.Force[s.Ladder.Signal] {
			continue
		}
		if s.Rung == nil || s.Rung.Name != s.Ladder.Rungs[0].Name && s.Ladder.Signal != "oom" {
			t.Errorf("signal %s: %+v", s.Ladder.Signal, s.Reports)
		}
	}
}
