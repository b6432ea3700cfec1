// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A segment's schema is the descriptor of Record with one body, that of its kind. Fields
// of a message are required, because proto3 has no absent numbers and strings: what JSON
// leaves out is 0 or "" in a column, as it is in an expression. Messages are optional
// groups, repeated fields are LISTs, maps are MAPs, times are TIMESTAMPs in nanoseconds.

// schema is how records of one body lie in columns.
type schema struct {
	parquet *parquet.Schema
	root    *message
	leaves  []*field // by column
}

// message is how one message lies in columns.
type message struct {
	fields []*field
	// byNumber finds them: indexes in fields, plus 1.
	byNumber []uint8
	// columns of all leaves below.
	columns []int
	// written are the fields, by their index, whose columns must be written also where they
	// are not set: all but numbers and texts that are in no list.
	written uint64
}

// field is one field of a message.
type field struct {
	name     string
	number   protowire.Number
	repeated bool
	message  *message // nil for a leaf
	kind     leafKind
	column   int // of a leaf
	// Levels of a value that is there, see "Dremel: Interactive Analysis of Web-Scale
	// Datasets" (2010), section 4.
	repetition, definition int
	// zero is the value of a leaf that is not set, in a message that is there.
	zero parquet.Value
	// columns of all leaves below, or the one of a leaf.
	columns []int
}

// leafKind is how a leaf is encoded in protobuf and in Parquet.
type leafKind uint8

const (
	leafString leafKind = iota
	leafBytes
	leafBool
	leafInt32
	leafInt64
	leafUint32
	leafUint64
	leafTime // google.protobuf.Timestamp as ns since the epoch
)

var leafKinds = map[protoreflect.Kind]leafKind{
	protoreflect.StringKind: leafString, protoreflect.BytesKind: leafBytes, protoreflect.BoolKind: leafBool,
	protoreflect.Int32Kind: leafInt32, protoreflect.Int64Kind: leafInt64,
	protoreflect.Uint32Kind: leafUint32, protoreflect.Uint64Kind: leafUint64,
}

const timestampName = "google.protobuf.Timestamp"

// newSchema makes the schema of records whose body is one of the named fields of Record.
func newSchema(bodies ...string) (*schema, error) {
	wanted := map[string]bool{}
	for _, b := range bodies {
		wanted[b] = true
	}
	root, err := newMessage(recordType, 0, 0, func(f protoreflect.FieldDescriptor) bool {
		return f.ContainingOneof() == nil || wanted[string(f.Name())]
	})
	if err != nil {
		return nil, err
	}
	s := &schema{root: root, parquet: parquet.NewSchema("record", group(root))}
	return s, s.bind()
}

// schemaOf is the schema of a file: that of its bodies, without what an older version had
// no columns for. Columns that are not of this schema have no leaf. It is made once for all
// files that have the same: a query opens hundreds.
func schemaOf(file *parquet.File, bodies []string) (*schema, error) {
	key, columns := strings.Join(bodies, ","), []format.SchemaElement(file.Metadata().Schema)
	if k, ok := fileSchemas.Load(key); ok && reflect.DeepEqual(k.(*fileSchema).columns, columns) {
		return k.(*fileSchema).schema, nil
	}
	s, err := newSchema(bodies...)
	if err != nil {
		return nil, err
	}
	s.parquet = file.Schema()
	if err := s.bind(); err != nil {
		return nil, err
	}
	if slices.Contains(bodyNames, key) { // whatever a file says, there are not many
		fileSchemas.Store(key, &fileSchema{columns, s})
	}
	return s, nil
}

// fileSchema is the schema of the files that were read last, by their body.
type fileSchema struct {
	columns []format.SchemaElement
	schema  *schema
}

var fileSchemas sync.Map

// bind finds the columns of all leaves.
func (s *schema) bind() error {
	s.leaves = make([]*field, len(s.parquet.Columns()))
	return s.locate(s.root, nil)
}

func newMessage(d protoreflect.MessageDescriptor, repetition, definition int, wanted func(protoreflect.FieldDescriptor) bool) (*message, error) {
	m := &message{}
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		if wanted != nil && !wanted(fd) {
			continue
		}
		f, err := newField(fd, repetition, definition)
		if err != nil {
			return nil, err
		}
		m.fields = append(m.fields, f)
		if len(m.fields) > 64 {
			return nil, fmt.Errorf("make schema: %s has more than 64 fields", d.FullName())
		}
		if f.repeated || f.message != nil || f.repetition > 0 {
			m.written |= 1 << (len(m.fields) - 1)
		}
		for len(m.byNumber) <= int(f.number) {
			m.byNumber = append(m.byNumber, 0)
		}
		m.byNumber[f.number] = uint8(len(m.fields))
	}
	return m, nil
}

func newField(fd protoreflect.FieldDescriptor, repetition, definition int) (*field, error) {
	f := &field{name: string(fd.Name()), number: fd.Number(), repeated: fd.IsList() || fd.IsMap()}
	if f.repeated {
		repetition++
		definition++
	}
	f.repetition, f.definition = repetition, definition
	if fd.Message() != nil && fd.Message().FullName() != timestampName {
		if !f.repeated {
			f.definition++
		}
		var err error
		f.message, err = newMessage(fd.Message(), repetition, f.definition, nil)
		return f, err
	}
	f.kind = leafTime
	if fd.Message() == nil {
		kind, ok := leafKinds[fd.Kind()]
		if !ok || fd.IsPacked() {
			return nil, fmt.Errorf("make schema: field %s: no column for protobuf's %s (packed: %v)", fd.FullName(), fd.Kind(), fd.IsPacked())
		}
		f.kind = kind
	}
	return f, nil
}

