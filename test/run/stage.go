// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// stage is a group of checks that are timed together.
type stage struct {
	name, what string
	// onRequest keeps it out of a run of everything.
	onRequest bool
	// aside: it only compiles, and runs at low priority beside the stages that follow, which
	// wait most of the time.
	aside bool
	// alone: it takes all that the machine has, and begins when those aside have ended.
	alone bool
	// run adds its results to the tally; an error fails the stage itself.
	run func(context.Context, *tally) error
}

// stages are in the order in which they run: what ends soon and says most comes
// first, and web installs what the generated files and the page's test need.
func stages() []stage {
	return []stage{
		{name: "packages", what: "install the Debian packages that the tests need (root only)", run: installPackages},
		{name: "lint", what: "gofmt, go vet, go mod tidy, buf lint, buf breaking", aside: true, run: lint},
		{name: "arm64", what: "Go and C for arm64", aside: true, run: arm64},
		{name: "duckdb", what: "DuckDB reads the segments of the disk log (a module of its own, with cgo)", aside: true, run: duckdbTests},
		{name: "web", what: "svelte-check and vitest", run: webTests},
		{name: "generated", what: "generated files match their sources: C objects, abi, api, web", run: generated},
		{name: "unit", what: "tests that may run side by side", run: unitTests},
		{name: "kernel", what: "tests that load BPF programs or measure the host, one package at a time", run: kernelTests},
		{name: "race", what: "the race detector on the packages with the most concurrency", run: raceTests},
		{name: "vm", what: "the kernel matrix in QEMU", alone: true, run: matrixTests},
		{name: "fuzz", what: "every fuzz target for $FUZZTIME (10s)", onRequest: true, run: fuzz},
	}
}

func stageNames(all []stage) []string {
	var names []string
	for _, s := range all {
		names = append(names, s.name)
	}
	return names
}

// errSkipped is wrapped by the reason why a check cannot run here.
var errSkipped = errors.New("skipped")

func skipf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errSkipped, fmt.Sprintf(format, args...))
}

// check runs one check that is not a Go test and adds its result.
func (t *tally) check(name string, f func() error) {
	start := time.Now()
	err := f()
	r := result{pkg: t.stage.name, name: name, elapsed: time.Since(start)}
	switch {
	case err == nil:
		r.outcome = passed
	case errors.Is(err, errSkipped):
		r.outcome, r.output = skipped, strings.TrimPrefix(err.Error(), errSkipped.Error()+": ")
	default:
		r.outcome, r.output = failed, strings.TrimRight(err.Error(), "\n")+"\n"
	}
	t.add(r)
	t.line(t.stage.name+"/"+name, []result{r}, r.elapsed)
}

// command is a program without input, which is interrupted before it is killed.
func command(ctx context.Context, argv ...string) *exec.Cmd {
	if ctx.Value(asideKey{}) != nil {
		argv = append([]string{"nice", "-n", "19"}, argv...)
	}
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
	return c
}

// do runs a program; its output is the error's text if it fails.
func do(ctx context.Context, argv ...string) error {
	_, err := output(command(ctx, argv...))
	return err
}

func output(c *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(c.Args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// need says which program is missing, as a reason to skip.
func need(programs ...string) error {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return skipf("needs %s: not installed", p)
		}
	}
	return nil
}
