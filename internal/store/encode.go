// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// Protobuf messages may be cut between fields and put together again by appending. The
// log uses that: what many records share, their origin and their process, is a piece that
// is written and encoded once, and a record is its pieces and the rest of its fields.
//
// A payload is a run of entries:
//
//	1, uvarint length, bytes                                  a piece; they are numbered from 0 in each epoch
//	2, uvarint n, n times uvarint piece, uvarint length, bytes  a record
const (
	entryPiece  = 1
	entryRecord = 2
	// maxPieces is what a record has at most: its origin, its process and its own rest.
	maxPieces = 3
)

const (
	// cachedProcesses is how many processes the encoder remembers to have written in this
	// epoch; it keeps that many alive.
	cachedProcesses = 1024
	// epochBytes is after how much an epoch ends.
	epochBytes = 512 << 10
)

// encoder turns records into frames. A frame is begun by reset and sealed by frame.
type encoder struct {
	salt    uint32 // of the log
	buf     []byte // header and entries of the frame that is being made
	records int    // in it
	first   bool   // this frame begins an epoch
	pieces  uint64 // of this epoch
	written int    // bytes of this epoch

	origins   map[string]origin // by kind
	processes [cachedProcesses]cachedProcess
	rest      skepv1.Record
}

// origin is what all records of a kind say alike.
type origin struct {
	node, boot, name, cluster string
	piece                     uint64
}

type cachedProcess struct {
	process *skepv1.Process
	piece   uint64
}

func newEncoder(salt uint32) *encoder {
	e := &encoder{salt: salt, buf: make([]byte, headerLen, 64<<10)}
	e.restart()
	return e
}

// restart begins an epoch. It must be called when a frame did not get into the log.
func (e *encoder) restart() {
	e.first, e.pieces, e.written = true, 0, 0
	e.origins = map[string]origin{}
	clear(e.processes[:])
}

// frame seals what was added and returns it; it is valid until reset.
func (e *encoder) frame() []byte {
	var flags uint32
	if e.first {
		flags = epochStart
	}
	sealFrame(e.buf, flags, e.salt)
	return e.buf
}

// reset begins the next frame.
func (e *encoder) reset() {
	e.written += len(e.buf)
	e.buf, e.records, e.first = e.buf[:headerLen], 0, false
	if e.written > epochBytes {
		e.restart()
	}
}

// add appends a record to the frame.
func (e *encoder) add(r *skepv1.Record) error {
	start, pieces := len(e.buf), e.pieces
	err := e.encode(r)
	if err == nil && len(e.buf)-headerLen > maxPayload {
		err = fmt.Errorf("%d bytes are too many for a frame", len(e.buf)-start)
	}
	if err != nil {
		e.buf = e.buf[:start]
		if e.pieces != pieces { // the caches speak of pieces that are not there
			e.origins = map[string]origin{}
			clear(e.processes[:])
			e.pieces = pieces
		}
		return fmt.Errorf("encode record: %w", err)
	}
	e.records++
	return nil
}

func (e *encoder) encode(r *skepv1.Record) error {
	from, err := e.origin(r)
	if err != nil {
		return err
	}
	process, err := e.process(r.GetProcess())
	if err != nil {
		return err
	}
	e.rest.Time, e.rest.BootNs, e.rest.Seq = r.Time, r.BootNs, r.Seq
	e.rest.Namespace, e.rest.Pod, e.rest.Body = r.Namespace, r.Pod, r.Body
	e.buf = append(e.buf, entryRecord)
	if r.GetProcess() == nil {
		e.buf = binary.AppendUvarint(append(e.buf, 1), from)
	} else {
		e.buf = binary.AppendUvarint(binary.AppendUvarint(append(e.buf, 2), from), process)
	}
	err = e.message(&e.rest)
	e.rest.Time, e.rest.Body = nil, nil
	return err
}

// marshaler is what protoc-gen-go-vtproto adds to a message: marshalling without reflection.
type marshaler interface {
	SizeVT() int
	MarshalToSizedBufferVT([]byte) (int, error)
}

// message appends a message's length and encoding.
func (e *encoder) message(m marshaler) error {
	size := m.SizeVT()
	e.buf = binary.AppendUvarint(e.buf, uint64(size))
	return e.marshal(m, size)
}

func (e *encoder) marshal(m marshaler, size int) error {
	e.buf = slices.Grow(e.buf, size)
	start := len(e.buf)
	e.buf = e.buf[:start+size]
	_, err := m.MarshalToSizedBufferVT(e.buf[start:])
	return err
}

