// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"strings"

	"github.com/skep-io/skep/internal/bt/syntax"
)

// addressFunctions say whose memory a pointer is into.
func addressFunctions() []*function {
	return []*function{
		{name: "kptr", signature: "T *kptr(T *p)", doc: "a pointer into the kernel",
			least: 1, most: 1, check: addressIn(false), lower: (*lowering).relabel},
		{name: "uptr", signature: "T *uptr(T *p)", doc: "a pointer into the process",
			least: 1, most: 1, check: addressIn(true), lower: (*lowering).relabel},
		{name: "path", signature: "string path(struct path *p[, int size])", doc: "path of a file; of functions only where the kernel allows it, such as security_file_open, vfs_truncate, dentry_open, filp_close",
			least: 1, most: 2, kinds: []ProbeKind{Fentry, Fexit, Iterator}, helper: fnPath,
			check: (*checker).path, lower: (*lowering).path},
	}
}

func addressIn(user bool) func(*checker, *syntax.Call) Type {
	return func(c *checker, call *syntax.Call) Type {
		t := c.number(call.Args[0])
		t.User = user
		return t
	}
}

func (c *checker) path(call *syntax.Call) Type {
	c.value(call.Args[0])
	size := c.limits.MaxStrlen
	if len(call.Args) == 2 {
		size = int(max(1, min(largestString, c.constantArg(call.Args[1], "the size", 1, largestString))))
	}
	return stringType(size)
}

// actionFunctions change what the probe interrupted.
func actionFunctions() []*function {
	return []*function{
		{name: "signal", signature: "signal(int|const string signal)", doc: "sends a signal to the process", unsafe: true,
			least: 1, most: 1, helper: fnSignal, check: (*checker).signal, lower: (*lowering).signal},
		{name: "override", signature: "override(uint64 result)", doc: "makes the function return at once", unsafe: true,
			least: 1, most: 1, kinds: []ProbeKind{Kprobe}, check: (*checker).override, lower: (*lowering).override},
		{name: "unwatch", signature: "unwatch(void *address)", doc: "ends watchpoints of an address",
			least: 1, most: 1, check: (*checker).unwatch, lower: (*lowering).unwatch},
	}
}

// signals are the names that signal() knows: those of signal(7) that are the same on all
// machines that the agent runs on.
func signals() map[string]int64 {
	table := map[string]int64{}
	names := "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP " +
		"TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
	for i, name := range strings.Fields(names) {
		table[name] = int64(i + 1)
	}
	return table
}

func (c *checker) signal(call *syntax.Call) Type {
	text, ok := call.Args[0].(*syntax.String)
	if !ok {
		c.number(call.Args[0])
		if n, constant := c.constant(call.Args[0]); constant && (n < 1 || n > 64) {
			c.errorf(call.Args[0].Position(), "there is no signal %d", n)
		}
		return noType
	}
	n, found := signals()[strings.TrimPrefix(strings.ToUpper(text.Value), "SIG")]
	if !found {
		return c.hintf(text.Pos, nearest(text.Value, sortedNames(signals())), "there is no signal %s", text.Value)
	}
	c.unit.types[text] = int64Type
	c.unit.constants[call] = n
	return noType
}

func (c *checker) override(call *syntax.Call) Type {
	if c.unit.stand != nil {
		return c.notThere(call.Pos, "override()")
	}
	c.number(call.Args[0])
	return noType
}
