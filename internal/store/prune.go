// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"google.golang.org/protobuf/reflect/protoreflect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event/filters"
)

// clause is a condition that a record must satisfy to match a filter: one of its columns
// has a value that the filter takes. It may let pass what the filter then refuses.
type clause struct {
	columns []string // paths
	// matches asks the filter itself, about a record that has nothing but this value.
	matches func(path string, v parquet.Value) bool
	// exact are the only values that match, nil if there are others: for bloom filters.
	exact []string
	// numbers are the only ones that match, for columns of numbers.
	numbers map[uint64]struct{}
}

// clausesOf are the conditions that a filter implies, each from one of its fields.
func clausesOf(spec *skepv1.Filter) []clause {
	fields := []struct {
		part    *skepv1.Filter
		set     int
		columns []string
		exact   []string
	}{
		{&skepv1.Filter{Comms: spec.GetComms()}, len(spec.GetComms()), []string{"process.comm"}, spec.GetComms()},
		{&skepv1.Filter{Exes: spec.GetExes()}, len(spec.GetExes()), []string{"process.exe"}, exactExes(spec.GetExes())},
		{&skepv1.Filter{Containers: spec.GetContainers()}, len(spec.GetContainers()), []string{
			"process.container.id", "process.container.name", "process.container.pod", "pod", "process.container.pod_uid"}, nil},
		{&skepv1.Filter{Paths: spec.GetPaths()}, len(spec.GetPaths()), []string{"file.path", "file.new_path", "unix.path"}, nil},
		{&skepv1.Filter{Addrs: spec.GetAddrs()}, len(spec.GetAddrs()), ends("address"), exactAddrs(spec.GetAddrs())},
	}
	var clauses []clause
	for _, f := range fields {
		if f.set == 0 {
			continue
		}
		filter, err := filters.Compile(f.part, filters.Deps{})
		if err != nil { // the whole filter was compiled before: it can only be of a later version
			continue
		}
		clauses = append(clauses, clause{columns: f.columns, matches: probe(filter), exact: f.exact})
	}
	for _, f := range []struct {
		numbers []uint32
		columns []string
	}{
		{spec.GetPids(), []string{"process.pid"}},
		{spec.GetUids(), []string{"process.uid"}},
		{spec.GetPorts(), ends("port")},
	} {
		if len(f.numbers) > 0 {
			clauses = append(clauses, clause{columns: f.columns, numbers: numberSet(f.numbers)})
		}
	}
	for _, e := range filters.Equalities(spec.GetWhere()) {
		clauses = append(clauses, clause{
			columns: []string{e.Path}, exact: []string{e.Value},
			matches: func(_ string, v parquet.Value) bool { return string(v.ByteArray()) == e.Value },
		})
	}
	for _, c := range filters.Conditions(spec.GetWhere()) {
		clauses = append(clauses, clause{columns: []string{c.Path}, matches: orUndecided(c.Filter)})
	}
	return clauses
}

// orUndecided is probe, and also lets pass what the filter comes to no result for: the
// whole filter is then asked, and counts it.
func orUndecided(f *filters.Filter) func(string, parquet.Value) bool {
	matches := probe(f)
	return func(path string, v parquet.Value) bool {
		before := f.Failures()
		return matches(path, v) || f.Failures() > before
	}
}

// ends are the columns of a field of both ends, of connections and of DNS queries.
func ends(field string) (columns []string) {
	for _, end := range []string{"connection.local", "connection.remote", "dns.client", "dns.server"} {
		columns = append(columns, end+"."+field)
	}
	return columns
}

func numberSet(values []uint32) map[uint64]struct{} {
	set := map[uint64]struct{}{}
	for _, v := range values {
		set[uint64(v)] = struct{}{}
	}
	return set
}

// exactExes are the values that executables may have, nil if a pattern has more than one.
func exactExes(patterns []string) []string {
	for _, p := range patterns {
		if !strings.Contains(p, "/") || strings.HasSuffix(p, "/") {
			return nil
		}
	}
	return patterns
}

func exactAddrs(values []string) []string {
	for _, v := range values {
		// IPv6 addresses have several spellings, and prefixes are many addresses.
		if strings.ContainsAny(v, "/:") {
			return nil
		}
	}
	return values
}

// probe makes a clause's matches of a filter.
func probe(f *filters.Filter) func(string, parquet.Value) bool {
	return func(path string, v parquet.Value) bool {
		r := &skepv1.Record{}
		m := r.ProtoReflect()
		for {
			name, rest, more := strings.Cut(path, ".")
			fd := m.Descriptor().Fields().ByName(protoreflect.Name(name))
			if more {
				m, path = m.Mutable(fd).Message(), rest
				continue
			}
			m.Set(fd, fieldValue(fd, v))
			return f.Match(r)
		}
	}
}

// fieldValue is a column's value as a field has it.
func fieldValue(fd protoreflect.FieldDescriptor, v parquet.Value) protoreflect.Value {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(v.Boolean())
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(v.Int32())
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(v.Int64())
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(v.Uint32())
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(v.Uint64())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(v.ByteArray())
	}
	return protoreflect.ValueOfString(string(v.ByteArray()))
}

