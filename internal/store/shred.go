// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"errors"
	"hash/maphash"

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
	lengths []int // of the columns before the row
	marks   []int // of the columns before the messages that are being read
	// found are the values of the messages that are being read, one part for each.
	found []occurrence
	more  []occurrence // further ones of repeated fields, in order
	// known are the columns of what was taken apart lately, nil if none is remembered.
	known *[knownParts]knownPart
}

// knownParts is how many are remembered; which one is forgotten is left to chance.
const knownParts = 1024

// knownPart is a part of a record's wire that many records share: a piece, or a message in
// the body.
type knownPart struct {
	field  *field // of the message, nil of a piece
	wire   []byte
	fields []int // of the record, that a piece sets
	values []parquet.Value
}

// occurrence is a field's value on the wire.
type occurrence struct {
	field  *field
	set    bool
	done   bool   // its columns are written
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

// remember makes the shredder look for what it has taken apart already. The wire of all
// that is added must then stay as it is for as long as the shredder is used.
func (s *shredder) remember() { s.known = &[knownParts]knownPart{} }

// part is where a part of the wire is remembered, and whether it is there.
func (s *shredder) part(f *field, wire []byte) (k *knownPart, there bool) {
	k = &s.known[maphash.Bytes(partSeed, wire)%knownParts]
	return k, k.field == f && bytes.Equal(k.wire, wire)
}

var partSeed = maphash.MakeSeed()

// recall writes the columns of a part that is remembered.
func (s *shredder) recall(k *knownPart) {
	for _, v := range k.values {
		s.columns[v.Column()] = append(s.columns[v.Column()], v)
	}
}

var errWire = errors.New("not a record")

// add appends a row, from pieces of a record's encoding. If they are no record, nothing is
// appended. All pieces but the last are shared with other records and stay where they are.
func (s *shredder) add(pieces ...[]byte) error {
	for i, c := range s.columns {
		s.lengths[i] = len(c)
	}
	s.found, s.more, s.marks = s.found[:0], s.more[:0], s.marks[:0]
	if err := s.root(pieces); err != nil {
		for i, n := range s.lengths {
			s.columns[i] = s.columns[i][:n]
		}
		return err
	}
	s.rows++
	return nil
}

func (s *shredder) root(pieces [][]byte) error {
	root := s.schema.root
	s.begin(root)
	for i, piece := range pieces {
		if i < len(pieces)-1 && s.known != nil && len(piece) > 0 {
			if err := s.piece(piece); err != nil {
				return err
			}
		} else if err := s.parse(root, piece, 0); err != nil {
			return err
		}
	}
	return s.fields(root, 0, 0, 0, 0)
}

// piece writes the columns of the fields that a shared piece sets: most records have a
// process that others have too.
func (s *shredder) piece(piece []byte) error {
	k, there := s.part(nil, piece)
	if there {
		for _, i := range k.fields {
			if s.found[i].set {
				return errWire
			}
			s.found[i] = occurrence{set: true, done: true}
		}
		s.recall(k)
		return nil
	}
	fields, values := k.fields[:0], k.values[:0]
	*k = knownPart{}
	if err := s.parse(s.schema.root, piece, 0); err != nil {
		return err
	}
	for i, f := range s.schema.root.fields {
		if o := s.found[i]; o.set && !o.done {
			if err := s.value(f, &o, 0, 0); err != nil {
				return err
			}
			s.found[i].done = true
			fields = append(fields, i)
			for _, c := range f.columns {
				values = append(values, s.columns[c][s.lengths[c]:]...)
			}
		}
	}
	*k = knownPart{wire: piece, fields: fields, values: values}
	return nil
}
func (s *shredder) clear() {
	for i := range s.columns {
		s.columns[i] = s.columns[i][:0]
	}
	s.rows = 0
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

// fewColumns are written as fast as they are remembered.
const fewColumns = 4

// shared says of a message whether many records have the same: what is in the body, such
// as capabilities, or in the process, such as its container.
func (f *field) shared() bool {
	return f.repetition == 0 && f.definition > 1 && len(f.columns) >= fewColumns
}

// sharedMessage is message of what other records may have had too.
func (s *shredder) sharedMessage(f *field, wire []byte) error {
	k, there := s.part(f, wire)
	if there {
		s.recall(k)
		return nil
	}
	values := k.values[:0]
	*k = knownPart{}
	base := len(s.marks)
	for _, c := range f.columns {
		s.marks = append(s.marks, len(s.columns[c]))
	}
	if err := s.message(f.message, wire, 0, f.definition); err != nil {
		return err
	}
	for i, c := range f.columns {
		values = append(values, s.columns[c][s.marks[base+i]:]...)
	}
	s.marks = s.marks[:base]
	*k = knownPart{field: f, wire: wire, values: values}
	return nil
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
		if err := s.field(f, base+i, s.more[moreBase:moreEnd], repetition, definition); err != nil {
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
		if !o.field.repeated && s.found[base+i].done {
			return errWire // its columns are written
		}
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

// field writes the columns of a field: the value found at an index or, if it is repeated,
// its share of more.
func (s *shredder) field(f *field, found int, more []occurrence, repetition, definition int) error {
	one := &s.found[found]
	switch {
	case one.done:
		return nil
	case f.repeated:
		return s.list(f, more, repetition, definition)
	case !one.set && f.message == nil && repetition == f.repetition:
		s.columns[f.column] = append(s.columns[f.column], f.zero)
		return nil
	}
	return s.value(f, one, repetition, definition)
}

func (s *shredder) list(f *field, more []occurrence, repetition, definition int) error {
	some := false
	for i := range more {
		if more[i].field != f {
			continue
		}
		if some {
			repetition = f.repetition
		}
		some = true
		if err := s.value(f, &more[i], repetition, f.definition); err != nil {
			return err
		}
	}
	if !some {
		s.null(f, repetition, definition)
	}
	return nil
}

func (s *shredder) value(f *field, o *occurrence, repetition, definition int) error {
	switch {
	case f.message != nil && o.set:
		if s.known != nil && f.shared() {
			return s.sharedMessage(f, o.bytes)
		}
		return s.message(f.message, o.bytes, repetition, f.definition)
	case f.message != nil:
		s.null(f, repetition, definition)
		return nil
	case f.kind == leafTime && o.set:
		ns, err := timestampNS(o.bytes)
		s.columns[f.column] = append(s.columns[f.column], parquet.Int64Value(ns).Level(repetition, f.definition, f.column))
		return err
	}
	s.columns[f.column] = append(s.columns[f.column], f.leaf(*o).Level(repetition, f.definition, f.column))
	return nil
}

func (s *shredder) null(f *field, repetition, definition int) {
	for _, c := range f.columns {
		s.columns[c] = append(s.columns[c], parquet.Value{}.Level(repetition, definition, c))
	}
}

// leaf is the value of a leaf that is no time.
func (f *field) leaf(o occurrence) parquet.Value {
	switch f.kind {
	case leafString, leafBytes:
		return parquet.ByteArrayValue(o.bytes)
	case leafBool:
		return parquet.BooleanValue(o.number != 0)
	case leafInt32, leafUint32:
		return parquet.Int32Value(int32(o.number))
	}
	return parquet.Int64Value(int64(o.number))
}
