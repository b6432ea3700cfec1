// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"testing"
)

// Where the kernel has kprobes and fentry, skep passes at least 85 % of the cases about these that
// bpftrace passes there. The suite and bpftrace are foreign: test/vm puts them into a guest if
// it is told where they are.
func TestScore(t *testing.T) {
	programs := os.Getenv("SKEP_BT_PROGRAMS")
	if programs == "" {
		t.Skip("needs a guest of the kernel matrix with bpftrace and its suite: see test/vm/README.md")
	}
	outcomes, err := run(options{
		suite: os.Getenv("SKEP_BPFTRACE_CHECKOUT"), against: os.Getenv("SKEP_BPFTRACE"), programs: programs,
		skep: "/bin/skep", agent: os.Getenv("SKEP_BT_AGENT"),
		only: os.Getenv("SKEP_BT_ONLY"), tier: tierFunctions, tries: 2, slow: 6, verbose: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	total := &row{}
	for _, o := range outcomes {
		total.add(o)
	}
	of := total.both + total.onlyReference
	if of == 0 {
		t.Fatal("the reference passes no case")
	}
	if share := float64(total.both) / float64(of); share < 0.85 {
		t.Errorf("skep passes %d of the %d cases that the reference passes: %s, expected 85 %%", total.both, of, total.score())
	}
}
