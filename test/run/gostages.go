// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// alone are packages whose tests load BPF programs or count what the whole host
// does: one at a time, so that they neither meet nor disturb each other.
var alone = []string{"internal/agent", "internal/kern", "internal/sensor", "internal/trace", "test/e2e", "test/house"}

// raced are the packages where goroutines meet. internal/cli is not among them: its tests start
// whole processes, which the detector makes slow and does not look across.
var raced = []string{"internal/event", "internal/server", "internal/identity", "internal/flow", "internal/store", "internal/ship", "internal/redact",
	"internal/agent", "internal/web"}

// slowest are packages that take minutes, of which many go by waiting: begun last, they would go on alone.
var slowest = []string{"internal/store", "internal/server"}

const packageTimeout = "-timeout=20m"

func unitTests(ctx context.Context, t *tally) error {
	packages, err := goPackages(ctx, func(p string) bool { return !below(p, alone) })
	if err != nil {
		return err
	}
	return goTests{flags: []string{"-p=2", packageTimeout}, packages: packages}.run(ctx, t)
}

func kernelTests(ctx context.Context, t *tally) error {
	packages, err := goPackages(ctx, func(p string) bool { return below(p, alone) })
	if err != nil {
		return err
	}
	return inTemp(func(bin string) error {
		// Some tests run the programs as another user.
		if err := os.Chmod(bin, 0o755); err != nil {
			return err
		}
		// Once for all: each package would link them for itself.
		if err := do(ctx, "go", "build", "-o", bin+"/", "./cmd/skepd", "./cmd/skep"); err != nil {
			return err
		}
		return goTests{env: []string{"SKEP_BIN_DIR=" + bin}, flags: []string{"-p=1", packageTimeout}, packages: packages}.run(ctx, t)
	})
}

// raceTests is the only stage that needs a C compiler, for the detector itself.
func raceTests(ctx context.Context, t *tally) error {
	if err := need("gcc"); err != nil {
		t.check("gcc", func() error { return err })
		return nil
	}
	packages, err := goPackages(ctx, func(p string) bool { return below(p, raced) })
	if err != nil {
		return err
	}
	// TestKilled kills processes a hundred times: what they would have told of a race is gone with them.
	flags := []string{"-race", "-skip=^TestKilled$", "-p=2", packageTimeout}
	return goTests{env: []string{"CGO_ENABLED=1"}, flags: flags, packages: packages}.run(ctx, t)
}

// duckdb is a module of its own: the driver of DuckDB needs cgo.
const duckdb = "test/duckdb"

func duckdbTests(ctx context.Context, t *tally) error {
	if err := need("gcc", "g++"); err != nil {
		t.check("gcc", func() error { return err })
		return nil
	}
	return goTests{dir: duckdb, env: []string{"CGO_ENABLED=1"}, flags: []string{packageTimeout}, packages: []string{"./..."}}.run(ctx, t)
}

// matrixTests are the tests of test/vm that boot guests; its others are in unit.
func matrixTests(ctx context.Context, t *tally) error {
	if err := need("qemu-system-x86_64", "busybox", "apt-get", "dpkg-deb"); err != nil {
		t.check("qemu", func() error { return err })
		return nil
	}
	flags := []string{"-timeout=75m", "-run=^(TestMatrix|TestRun.*)$"}
	return goTests{env: []string{"SKEP_VM=1"}, flags: flags, packages: []string{"./test/vm"}}.run(ctx, t)
}

// goPackages lists the module's packages that satisfy keep, as arguments for go test.
func goPackages(ctx context.Context, keep func(string) bool) ([]string, error) {
	text, err := output(command(ctx, "go", "list", "-e", "./..."))
	if err != nil {
		return nil, err
	}
	var packages []string
	for _, p := range strings.Fields(text) {
		if name := strings.TrimPrefix(p, module); keep(name) {
			packages = append(packages, "./"+name)
		}
	}
	if len(packages) == 0 {
		return nil, fmt.Errorf("list packages: none chosen")
	}
	isSlow := func(p string) int { return slices.Index(slowest, strings.TrimPrefix(p, "./")) }
	slices.SortStableFunc(packages, func(a, b string) int { return isSlow(b) - isSlow(a) })
	return packages, nil
}

func below(name string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return name == root || strings.HasPrefix(name, root+"/")
	})
}

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

// fuzz runs each target for $FUZZTIME. Their seeds run as tests in any case.
func fuzz(ctx context.Context, t *tally) error {
	budget := os.Getenv("FUZZTIME")
	if budget == "" {
		budget = "10s"
	}
	files, err := tracked(ctx, "*_test.go")
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		dir := filepath.Dir(file)
		for _, m := range fuzzTarget.FindAllStringSubmatch(string(text), -1) {
			t.check(dir+"/"+m[1], func() error {
				return do(ctx, "go", "test", "-run=^$", "-fuzz=^"+m[1]+"$", "-fuzztime="+budget, "./"+dir)
			})
		}
	}
	return nil
}
