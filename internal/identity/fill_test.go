// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"io"
	"os"
	osexec "os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

// stillClock tells one time.
type stillClock struct{}

func (stillClock) Wall(uint64) *timestamppb.Timestamp { return timestamppb.New(time.Unix(1e9, 0)) }

// scanned is what a scan would find of a real process.
func scanned(t *testing.T, pid int) abi.Process {
	t.Helper()
	s, ok := readStat("/proc/" + strconv.Itoa(pid) + "/")
	if !ok {
		t.Fatalf("no process %d", pid)
	}
	p := proc(uint32(pid), s.ticks*1e7, s.ticks*1e7, abi.ExecID{})
	p.Flags = uint16(abi.ProcessPreexisting)
	return *p
}

// listed finds a process in the list that users get.
func listed(table *Table, pid uint32) *skepv1.ProcessInfo {
	for _, info := range (View{table, stillClock{}}).List(false) {
		if info.Process.Pid == pid {
			return info
		}
	}
	return nil
}

// sleeping starts a shell with these arguments that can be waited for, and that execs
// when its input ends.
func sleeping(t *testing.T, args ...string) (pid int, input io.Closer) {
	t.Helper()
	c := osexec.Command("/bin/sh", append([]string{"-c", "echo; read x; exec sleep 60"}, args...)...)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	// Start returns within the exec, when there is no command line yet.
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return c.Process.Pid, in
}

// sleeper is the directory in /proc of a sleeping one.
func sleeper(t *testing.T, args ...string) string {
	t.Helper()
	pid, _ := sleeping(t, args...)
	return procDir(uint32(pid))
}

// TestFill: events get a process's names at once, users who ask for it get all of it.
func TestFill(t *testing.T) {
	table, where := newTable(10)
	where[7] = Place{Cgroup: "/box"}
	pid, _ := sleeping(t, "one", "two")
	p := scanned(t, pid)
	p.CgroupID = 7
	if added, _ := table.Existing([]abi.Process{p}, p.ID.StartNS+1); added != 1 {
		t.Fatalf("added %d", added)
	}
	named := table.Process(p.ID)
	shell, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	if err != nil {
		t.Fatal(err)
	}
	if named.Comm != "sh" || named.Exe != shell || !named.Preexisting {
		t.Errorf("before: %v", named)
	}
	// Its children have its image, which is not known yet.
	child := proc(4000001, p.ID.StartNS+1, p.ID.StartNS+1, p.ID)
	grandchild := proc(4000002, p.ID.StartNS+2, p.ID.StartNS+2, child.ID)
	table.Fork(child, "sh")
	table.Fork(grandchild, "sh")

	answers := make(chan *skepv1.ProcessInfo, 1)
	go func() { answers <- listed(table, p.ID.Tgid) }()
	select {
	case info := <-answers:
		t.Fatalf("an answer before Fill: %v", info)
	case <-time.After(50 * time.Millisecond):
	}
	if unread := table.Fill(t.Context()); unread != 0 {
		t.Errorf("%d not read", unread)
	}
	info := <-answers
	if got := strings.Join(info.Args, " "); !strings.HasSuffix(got, "one two") || info.Exec.Cgroup != "/box" || info.Exec.Credentials == nil {
		t.Errorf("after: %v", info)
	}
	if table.Process(p.ID) != named {
		t.Error("the public process was changed, which records share")
	}
	for _, each := range []*abi.Process{child, grandchild} {
		if got := listed(table, each.ID.Tgid); got.Exec != nil || strings.Join(got.Args, " ") != strings.Join(info.Args, " ") {
			t.Errorf("forked meanwhile: %v", got)
		}
	}
}

// TestFillAfterExec: what /proc shows of a later image is not told of the one that was scanned.
func TestFillAfterExec(t *testing.T) {
	table, _ := newTable(10)
	told, _ := sleeping(t)
	silent, input := sleeping(t)
	scan := []abi.Process{scanned(t, told), scanned(t, silent)}
	table.Existing(scan, 1<<62)
	// Of one exec the ring tells before Fill, of the other after it.
	next := scan[0]
	next.ID.ExecNS++
	image := table.Exec(&next, "next", exec("/next"))
	input.Close()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if exe, _ := os.Readlink("/proc/" + strconv.Itoa(silent) + "/exe"); strings.Contains(exe, "sleep") || strings.Contains(exe, "coreutils") || strings.Contains(exe, "busybox") {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no exec")
		}
	}
	table.Fill(t.Context())
	if info := listed(table, next.ID.Tgid); info.Process != image || info.Exec.File.Path != "/next" {
		t.Errorf("exec'd before: %v", info)
	}
	if info := listed(table, scan[1].ID.Tgid); info.Exec != nil {
		t.Errorf("has another image: %v", info)
	}
	checkTable(t, table, 10)
}

// TestFillStuck: processes whose memory does not answer hold up Fill for a bounded time,
// and nobody else's table.
func TestFillStuck(t *testing.T) {
	table, _ := newTable(10)
	never := make(chan struct{})
	defer close(never)
	var reads atomic.Int64
	table.read = func(abi.ExecID) (*skepv1.Exec, string) { reads.Add(1); <-never; return nil, "" }
	for i := range uint32(200) {
		p := proc(1000+i, 1, 1, abi.ExecID{})
		table.addExisting(p, sight{"evil", "/evil"})
	}
	table.filling = make(chan struct{})
	begun := time.Now()
	if unread := table.Fill(t.Context()); unread != 200 {
		t.Errorf("%d not read, want all", unread)
	}
	if took := time.Since(begun); took > (maxStuck+4)*fillPatience {
		t.Errorf("it took %v", took)
	}
	if info := listed(table, 1000); info == nil || info.Process.Exe != "/evil" {
		t.Errorf("%v", info)
	}
	// Nor do they take more with each scan.
	before := reads.Load()
	for range 20 {
		table.Fill(t.Context())
	}
	if before > maxStuck+int64(runtime.GOMAXPROCS(0)) || reads.Load() != before {
		t.Errorf("%d processes are being read, after more scans %d", before, reads.Load())
	}
}
