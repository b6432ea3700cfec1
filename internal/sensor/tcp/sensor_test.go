// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/sensor/process"
)

// watch is a running sensor and what has arrived from it.
type watch struct {
	t       *testing.T
	kernel  *kern.Kernel
	reader  *kern.Reader
	mu      sync.Mutex
	events  []Event
	scanned []Event
}

func (w *watch) Critical([]byte) {}
func (w *watch) Flush()          {}

func (w *watch) Telemetry(raw []byte) {
	e, err := Decode(raw)
	if err != nil {
		w.t.Error(err)
		return
	}
	w.events = append(w.events, e)
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: loads BPF programs")
	}
}

// start attaches the sensors on a private kernel side; rung "" takes the best.
func start(t *testing.T, rung string) *watch {
	t.Helper()
	needRoot(t)
	options := kern.Options{Cgroup2: cgroup2(t), MapEntries: map[string]uint32{"telemetry": 16 << 20}}
	if rung != "" {
		options.Force = map[string]string{"tcp": rung}
	}
	kernel, err := kern.Open(options, process.Sensor(), Sensor())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kernel.Close() })
	if _, err := kernel.Attach(process.Sensor()); err != nil {
		t.Fatal(err)
	}
	signals, err := kernel.Attach(Sensor())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range signals[0].Reports {
		t.Logf("rung %s: %s %s", r.Name, r.State, r.Reason)
	}
	if signals[0].Rung == nil {
		t.Fatalf("no rung works")
	}
	if rung != "" && signals[0].Rung.Name != rung {
		t.Fatalf("rung %s, forced %s", signals[0].Rung.Name, rung)
	}
	reader, err := kernel.Reader()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	return &watch{t: t, kernel: kernel, reader: reader}
}

// until passes over the rings until enough is true of the events, or fails.
func (w *watch) until(what string, enough func([]Event) bool) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		w.reader.Pass(w)
		if enough(w.events) {
			return
		}
	}
	w.t.Fatalf("did not arrive: %s; have %d events", what, len(w.events))
}

func cgroup2(t testing.TB) string {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(mounts), "\n") {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return f[1]
		}
	}
	t.Skip("needs cgroup2: not mounted")
	return ""
}

func TestSmoke(t *testing.T) {
	w := start(t, os.Getenv("RUNG"))
	time.Sleep(6 * time.Second)
	w.reader.Pass(w)
	for _, e := range w.events {
		s := e.Socket
		t.Logf("%d %v id=%x owner=%d src=%d flags=%x %v:%d %v:%d err=%d reason=%d sent=%d recv=%d dur=%d", e.Header.Type, abi.EventType(e.Header.Type), s.ID, s.Owner.Tgid, s.Source, s.Flags, s.Ends.Local, s.Ends.LocalPort, s.Ends.Remote, s.Ends.RemotePort, e.Error, e.Reason, e.BytesSent, e.BytesReceived, s.EstablishedNS)
	}
}
