// SPDX-License-Identifier: Apache-2.0

package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// diskHost is where agents live that pin and keep a disk log, one after the other.
type diskHost struct {
	t                   *testing.T
	dir, config, socket string
}

func newDiskHost(t *testing.T, yaml string) *diskHost {
	t.Helper()
	lock, err := skepdtest.LockHost()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	h := &diskHost{t: t, dir: publicDir(t)}
	h.socket = filepath.Join(h.dir, "skep.sock")
	h.config = skepdtest.WriteConfig(t, fmt.Sprintf("bpffs: /sys/fs/bpf/skep-page-test-%d\n%s", os.Getpid(), yaml))
	t.Cleanup(func() {
		if out, err := exec.Command(skepdtest.Build(t, "skepd"), "remove", "--config", h.config).CombinedOutput(); err != nil {
			t.Errorf("skepd remove: %v: %s", err, out)
		}
	})
	return h
}

// run starts an agent, and returns a function that ends it.
func (h *diskHost) run() (end func()) {
	h.t.Helper()
	log := filepath.Join(h.dir, fmt.Sprintf("log-%d", time.Now().UnixNano()))
	f, err := os.Create(log)
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	c := skepd(h.t, h.config, h.dir, h.socket)
	c.Stderr = f
	if err := skepdtest.Launch(c); err != nil {
		text, _ := os.ReadFile(log)
		h.t.Fatalf("%v\n%s", err, text)
	}
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		if err := errors.Join(c.Process.Signal(syscall.SIGTERM), c.Wait()); err != nil {
			h.t.Errorf("skepd ended badly: %v", err)
		}
		if h.t.Failed() {
			text, _ := os.ReadFile(log)
			h.t.Logf("skepd said:\n%s", text)
		}
	}
	h.t.Cleanup(end)
	return end
}

// seal makes the newest log one that the next agent closes into segments: it leaves behind it
// what an agent does that is killed when it has just begun another one.
func (h *diskHost) seal() (closed func() error) {
	h.t.Helper()
	store := filepath.Join(h.dir, "data", "store")
	const headerBytes = 12
	text, err := os.ReadFile(filepath.Join(store, "00000001.wal"))
	if err == nil {
		err = os.WriteFile(filepath.Join(store, "00000002.wal"), text[:headerBytes], 0o600)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return func() error {
		segments, _ := filepath.Glob(filepath.Join(store, "exec-00000001-*.parquet"))
		if _, err := os.Stat(filepath.Join(store, "00000001.wal")); err == nil || len(segments) != 1 {
			return fmt.Errorf("segments %v", segments)
		}
		return nil
	}
}

// period is what the page is asked for: how many programs ran then.
type period struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	N     int       `json:"n"`
}

// self is what an actor is started by: its name is the last part.
const self = "/proc/self/exe"

// diskWanted is what the page has to show.
type diskWanted struct {
	Comm     string   `json:"comm"`
	Argument string   `json:"argument"`
	Periods  []period `json:"periods"`
	Actor    string   `json:"actor"`
	Pid      int      `json:"pid"`
	Calls    []string `json:"calls"`
}

// TestPageOnDiskLog: what three agents saw, one after the other, is one on the page, though the
// first one's records are in segments, the second one's in a log, and the third one's in memory
// too; and the page of a process has what it did to its host when the first one ran.
func TestPageOnDiskLog(t *testing.T) {
	needBrowser(t)
	if os.Getuid() != 0 {
		t.Skip("needs root: starts the agent")
	}
	h := newDiskHost(t, "store: {enabled: true}\nhistory: {max_bytes: 1MiB}\nsensors: {host: {calls: [ptrace, mount, unshare, memfd]}}\n")
	want := diskWanted{Comm: "pagemark", Argument: fmt.Sprintf("mark-%d", os.Getpid()), Actor: filepath.Base(self)}
	program := copyOf(t, "/bin/true", want.Comm)
	ran := 0
	marks := func(n int) {
		t.Helper()
		p := period{From: time.Now(), N: n}
		for range n {
			if out, err := exec.Command(program, fmt.Sprintf("%s-%d", want.Argument, ran)).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			ran++
		}
		p.Until = time.Now()
		want.Periods = append(want.Periods, p)
	}

	end := h.run()
	actor := startActor(t)
	want.Pid, want.Calls = actor.pid, actor.calls()
	marks(30)
	end()
	closed := h.seal()
	end = h.run()
	eventually(t, "the first log is closed", closed)
	marks(20)
	end()
	h.run()
	marks(5)
	for i := range want.Periods { // each reaches into the time in which nothing ran
		want.Periods[i].From = want.Periods[i].From.Add(-between)
		want.Periods[i].Until = want.Periods[i].Until.Add(between)
	}
	eventually(t, "all is stored", func() error {
		out, err := exec.Command(skepdtest.Build(t, "skep"), "--socket", h.socket, "observe", "--since", "1h", "--kind", "exec", "--comm", want.Comm, "-o", "json").Output()
		if n := strings.Count(string(out), want.Argument); err != nil || n != ran {
			return fmt.Errorf("%d of %d, %v", n, ran, err)
		}
		return nil
	})
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	script{}.run(t, "disk.mjs", serve(t, h.dir, h.socket)("view"), string(text))
}

// between is less than an agent takes to start and to stop.
const between = 20 * time.Millisecond

// copyOf is a program under a name of its own.
func copyOf(t *testing.T, path, name string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(to, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}

// eventually waits for a condition; the last error is why it does not hold.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(skepdtest.Patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("not within %v: %s: %v", skepdtest.Patience, what, err)
}
