// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/flow"
	flowdns "github.com/skep-io/skep/internal/flow/dns"
	"github.com/skep-io/skep/internal/identity"
	"github.com/skep-io/skep/internal/identity/container"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/redact"
	"github.com/skep-io/skep/internal/sensor/dns"
	"github.com/skep-io/skep/internal/sensor/files"
	"github.com/skep-io/skep/internal/sensor/host"
	"github.com/skep-io/skep/internal/sensor/process"
	"github.com/skep-io/skep/internal/sensor/tcp"
	"github.com/skep-io/skep/internal/sensor/udp"
	"github.com/skep-io/skep/internal/sensor/unix"
	"github.com/skep-io/skep/internal/store"
)

// headerBytes is the size of abi.EventHeader, which every record starts with.
const headerBytes = 16

// sink turns what the rings hold into records. Its methods run on the reader's
// goroutine, but for the counters, which are atomic.
type sink struct {
	kernel     *kern.Kernel
	costs      *costs
	recorder   *recorder
	processes  *identity.Table
	flows      *flow.Table
	queries    *flowdns.Table
	datagrams  *datagrams
	containers *container.Table
	places     *placer
	files      *fileWatch
	secrets    *redact.Redactor
	logger     *slog.Logger
	rescan     func()
	outputs    *outputs
	calls      chan func() // what other goroutines want done on this one

	losses     kern.Losses
	second     time.Time
	took       bool          // records in this pass
	adopting   bool          // the first pass over the rings of an earlier agent
	drained    uint64        // records in that pass
	adoptLost  uint64        // and losses that were counted before it
	storeHangs bool          // the disk log does not follow it
	malformed  atomic.Uint64 // records that could not be decoded
	undecoded  atomic.Uint64 // DNS messages that could not be decoded, as told in the stream
	refresh    atomic.Bool   // container metadata came in
	// Since the last scan of processes, and of sockets, records of them were lost.
	processesLost, closesLost atomic.Bool

	store        *store.Store                  // nil without a disk log
	toldStore    event.Counts                  // losses of it that are in the stream
	storeFailure error                         // the last one since then
	toldStoreAt  time.Time                     // that it fails
	gaps         [event.NumKinds]atomic.Uint64 // records of earlier agents that it lacks

	malformedBy   error  // what the last one's fault was
	toldMalformed uint64 // how many of them are in the stream
	toldFull      [4]uint64
	panicked      sync.Once
}

// Critical implements kern.Sink.
func (s *sink) Critical(raw []byte) { s.take(raw) }

// Telemetry implements kern.Sink.
func (s *sink) Telemetry(raw []byte) { s.take(raw) }

func (s *sink) take(raw []byte) {
	s.took = true
	if s.adopting {
		if s.drained++; s.drained%adoptStep == 0 {
			s.letStoreFollow()
		}
	}
	if err := s.guarded(raw); err != nil {
		s.malformed.Add(1)
		s.malformedBy = err
	}
}

// What waits in a full ring is more than the event log holds for a reader that is behind.
const (
	adoptStep     = 128 // records
	adoptPatience = 2 * time.Second
)

// letStoreFollow waits where the disk log is so far behind what an earlier agent's ring
// held that the event log would soon overtake it. A disk that hangs is waited for once.
func (s *sink) letStoreFollow() {
	if s.store == nil || s.storeHangs {
		return
	}
	stats := s.recorder.log.Stats()
	if stats.Bytes < stats.Budget/2 {
		return
	}
	s.recorder.log.Flush()
	for end := time.Now().Add(adoptPatience); s.store.Behind() > max(adoptStep, stats.Records/4); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.storeHangs = true
			return
		}
	}
}

// guarded makes an error of a panic: the record is still in a pinned ring, and would end
// the next agent too, and the one after it.
func (s *sink) guarded(raw []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decode record: %v", p)
			s.panicked.Do(func() { s.logger.Error("a decoder panicked", "panic", p, "stack", string(debug.Stack())) })
		}
	}()
	return s.record(raw)
}

