// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"errors"
	"hash/maphash"
	"math/bits"

	"github.com/parquet-go/parquet-go"
	"google.golang.org/protobuf/encoding/protowire"
)

// shredder takes encoded records apart into columns in one pass, without decoding them
// into messages first: strings in the columns are those of the wire, which must stay as it
// is until the columns are written.
//
// A column that is not repeated has one value in each row, which is zero before a row is
// added: most fields of most records are not set, and cost nothing.
type shredder struct {
	schema  *schema
	columns [][]parquet.Value
	rows    int
	dirty   []bool // columns that have other values than zero
	lists   []int  // columns that are repeated
	lengths []int  // of those, before the row
	marks   []int  // of those, before the messages that are being read
	known   *[knownParts]knownPart
}

func newShredder(s *schema) *shredder {
	sh := &shredder{schema: s, columns: make([][]parquet.Value, len(s.leaves)), dirty: make([]bool, len(s.leaves))}
	for c, f := range s.leaves {
		sh.columns[c] = make([]parquet.Value, 0, batchRows)
		if f.repetition > 0 {
			sh.lists = append(sh.lists, c)
			continue
		}
		sh.columns[c], sh.dirty[c] = sh.columns[c][:batchRows], true
	}
	sh.lengths = make([]int, len(sh.lists))
	sh.clear()
	return sh
}

// clear makes room for batchRows rows.
func (s *shredder) clear() {
	for c, f := range s.schema.leaves {
		switch {
		case f.repetition > 0:
			s.columns[c] = s.columns[c][:0]
		case s.dirty[c]:
			for row := range s.columns[c] {
				s.columns[c][row] = f.zero
			}
			s.dirty[c] = false
		}
	}
	s.rows = 0
}

// column is the values of a column, of all rows.
func (s *shredder) column(c int) []parquet.Value {
	if s.schema.leaves[c].repetition > 0 {
		return s.columns[c]
	}
	return s.columns[c][:s.rows]
}

var errWire = errors.New("not a record")

// add appends a row, from pieces of a record's encoding. If they are no record, nothing is
// appended. All pieces but the last are shared with other records and stay where they are.
func (s *shredder) add(pieces ...[]byte) error {
	for i, c := range s.lists {
		s.lengths[i] = len(s.columns[c])
	}
	s.marks = s.marks[:0]
	if err := s.root(pieces); err != nil {
		s.undo()
		return err
	}
	s.rows++
	return nil
}

// undo takes back the row that was begun.
func (s *shredder) undo() {
	for i, c := range s.lists {
		s.columns[c] = s.columns[c][:s.lengths[i]]
	}
	for c, f := range s.schema.leaves {
		if f.repetition == 0 {
			s.columns[c][s.rows] = f.zero
		}
	}
}

func (s *shredder) root(pieces [][]byte) error {
	var seen uint64
	for i, piece := range pieces {
		var err error
		if i < len(pieces)-1 && s.known != nil && len(piece) > 0 {
			seen, err = s.piece(piece, seen)
		} else {
			seen, err = s.parse(s.schema.root, piece, seen, 0)
		}
		if err != nil {
			return err
		}
	}
	s.absent(s.schema.root, seen, 0, 0)
	return nil
}

// message writes the columns of a message that is there.
func (s *shredder) message(m *message, wire []byte, repetition, definition int) error {
	seen, err := s.parse(m, wire, 0, repetition)
	if err == nil {
		s.absent(m, seen, repetition, definition)
	}
	return err
}

// parse writes the columns of the fields that the wire has. seen are the fields, by their
// index, that the message has had before; of a number or text that is there twice the last
// one counts.
func (s *shredder) parse(m *message, wire []byte, seen uint64, repetition int) (uint64, error) {
	for len(wire) > 0 {
		number, typ, o, n := consume(wire)
		if n < 0 {
			return seen, errWire
		}
		wire = wire[n:]
		if int(number) >= len(m.byNumber) || m.byNumber[number] == 0 {
			continue // of a later version, or another body
		}
		i := m.byNumber[number] - 1
		f, again := m.fields[i], seen>>i&1 != 0
		seen |= 1 << i
		if !f.accepts(typ) || again && f.message != nil && !f.repeated {
			return seen, errWire
		}
		r := repetition
		if again && f.repeated {
			r = f.repetition
		}
		if err := s.value(f, o, r); err != nil {
			return seen, err
		}
	}
	return seen, nil
}

// occurrence is a field's value on the wire.
type occurrence struct {
	number uint64 // of a varint
	bytes  []byte
}

// consume reads a field. Nearly all have a tag and a length, or a number, of one byte each. n is
// the length of all, negative for what is no field.
func consume(wire []byte) (number protowire.Number, typ protowire.Type, o occurrence, n int) {
	if len(wire) >= 2 && wire[0] >= 1<<3 && wire[0] < 0x80 && wire[1] < 0x80 {
		number, typ = protowire.Number(wire[0]>>3), protowire.Type(wire[0]&7)
		end := 2 + int(wire[1])
		switch {
		case typ == protowire.VarintType:
			o.number = uint64(wire[1])
			return number, typ, o, 2
		case typ == protowire.BytesType && end <= len(wire):
			o.bytes = wire[2:end]
			return number, typ, o, end
		}
	}
	number, typ, tag := protowire.ConsumeTag(wire)
	if tag < 0 {
		return 0, 0, o, tag
	}
	wire = wire[tag:]
	switch typ {
	case protowire.VarintType:
		o.number, n = protowire.ConsumeVarint(wire)
	case protowire.BytesType:
		o.bytes, n = protowire.ConsumeBytes(wire)
	default:
		n = protowire.ConsumeFieldValue(number, typ, wire)
	}
	if n < 0 {
		return 0, 0, o, n
	}
	return number, typ, o, tag + n
}