// group is the node of a message.
func group(m *message) parquet.Node {
	g := parquet.Group{}
	for _, f := range m.fields {
		if f.message != nil && len(f.message.fields) == 0 {
			continue // Parquet has no empty groups; the body's name is in the metadata
		}
		g[f.name] = f.node()
	}
	return g
}

func (f *field) node() parquet.Node {
	switch {
	case f.message == nil && f.repeated:
		return parquet.List(f.leafNode())
	case f.message == nil:
		return f.leafNode()
	case f.isMap():
		return parquet.Map(f.message.fields[0].leafNode(), f.message.fields[1].leafNode())
	case f.repeated:
		return parquet.List(group(f.message))
	}
	return parquet.Optional(group(f.message))
}

// isMap: an entry of a map is the only repeated message with fields key and value.
func (f *field) isMap() bool {
	return f.repeated && f.message != nil && len(f.message.fields) == 2 &&
		f.message.fields[0].name == "key" && f.message.fields[1].name == "value"
}

// path is where the values of a field lie, below the path of its message.
func (f *field) path(above []string) []string {
	p := append(above[:len(above):len(above)], f.name)
	switch {
	case f.isMap():
		return append(p, "key_value")
	case f.repeated:
		return append(p, "list", "element")
	}
	return p
}

func (f *field) leafNode() parquet.Node {
	switch f.kind {
	case leafString:
		return encoded(f.name, parquet.String())
	case leafBytes:
		return encoded(f.name, parquet.Leaf(parquet.ByteArrayType))
	case leafBool:
		return parquet.Leaf(parquet.BooleanType)
	case leafInt32:
		return encoded(f.name, parquet.Int(32))
	case leafInt64:
		return encoded(f.name, parquet.Int(64))
	case leafUint32:
		return encoded(f.name, parquet.Uint(32))
	case leafUint64:
		return encoded(f.name, parquet.Uint(64))
	default:
		return encoded(f.name, parquet.Timestamp(parquet.Nanosecond))
	}
}

// sequential are numbers that grow, or change by little, from one record to the next.
var sequential = map[string]bool{"time": true, "boot_ns": true, "seq": true, "pid": true, "ns_pid": true}

// distinct are strings of which nearly every process or connection has its own. A
// dictionary of them would only be a second copy.
var distinct = map[string]bool{"process_id": true, "exec_id": true, "parent_exec_id": true, "community_id": true}

// measured are quantities, of which no two are alike.
var measured = map[string]bool{
	"duration_ns": true, "user_ns": true, "system_ns": true, "bytes_sent": true, "bytes_received": true,
}

// encoded chooses the encoding by name; any choice is correct.
func encoded(name string, leaf parquet.Node) parquet.Node {
	switch {
	case sequential[name]:
		return parquet.Encoded(leaf, &parquet.DeltaBinaryPacked)
	case distinct[name]:
		return parquet.Encoded(leaf, &parquet.DeltaByteArray)
	case measured[name]:
		return leaf
	}
	return parquet.Encoded(leaf, &parquet.RLEDictionary)
}

// locate finds the columns of the leaves, and drops those that have none.
func (s *schema) locate(m *message, above []string) error {
	m.columns = nil
	kept := m.fields[:0]
	for _, f := range m.fields {
		path := f.path(above)
		if f.message != nil {
			if err := s.locate(f.message, path); err != nil {
				return err
			}
			f.columns = f.message.columns
		} else if ok, err := s.column(f, path); err != nil {
			return err
		} else if !ok {
			continue
		}
		kept = append(kept, f)
		m.columns = append(m.columns, f.columns...)
	}
	m.fields = kept
	return nil
}

func (s *schema) column(f *field, path []string) (bool, error) {
	leaf, ok := s.parquet.Lookup(path...)
	if !ok {
		return false, nil
	}
	if leaf.MaxDefinitionLevel != f.definition || leaf.MaxRepetitionLevel != f.repetition || leaf.Node.Type().Kind() != f.leafNode().Type().Kind() {
		return false, fmt.Errorf("column %s is not what it must be", strings.Join(path, "."))
	}
	f.column, f.columns = leaf.ColumnIndex, []int{leaf.ColumnIndex}
	s.leaves[f.column] = f
	f.zero = f.leaf(occurrence{}).Level(f.repetition, f.definition, f.column)
	return true, nil
}

// find is the leaf of a path such as process.container.id, nil if there is none.
func (s *schema) find(path string) *field {
	m := s.root
	for {
		name, rest, more := strings.Cut(path, ".")
		i := slices.IndexFunc(m.fields, func(f *field) bool { return f.name == name })
		switch {
		case i < 0:
			return nil
		case !more && m.fields[i].message == nil:
			return m.fields[i]
		case !more || m.fields[i].message == nil:
			return nil
		}
		m, path = m.fields[i].message, rest
	}
}
