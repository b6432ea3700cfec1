// SPDX-License-Identifier: Apache-2.0

package host

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/sensor/process"
)

// maxVerified is the most instructions that the verifier may walk through for one program,
// a tenth above what the largest takes on any kernel of the matrix.
const maxVerified = 10_300

// TestLoad: what works here of each ladder loads, also where no kernel memory may be read by
// helper; for how much of the verifier is in the log.
func TestLoad(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: loads BPF programs")
	}
	for _, reads := range []bool{true, false} {
		works := map[string]bool{}
		for _, ladder := range Sensor().Ladders {
			for _, rung := range ladder.Rungs {
				for _, p := range load(t, ladder.Signal, rung.Name, reads) {
					works[ladder.Signal] = true
					t.Logf("%s %s: %s takes the verifier %d instructions", ladder.Signal, rung.Name, p.Name, p.Instructions)
					if p.Instructions > maxVerified {
						t.Errorf("%s takes more than %d", p.Name, maxVerified)
					}
				}
			}
		}
		if !works["host_calls"] || !works["kill"] {
			t.Errorf("reading by helper %t: what works on every kernel does not: %v", reads, works)
		}
	}
}

func load(t *testing.T, signal, rung string, reads bool) []kern.ProgramStats {
	t.Helper()
	kernel, err := kern.Open(kern.Options{Force: map[string]string{signal: rung}, Constants: map[string]any{"cfg_probe_read": reads}},
		process.Sensor(), Sensor())
	if err != nil {
		t.Fatal(err)
	}
	defer kernel.Close()
	s := Sensor()
	s.Ladders = slices.DeleteFunc(s.Ladders, func(l kern.Ladder) bool { return l.Signal != signal })
	signals, err := kernel.Attach(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, report := range signals[0].Reports {
		if report.State == kern.Unavailable {
			t.Logf("%s %s: %s", signal, rung, report.Reason)
		}
		// What a kernel lacks is another error, and so is a function whose arguments its BTF does not tell (5.10).
		if report.State == kern.Unavailable && strings.HasPrefix(report.Reason, "the verifier refuses") && !strings.Contains(report.Reason, "func unknown") &&
			!strings.Contains(report.Reason, "invalid bpf_context access off=0") &&
			!(strings.HasSuffix(rung, "_probe") && !reads) {
			t.Errorf("%s %s is refused by the verifier: %s", signal, rung, report.Reason)
		}
	}
	return kernel.Stats()
}

// TestPlan: what is named is wanted on every rung, auto is rare calls at no cost, and each
// rung is on either side.
func TestPlan(t *testing.T) {
	rungs := func(s kern.Sensor) (n int, taxing []string) {
		for _, l := range s.Ladders {
			for _, r := range l.Rungs {
				n++
				if IsTaxing(r.Name) && !slices.Contains(taxing, l.Signal) {
					taxing = append(taxing, l.Signal)
				}
			}
		}
		return n, taxing
	}
	all, _ := rungs(kern.Sensor{Ladders: Ladders()})
	for _, c := range []struct {
		wanted, signals, taxing []string
	}{
		{nil, nil, nil},
		{[]string{"kill"}, []string{"kill"}, nil},
		{[]string{"memfd", "ptrace"}, []string{"ptrace", "memfd"}, []string{"ptrace", "memfd"}},
		{[]string{Auto}, []string{"ptrace", "mount", "setns", "unshare", "module", "bpf", "setuid", "kill", "memfd"}, nil},
		{[]string{Auto, "capability", "bpf"}, Groups(), []string{"bpf"}},
	} {
		on, off := Plan(c.wanted)
		var signals []string
		for _, l := range on.Ladders {
			signals = append(signals, l.Signal)
		}
		n, taxing := rungs(on)
		if m, _ := rungs(off); n+m != all || !slices.Equal(signals, c.signals) || !slices.Equal(taxing, c.taxing) {
			t.Errorf("%v wants %v, taxing %v, %d and %d rungs of %d", c.wanted, signals, taxing, n, m, all)
		}
	}
}

// TestCalls: a group's calls have bits of their own, and numbers.
func TestCalls(t *testing.T) {
	if got := Calls([]string{"setns", "kill"}); got != 1<<abi.CallSetns {
		t.Errorf("setns is %b", got)
	}
	every, table := Calls(Groups()), numbers()
	if every != 1<<abi.Calls-2 {
		t.Errorf("all groups are %b", every)
	}
	for call := abi.CallNone + 1; call < abi.Calls; call++ {
		if n := slices.Index(table[:], uint8(call)); n < 0 {
			t.Errorf("call %d has no number", call)
		}
	}
}