func (f *field) accepts(typ protowire.Type) bool {
	if f.message != nil || f.kind == leafString || f.kind == leafBytes || f.kind == leafTime {
		return typ == protowire.BytesType
	}
	return typ == protowire.VarintType && !f.repeated // records have no packed numbers
}

// absent writes the columns of the fields that a message does not have.
func (s *shredder) absent(m *message, seen uint64, repetition, definition int) {
	for left := m.written &^ seen; left != 0; left &= left - 1 {
		f := m.fields[bits.TrailingZeros64(left)]
		if f.repeated || f.message != nil {
			for _, c := range f.columns {
				s.put(s.schema.leaves[c], parquet.Value{}, repetition, definition)
			}
			continue
		}
		s.put(f, f.zero, repetition, f.definition)
	}
}

func (s *shredder) value(f *field, o occurrence, repetition int) error {
	switch {
	case f.message != nil && s.known != nil && f.shared():
		return s.sharedMessage(f, o.bytes)
	case f.message != nil:
		return s.message(f.message, o.bytes, repetition, f.definition)
	case f.kind == leafTime:
		ns, err := timestampNS(o.bytes)
		s.put(f, parquet.Int64Value(ns), repetition, f.definition)
		return err
	}
	s.put(f, f.leaf(o), repetition, f.definition)
	return nil
}

// put gives a leaf's column its value in the row, or a further one if it is repeated. It does
// not say which column that is: who writes a column does not ask.
func (s *shredder) put(f *field, v parquet.Value, repetition, definition int) {
	v.SetRepetitionLevel(repetition)
	v.SetDefinitionLevel(definition)
	s.store(f, v)
}

func (s *shredder) store(f *field, v parquet.Value) {
	c := f.column
	if f.repetition > 0 {
		s.columns[c] = append(s.columns[c], v)
		return
	}
	s.columns[c][s.rows], s.dirty[c] = v, true
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

// knownParts is how many parts are remembered; which one is forgotten is left to chance.
const knownParts = 1024

// knownPart is a part of a record's wire that many records share: a piece, or a message in
// a piece or in the body. Its columns are remembered once it was there twice: most processes
// are the only ones of their kind.
type knownPart struct {
	field  *field // of the message, nil of a piece
	wire   []byte
	seen   uint64 // the fields of the record that a piece sets
	values []leafValue
}

type leafValue struct {
	leaf  *field
	value parquet.Value
}

// remember makes the shredder look for what it has taken apart already. The wire of all
// that is added must then stay as it is for as long as the shredder is used.
func (s *shredder) remember() { s.known = &[knownParts]knownPart{} }

// part is where a part of the wire is remembered, and whether it was there before.
func (s *shredder) part(f *field, wire []byte) (k *knownPart, again bool) {
	k = &s.known[maphash.Bytes(partSeed, wire)%knownParts]
	if k.field == f && bytes.Equal(k.wire, wire) {
		return k, true
	}
	*k = knownPart{field: f, wire: wire}
	return k, false
}

var partSeed = maphash.MakeSeed()

// recall writes the columns of a part that is remembered.
func (s *shredder) recall(k *knownPart) {
	for i := range k.values {
		s.store(k.values[i].leaf, k.values[i].value)
	}
}

// piece writes the columns of the fields that a shared piece sets: most records have a
// process that others have too.
func (s *shredder) piece(piece []byte, before uint64) (seen uint64, err error) {
	k, again := s.part(nil, piece)
	if k.values != nil {
		if before&k.seen != 0 {
			return before, errWire
		}
		s.recall(k)
		return before | k.seen, nil
	}
	if seen, err = s.parse(s.schema.root, piece, 0, 0); err != nil || before&seen != 0 {
		return seen, errors.Join(err, errWire)
	}
	if again {
		values := []leafValue{}
		for left := seen; left != 0; left &= left - 1 {
			values = s.taken(s.schema.root.fields[bits.TrailingZeros64(left)].columns, s.lengths, values)
		}
		*k = knownPart{wire: piece, seen: seen, values: values}
	}
	return before | seen, nil
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
	k, again := s.part(f, wire)
	if k.values != nil {
		s.recall(k)
		return nil
	}
	if !again {
		return s.message(f.message, wire, 0, f.definition)
	}
	base := len(s.marks)
	for _, c := range s.lists {
		s.marks = append(s.marks, len(s.columns[c]))
	}
	if err := s.message(f.message, wire, 0, f.definition); err != nil {
		return err
	}
	*k = knownPart{field: f, wire: wire, values: s.taken(f.columns, s.marks[base:], []leafValue{})}
	s.marks = s.marks[:base]
	return nil
}

// taken appends what the row has in some columns; of those that are repeated, what came
// after they had some lengths. What is zero, as each row is before it is added, is left out.
func (s *shredder) taken(columns, lengths []int, values []leafValue) []leafValue {
	for _, c := range columns {
		leaf := s.schema.leaves[c]
		if leaf.repetition == 0 {
			if v := s.columns[c][s.rows]; v.DefinitionLevel() != leaf.zero.DefinitionLevel() || !parquet.Equal(v, leaf.zero) {
				values = append(values, leafValue{leaf, v})
			}
			continue
		}
		for i, list := range s.lists {
			if list != c {
				continue
			}
			for _, v := range s.columns[c][lengths[i]:] {
				values = append(values, leafValue{leaf, v})
			}
		}
	}
	return values
}
