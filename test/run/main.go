// SPDX-License-Identifier: Apache-2.0

// Command run tests everything that can be tested here and counts it: what
// passed, what failed, and what was skipped and why. The arguments choose
// stages; without any, all of them run but fuzz. A test that fails is run again, alone;
// what passes then is shown and counted as flaky, and a run with a few of them is good (again.go).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// limit is how long everything may take, a little less than the 90 minutes that CI waits.
// What then runs is stopped, and the count of all before it is told.
const limit = 86 * time.Minute

func main() {
	// Under nohup SIGHUP is ignored, which children inherit: tests of it need the default.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	list := flag.Bool("list", false, "print the stages and end")
	flag.Usage = usage
	flag.Parse()
	if *list {
		usage()
		return
	}
	chosen, err := choose(stages(), flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
		os.Exit(2)
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if !runAll(ctx, os.Stdout, chosen) {
		os.Exit(1)
	}
}

// prepare sets what every stage wants of its environment: programs built as they
// are shipped, also those that tests put where there are no libraries; and root
// without a login shell may lack the directories of nginx, ip and setcap.
func prepare() error {
	return errors.Join(
		os.Setenv("CGO_ENABLED", "0"),
		os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"),
	)
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: go run ./test/run [stage...], in the repository's root")
	for _, s := range stages() {
		fmt.Fprintf(os.Stderr, "  %-10s %s\n", s.name, s.what)
	}
}

// runAll runs the stages in order and reports whether all is well.
func runAll(ctx context.Context, out io.Writer, chosen []stage) bool {
	expected, err := readSkips("test/run/skips.txt")
	if err != nil {
		fmt.Fprintln(out, "run:", err)
		return false
	}
	t := &tally{out: out, started: time.Now()}
	t.runStages(ctx, chosen)
	t.judgeFlaky()
	t.judgeSkips(expected, strict())
	if strict() {
		t.judgeUnused(expected, everything(chosen))
	}
	t.summarise()
	return t.count(failed) == 0 && t.count(passed) > 0
}

// strict is where every skip must be one that is listed: the project's own
// machines, which have all that the tests need.
func strict() bool { return os.Getenv("CI") == "true" && os.Geteuid() == 0 }

// everything tells whether all stages are run that a run without arguments has.
func everything(chosen []stage) bool {
	all, _ := choose(stages(), nil)
	names := stageNames(chosen)
	return !slices.ContainsFunc(stageNames(all), func(name string) bool { return !slices.Contains(names, name) })
}

func choose(all []stage, names []string) ([]stage, error) {
	var chosen []stage
	for _, s := range all {
		if len(names) == 0 && !s.onRequest {
			chosen = append(chosen, s)
		}
	}
	for _, name := range names {
		found := false
		for _, s := range all {
			if s.name == name {
				chosen, found = append(chosen, s), true
			}
		}
		if !found {
			return nil, fmt.Errorf("choose stages: no stage %q; there are %s", name, strings.Join(stageNames(all), ", "))
		}
	}
	return chosen, nil
}
