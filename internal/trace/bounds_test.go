// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/render"
	"github.com/skep-io/skep/internal/bt/syntax"
)

// refusal is why a script is not loaded.
func refusal(t *testing.T, text string, options Options) error {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: runs scripts")
	}
	program, errs := syntax.Parse(text, nil)
	if len(errs) > 0 {
		t.Fatal(errs.Err())
	}
	script, problems := bt.Compile(program, theHost, bt.Options{})
	if script == nil {
		t.Fatal(problems)
	}
	s, err := Start(theHost, script, options)
	if err == nil {
		err = s.Close()
	}
	return err
}

// TestHugeMaps: what would take the host's memory is refused before the kernel is asked.
func TestHugeMaps(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`config = { max_map_keys = 16777216 } begin { @[1] = 1; }`, "may have 1048576"},
		{`config = { max_map_keys = 1048576; max_strlen = 4096 } begin { @[str(0)] = str(1); }`, "MiB of memory, and may take 512"},
	} {
		if err := refusal(t, c.text, Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.text, err, c.want)
		}
	}
	if err := refusal(t, `config = { max_map_keys = 100000 } begin { @[1] = 1; }`, Options{}); err != nil {
		t.Error(err)
	}
}

// TestFullMap: keys that a map had no room for are told, by probe.
func TestFullMap(t *testing.T) {
	text := fmt.Sprintf(`config = { max_map_keys = 4 } tracepoint:syscalls:sys_enter_getsid /pid == %d/ { @n++; @[@n] = 1; }`, os.Getpid())
	got := run(t, text, getsids)
	lost := got.losses()
	if lost[InMap] != provoked-4 || len(lost) != 1 {
		t.Errorf("lost %v, want %d", lost, provoked-4)
	}
	for _, o := range got.outputs {
		if o.Kind == Loss && o.Probe != "tracepoint:syscalls:sys_enter_getsid" {
			t.Errorf("of probe %q", o.Probe)
		}
	}
}

// TestHeld: maps can be read while a script runs, by anybody, and not once it is closed.
func TestHeld(t *testing.T) {
	s := start(t, fmt.Sprintf(`tracepoint:syscalls:sys_enter_getsid /pid == %d/ { @n = count(); @k[comm, args.pid] = sum(2); @h = hist(5); @many[cpu, nsecs] = 1; }`, os.Getpid()), bt.Options{})
	seen := map[string]string{}
	left := 0
	follow(t, s, func() {
		getsids()
		held, err := s.Held(10)
		if err != nil {
			t.Error(err)
		}
		for _, h := range held {
			seen[h.Name] = (&render.Map{Name: h.Name, Entries: h.Entries[:1]}).String()
			left += h.Left
			if h.Name == "@h" && len(h.Entries[0].Value.Buckets) != 5 {
				t.Errorf("%+v", h.Entries[0].Value.Buckets)
			}
		}
	})
	if seen["@n"] != "@n: 37\n" || !strings.HasSuffix(seen["@k"], ", 0]: 74\n") || left != provoked-10 {
		t.Errorf("held %v, left %d", seen, left)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if held, err := s.Held(10); held != nil || err != nil {
		t.Errorf("after the end: %v, %v", held, err)
	}
	s.ring = nil // the test's own Close is one too many
}

// TestGreatest: of a map with more entries than are read the greatest are.
func TestGreatest(t *testing.T) {
	s := start(t, fmt.Sprintf(`tracepoint:syscalls:sys_enter_getsid /pid == %d/ { @n++; @count[@n] = sum((@n * 7919) %% 1000); @value[@n] = (@n * 7919) %% 1000; }`, os.Getpid()), bt.Options{})
	follow(t, s, func() {
		for range 27 { // 999 in all, each another value
			getsids()
		}
		held, err := s.Held(10)
		if err != nil {
			t.Error(err)
		}
		for _, h := range held {
			if h.Name == "@n" {
				continue
			}
			if len(h.Entries) != 10 || h.Left != 989 {
				t.Fatalf("%s: %d entries, %d left", h.Name, len(h.Entries), h.Left)
			}
			for i, e := range h.Entries {
				if e.Value.Int != int64(990+i) {
					t.Errorf("%s: %d is %+v", h.Name, i, e)
				}
			}
		}
	})
}

// TestPanicWaitsForListener: when Run is left by a panic, the listener is not called any more.
func TestPanicWaitsForListener(t *testing.T) {
	s := start(t, `interval:ms:5 { printf("x\n"); }`, bt.Options{})
	s.formats = nil // record fails
	running := false
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic: this test does not see what it looks for")
			}
			if running {
				t.Error("the listener runs yet")
			}
		}()
		_, _ = s.Run(t.Context(), nil, func([]Output) error {
			running = true
			defer func() { running = false }()
			return nil
		})
	}()
}
