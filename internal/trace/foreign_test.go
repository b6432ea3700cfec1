// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/syntax"
)

// TestForeignTools: of the tools that bpftrace 0.23.2 ships at least so many load here, with
// something to attach each of their probes to: all where the kernel has kprobes, 34 where it
// has neither those nor fentry.
func TestForeignTools(t *testing.T) {
	checkout := os.Getenv("SKEP_BPFTRACE_CHECKOUT")
	if checkout == "" {
		t.Skip("needs a checkout of bpftrace: set SKEP_BPFTRACE_CHECKOUT to its path (tag v0.23.2)")
	}
	paths, err := filepath.Glob(filepath.Join(checkout, "tools", "*.bt"))
	if err != nil || len(paths) != 39 {
		t.Fatalf("%d tools in %s: %v", len(paths), checkout, err)
	}
	options := bt.Options{Unsafe: true}
	if os.Getenv("SKEP_WITHOUT_FUNCTIONS") != "" {
		options.Without = withoutFunctions
	}
	least := 34
	if options.Without == nil && theHost.Check(bt.Kprobe) == nil {
		least = 39
	}
	loaded := 0
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := loads(string(text), options); err != nil {
			t.Logf("%s: %v", filepath.Base(path), err)
			continue
		}
		loaded++
	}
	if t.Logf("%d of %d tools load", loaded, len(paths)); loaded < least {
		t.Errorf("want %d", least)
	}
}

// loads compiles and loads a script, and says what it lacks.
func loads(text string, options bt.Options) error {
	program, errs := syntax.Parse(text, nil)
	if len(errs) > 0 {
		return errs.Err()
	}
	script, problems := bt.Compile(program, theHost, options)
	if script == nil {
		var all []error
		for _, p := range problems {
			all = append(all, errors.New(p.Text))
		}
		return errors.Join(all...)
	}
	for _, probe := range program.Probes {
		if !slices.ContainsFunc(script.Probes, func(p bt.Probe) bool { return p.Pos == probe.Pos }) {
			return errors.New("nothing to attach to: " + probe.Points[0].Text)
		}
	}
	s, err := Start(theHost, script, Options{})
	if err != nil {
		var rejected *Rejected
		if errors.As(err, &rejected) {
			return errors.New(err.Error() + "\n" + strings.Join(rejected.Log, "\n"))
		}
		return err
	}
	return s.Close()
}
