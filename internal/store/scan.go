// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// scanLog calls visit for each record of a log, in the order in which they were written.
// It returns what is damaged, and up to where the log is whole.
func scanLog(r io.Reader, visit func(stored) error) (d Damage, good int64, err error) {
	frames, err := newFrameReader(r)
	if err != nil {
		return Damage{}, 0, err
	}
	return scanFrames(frames, visit)
}

func scanFrames(frames *frameReader, visit func(stored) error) (d Damage, good int64, err error) {
	var in entries
	for {
		payload, first, err := frames.next()
		if errors.Is(err, io.EOF) {
			return frames.damage, frames.good, nil
		}
		if err != nil {
			return frames.damage, frames.good, err
		}
		missing, err := in.read(payload, first, visit)
		frames.damage.Records += missing
		if errors.Is(err, errEntry) {
			frames.damage.Bytes += uint64(len(payload))
		} else if err != nil {
			return frames.damage, frames.good, err
		}
	}
}

func scanLogFile(path string, visit func(stored) error) (Damage, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return Damage{}, 0, err
	}
	defer f.Close()
	d, good, err := scanLog(f, visit)
	if err != nil {
		err = fmt.Errorf("read %s: %w", f.Name(), err)
	}
	return d, good, err
}

// head is what places a record in the store.
type head struct {
	kind, boot []byte // parts of the record's
	body       string // its name
	seq        uint64
	time       int64 // ns since the epoch
}

var (
	recordType = (&skepv1.Record{}).ProtoReflect().Descriptor()
	kindField  = fieldNumber("kind")
	bootField  = fieldNumber("boot_id")
	seqField   = fieldNumber("seq")
	timeField  = fieldNumber("time")
)

// bodies are their names by their number.
var bodies = func() (names []string) {
	fields := recordType.Oneofs().ByName("body").Fields()
	for i := range fields.Len() {
		number := int(fields.Get(i).Number())
		for len(names) <= number {
			names = append(names, "")
		}
		names[number] = string(fields.Get(i).Name())
	}
	return names
}()

// bodyNames are the names of all bodies.
var bodyNames = slices.DeleteFunc(slices.Clone(bodies), func(name string) bool { return name == "" })

func fieldNumber(name protoreflect.Name) protowire.Number {
	return recordType.Fields().ByName(name).Number()
}

// head reads it from the pieces without decoding the rest.
func (s *stored) head() (h head, err error) {
	for _, piece := range s.pieces[:s.n] {
		for len(piece) > 0 {
			number, typ, n := protowire.ConsumeTag(piece)
			if n < 0 {
				return h, protowire.ParseError(n)
			}
			value := piece[n:]
			n = protowire.ConsumeFieldValue(number, typ, value)
			if n < 0 {
				return h, protowire.ParseError(n)
			}
			h.take(number, typ, value[:n])
			piece = value[n:]
		}
	}
	return h, nil
}

func (h *head) take(number protowire.Number, typ protowire.Type, value []byte) {
	switch {
	case number == seqField && typ == protowire.VarintType:
		h.seq, _ = protowire.ConsumeVarint(value)
	case typ != protowire.BytesType:
	case number == kindField:
		h.kind, _ = protowire.ConsumeBytes(value)
	case int(number) < len(bodies) && bodies[number] != "":
		h.body = bodies[number]
	case number == bootField:
		h.boot, _ = protowire.ConsumeBytes(value)
	case number == timeField:
		b, _ := protowire.ConsumeBytes(value)
		h.time, _ = timestampNS(b)
	}
}

// timestampNS reads a google.protobuf.Timestamp.
func timestampNS(b []byte) (ns int64, err error) {
	for len(b) > 0 {
		number, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0, protowire.ParseError(n)
		}
		b = b[n:]
		if typ == protowire.VarintType {
			v, n := protowire.ConsumeVarint(b)
			switch {
			case n < 0:
				return 0, protowire.ParseError(n)
			case number == 1:
				ns += int64(v) * 1e9
			case number == 2:
				ns += int64(v)
			}
			b = b[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(number, typ, b); n < 0 {
			return 0, protowire.ParseError(n)
		}
		b = b[n:]
	}
	return ns, nil
}
