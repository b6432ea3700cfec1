// SPDX-License-Identifier: Apache-2.0

package bt_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// largeScript has 60 probes and 500 lines or more, of what scripts are made of.
func largeScript() string {
	var s strings.Builder
	for i := range 30 {
		fmt.Fprintf(&s, `tracepoint:syscalls:sys_enter_openat /pid > %[1]d && comm != "skepd"/ {
	@start%[1]d[tid] = nsecs;
	@name%[1]d[tid] = str(args.filename);
	@opens[comm, args.flags & 0xff] = count();
	if (args.flags & 64) {
		printf("%%-16s %%-6d %%s\n", comm, pid, str(args.filename));
	}
	@modes = lhist(args.mode, 0, 1000, 100);
}
tracepoint:syscalls:sys_exit_openat /@start%[1]d[tid]/ {
	$took = (nsecs - @start%[1]d[tid]) / 1000;
	if ($took > 100 || args.ret < 0) {
		$name = @name%[1]d[tid];
		printf("%%d %%s %%d\n", $took, $name, args.ret);
	}
	@usecs[comm] = hist($took);
	@total%[1]d += $took;
	delete(@start%[1]d[tid]);
}
`, i)
	}
	return s.String()
}

// compileLarge takes the large script from text to instructions and counts these.
func compileLarge(t testing.TB, text string) (slots int) {
	t.Helper()
	program, errs := syntax.Parse(text, nil)
	if len(errs) > 0 {
		t.Fatal(errs.Err())
	}
	script, problems := bt.Compile(program, &fakeHost{}, bt.Options{})
	if script == nil {
		t.Fatal(problems)
	}
	if len(script.Probes) != 60 {
		t.Fatalf("%d programs", len(script.Probes))
	}
	for _, p := range script.Probes {
		code, err := compile.Compile(p.Program, compile.Options{CPU: 4})
		if err != nil {
			t.Fatal(err)
		}
		slots += code.Stats.Slots
	}
	return slots
}

// BenchmarkLargeScript is to take less than 300 ms.
func BenchmarkLargeScript(b *testing.B) {
	text, slots := largeScript(), 0
	for b.Loop() {
		slots = compileLarge(b, text)
	}
	b.ReportMetric(float64(slots), "slots")
}

// TestLargeScript: a script of 500 lines and 60 probes compiles soon; the best of a few runs,
// as others use the machine too.
func TestLargeScript(t *testing.T) {
	text := largeScript()
	if n := strings.Count(text, "\n"); n < 500 {
		t.Fatalf("it has %d lines", n)
	}
	best := time.Hour
	for range 10 {
		start := time.Now()
		compileLarge(t, text)
		if best = min(best, time.Since(start)); best < 300*time.Millisecond {
			return
		}
	}
	if best > time.Second {
		t.Errorf("it takes %v", best)
	}
}
