// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/redact"
)

// sleeper runs a process with the given arguments and returns its directory in /proc.
func sleeper(t *testing.T, args ...string) string {
	t.Helper()
	pid, _ := sleeping(t, args...) // which keeps the input open
	return "/proc/" + strconv.Itoa(pid) + "/"
}

func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestLongCommandLine: no more is read of a command line than is kept.
func TestLongCommandLine(t *testing.T) {
	many := make([]string, 10)
	for i := range many {
		many[i] = strings.Repeat("x", 100_000)
	}
	dir := sleeper(t, many...)
	body := &skepv1.Exec{}
	if size := allocated(func() { readArgs(dir, body, nil) }); size > 128<<10 {
		t.Errorf("reading it took %d bytes", size)
	}
	if got := len(strings.Join(body.Args, " ")); got != maxArgs || !body.ArgsTruncated {
		t.Errorf("%d bytes, truncated %t", got, body.ArgsTruncated)
	}
}

func TestManyArguments(t *testing.T) {
	for _, c := range []struct {
		extra, want int
		cut         bool
	}{{1021, 1024, false}, {1022, 1024, true}, {3000, 1024, true}} {
		body := &skepv1.Exec{}
		readArgs(sleeper(t, make([]string, c.extra)...), body, nil) // behind "sh", "-c" and the script
		if len(body.Args) != c.want || body.ArgsTruncated != c.cut {
			t.Errorf("%d: %d arguments, truncated %t", c.extra+3, len(body.Args), body.ArgsTruncated)
		}
	}
}

// TestSecretsFromProc: what is read of a process that was there before is clean too.
func TestSecretsFromProc(t *testing.T) {
	rules, err := redact.Compile(redact.Options{Defaults: true})
	if err != nil {
		t.Fatal(err)
	}
	body := &skepv1.Exec{}
	readArgs(sleeper(t, "--password", "hunter2", "a\xff"), body, redact.New(rules))
	if text := strings.Join(body.Args, "|") + string(body.ArgsRaw); strings.Contains(text, "hunter2") || strings.Count(text, redact.Mark) != 2 || body.ArgsRedacted != 1 {
		t.Errorf("%q, %d redacted", text, body.ArgsRedacted)
	}
}

// TestGatherUnlocked: readers of the table and its writer go on while /proc is read.
func TestGatherUnlocked(t *testing.T) {
	table, _ := newTable(10)
	scan := []abi.Process{*proc(4000001, 5, 9, abi.ExecID{})}
	table.mutex.RLock()
	done := make(chan int, 1)
	go func() { done <- len(table.gather(scan)) }()
	select {
	case n := <-done:
		if n != 1 {
			t.Errorf("gathered %d", n)
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits for the lock")
	}
	table.mutex.RUnlock()
	if !table.mutex.TryLock() {
		t.Fatal("the table is still locked")
	}
	table.mutex.Unlock()
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestManyImages: the first image, kept by a child, does not keep those that followed.
func TestManyImages(t *testing.T) {
	table, _ := newTable(16)
	first := proc(1, 1, 1, abi.ExecID{})
	table.Fork(first, "p")
	table.Fork(proc(2, 2, 2, first.ID), "child")
	before := heap()
	var last *skepv1.Process
	for at := uint64(10); at < 50_010; at++ {
		last = table.Exec(proc(1, 1, at, abi.ExecID{}), "p", exec("/p"))
	}
	if grown := int64(heap()) - int64(before); grown > 2<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	wantLen(t, table, 2, 2+1+16)
	if gone := table.Exit(first, "p", 60_000, &skepv1.Exit{}); gone != last {
		t.Errorf("exit of %v", gone)
	}
	for i := uint32(100); i < 120; i++ { // until the last image is forgotten, too
		p := proc(i, uint64(i), uint64(i), abi.ExecID{})
		table.Fork(p, "")
		table.Exit(p, "", 70_000, &skepv1.Exit{})
	}
	checkTable(t, table, 16)
}

// TestDeadBytes: what the dead keep is bounded in bytes; the oldest go first.
func TestDeadBytes(t *testing.T) {
	const each = 1 << 20
	table, _ := newTable(1000)
	body := func() *skepv1.Exec { return &skepv1.Exec{Args: []string{strings.Repeat("x", each)}} }
	for i := uint32(1); i <= 50; i++ {
		p := proc(i, uint64(i), uint64(i), abi.ExecID{})
		table.Exec(p, "", body())
		table.Exit(p, "", 100, &skepv1.Exit{})
		if table.deadBytes > deadBudget {
			t.Fatalf("%d bytes of dead", table.deadBytes)
		}
	}
	wantLen(t, table, 0, 7) // the eighth would exceed 8 MiB by what it takes beside its argument
	for i := uint32(44); i <= 50; i++ {
		if table.entries[abi.ExecID{Tgid: i, StartNS: uint64(i), ExecNS: uint64(i)}] == nil {
			t.Errorf("%d is forgotten", i)
		}
	}
}
