// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"

	"github.com/parquet-go/parquet-go"
	"google.golang.org/protobuf/encoding/protowire"
)

// shredder takes encoded records apart into columns without decoding them into messages
// first: strings in the columns are those of the wire, which must stay as it is until
// the columns are written.
type shredder struct {
	schema  *schema
	columns [][]parquet.Value
	rows    int
	lengths []int
	// found are the values of the messages that are being read, one part for each.
	found []occurrence
	more  []occurrence // further ones of repeated fields, in order
}

// occurrence is a field's value on the wire.
type occurrence struct {
	field  *field
	set    bool
	number uint64 // of a varint
	bytes  []byte
}

func newShredder(s *schema) *shredder {
	sh := &shredder{schema: s, columns: make([][]parquet.Value, len(s.leaves)), lengths: make([]int, len(s.leaves))}
	for i := range sh.columns {
		sh.columns[i] = make([]parquet.Value, 0, batchRows)
	}
	return sh
}

var errWire = errors.New("not a record")

// add appends a row, from pieces of a record's encoding. If they are no record, nothing is
// appended.
func (s *shredder) add(wire ...[]byte) error {
	for i, c := range s.columns {
		s.lengths[i] = len(c)
	}
	s.found, s.more = s.found[:0], s.more[:0]
	if err := s.root(wire); err != nil {
		for i, n := range s.lengths {
			s.columns[i] = s.columns[i][:n]
		}
		return err
	}
	s.rows++
	return nil
}

func (s *shredder) clear() {
	for i := range s.columns {
		s.columns[i] = s.columns[i][:0]
	}
	s.rows = 0
}

func (s *shredder) root(pieces [][]byte) error {
	s.begin(s.schema.root)
	for _, piece := range pieces {
		if err := s.parse(s.schema.root, piece, 0); err != nil {
			return err
		}
	}
	return s.fields(s.schema.root, 0, 0, 0, 0)
}

// message writes the columns of a message that is there.
func (s *shredder) message(m *message, wire []byte, repetition, definition int) error {
	base, moreBase := len(s.found), len(s.more)
	s.begin(m)
	if err := s.parse(m, wire, base); err != nil {
		return err
	}
	return s.fields(m, base, moreBase, repetition, definition)
}

func (s *shredder) begin(m *message) {
	for range m.fields {
		s.found = append(s.found, occurrence{})
	}
}

// fields writes the columns of a message whose values were found from base and moreBase on.
func (s *shredder) fields(m *message, base, moreBase, repetition, definition int) error {
	moreEnd := len(s.more)
	for i, f := range m.fields {
		if err := s.field(f, s.found[base+i], s.more[moreBase:moreEnd], repetition, definition); err != nil {
			return err
		}
	}
	s.found, s.more = s.found[:base], s.more[:moreBase]
	return nil
}

// parse notes where the fields of a message are. Of a field that is there twice the last
// one counts.
func (s *shredder) parse(m *message, wire []byte, base int) error {
	for len(wire) > 0 {
		number, typ, n := protowire.ConsumeTag(wire)
		if n < 0 {
			return errWire
		}
		wire = wire[n:]
		o := occurrence{set: true}
		switch typ {
		case protowire.VarintType:
			o.number, n = protowire.ConsumeVarint(wire)
		case protowire.BytesType:
			o.bytes, n = protowire.ConsumeBytes(wire)
		default:
			n = protowire.ConsumeFieldValue(number, typ, wire)
		}
		if n < 0 {
			return errWire
		}
		wire = wire[n:]
		if int(number) >= len(m.byNumber) || m.byNumber[number] == 0 {
			continue // of a later version, or another body
		}
		i := int(m.byNumber[number]) - 1
		o.field = m.fields[i]
		if !o.field.accepts(typ) {
			return errWire
		}
		if o.field.repeated {
			s.more = append(s.more, o)
		} else {
			s.found[base+i] = o
		}
	}
	return nil
}

func (f *field) accepts(typ protowire.Type) bool {
	if f.message != nil || f.kind == leafString || f.kind == leafBytes || f.kind == leafTime {
		return typ == protowire.BytesType
	}
	return typ == protowire.VarintType && !f.repeated // records have no packed numbers
}

func (s *shredder) field(f *field, one occurrence, more []occurrence, repetition, definition int) error {
	if !f.repeated {
		return s.value(f, one, repetition, definition)
	}
	some := false
	for _, o := range more {
		if o.field != f {
			continue
		}
		if some {
			repetition = f.repetition
		}
		some = true
		if err := s.value(f, o, repetition, f.definition); err != nil {
			return err
		}
	}
	if !some {
		s.null(f, repetition, definition)
	}
	return nil
}

func (s *shredder) value(f *field, o occurrence, repetition, definition int) error {
	switch {
	case f.message == nil:
		v, err := f.leaf(o)
		s.columns[f.column] = append(s.columns[f.column], v.Level(repetition, f.definition, f.column))
		return err
	case !o.set:
		s.null(f, repetition, definition)
		return nil
	}
	return s.message(f.message, o.bytes, repetition, f.definition)
}

func (s *shredder) null(f *field, repetition, definition int) {
	for _, c := range f.columns {
		s.columns[c] = append(s.columns[c], parquet.Value{}.Level(repetition, definition, c))
	}
}

func (f *field) leaf(o occurrence) (parquet.Value, error) {
	switch f.kind {
	case leafString, leafBytes:
		return parquet.ByteArrayValue(o.bytes), nil
	case leafBool:
		return parquet.BooleanValue(o.number != 0), nil
	case leafInt32, leafUint32:
		return parquet.Int32Value(int32(o.number)), nil
	case leafInt64, leafUint64:
		return parquet.Int64Value(int64(o.number)), nil
	default:
		ns, err := timestampNS(o.bytes)
		return parquet.Int64Value(ns), err
	}
}
