// SPDX-License-Identifier: Apache-2.0

// Package start_test holds what the programs take to be there, before they do anything.
package start_test

import (
	"bytes"
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// What the packages of skep may take before main runs: every call of it pays that, and the
// client of a script keeps it. It was 294 kB in 1,090 allocations when these were chosen.
const (
	maxInitBytes  = 400_000
	maxInitAllocs = 1_600
)

// cost is what a package takes to initialise.
type cost struct {
	name          string
	bytes, allocs int
}

// TestPackagesStartSmall: the Go runtime counts the bytes, which are the same on any machine.
func TestPackagesStartSmall(t *testing.T) {
	c := exec.Command(skepdtest.Build(t, "skep"), "--version")
	c.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var trace bytes.Buffer
	c.Stderr = &trace
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	costs, total := initCosts(t, trace.String())
	if len(costs) < 50 {
		t.Fatalf("the runtime told of %d packages: %s", len(costs), trace.String())
	}
	if total.bytes > maxInitBytes || total.allocs > maxInitAllocs {
		slices.SortFunc(costs, func(a, b cost) int { return cmp.Compare(b.bytes, a.bytes) })
		t.Errorf("packages take %d bytes in %d allocations to start, and may take %d in %d; most take %+v",
			total.bytes, total.allocs, maxInitBytes, maxInitAllocs, costs[:8])
	}
}

// initCosts reads lines such as
//
//	init NAME @0.1 ms, 0.02 ms clock, 120 bytes, 3 allocs
func initCosts(t *testing.T, trace string) (costs []cost, total cost) {
	t.Helper()
	for line := range strings.Lines(trace) {
		words := strings.Fields(line)
		if len(words) != 11 || words[0] != "init" {
			continue
		}
		size, err := strconv.Atoi(words[7])
		if err != nil {
			t.Fatalf("not what the runtime writes: %q: %v", line, err)
		}
		allocs, err := strconv.Atoi(words[9])
		if err != nil {
			t.Fatalf("not what the runtime writes: %q: %v", line, err)
		}
		costs = append(costs, cost{words[1], size, allocs})
		total.bytes, total.allocs = total.bytes+size, total.allocs+allocs
	}
	return costs, total
}

// TestConfigCheck: what only skepd knows of a configuration, skep tells too.
func TestConfigCheck(t *testing.T) {
	file := filepath.Join(t.TempDir(), "skep.yaml")
	check := func(text string) (said string, ok bool) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(skepdtest.Build(t, "skep"), "config", "check", file).CombinedOutput()
		return string(out), err == nil
	}
	if said, ok := check("ship: {a: {where: 'process.uid == 0', file: {path: /x}}}\n"); !ok || said != file+": ok\n" {
		t.Errorf("a good file: %q", said)
	}
	want := "skep: " + file + ":1:11: ship.a filter where: column 8: undefined field 'uit'; did you mean \"uid\"?\n"
	if said, ok := check("ship: {a: {where: 'process.uit == 0', file: {path: /x}}}\n"); ok || said != want {
		t.Errorf("a bad expression: got %q, want %q", said, want)
	}
}

func TestMain(m *testing.M) { os.Exit(skepdtest.Main(m)) }
