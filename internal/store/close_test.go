// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/test/day"
)

// writeRecords writes a log of these records.
func writeRecords(t testing.TB, dir string, id uint64, records []*skepv1.Record) int64 {
	t.Helper()
	l, err := openLog(dir, id, 0, nothing)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		k, _ := event.KindOf(r)
		if err := l.add(k, r); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	l.close()
	return l.size
}

// odd are records with what is rare: all fields, none, lists of several and of empty
// strings, bytes, large numbers, no process.
func odd() []*skepv1.Record {
	at := timestamppb.New(day.Start.Add(time.Hour))
	base := func(kind string, seq uint64) *skepv1.Record {
		return &skepv1.Record{NodeId: day.Node, BootId: day.Boot, Kind: kind, Seq: seq, Time: at}
	}
	full := base("exec", 1<<40)
	full.Time = nil
	populate(full.ProtoReflect())
	full.Kind, full.Time, full.Body = "exec", at, &skepv1.Record_Exec{Exec: &skepv1.Exec{}}
	populate(full.GetExec().ProtoReflect())
	loss := base("loss", 1<<41)
	loss.Body = &skepv1.Record_Loss{Loss: &skepv1.Loss{LostKind: "exec", Count: 1<<63 + 1, Place: "ring_full"}}
	empty := base("exec", 1<<42)
	empty.Body = &skepv1.Record_Exec{Exec: &skepv1.Exec{Args: []string{"", "", "x", ""}, ArgsRaw: []byte{0xff, 0}}}
	bare := base("exit", 1<<43)
	bare.Process = &skepv1.Process{}
	bare.Body = &skepv1.Record_Exit{Exit: &skepv1.Exit{}}
	return []*skepv1.Record{full, loss, empty, bare}
}

// populate sets every field of a message but those of oneofs.
func populate(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.ContainingOneof() != nil:
		case f.IsMap():
			m.Mutable(f).Map().Set(protoreflect.ValueOfString("k").MapKey(), protoreflect.ValueOfString("v"))
			m.Mutable(f).Map().Set(protoreflect.ValueOfString("l").MapKey(), protoreflect.ValueOfString(""))
		case f.IsList() && f.Message() != nil:
			populate(m.Mutable(f).List().AppendMutable().Message())
		case f.IsList():
			m.Mutable(f).List().Append(scalar(f))
			m.Mutable(f).List().Append(scalar(f))
		case f.Message() != nil:
			populate(m.Mutable(f).Message())
		default:
			m.Set(f, scalar(f))
		}
	}
}

func scalar(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("text of " + string(f.Name()))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{1, 2, 0xff})
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(1<<32 - 1)
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(1<<64 - 1)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(-3)
	}
	return protoreflect.ValueOfInt64(7)
}

// TestSize: a record of a mixed day takes at most 60 bytes, the files' footers included.
func TestSize(t *testing.T) {
	dir := t.TempDir()
	const n = 60000
	records := someRecords(n)
	size := writeRecords(t, dir, 1, records)
	closeLog(t, dir, 1)
	periods, err := readCatalog(dir)
	if err != nil {
		t.Fatal(err)
	}
	per := float64(periods[0].bytes) / n
	t.Logf("%.1f bytes a record in the log, %.1f in segments", float64(size)/n, per)
	if per > 60 {
		t.Errorf("%.1f bytes a record", per)
	}
}
