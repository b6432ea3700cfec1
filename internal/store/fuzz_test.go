// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
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
// columns, and put together again as what protobuf says it is.
func FuzzEntries(f *testing.F) {
	e := newEncoder(0)
	for _, r := range append(someRecords(10), odd()...) {
		if err := e.add(r); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(e.frame()[headerLen:])
	f.Add([]byte{entryRecord, 0, 0})
	all, err := newSchema(bodyNames...)
	if err != nil {
		f.Fatal(err)
	}
	s, a := newShredder(all), newAssembler(all)
	f.Fuzz(func(t *testing.T, payload []byte) {
		var in entries
		_, _ = in.read(payload, true, func(r stored) error {
			wire := r.wire(nil)
			s.clear()
			if s.add(wire) != nil {
				for i := range s.columns {
					if c := s.column(i); len(c) != 0 {
						t.Fatalf("column %d has %d values of what is no record", i, len(c))
					}
				}
				return nil
			}
			want := &skepv1.Record{}
			if proto.Unmarshal(wire, want) != nil {
				return nil
			}
			batches := make([]columnBatch, len(s.columns))
			for i := range s.columns {
				batches[i] = columnBatch{values: s.column(i), ends: []int{len(s.column(i))}}
			}
			if _, err := a.record(batches, 0); err != nil {
				t.Fatalf("%v: %v", want, err)
			}
			return nil
		})
	})
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
