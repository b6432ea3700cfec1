// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// verdict is how a case ended.
type verdict uint8

const (
	passed verdict = iota
	failed
	timedOut
	skipped
)

func (v verdict) String() string {
	return [...]string{passed: "pass", failed: "FAIL", timedOut: "TIMEOUT", skipped: "skip"}[v]
}

// result is a verdict and why.
type result struct {
	verdict verdict
	why     string
	output  string
	took    time.Duration
}

func fails(output, format string, args ...any) result {
	return result{verdict: failed, why: fmt.Sprintf(format, args...), output: output}
}

// attachTimeout is how long a tool may take until its probes are attached.
const attachTimeout = 10 * time.Second

// attached is the line that a tool writes when its probes are attached, because the
// environment asks for it.
const attached = "__BPFTRACE_NOTIFY_PROBES_ATTACHED"

// runner runs cases in a folder that has the test programs of the suite.
type runner struct {
	dir   string
	known known
	slow  time.Duration // how many times slower than usual the machine is
}

// limit is how long something may take here that may take so long on a usual machine.
func (r *runner) limit(usual time.Duration) time.Duration { return usual * max(r.slow, 1) }

// run runs one case with one tool.
func (r *runner) run(c *testCase, t *tool) (res result) {
	begin := time.Now()
	defer func() { res.took = time.Since(begin) }()
	if c.Setup != "" {
		if out, err := r.shell(c.Setup); err != nil {
			return fails(out, "SETUP: %v", err)
		}
	}
	if c.Cleanup != "" {
		defer func() {
			if out, err := r.shell(c.Cleanup); err != nil {
				res = fails(out, "CLEANUP: %v", err)
			}
		}()
	}
	befores, err := r.before(c)
	for _, b := range befores {
		defer b.kill()
	}
	if err != nil {
		return fails("", "%v", err)
	}
	command := t.command(c)
	if strings.Contains(command, "{{BEFORE_PID}}") {
		if len(befores) != 1 {
			return fails("", "{{BEFORE_PID}} with %d BEFORE", len(befores))
		}
		command = strings.ReplaceAll(command, "{{BEFORE_PID}}", strconv.Itoa(befores[0].cmd.Process.Pid))
	}
	return r.trace(c, t, command)
}

// shell runs a command to its end.
func (r *runner) shell(command string) (string, error) {
	p, err := start(r.dir, os.Environ(), nil, "/bin/sh", "-c", command)
	if err != nil {
		return "", err
	}
	defer p.kill()
	limit := r.limit(20 * time.Second)
	if !p.wait(limit) {
		return p.text(), fmt.Errorf("did not end within %v", limit)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return p.text(), fmt.Errorf("ended with %d", code)
	}
	return p.text(), nil
}

// before starts what has to run before the tool, and waits until it does.
func (r *runner) before(c *testCase) ([]*process, error) {
	var all []*process
	for _, command := range c.Befores {
		words := strings.Fields(command)
		if len(words) == 0 {
			continue
		}
		p, err := start(r.dir, os.Environ(), nil, words[0], words[1:]...)
		if err != nil {
			return all, fmt.Errorf("BEFORE: %w", err)
		}
		all = append(all, p)
		name := filepath.Base(words[len(words)-1])
		if limit := r.limit(c.Timeout); !isRunning(p, name[:min(len(name), 15)], limit) {
			return all, fmt.Errorf("BEFORE: %s did not come up within %v: %s", name, limit, p.text())
		}
	}
	return all, nil
}

// isRunning waits until a process has a name: a wrapper becomes the program it wraps.
func isRunning(p *process, name string, limit time.Duration) bool {
	file := fmt.Sprintf("/proc/%d/comm", p.cmd.Process.Pid)
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if comm, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(comm)) == name {
			return true
		}
	}
	return false
}

// trace runs the tool and looks at what it wrote.
func (r *runner) trace(c *testCase, t *tool, command string) result {
	ready := make(chan struct{}, 1)
	var p *process
	notify := func(line string) {
		if !t.isReady(line) || len(ready) > 0 {
			return
		}
		if c.exact() {
			p.forget()
		}
		ready <- struct{}{}
	}
	hold := make(chan struct{}) // until p is set
	p, err := start(r.dir, t.environment(c), func(line string) { <-hold; notify(line) }, "/bin/sh", "-c", command)
	if err != nil {
		return fails("", "%v", err)
	}
	close(hold)
	defer p.kill()
	limit := r.limit(attachTimeout)
	select {
	case <-ready:
		limit = r.limit(c.Timeout)
		if c.After != "" {
			after, err := start(r.dir, os.Environ(), nil, "/bin/sh", "-c", c.After)
			if err != nil {
				return fails(p.text(), "AFTER: %v", err)
			}
			defer func() {
				after.wait(r.limit(time.Second)) // as in the suite's own runner
				after.kill()
			}()
		}
	case <-p.done:
	case <-time.After(limit):
		limit = 0
	}
	if p.wait(limit) {
		return r.ended(c, p)
	}
	// What was expected may be there although the tool goes on.
	p.end(r.limit(time.Second))
	if err := r.check(c, p.text()); err != nil {
		return result{verdict: timedOut, why: err.Error(), output: p.text()}
	}
	return result{output: p.text()}
}

// ended looks at a tool that ended by itself.
func (r *runner) ended(c *testCase, p *process) result {
	output := p.text()
	if code := p.cmd.ProcessState.ExitCode(); code != c.ReturnCode && !c.WillFail {
		return fails(output, "exit code %d, expected %d", code, c.ReturnCode)
	}
	if err := r.check(c, output); err != nil {
		return fails(output, "%v", err)
	}
	return result{output: output}
}

func (r *runner) check(c *testCase, output string) error {
	for _, e := range c.Expects {
		if err := e.check(output, r.dir); err != nil {
			return err
		}
	}
	return nil
}

// skip says why a case is not run at all, for both tools, or "". features are those of the
// reference; nil if there is none, when they are not asked for.
func (r *runner) skip(c *testCase, features map[string]bool) string {
	switch {
	case c.NewPIDNS:
		return "NEW_PIDNS: this runner makes no PID namespaces"
	case len(c.Arch) > 0 && !slices.Contains(c.Arch, machine()):
		return "architecture: " + strings.Join(c.Arch, "|")
	case c.MinKernel != "" && olderThan(release(), c.MinKernel):
		return "kernel before " + c.MinKernel
	case c.MaxKernel != "" && olderThan(c.MaxKernel, release()):
		return "kernel after " + c.MaxKernel
	}
	if name, value, ok := strings.Cut(c.SkipIfEnv, "="); ok && os.Getenv(name) == value {
		return "environment: " + c.SkipIfEnv
	}
	for _, f := range c.Features {
		if name, none := strings.CutPrefix(f, "!"); features != nil && features[name] == none {
			return "feature: " + f
		}
	}
	for _, command := range c.Requires {
		cmd := exec.Command("/bin/sh", "-c", command)
		if cmd.Dir = r.dir; cmd.Run() != nil {
			return "requirement: " + command
		}
	}
	return ""
}