// columnValue is a field's value as its column has it.
func columnValue(fd protoreflect.FieldDescriptor, v protoreflect.Value) parquet.Value {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return parquet.BooleanValue(v.Bool())
	case protoreflect.Int32Kind:
		return parquet.Int32Value(int32(v.Int()))
	case protoreflect.Int64Kind:
		return parquet.Int64Value(v.Int())
	case protoreflect.Uint32Kind:
		return parquet.Int32Value(int32(v.Uint()))
	case protoreflect.Uint64Kind:
		return parquet.Int64Value(int64(v.Uint()))
	case protoreflect.BytesKind:
		return parquet.ByteArrayValue(v.Bytes())
	}
	return parquet.ByteArrayValue([]byte(v.String()))
}

// aboutProcess says whether the process of a record decides.
func (c *clause) aboutProcess() bool {
	for _, path := range c.columns {
		if !strings.HasPrefix(path, "process.") && path != "pod" {
			return false
		}
	}
	return true
}

// holds says whether the condition is true of a record.
func (c *clause) holds(r *skepv1.Record) bool {
	for _, path := range c.columns {
		m, rest, more := r.ProtoReflect(), path, true
		for {
			var name string
			name, rest, more = strings.Cut(rest, ".")
			fd := m.Descriptor().Fields().ByName(protoreflect.Name(name))
			if more {
				m = m.Get(fd).Message()
				continue
			}
			if v := m.Get(fd); c.numbers != nil {
				if _, ok := c.numbers[v.Uint()]; ok {
					return true
				}
			} else if c.matches(path, columnValue(fd, v)) {
				return true
			}
			break
		}
	}
	return false
}

// possible says of a record that is not decoded whether the condition may be true of it:
// whether it has the columns and, where that is known, one of the values.
func (c *clause) possible(r *stored, body string) bool {
	there := false
	for _, path := range c.columns {
		of, _, _ := strings.Cut(path, ".")
		there = there || of == body || !slices.Contains(bodyNames, of)
	}
	if !there || c.exact == nil {
		return there
	}
	for _, value := range c.exact {
		for _, piece := range r.pieces[:r.n] {
			if bytes.Contains(piece, []byte(value)) {
				return true
			}
		}
	}
	return false
}

// rowSet is a set of rows of a segment.
type rowSet []uint64

func newRowSet(rows int64) rowSet   { return make(rowSet, (rows+63)/64) }
func (s rowSet) set(row int64)      { s[row/64] |= 1 << (row % 64) }
func (s rowSet) has(row int64) bool { return s[row/64]>>(row%64)&1 != 0 }

func (s rowSet) fill(rows int64) {
	for row := range rows {
		s.set(row)
	}
}

func (s rowSet) keep(other rowSet) {
	for i := range s {
		s[i] &= other[i]
	}
}

// rows adds the rows in which one of the clause's columns matches.
func (c *clause) rows(group parquet.RowGroup, s *schema, to rowSet) error {
	for _, path := range c.columns {
		f := s.find(path)
		if f == nil || f.repetition > 0 {
			continue
		}
		m := matcher{matches: func(v parquet.Value) bool { return c.matches(path, v) }, numbers: c.numbers, definition: f.definition, rows: to}
		if err := m.chunk(group.ColumnChunks()[f.column]); err != nil {
			return err
		}
	}
	return nil
}

// matcher finds the rows of a column whose value matches. Of a dictionary it asks about
// each value once.
type matcher struct {
	matches    func(parquet.Value) bool
	numbers    map[uint64]struct{} // if set, those that match
	definition int
	rows       rowSet

	dictionary []int8 // 1 yes, -1 no, 0 not asked
}

func (m *matcher) chunk(chunk parquet.ColumnChunk) error {
	pages := chunk.Pages()
	defer pages.Close()
	row := int64(0)
	for row < int64(len(m.rows))*64 {
		page, err := pages.ReadPage()
		if err != nil {
			return ignoreEOF(err)
		}
		n := page.NumRows()
		if row+n > int64(len(m.rows))*64 {
			return errLevels
		}
		var flat flatPage
		if !flat.open(page, chunk.Type().Kind(), m.definition) {
			return errLevels
		}
		flat.each(func(rank, at int) {
			if m.has(&flat, rank) {
				m.rows.set(row + int64(at))
			}
		})
		parquet.Release(page)
		row += n
	}
	return nil
}

func (m *matcher) has(p *flatPage, rank int) bool {
	switch {
	case p.indexes != nil:
		return m.entry(p.dictionary, p.indexes[rank])
	case m.numbers != nil && p.int32s != nil:
		_, ok := m.numbers[uint64(uint32(p.int32s[rank]))]
		return ok
	}
	return m.ask(p.value(rank))
}

func (m *matcher) entry(d parquet.Dictionary, index int32) bool {
	if m.dictionary == nil {
		m.dictionary = make([]int8, d.Len())
	}
	if int(index) >= len(m.dictionary) || index < 0 {
		return false
	}
	if m.dictionary[index] == 0 {
		m.dictionary[index] = -1
		if m.ask(d.Index(index)) {
			m.dictionary[index] = 1
		}
	}
	return m.dictionary[index] > 0
}

func (m *matcher) ask(v parquet.Value) bool {
	if m.numbers != nil {
		_, ok := m.numbers[uint64(v.Uint32())]
		return ok
	}
	return m.matches(v)
}
