// SPDX-License-Identifier: Apache-2.0

package bt_test

import (
	"testing"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// Whatever can be read is either refused with a reason or becomes programs that pass
// Check; none of it panics.
func FuzzCompile(f *testing.F) {
	for _, test := range printed {
		f.Add("BEGIN { " + test.script + " }")
	}
	for _, seed := range []string{
		`tracepoint:syscalls:sys_enter_openat /comm == "a"/ { @[comm, pid] = count(); printf("%s %d", str(args.filename), args.flags) }`,
		`kprobe:vfs_* { @[probe, func, kstack, ustack(3)] = hist(arg2, 3); @t[tid] = nsecs; delete(@t, tid); }`,
		`rawtracepoint:sched_switch { @[args.prev->comm] = lhist(args.next->pid, 0, 100, 5); }`,
		`iter:task { print(ctx->task->parent->pid) } usdt:/bin/sh:prov:point { print((arg0, arg1, arg2)) }`,
		`struct A { int a:3; char b[4]; union { long c; } } BEGIN { $a = (struct A *)1; print($a->b); print($a->c); print(*$a) }`,
		`fn f($a : int64) : int64 { while ($a > 0) { $a--; } return $a; } END { print(f(3)); for ($i : 0..pid) { @x[$i] = ($i, "s") } }`,
		`config = { max_strlen = 200; stack_mode = perf } let @a = lruhash(5); interval:ms:5 { @a[kstack] = sum(rand); print(@a, 3, 2); clear(@a) }`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1000 {
			return
		}
		program, errs := syntax.Parse(text, []string{"5", "word"})
		if len(errs) > 0 {
			return
		}
		script, problems := bt.Compile(program, &fakeHost{cookies: len(text)%2 == 0}, bt.Options{Unsafe: true})
		if script == nil {
			if len(problems) == 0 {
				t.Fatal("refused without a reason")
			}
			return
		}
		for _, p := range script.Probes {
			if err := p.Program.Check(); err != nil {
				t.Fatalf("%v\n%s", err, p.Program)
			}
			if _, err := compile.Compile(p.Program, compile.Options{CPU: 4}); err != nil {
				t.Logf("too large: %v", err)
			}
		}
	})
}
