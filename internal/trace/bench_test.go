// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"os"
	"testing"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/syntax"
)

// BenchmarkReady is from a script's text until all of it is attached, and off again.
func BenchmarkReady(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root: runs scripts")
	}
	for name, text := range map[string]string{
		"tracepoint":    `tracepoint:syscalls:sys_enter_openat { @[comm] = count(); }`,
		"rawtracepoint": `rawtracepoint:sched_switch { @[args.prev.comm] = count(); }`,
		"uprobe":        `uprobe:libc:malloc { @ = hist(arg0); }`,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				program, errs := syntax.Parse(text, nil)
				if len(errs) > 0 {
					b.Fatal(errs.Err())
				}
				script, problems := bt.Compile(program, theHost, bt.Options{})
				if script == nil {
					b.Fatal(problems)
				}
				s, err := Start(theHost, script, Options{})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.group.Attach(); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
