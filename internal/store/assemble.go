// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"strings"

	"github.com/parquet-go/parquet-go"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// assembler puts records together from the values of their columns: the reverse of
// shredder.
type assembler struct {
	schema *schema
	bodies []*field // that have no columns
	values [][]parquet.Value
	parts  [][]byte // scratch for the messages that are being made
	wire   []byte
}

func newAssembler(s *schema) *assembler {
	a := &assembler{schema: s, values: make([][]parquet.Value, len(s.leaves))}
	for _, f := range s.root.fields {
		if f.message != nil && len(f.columns) == 0 {
			a.bodies = append(a.bodies, f)
		}
	}
	return a
}

var errLevels = errors.New("the levels of the columns do not fit each other")

// record makes the record of row i of a batch.
func (a *assembler) record(batches []columnBatch, i int) (*skepv1.Record, error) {
	for c := range batches {
		if a.schema.leaves[c] != nil {
			a.values[c] = batches[c].row(i)
		}
	}
	var err error
	if a.wire, err = a.message(a.wire[:0], a.schema.root, 0); err != nil {
		return nil, err
	}
	if len(a.bodies) == 1 {
		a.wire = protowire.AppendBytes(protowire.AppendTag(a.wire, a.bodies[0].number, protowire.BytesType), nil)
	}
	for _, v := range a.values {
		if len(v) > 0 {
			return nil, errLevels
		}
	}
	r := &skepv1.Record{}
	return r, proto.Unmarshal(a.wire, r)
}

func (a *assembler) message(dst []byte, m *message, depth int) ([]byte, error) {
	var err error
	for _, f := range m.fields {
		if f.repeated {
			dst, err = a.list(dst, f, depth)
		} else {
			dst, err = a.value(dst, f, depth)
		}
		if err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func (a *assembler) list(dst []byte, f *field, depth int) ([]byte, error) {
	there, err := a.there(f)
	if err != nil || !there {
		return dst, err
	}
	for first := true; first || a.again(f); first = false {
		if dst, err = a.value(dst, f, depth); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// there says whether the next value of a field is there, and passes over it if it is not.
func (a *assembler) there(f *field) (bool, error) {
	for _, c := range f.columns {
		if len(a.values[c]) == 0 {
			return false, errLevels
		}
	}
	if a.values[f.columns[0]][0].DefinitionLevel() >= f.definition {
		return true, nil
	}
	for _, c := range f.columns {
		a.values[c] = a.values[c][1:]
	}
	return false, nil
}

// again says whether a further element of a list follows.
func (a *assembler) again(f *field) bool {
	v := a.values[f.columns[0]]
	return len(v) > 0 && v[0].RepetitionLevel() == f.repetition
}

func (a *assembler) value(dst []byte, f *field, depth int) ([]byte, error) {
	if f.message == nil {
		v := a.values[f.column]
		if len(v) == 0 {
			return dst, errLevels
		}
		a.values[f.column] = v[1:]
		return f.appendLeaf(dst, v[0]), nil
	}
	if len(f.columns) == 0 {
		return dst, nil
	}
	if !f.repeated {
		if there, err := a.there(f); err != nil || !there {
			return dst, err
		}
	}
	for len(a.parts) <= depth {
		a.parts = append(a.parts, nil)
	}
	part, err := a.message(a.parts[depth][:0], f.message, depth+1)
	a.parts[depth] = part
	return protowire.AppendBytes(protowire.AppendTag(dst, f.number, protowire.BytesType), part), err
}

// appendLeaf appends a leaf. As in all of proto3, 0 and "" are not written, but in lists.
func (f *field) appendLeaf(dst []byte, v parquet.Value) []byte {
	switch f.kind {
	case leafString, leafBytes:
		b := v.ByteArray()
		if len(b) == 0 && !f.repeated {
			return dst
		}
		return protowire.AppendBytes(protowire.AppendTag(dst, f.number, protowire.BytesType), b)
	case leafTime:
		return protowire.AppendBytes(protowire.AppendTag(dst, f.number, protowire.BytesType), appendTimestamp(nil, v.Int64()))
	}
	n := f.varint(v)
	if n == 0 {
		return dst
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, f.number, protowire.VarintType), n)
}

func (f *field) varint(v parquet.Value) uint64 {
	switch f.kind {
	case leafBool:
		if v.Boolean() {
			return 1
		}
		return 0
	case leafUint32:
		return uint64(v.Uint32())
	case leafInt32:
		return uint64(int64(v.Int32()))
	}
	return v.Uint64()
}

func appendTimestamp(dst []byte, ns int64) []byte {
	seconds, rest := ns/1e9, ns%1e9
	if rest < 0 {
		seconds, rest = seconds-1, rest+1e9
	}
	dst = protowire.AppendVarint(protowire.AppendTag(dst, 1, protowire.VarintType), uint64(seconds))
	if rest != 0 {
		dst = protowire.AppendVarint(protowire.AppendTag(dst, 2, protowire.VarintType), uint64(rest))
	}
	return dst
}

// bodiesOf reads the names of a segment's bodies from its metadata.
func bodiesOf(f *parquet.File) []string {
	names, ok := f.Lookup(bodyKey)
	if !ok || names == "" {
		return nil
	}
	return strings.Split(names, ",")
}