func (s *sink) record(raw []byte) error {
	if len(raw) < headerBytes {
		return fmt.Errorf("decode record: %d bytes", len(raw))
	}
	switch typ := abi.EventType(binary.NativeEndian.Uint16(raw)); typ {
	case abi.EventFork:
		return s.fork(raw)
	case abi.EventExec:
		return s.exec(raw)
	case abi.EventExit:
		return s.exit(raw)
	case abi.EventOOM:
		return s.oom(raw)
	case abi.EventCgroupMkdir, abi.EventCgroupRmdir:
		return s.cgroup(typ, raw)
	case abi.EventCgroupAttach:
		return s.attach(raw)
	case abi.EventConnect, abi.EventAccept, abi.EventEstablished, abi.EventClose, abi.EventListen, abi.EventUnlisten:
		return s.tcp(typ, raw)
	case abi.EventDNS:
		return s.dns(raw)
	case abi.EventFile:
		return s.file(raw)
	case abi.EventUdp:
		return s.udp(raw)
	case abi.EventUnix:
		return s.unix(raw)
	case abi.EventHost:
		return s.host(raw)
	default:
		return fmt.Errorf("decode record: unknown type %d", typ)
	}
}

func (s *sink) fork(raw []byte) error {
	var r abi.ForkRecord
	if err := process.Decode(raw, &r); err != nil {
		return err
	}
	p := s.processes.Fork(&r.Process, process.Comm(r.Comm))
	e := newEnvelope[struct {
		one  skepv1.Record_Fork
		fork skepv1.Fork
	}]()
	e.body.one.Fork, e.record.Body = &e.body.fork, &e.body.one
	s.recorder.publish(event.Fork, r.Header.BootNS, p, &e.record)
	return nil
}

func (s *sink) exec(raw []byte) error {
	exec, err := process.DecodeExec(raw, s.secrets)
	if err != nil {
		return err
	}
	if exec.NoPaths {
		identity.FillFromProc(exec.Process.ID, exec.Body)
	}
	p := s.processes.Exec(&exec.Process, exec.Comm, exec.Body)
	e := newEnvelope[skepv1.Record_Exec]()
	e.body.Exec, e.record.Body = exec.Body, &e.body
	s.recorder.publish(event.Exec, exec.BootNS, p, &e.record)
	return nil
}

func (s *sink) exit(raw []byte) error {
	var r abi.ExitRecord
	if err := process.Decode(raw, &r); err != nil {
		return err
	}
	body := process.ExitBody(&r)
	if p := s.processes.Exit(&r.Process, process.Comm(r.Comm), r.Header.BootNS, body); p != nil {
		e := newEnvelope[skepv1.Record_Exit]()
		e.body.Exit, e.record.Body = body, &e.body
		s.recorder.publish(event.Exit, r.Header.BootNS, p, &e.record)
	}
	return nil
}

func (s *sink) oom(raw []byte) error {
	var r abi.OOMRecord
	if err := process.Decode(raw, &r); err != nil {
		return err
	}
	body := process.OomBody(&r)
	if r.CgroupID != 0 { // else the whole host was short
		body.Cgroup = s.places.Place(r.CgroupID).Cgroup
	}
	p := s.processes.Process(r.ID)
	s.recorder.publish(event.Oom, r.Header.BootNS, p, &skepv1.Record{Body: &skepv1.Record_Oom{Oom: body}})
	return nil
}

func (s *sink) cgroup(typ abi.EventType, raw []byte) error {
	c, err := process.DecodeCgroup(raw)
	if err != nil {
		return err
	}
	if typ == abi.EventCgroupMkdir {
		if c.Path != "" { // else the index asks the filesystem when it is needed
			s.containers.CgroupMade(c.ID, c.Path)
		}
		return nil
	}
	s.processes.ForgetContainer(s.places.Place(c.ID).Container.GetId())
	s.containers.CgroupGone(c.ID, c.Path)
	return nil
}

