// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	suite, against, skep, agent, only, tier, results, known, build, programs string
	verbose                                                                  bool
	tries, slow                                                              int
}

func main() {
	var o options
	flag.StringVar(&o.suite, "suite", "", "checkout of bpftrace, tag v0.23.2")
	flag.StringVar(&o.against, "against", "bpftrace", "bpftrace to compare with, or none")
	flag.StringVar(&o.skep, "skep", "", "path of skep, which finds its agent by SKEP_SOCKET; empty for the reference alone")
	flag.StringVar(&o.agent, "agent", "", "command to keep running meanwhile, such as an agent for skep")
	flag.StringVar(&o.only, "only", "", "run only cases whose FILE.NAME matches this regular expression")
	flag.StringVar(&o.tier, "tier", "", "run only cases of this tier, such as \"kernel functions\"")
	flag.StringVar(&o.build, "build", "", "only build the suite's test programs, into this folder")
	flag.StringVar(&o.programs, "programs", "", "take the test programs from a folder of -build, for a machine without compilers")
	flag.IntVar(&o.slow, "slow", 1, "multiply all time limits, for a machine that is so much slower")
	flag.IntVar(&o.tries, "tries", 1, "how often a tool may try a case; once is enough to pass")
	flag.StringVar(&o.results, "results", "", "write one line for each case to this file")
	flag.StringVar(&o.known, "known", "", "take the reference's verdicts from this file of -results, for a quick look: no score")
	flag.BoolVar(&o.verbose, "v", false, "show why cases fail, and their output")
	flag.Parse()
	if o.build != "" {
		exit(buildOnly(o))
	}
	done, code, err := withTracefs()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bt:", err)
	}
	if done {
		os.Exit(code)
	}
	_, err = run(o)
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bt:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// buildOnly builds the test programs and says which could not be built.
func buildOnly(o options) error {
	suite, err := filepath.Abs(o.suite)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(o.build)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	missing, err := buildPrograms(filepath.Join(suite, "tests"), dir)
	for _, m := range missing {
		fmt.Printf("not built: %s\n", m)
	}
	return err
}

// run runs the cases that the options choose, and reports them.
func run(o options) ([]outcome, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("run cases: needs root: they load programs into the kernel")
	}
	only, err := regexp.Compile(o.only)
	if err != nil {
		return nil, fmt.Errorf("read -only: %w", err)
	}
	suite, err := filepath.Abs(o.suite)
	if err != nil {
		return nil, err
	}
	tests := filepath.Join(suite, "tests")
	all, err := readSuite(tests)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "skep-bt-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	missing, err := findPrograms(tests, o.programs, dir)
	if err != nil {
		return nil, err
	}
	slow := time.Duration(max(o.slow, 1))
	agent := &agent{command: o.agent, dir: dir, slow: slow}
	defer agent.end()
	if err := agent.ensure(); err != nil {
		return nil, err
	}
	known, err := readKnown(o.known)
	if err != nil {
		return nil, err
	}
	reference, skep, features, err := tools(o, dir)
	if err != nil {
		return nil, err
	}
	describe(reference, skep, len(all), missing)
	r := &runner{dir: dir, known: known, slow: slow}
	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel() // the first Ctrl-C ends the run with a report of what there is
	var outcomes []outcome
	for _, c := range all {
		if stop.Err() != nil {
			break
		}
		if only.MatchString(c.File+"."+c.Name) && (o.tier == "" || o.tier == c.tier()) {
			if err := agent.ensure(); err != nil { // a case may have ended it
				return outcomes, err
			}
			outcomes = append(outcomes, both(r, c, o, reference, skep, features))
		}
	}
	fmt.Println()
	writeReport(os.Stdout, outcomes)
	return outcomes, saveResults(o.results, outcomes)
}

// tools finds the reference and skep. Each may be missing, but not both.
func tools(o options, dir string) (reference, skep *tool, features map[string]bool, err error) {
	if o.against != "none" && o.against != "" {
		path, err := exec.LookPath(o.against)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("find the reference: %w: apt-get install bpftrace, or -against none", err)
		}
		if path, err = filepath.Abs(path); err != nil {
			return nil, nil, nil, err
		}
		reference = &tool{name: "reference", path: path}
		if features, err = reference.features(); err != nil {
			return nil, nil, nil, err
		}
	}
	if o.skep != "" {
		if skep, err = newSkep(dir, o.skep); err != nil {
			return nil, nil, nil, err
		}
	}
	if reference == nil && skep == nil {
		return nil, nil, nil, fmt.Errorf("find tools: neither -against nor -skep is given")
	}
	return reference, skep, features, nil
}

func describe(reference, skep *tool, cases int, missing []string) {
	fmt.Printf("kernel %s, %s; %d cases for this machine and others\n", release(), machine(), cases)
	if reference != nil {
		fmt.Printf("reference: %s (%s)\n", reference.version(), reference.path)
	}
	if skep != nil {
		fmt.Printf("skep: %s\n", skep.version())
	}
	for _, m := range missing {
		fmt.Printf("not built: %s\n", m)
	}
}

// both runs one case with each tool.
func both(r *runner, c *testCase, o options, reference, skep *tool, features map[string]bool) outcome {
	out := outcome{testCase: c}
	if why := r.skip(c, features); why != "" {
		out.reference = result{verdict: skipped, why: why}
		out.skep = out.reference
		return out
	}
	var isKnown bool
	if out.reference, isKnown = r.take(c); !isKnown {
		out.reference = try(r, c, o, reference)
	}
	out.skep = try(r, c, o, skep)
	fmt.Printf("%-7s %-7s %s.%s\n", out.reference.verdict, out.skep.verdict, c.File, c.Name)
	if o.verbose {
		explain(out.reference, "reference", c)
		explain(out.skep, "skep", c)
	}
	return out
}

// try runs a case until it passes, at most so often as the options say.
func try(r *runner, c *testCase, o options, t *tool) result {
	if t == nil {
		return result{verdict: skipped, why: "not run"}
	}
	var res result
	for range max(o.tries, 1) {
		if res = r.run(c, t); res.verdict == passed {
			break
		}
	}
	return res
}

func explain(res result, name string, c *testCase) {
	if res.verdict == passed || res.verdict == skipped {
		return
	}
	const most = 2000
	fmt.Printf("  %s: %s\n  case: %s\n  output: %s\n", name, res.why, c.text(), res.output[:min(len(res.output), most)])
}

func saveResults(file string, outcomes []outcome) error {
	if file == "" {
		return nil
	}
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("save results: %w", err)
	}
	writeResults(f, outcomes)
	return f.Close()
}
