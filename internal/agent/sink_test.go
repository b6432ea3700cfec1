// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/binary"
	"io"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/flow"
	flowdns "github.com/skep-io/skep/internal/flow/dns"
	flowudp "github.com/skep-io/skep/internal/flow/udp"
	"github.com/skep-io/skep/internal/identity"
	"github.com/skep-io/skep/internal/identity/cgroup"
	"github.com/skep-io/skep/internal/identity/container"
	"github.com/skep-io/skep/internal/redact"
)

// words is a state without a kernel.
type words [1024]uint64

func (w *words) Get(i int) uint64    { return w[i] }
func (w *words) Set(i int, n uint64) { w[i] = n }

func newTestSink() *sink {
	index := cgroup.NewIndex(cgroup.Hierarchy{Version: 2, Mount: "/nonexistent"})
	containers := container.NewTable(index, container.Options{})
	places := newPlacer(index, containers)
	node := identity.Node{ID: "6f1c9e2a-0000-4000-8000-000000000000", BootID: "01234567-0000-4000-8000-000000000000", Name: "test"}
	index.Add(1, "/")
	rules, err := redact.Compile(redact.Options{Defaults: true})
	if err != nil {
		panic(err) // the built-in rules compile
	}
	return &sink{
		secrets:   redact.New(rules),
		processes: identity.New(identity.NewNames(node), places, 4096, nil), containers: containers, places: places,
		logger:    slog.New(slog.NewTextHandler(io.Discard, nil)),
		datagrams: &datagrams{table: flowudp.New(flowudp.Options{})},
		recorder:  &recorder{node: node, clock: newClock(), state: &words{}, log: event.NewLog(event.LogOptions{})},
	}
}

func bytesOf[T any](v *T) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)) }

// lifecycle is the three records of one short process.
func lifecycle(tgid uint32, start uint64) (fork, exec, exit []byte) {
	process := abi.Process{ID: abi.ExecID{StartNS: start, ExecNS: start, Tgid: tgid}, Parent: abi.ExecID{StartNS: 1, ExecNS: 1, Tgid: 1}, CgroupID: 1}
	f := abi.ForkRecord{Header: abi.EventHeader{Type: uint16(abi.EventFork), Version: 1, BootNS: start}, Process: process}
	copy(f.Comm[:], "parent")
	process.ID.ExecNS = start + 100
	text := "tiny\x00bench-1\x00x\x00" + "/tmp/tiny\x00" + "tiny\x00tmp\x00" + "work\x00"
	e := abi.ExecHead{
		Header: abi.EventHeader{Type: uint16(abi.EventExec), Version: 1, BootNS: start + 100}, Process: process,
		ArgsLength: 15, FilenameLength: 10, ExeLength: 9, CwdLength: 5, ExePathFlags: 1, CwdPathFlags: 1, Inode: 7, Device: 8 << 20,
		Credentials: abi.Credentials{Permitted: 0x1ffffffffff},
	}
	copy(e.Comm[:], "tiny")
	x := abi.ExitRecord{Header: abi.EventHeader{Type: uint16(abi.EventExit), Version: 1, BootNS: start + 200}, Process: process, Status: 3 << 8, RuntimeNS: 100}
	copy(x.Comm[:], "tiny")
	return bytesOf(&f), append(append([]byte{}, bytesOf(&e)...), text...), bytesOf(&x)
}

// TestCgroupGoneWithoutPath: under lockdown the kernel side cannot read the path of a
// cgroup that goes, and what is known of it stays for late events.
func TestCgroupGoneWithoutPath(t *testing.T) {
	s := newTestSink()
	s.containers.CgroupMade(7, "/system.slice/a.service")
	gone := abi.CgroupRecord{Header: abi.EventHeader{Type: uint16(abi.EventCgroupRmdir), Version: 1}, CgroupID: 7}
	s.take(bytesOf(&gone)[:unsafe.Offsetof(gone.Path)])
	if s.malformed.Load() != 0 {
		t.Fatal(s.malformedBy)
	}
	if place := s.places.Place(7); place.Cgroup != "/system.slice/a.service" {
		t.Errorf("an event that comes late is in %q", place.Cgroup)
	}
}

// TestFullTables: what a full table refuses is a loss record, once, and a counter.
func TestFullTables(t *testing.T) {
	s := newTestSink()
	s.flows = flow.New(flow.Options{MaxOpen: 2})
	for id := range uint64(5) {
		e := abi.TcpRecord{Header: abi.EventHeader{Type: uint16(abi.EventListen)}}
		e.Socket.ID, e.Socket.Flags = id+1, uint16(abi.TcpListener)
		s.flows.Apply(&e, s.processes.Process)
	}
	s.containers.CgroupMade(7, "/"+strings.Repeat("x", 5000))
	s.reportFull()
	s.reportFull()
	want := map[string]uint64{"connections_full connection": 3, "cgroups_full cgroup": 1}
	got := map[string]uint64{}
	if s.recorder.received(event.Loss) == 0 {
		t.Fatal("nothing is told")
	}
	for _, r := range numbered(t, s.recorder.log) {
		got[r.GetLoss().GetPlace()+" "+r.GetLoss().GetLostKind()] += r.GetLoss().GetCount()
	}
	if !maps.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
	counted := map[string]uint64{}
	for _, f := range s.fullTables() {
		if f.count > 0 {
			counted[f.place+" "+f.kind] = f.count
		}
	}
	if !maps.Equal(counted, want) {
		t.Errorf("counted %v, want %v", counted, want)
	}
}

// TestIdlePass: a pass over empty rings, of which there are twenty a second, does not ask
// the kernel for anything: there is none here.
func TestIdlePass(t *testing.T) {
	s := newTestSink()
	s.queries = flowdns.New(flowdns.NewNames(), s.publishDNS)
	s.second = time.Now().Add(time.Hour) // within the second
	s.Flush()
}

func BenchmarkLifecycle(b *testing.B) {
	s := newTestSink()
	fork, exec, exit := lifecycle(1000, 1)
	// The fields that differ from process to process, patched in place.
	tgidAt := unsafe.Offsetof(abi.ForkRecord{}.Process) + unsafe.Offsetof(abi.ExecID{}.Tgid)
	startAt := unsafe.Offsetof(abi.ForkRecord{}.Process)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for _, raw := range [][]byte{fork, exec, exit} {
			binary.NativeEndian.PutUint32(raw[tgidAt:], uint32(1000+i%30000))
			binary.NativeEndian.PutUint64(raw[startAt:], uint64(1000+i))
			binary.NativeEndian.PutUint64(raw[startAt+8:], uint64(1000+i))
			s.take(raw)
		}
	}
	if n := s.malformed.Load(); n != 0 {
		b.Fatalf("%d malformed records", n)
	}
}
