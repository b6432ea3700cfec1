// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/sensor/process"
	"github.com/skep-io/skep/test/e2e/skepdtest"
	"github.com/skep-io/skep/test/sensortest"
)

// watch is a running sensor, on a private kernel side, and what has arrived from it.
type watch struct {
	t      testing.TB
	kernel *kern.Kernel
	reader *kern.Reader
	rung   *kern.Rung
	// traffic is the rung that counts what open sockets carry.
	traffic *kern.Rung
	events  []Event
	execs   map[uint32]abi.ExecID // the last of each process
}

func (w *watch) Flush() {}

// Critical remembers each exec: what owners must be.
func (w *watch) Critical(raw []byte) {
	if abi.EventType(binary.NativeEndian.Uint16(raw)) != abi.EventExec {
		return
	}
	var p abi.Process
	if err := process.Decode(raw[unsafe.Sizeof(abi.EventHeader{}):], &p); err != nil {
		w.t.Error(err)
	}
	w.execs[p.ID.Tgid] = p.ID
}

func (w *watch) Telemetry(raw []byte) {
	e, err := Decode(raw)
	if err != nil {
		w.t.Error(err)
		return
	}
	w.events = append(w.events, e)
}

// start attaches the sensors; rung "" takes the best.
func start(t testing.TB, rung string) *watch {
	t.Helper()
	return startSensor(t, Sensor(), rung)
}

func startSensor(t testing.TB, sensor kern.Sensor, rung string) *watch {
	t.Helper()
	options := kern.Options{}
	if rung != "" {
		options.Force = map[string]string{Signal: rung}
	}
	return startWith(t, sensor, options)
}

func startWith(t testing.TB, sensor kern.Sensor, options kern.Options) *watch {
	t.Helper()
	options.Cgroup2 = skepdtest.Cgroup2(t)
	if options.Constants == nil {
		options.Constants = map[string]any{"cfg_probe_read": kern.Lockdown() != "confidentiality"}
	}
	if options.MapEntries == nil {
		options.MapEntries = map[string]uint32{"telemetry": 16 << 20, "critical": 16 << 20}
	}
	kernel, reader, signals := sensortest.Start(t, sensor, options)
	sensortest.WantRungs(t, signals)
	return &watch{t: t, kernel: kernel, reader: reader, rung: signals[0].Rung, traffic: signals[1].Rung, execs: map[uint32]abi.ExecID{}}
}

// until reads the rings until enough holds of the events of a server's port, or fails.
func (w *watch) until(t *testing.T, port uint16, what string, enough func(*trace) bool) *trace {
	t.Helper()
	var tr *trace
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		w.reader.Pass(w)
		if tr = w.trace(port); enough(tr) {
			return tr
		}
	}
	t.Fatalf("did not arrive: %s; have %v", what, tr)
	return nil
}

// trace is the events of all sockets that have to do with one server port.
type trace struct {
	listen, stopped, connect, failed, established, accept, active, passive []Event
}

func (w *watch) trace(port uint16) *trace {
	tr := &trace{}
	accepted := map[uint64]bool{}
	for _, e := range w.events {
		s := &e.Socket
		isServer := s.Ends.LocalPort == port
		if !isServer && s.Ends.RemotePort != port {
			continue
		}
		to := &tr.passive
		switch abi.EventType(e.Header.Type) {
		case abi.EventListen:
			to = &tr.listen
		case abi.EventConnect:
			if to = &tr.connect; has(e, abi.TcpFailed) {
				to = &tr.failed
			}
		case abi.EventEstablished:
			to = &tr.established
		case abi.EventAccept:
			if accepted[s.ID] {
				continue // a second one is documented, and flow drops it
			}
			accepted[s.ID] = true
			to = &tr.accept
		case abi.EventUnlisten:
			to = &tr.stopped
		case abi.EventClose:
			if !isServer {
				to = &tr.active
			}
		}
		*to = append(*to, e)
	}
	return tr
}

// closed is true once n connections have closed at both ends.
func closed(n int) func(*trace) bool {
	return func(tr *trace) bool { return len(tr.active) >= n && len(tr.passive) >= n }
}

func has(e Event, flag abi.TcpFlag) bool { return e.Socket.Flags&uint16(flag) != 0 }

func (tr *trace) String() string {
	return fmt.Sprintf("%d listen, %d connect, %d failed, %d established, %d accept, %d+%d close",
		len(tr.listen), len(tr.connect), len(tr.failed), len(tr.established), len(tr.accept), len(tr.active), len(tr.passive))
}

// wantCounts fails unless there are so many listens, connects, accepts and closes of each end.
func (tr *trace) wantCounts(t *testing.T, listens, connects, accepts, closes int) {
	t.Helper()
	got := [...]int{len(tr.listen), len(tr.connect), len(tr.established), len(tr.accept), len(tr.active), len(tr.passive)}
	if got != [...]int{listens, connects, connects, accepts, closes, closes} {
		t.Fatalf("%v; want %d listens, %d connects, %d accepts, %d closes of each end", tr, listens, connects, accepts, closes)
	}
}
