// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// TestCostsAreShown: while somebody looks, each program's runs, their time and their share
// of a CPU are what the work that was done says they are.
func TestCostsAreShown(t *testing.T) {
	h := newPrivateHouse(t)
	a := h.start()
	within(t, skepdtest.Patience, "the costs of an exec", func() error {
		a.status() // looking turns the kernel's statistics on
		for range 50 {
			if err := exec.Command("true").Run(); err != nil {
				t.Fatal(err)
			}
		}
		var total float64
		for _, p := range a.status().Programs {
			total += p.GetCpuShare()
			if !strings.HasPrefix(p.GetName(), "exec_") {
				continue
			}
			ns, rate := p.GetNsPerRun(), p.GetRunsPerSecond()
			if p.GetRuns() < 50 || p.GetInstructions() == 0 || rate <= 0 || ns < 100 || ns > 1_000_000 {
				return fmt.Errorf("%v", p)
			}
			if share, want := p.GetCpuShare(), rate*float64(ns)/1e9; share < want/2 || share > want*2 {
				return fmt.Errorf("%v runs/s of %v ns are not %v of a CPU", rate, ns, share)
			}
			if all := a.status().GetProgramsCpuShare(); all <= 0 {
				return errors.New("all programs together take no CPU")
			}
			return nil
		}
		return fmt.Errorf("no program sees an exec, of %d", len(a.status().Programs))
	})
	a.stop()
}