func (e *encoder) origin(r *skepv1.Record) (uint64, error) {
	o, ok := e.origins[r.Kind]
	if ok && o.boot == r.BootId && o.node == r.NodeId && o.name == r.NodeName && o.cluster == r.Cluster {
		return o.piece, nil
	}
	e.buf = append(e.buf, entryPiece)
	err := e.message(&skepv1.Record{
		NodeId: r.NodeId, BootId: r.BootId, Kind: r.Kind, NodeName: r.NodeName, Cluster: r.Cluster})
	if err != nil {
		return 0, err
	}
	o = origin{node: r.NodeId, boot: r.BootId, name: r.NodeName, cluster: r.Cluster, piece: e.pieces}
	e.origins[r.Kind] = o
	e.pieces++
	return o.piece, nil
}

// processField is the number of Record.process.
var processField = (&skepv1.Record{}).ProtoReflect().Descriptor().Fields().ByName("process").Number()

// process writes a process that this epoch does not have. The same process is the same
// pointer for as long as nothing about it changes.
func (e *encoder) process(p *skepv1.Process) (uint64, error) {
	if p == nil {
		return 0, nil
	}
	slot := &e.processes[(p.Pid^uint32(len(p.Exe)))%cachedProcesses]
	if slot.process == p {
		return slot.piece, nil
	}
	size := p.SizeVT()
	head := protowire.SizeTag(processField) + protowire.SizeBytes(size) - size
	e.buf = binary.AppendUvarint(append(e.buf, entryPiece), uint64(head+size))
	e.buf = protowire.AppendVarint(protowire.AppendTag(e.buf, processField, protowire.BytesType), uint64(size))
	if err := e.marshal(p, size); err != nil {
		return 0, err
	}
	*slot = cachedProcess{p, e.pieces}
	e.pieces++
	return slot.piece, nil
}

// errEntry is the error for a payload that is not a run of entries.
var errEntry = errors.New("malformed entry in a frame with a good checksum")

// entries reads payloads. Pieces are remembered until the epoch ends.
type entries struct{ pieces [][]byte }

// stored is a record as it lies in a log: pieces of protobuf to be appended. They are
// valid for as long as the payload is.
type stored struct {
	pieces [maxPieces][]byte
	n      int
}

// wire appends the record's protobuf encoding.
func (s *stored) wire(dst []byte) []byte {
	for _, p := range s.pieces[:s.n] {
		dst = append(dst, p...)
	}
	return dst
}

// read calls visit for each record of a payload. missing counts those that refer to
// pieces that are not there.
func (d *entries) read(payload []byte, first bool, visit func(stored) error) (missing uint64, err error) {
	if first {
		d.pieces = d.pieces[:0]
	}
	for len(payload) > 0 {
		tag := payload[0]
		payload = payload[1:]
		switch tag {
		case entryPiece:
			b, rest, ok := cutBytes(payload)
			if !ok {
				return missing, errEntry
			}
			d.pieces, payload = append(d.pieces, b), rest
		case entryRecord:
			s, whole, rest, ok := d.record(payload)
			if !ok {
				return missing, errEntry
			}
			payload = rest
			if !whole {
				missing++
			} else if err := visit(s); err != nil {
				return missing, err
			}
		default:
			return missing, errEntry
		}
	}
	return missing, nil
}

func (d *entries) record(b []byte) (s stored, whole bool, rest []byte, ok bool) {
	n, b, ok := cutUvarint(b)
	if !ok || n >= maxPieces {
		return s, false, nil, false
	}
	whole = true
	for range n {
		var i uint64
		if i, b, ok = cutUvarint(b); !ok {
			return s, false, nil, false
		}
		if i >= uint64(len(d.pieces)) {
			whole = false
			continue
		}
		s.pieces[s.n] = d.pieces[i]
		s.n++
	}
	s.pieces[s.n], b, ok = cutBytes(b)
	s.n++
	return s, whole, b, ok
}

func cutUvarint(b []byte) (n uint64, rest []byte, ok bool) {
	n, used := binary.Uvarint(b)
	if used <= 0 {
		return 0, nil, false
	}
	return n, b[used:], true
}

func cutBytes(b []byte) (field, rest []byte, ok bool) {
	n, b, ok := cutUvarint(b)
	if !ok || n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}
