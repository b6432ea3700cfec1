// SPDX-License-Identifier: Apache-2.0

package unix

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	xunix "golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/sensor/process"
	"github.com/skep-io/skep/test/sensortest"
)

// maxVerified is the most instructions that the verifier may walk through for one program,
// a tenth above what the largest takes on any kernel of the matrix.
const maxVerified = 2200

// roleVariable makes the test binary play another process; its value says which.
const roleVariable = "SKEP_UNIX_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := play(role); err != nil {
		fmt.Fprintln(os.Stderr, "role:", err)
		os.Exit(3)
	}
}

// play: "connect NAME" connects; "listen" calls listen(2) at descriptor 3, and ends.
func play(role string) error {
	if role == "listen" {
		return xunix.Listen(3, 1)
	}
	fd, err := xunix.Socket(xunix.AF_UNIX, xunix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	return xunix.Connect(fd, &xunix.SockaddrUnix{Name: strings.TrimPrefix(role, "connect ")})
}

func run(t *testing.T, role string, inherited ...*os.File) uint32 {
	t.Helper()
	c := exec.Command("/proc/self/exe")
	c.Env, c.Stderr, c.ExtraFiles = append(os.Environ(), roleVariable+"="+role), os.Stderr, inherited
	if err := c.Run(); err != nil {
		t.Fatalf("%s: %v", role, err)
	}
	return uint32(c.Process.Pid)
}

// watch is a running sensor, on a private kernel side, and what has come of one process.
type watch struct {
	t       testing.TB
	kernel  *kern.Kernel
	reader  *kern.Reader
	rung    string
	records []abi.UnixRecord
}

func (w *watch) Critical([]byte) {}
func (w *watch) Flush()          {}

func (w *watch) Telemetry(raw []byte) {
	r, err := Decode(raw)
	if err != nil {
		w.t.Error(err)
		return
	}
	w.records = append(w.records, r)
}

// of are the records of a process so far, which are then forgotten. The kernel side writes
// before connect(2) returns.
func (w *watch) of(pid uint32) []abi.UnixRecord {
	w.reader.Pass(w)
	mine := slices.DeleteFunc(w.records, func(r abi.UnixRecord) bool { return r.Owner.Tgid != pid })
	w.records = nil
	return mine
}

// start attaches the sensor on a rung, or skips where that cannot be had.
func start(t testing.TB, rung string) *watch {
	t.Helper()
	kernel, reader, signals := sensortest.Start(t, Sensor(), kern.Options{Force: map[string]string{Signal: rung}})
	if signals[0].Rung == nil {
		why := reason(signals[0], rung)
		if brokenFor(why) {
			t.Fatalf("rung %s: %s", rung, why)
		}
		t.Skipf("needs the rung %s: %s", rung, why)
	}
	return &watch{t: t, kernel: kernel, reader: reader, rung: rung}
}

func reason(s kern.Signal, rung string) string {
	for _, r := range s.Reports {
		if r.Name == rung {
			return r.Reason
		}
	}
	return ""
}

// brokenFor tells a program that the verifier does not take from a kernel that lacks what
// it needs.
func brokenFor(reason string) bool {
	return strings.Contains(reason, "verifier") && !strings.Contains(reason, "EPERM") && !strings.Contains(reason, "func unknown")
}

// onEachRung runs a test on all rungs that work here.
func onEachRung(t *testing.T, test func(t *testing.T, w *watch)) {
	for _, rung := range Sensor().Ladders[0].Rungs {
		t.Run(rung.Name, func(t *testing.T) { test(t, start(t, rung.Name)) })
	}
}

// listen makes a listening socket until the test ends. An abstract name begins with @.
func listen(t *testing.T, kind int, name string) int {
	t.Helper()
	fd, err := xunix.Socket(xunix.AF_UNIX, kind|xunix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { xunix.Close(fd) })
	if err := xunix.Bind(fd, &xunix.SockaddrUnix{Name: name}); err != nil {
		t.Fatalf("bind %q: %v", name, err)
	}
	if err := xunix.Listen(fd, 16); err != nil {
		t.Fatal(err)
	}
	return fd
}

func connect(t *testing.T, kind int, name string) error {
	t.Helper()
	fd, err := xunix.Socket(xunix.AF_UNIX, kind|xunix.SOCK_CLOEXEC|xunix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { xunix.Close(fd) })
	return xunix.Connect(fd, &xunix.SockaddrUnix{Name: name})
}

func shown(r abi.UnixRecord) string {
	s, _ := name(r.Name[:r.Length])
	return s
}

// TestNames: whatever a socket is called, its name comes whole.
func TestNames(t *testing.T) {
	onEachRung(t, func(t *testing.T, w *watch) {
		dir := shortDir(t)
		var netns xunix.Stat_t
		if err := xunix.Stat("/proc/self/ns/net", &netns); err != nil {
			t.Fatal(err)
		}
		me := uint32(os.Getpid())
		for _, name := range []string{
			dir + "/plain", dir + "/new\nline \x1b[31m\u202e", dir + "/" + strings.Repeat("l", 107-len(dir)-1),
			"@skep-" + dir, "@skep\x00\n\x1b" + dir, "@" + strings.Repeat("a", 106-len(dir)) + dir,
		} {
			for _, kind := range []int{xunix.SOCK_STREAM, xunix.SOCK_SEQPACKET} {
				os.Remove(name)
				fd := listen(t, kind, name)
				if err := connect(t, kind, name); err != nil {
					t.Fatalf("connect %q: %v", name, err)
				}
				xunix.Close(fd)
				records := w.of(me)
				if len(records) != 1 {
					t.Fatalf("%q: %d records, want 1", name, len(records))
				}
				r := records[0]
				if shown(r) != name || int(r.Type) != kind || r.Error != 0 || r.Peer.Tgid != me || r.Netns != uint32(netns.Ino) ||
					abi.UnixFlag(r.Flags) != abi.UnixResult|abi.UnixListener {
					t.Errorf("%q: record %+v shows %q", name, r, shown(r))
				}
			}
		}
	})
}

// shortDir is a directory whose name leaves room in a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "skep-u-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestProcesses: who connects, and who has called listen(2), also when others use the socket.
func TestProcesses(t *testing.T) {
	onEachRung(t, func(t *testing.T, w *watch) {
		path := filepath.Join(shortDir(t), "s")
		fd := listen(t, xunix.SOCK_STREAM, path)
		pid := run(t, "connect "+path)
		records := w.of(pid)
		if len(records) != 1 || records[0].Peer.Tgid != uint32(os.Getpid()) || records[0].Owner.ExecNS == 0 {
			t.Fatalf("records %+v", records)
		}
		dup, err := xunix.Dup(fd)
		if err != nil {
			t.Fatal(err)
		}
		file := os.NewFile(uintptr(dup), "listener")
		listener := run(t, "listen", file)
		file.Close()
		pid = run(t, "connect "+path)
		records = w.of(pid)
		if len(records) != 1 || records[0].Peer != (abi.ExecID{Tgid: listener}) || records[0].Flags&uint8(abi.UnixPeerGone) == 0 {
			t.Fatalf("records %+v, want one with the peer %d that is gone", records, listener)
		}
	})
}

// TestFailures: what fails is told with its error where the rung can, and else not at all.
func TestFailures(t *testing.T) {
	onEachRung(t, func(t *testing.T, w *watch) {
		dir := shortDir(t)
		dead, full, denied := dir+"/dead", dir+"/full", dir+"/denied/x"
		xunix.Close(listen(t, xunix.SOCK_STREAM, dead))
		fd := listen(t, xunix.SOCK_STREAM, full)
		if err := xunix.Listen(fd, 0); err != nil {
			t.Fatal(err)
		}
		if err := connect(t, xunix.SOCK_STREAM, full); err != nil {
			t.Fatal(err)
		}
		me := uint32(os.Getpid())
		w.of(me)
		for _, c := range []struct {
			name string
			want xunix.Errno
		}{
			{dead, xunix.ECONNREFUSED}, {full, xunix.EAGAIN}, {denied, xunix.ENOENT}, {"@nobody" + dir, xunix.ECONNREFUSED},
			{"no\nsuch", xunix.ENOENT},
		} {
			if err := connect(t, xunix.SOCK_STREAM, c.name); err != c.want {
				t.Fatalf("connect %q: %v, want %v", c.name, err, c.want)
			}
			records := w.of(me)
			if w.rung == "tp_btf" {
				if len(records) != 0 {
					t.Errorf("%q: %+v", c.name, records)
				}
				continue
			}
			if len(records) != 1 || shown(records[0]) != c.name || records[0].Error != uint16(c.want) || records[0].Peer.Tgid != 0 ||
				abi.UnixFlag(records[0].Flags) != abi.UnixResult {
				t.Errorf("%q: %+v, want one with %v", c.name, records, c.want)
			}
		}
	})
}

// TestManyConnects: none is missing, and none comes twice.
func TestManyConnects(t *testing.T) {
	onEachRung(t, func(t *testing.T, w *watch) {
		path := shortDir(t) + "/s"
		fd := listen(t, xunix.SOCK_STREAM, path)
		const n = 2000
		for range n {
			c, err := xunix.Socket(xunix.AF_UNIX, xunix.SOCK_STREAM, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := xunix.Connect(c, &xunix.SockaddrUnix{Name: path}); err != nil {
				t.Fatal(err)
			}
			s, _, err := xunix.Accept(fd)
			if err != nil {
				t.Fatal(err)
			}
			xunix.Close(c)
			xunix.Close(s)
		}
		got := len(w.of(uint32(os.Getpid())))
		var losses kern.Losses
		if err := w.kernel.ReadLosses(&losses); err != nil {
			t.Fatal(err)
		}
		var missed uint64
		for _, s := range w.kernel.Stats() {
			if s.Name == "data_ready" || s.Name == "connect_exit" {
				missed += s.Missed
			}
		}
		if lost := losses[abi.LossRingFull][abi.EventUnix]; got+int(lost) != n && missed == 0 || got+int(lost) > n {
			t.Errorf("%d records and %d lost of %d connects, %d runs missed", got, lost, n, missed)
		}
	})
}

// TestLoad: how much of the verifier the programs take; without reads of the kernel, as
// under lockdown=confidentiality, they load too.
func TestLoad(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: loads BPF programs")
	}
	for _, reads := range []bool{true, false} {
		kernel, err := kern.Open(kern.Options{Constants: map[string]any{"cfg_probe_read": reads}}, process.Sensor(), Sensor())
		if err != nil {
			t.Fatal(err)
		}
		signals, err := kernel.Attach(Sensor())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range signals[0].Reports {
			t.Logf("reads %t: %s: %s %s", reads, r.Name, r.State, r.Reason)
			if brokenFor(r.Reason) {
				t.Errorf("%s is refused by the verifier", r.Name)
			}
		}
		for _, p := range kernel.Stats() {
			t.Logf("reads %t: %s takes the verifier %d instructions", reads, p.Name, p.Instructions)
			if p.Instructions > maxVerified {
				t.Errorf("%s takes more than %d", p.Name, maxVerified)
			}
		}
		kernel.Close()
	}
}