func (s *sink) attach(raw []byte) error {
	var r abi.AttachRecord
	if err := process.Decode(raw, &r); err != nil {
		return err
	}
	s.processes.Move(r.ID, r.CgroupID, r.Header.BootNS)
	return nil
}

func (s *sink) tcp(typ abi.EventType, raw []byte) error {
	e, err := tcp.Decode(raw)
	if err != nil {
		return err
	}
	record := s.flows.Apply(&e, s.processes.Process)
	if record == nil { // news to the table only, such as the passive end before its accept
		return nil
	}
	kind, ok := event.KindOf(record)
	if !ok {
		return fmt.Errorf("publish record of type %d: no such kind %q", typ, record.Kind)
	}
	s.recorder.publish(kind, e.Header.BootNS, record.Process, record)
	return nil
}

func (s *sink) dns(raw []byte) error {
	head, payload, err := dns.Decode(raw)
	if err != nil {
		return err
	}
	s.queries.Apply(&head, payload, s.processes.Process)
	return nil
}

func (s *sink) file(raw []byte) error {
	e, err := files.Decode(raw)
	if err != nil {
		return err
	}
	body := s.files.body(e)
	if body == nil { // its name only looked as if it led to what is watched
		return nil
	}
	body.Target = s.secrets.Word(body.Target)
	p := s.processes.Process(e.Owner)
	s.recorder.publish(event.File, e.Header.BootNS, p, &skepv1.Record{Body: &skepv1.Record_File{File: body}})
	return nil
}

func (s *sink) udp(raw []byte) error {
	r, err := udp.Decode(raw)
	if err != nil {
		return err
	}
	s.datagrams.table.Closed(r.Socket, r.Header.BootNS)
	return nil
}

func (s *sink) unix(raw []byte) error {
	r, err := unix.Decode(raw)
	if err != nil {
		return err
	}
	body := unix.Body(&r, s.processes.Process)
	p := s.processes.Process(r.Owner)
	s.recorder.publish(event.Unix, r.Header.BootNS, p, &skepv1.Record{Body: &skepv1.Record_Unix{Unix: body}})
	return nil
}

func (s *sink) host(raw []byte) error {
	e, err := host.Decode(raw)
	if err != nil {
		return err
	}
	body := e.Body()
	body.Source, body.Name = s.secrets.Word(body.Source), s.secrets.Word(body.Name)
	if e.Target.Tgid != 0 {
		body.Target = peerOf(s.processes.Process(e.Target))
	}
	p := s.processes.Process(e.Owner)
	s.recorder.publish(event.Host, e.Header.BootNS, p, &skepv1.Record{Body: &skepv1.Record_Host{Host: body}})
	return nil
}

func (s *sink) publishDNS(bootNS uint64, r *skepv1.Record) {
	s.recorder.publish(event.Dns, bootNS, r.Process, r)
}

// Flush implements kern.Sink.
func (s *sink) Flush() {
	now := time.Now()
	second := now.Sub(s.second) >= time.Second
	// A ring that was full has just been read, so a pass without records has lost none of
	// them; what else is lost can wait for the second. Reading the counters makes garbage in
	// proportion to the CPUs.
	if s.took || s.adopting || second {
		s.took = false
		s.tellLosses()
	}
	if second {
		s.second = now
		s.recorder.clock.update()
		s.reportMissed()
		s.reportMalformed()
		s.reportStore(false)
		s.reportShipped()
		s.reportUndecoded()
		s.reportFull()
	}
	s.reportGaps()
	select {
	case call := <-s.calls:
		call()
	default:
	}
	s.queries.Expire(bootNS())
	s.datagrams.pass(s.processes.Process)
	if s.refresh.CompareAndSwap(true, false) {
		s.processes.Refresh()
	}
	s.recorder.log.Flush()
}

// tellLosses tells what the kernel side has lost, and asks for a scan of processes if that
// concerns them.
func (s *sink) tellLosses() {
	lost, lifecycle := s.reportLosses()
	if s.adopting {
		s.adoptLost = lost
	}
	if lifecycle > 0 {
		s.processesLost.Store(true)
		s.rescan()
	}
}
