// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// These look at any function of the kernel. The generator calls functions that nobody else
// of its process does: fallocate, and reads of a size of their own.
var kernelTrials = []trial{
	{name: "funccount", args: []string{"vfs_fallocate"}, generate: allocate, check: func(t *testing.T, o *outcome) {
		is(t, "calls", o.sum("@calls", func(r row) bool { return r.text("function") == "vfs_fallocate" }), 9)
	}},
	{name: "funccount pattern", args: []string{"vfs_falloc*"}, generate: allocate, check: func(t *testing.T, o *outcome) {
		is(t, "calls", o.sum("@calls", func(r row) bool { return r.text("function") == "vfs_fallocate" }), 9)
	}},
	{name: "funclatency", args: []string{"vfs_fallocate"}, generate: allocate, check: func(t *testing.T, o *outcome) {
		is(t, "calls", o.counted("@ns", nil, nil), 9)
		is(t, "possible times", o.counted("@ns", nil, func(least, _ int64) bool { return least <= int64(o.took) }), 9)
	}},
	{name: "stackcount", args: []string{"vfs_fallocate"}, generate: allocate, check: func(t *testing.T, o *outcome) {
		is(t, "calls", o.sum("@stacks", func(r row) bool { return strings.Contains(fmt.Sprint(r["kstack"]), "fallocate") }), 9)
	}},
	{name: "trace", args: []string{"vfs_fallocate"}, generate: allocate, check: func(t *testing.T, o *outcome) {
		// arg1 is the mode, arg2 where it begins.
		same(t, "arguments", texts(o.records, "pid", "function", "arg1", "arg2"), o.Texts["calls"])
	}},
	{name: "argdist", args: []string{"vfs_read"}, generate: func(g *generator) {
		fd, err := unix.Open("/dev/zero", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		g.check(err)
		for range 9 {
			_, err := unix.Read(fd, make([]byte, 20_000))
			g.check(err)
		}
	}, check: func(t *testing.T, o *outcome) {
		is(t, "reads of 16 to 32 KiB", o.counted("@arg2", nil, func(least, _ int64) bool { return least == 16384 }), 9)
	}},
}

func allocate(g *generator) {
	f, err := os.Create(g.Dir + "/file")
	g.check(err)
	for i := range int64(9) {
		g.check(unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 4096*i, 4096))
		g.Texts["calls"] = append(g.Texts["calls"], fmt.Sprintf("%d vfs_fallocate 0x1 0x%x", os.Getpid(), 4096*i))
	}
}
