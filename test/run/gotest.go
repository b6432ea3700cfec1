// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

const module = "github.com/skep-io/skep/"

// goTests are packages that "go test" is run on. Results are never taken from the cache: the go command does
// not see what a test asks the kernel.
type goTests struct {
	// dir is the directory of their module, "" for this one.
	dir             string
	env             []string
	flags, packages []string
}

// run adds a result for every test. What failed is run again, as again says.
func (g goTests) run(ctx context.Context, t *tally) error {
	before := len(t.results)
	if err := g.once(ctx, t); err != nil {
		return err
	}
	g.again(ctx, t, t.results[before:])
	return nil
}

func (g goTests) once(ctx context.Context, t *tally) error {
	c := command(ctx, slices.Concat([]string{"go", "test", "-json", "-count=1"}, g.flags, g.packages)...)
	c.Dir, c.Env = g.dir, append(os.Environ(), g.env...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	stdout, err := c.StdoutPipe()
	if err != nil {
		return fmt.Errorf("run go test: %w", err)
	}
	if err := c.Start(); err != nil {
		return fmt.Errorf("run go test: %w", err)
	}
	p := newParser(t)
	readErr := p.read(stdout)
	err = c.Wait()
	if readErr != nil {
		return readErr
	}
	return p.finish(err, stderr.String())
}

// event is a line of "go test -json" (go doc test2json) or of a build in it.
type event struct {
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

// parser turns events into results, package by package.
type parser struct {
	tally    *tally
	packages map[string]*packageRun
	builds   map[string]*strings.Builder
	other    strings.Builder
	ran      int
	failures int
}

func newParser(t *tally) *parser {
	return &parser{tally: t, packages: map[string]*packageRun{}, builds: map[string]*strings.Builder{}}
}

func (p *parser) read(r io.Reader) error {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			p.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read go test's output: %w", err)
		}
	}
}

func (p *parser) line(line []byte) {
	var e event
	if json.Unmarshal(line, &e) != nil || e.Action == "" {
		p.other.Write(line)
		return
	}
	switch {
	case e.Action == "build-output":
		if p.builds[e.ImportPath] == nil {
			p.builds[e.ImportPath] = &strings.Builder{}
		}
		p.builds[e.ImportPath].WriteString(e.Output)
	case e.Package != "":
		p.event(e)
	}
}

func (p *parser) event(e event) {
	run := p.packages[e.Package]
	if run == nil {
		run = newPackageRun(e.Package)
		p.packages[e.Package] = run
	}
	if text, ok := strings.CutPrefix(logPrefix.ReplaceAllString(e.Output, ""), "progress: "); ok {
		fmt.Fprintf(p.tally.out, "      %s\n", strings.TrimSpace(text))
	}
	if e.FailedBuild != "" {
		if b := p.builds[e.FailedBuild]; b != nil {
			run.output.WriteString(b.String())
		}
	}
	if !run.event(e) {
		return
	}
	delete(p.packages, e.Package)
	results := run.results(e.Action)
	if len(results) == 0 {
		return // no tests in it
	}
	for _, r := range results {
		p.tally.add(r)
	}
	p.ran += len(results)
	p.failures += count(results, failed)
	p.tally.line(run.pkg, results, duration(e.Elapsed))
}

// finish checks that go test's own verdict and ours agree.
func (p *parser) finish(err error, stderr string) error {
	details := p.other.String() + stderr
	switch {
	case len(p.packages) > 0:
		return fmt.Errorf("go test ended without a result for %d packages: %v\n%s", len(p.packages), err, details)
	case err != nil && p.failures == 0:
		return fmt.Errorf("go test failed, and no test did: %w\n%s", err, details)
	case p.ran == 0:
		return fmt.Errorf("no test ran\n%s", details)
	}
	return nil
}
