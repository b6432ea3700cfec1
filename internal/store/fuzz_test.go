// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event/filters"
)

// FuzzLog: any bytes are read as a log without a crash, and what is damaged adds up.
func FuzzLog(f *testing.F) {
	dir := f.TempDir()
	writeRecords(f, dir, 1, someRecords(20))
	whole, err := os.ReadFile(filepath.Join(dir, logName(1)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-7])
	f.Add(append(bytes.Clone(whole), whole[fileHeader:]...))
	f.Add([]byte(fileMagic))
	f.Add(newFileHeader(7))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, log []byte) {
		d, good, err := scanLog(bytes.NewReader(log), func(r stored) error {
			if _, err := r.head(); err == nil {
				_ = proto.Unmarshal(r.wire(nil), &skepv1.Record{})
			}
			return nil
		})
		if good > int64(len(log)) || err == nil && d.Bytes > 2*uint64(len(log)) {
			t.Fatalf("%d bytes: good %d, damaged %d", len(log), good, d.Bytes)
		}
	})
}

// FuzzEntries: any payload with a good checksum is read without a crash, taken apart into
// columns, and put together again as what protobuf says it is; also when its parts are
// remembered.
func FuzzEntries(f *testing.F) {
	e := newEncoder(0)
	for _, r := range append(someRecords(40), odd()...) {
		if err := e.add(r); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(e.frame()[headerLen:])
	f.Add([]byte{entryRecord, 0, 0})
	schemas := map[string]*schema{}
	for _, body := range append(bodyNames, "") {
		var err error
		if schemas[body], err = newSchema(body); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		shredders := map[string]*shredder{}
		var in entries
		_, _ = in.read(payload, true, func(r stored) error {
			h, err := r.head()
			if err != nil {
				return nil
			}
			s := shredders[h.body]
			if s == nil {
				s = newShredder(schemas[h.body])
				s.remember()
				shredders[h.body] = s
			}
			throughColumns(t, s, &r)
			return nil
		})
	})
}

// throughColumns takes a record apart and puts it together again, three times: the third
// time its parts are remembered.
func throughColumns(t *testing.T, s *shredder, r *stored) {
	s.clear()
	for range 3 {
		if s.add(r.pieces[:r.n]...) != nil {
			for i := range s.columns {
				if c := s.column(i); len(c) != 0 {
					t.Fatalf("column %d has %d values of what is no record", i, len(c))
				}
			}
			return
		}
	}
	want := &skepv1.Record{}
	wire := r.wire(nil)
	if (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(wire, want) != nil || bodiesIn(wire) > 1 || want.Time != nil && !inRange(want.Time) {
		return
	}
	batches := make([]columnBatch, len(s.columns))
	for i := range s.columns {
		batches[i] = batchOf(s.column(i))
	}
	a := newAssembler(s.schema)
	for row := range 3 {
		got, err := a.record(batches, row)
		if err != nil {
			t.Fatalf("row %d of %v: %v", row, want, err)
		}
		if want.Time == nil { // a column has no absent time
			want.Time = &timestamppb.Timestamp{}
		}
		if !proto.Equal(got, want) {
			t.Fatalf("row %d is\n%v\nwant\n%v", row, got, want)
		}
	}
}

// batchOf finds the rows of a column.
func batchOf(values []parquet.Value) (b columnBatch) {
	b.values = values
	for i := range values {
		if i > 0 && values[i].RepetitionLevel() == 0 {
			b.ends = append(b.ends, i)
		}
	}
	b.ends = append(b.ends, len(values))
	return b
}

// bodiesIn counts the bodies: protobuf takes the last one, columns have but one.
func bodiesIn(wire []byte) (n int) {
	for len(wire) > 0 {
		number, _, used := protowire.ConsumeField(wire)
		if used < 0 {
			return n
		}
		if int(number) < len(bodies) && bodies[number] != "" {
			n++
		}
		wire = wire[used:]
	}
	return n
}

// inRange says whether a time is one that ns since the epoch can hold, as all of the agent's are.
func inRange(t *timestamppb.Timestamp) bool {
	return t.CheckValid() == nil && t.Seconds > -1<<33 && t.Seconds < 1<<33
}

// FuzzSegment: whatever is done to a segment, reading it ends with an error or with all of
// its records, and those that it gives are right.
func FuzzSegment(f *testing.F) {
	dir := f.TempDir()
	var records []*skepv1.Record
	for _, r := range someRecords(200) {
		if r.Kind == "exec" {
			records = append(records, r)
		}
	}
	writeRecords(f, dir, 1, records)
	closeLog(f, dir, 1)
	periods, err := readCatalog(dir)
	if err != nil {
		f.Fatal(err)
	}
	of := periods[0].segments[0]
	whole, err := os.ReadFile(filepath.Join(dir, of.name))
	if err != nil {
		f.Fatal(err)
	}
	want := byKey(records)
	filter, err := filters.Compile(nil, filters.Deps{})
	if err != nil {
		f.Fatal(err)
	}
	// What is changed is given, and not the file: mutations of that are mostly no Parquet.
	f.Add(0, byte(0), len(whole), []byte{})
	f.Add(len(whole)-20, byte(1), len(whole), []byte{})
	f.Add(len(whole)/2, byte(0x80), len(whole), []byte{})
	f.Add(4, byte(0xff), len(whole), []byte("PAR1"))
	f.Add(0, byte(0), len(whole)-1, []byte{})
	f.Add(0, byte(0), 0, whole[:len(whole)/3])
	f.Fuzz(func(t *testing.T, at int, flip byte, size int, behind []byte) {
		bad := bytes.Clone(whole[:min(max(size, 0), len(whole))])
		if at >= 0 && at < len(bad) {
			bad[at] ^= flip
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, of.name), append(bad, behind...), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readSegment(dir, of, newQuery(time.Time{}, time.Time{}, filter))
		for _, r := range got {
			if w := want[r.Kind+stamp(timeOf(r))+string(rune(r.Seq))]; !proto.Equal(r, w) {
				t.Fatalf("a wrong record: %v\nwant %v", r, w)
			}
		}
		if err == nil && len(got) != len(records) {
			t.Fatalf("%d of %d records, and no error", len(got), len(records))
		}
	})
}

func readSegment(dir string, of segment, q *query) (got []*skepv1.Record, err error) {
	s, err := openSegment(dir, of, q)
	if err != nil || s == nil {
		return nil, err
	}
	defer s.close()
	for {
		r, err := s.next()
		if err != nil {
			return got, ignoreEOF(err)
		}
		got = append(got, r)
	}
}

// FuzzNames: no file name is taken for another's.
func FuzzNames(f *testing.F) {
	f.Add(segmentName("exec", 12, span{1, 2}))
	f.Add("exec-00000001-20261124T080000.000000000Z-20261124T080000.000000000Z.parquet")
	f.Fuzz(func(t *testing.T, name string) {
		s, id, ok := parseSegment(name)
		if ok && (s.name != name || len(id) < 8 || filepath.Base(name) != name) {
			t.Fatalf("%q is %+v of %s", name, s, id)
		}
	})
}
