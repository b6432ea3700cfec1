// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"database/sql"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/store"
	"github.com/skep-io/skep/test/filled"
)

// oneOfEach is a record of each kind with something in each field.
func oneOfEach(t *testing.T) (all []*skepv1.Record) {
	t.Helper()
	bodies := (&skepv1.Record{}).ProtoReflect().Descriptor().Oneofs().ByName("body").Fields()
	for _, kind := range event.Kinds() {
		name := kind.String()
		if slices.Contains([]string{"connect", "accept", "close", "listen", "udp"}, name) {
			name = "connection"
		}
		body := bodies.ByName(protoreflect.Name(name))
		r := &skepv1.Record{}
		filled.Message(r.ProtoReflect(), body.Index(), 6)
		r.Kind = kind.String()
		all = append(all, r)
	}
	return all
}

// TestRows: DuckDB finds in a record of each kind what its JSON says, and bloom filters on
// all columns that are to have one.
func TestRows(t *testing.T) {
	all := oneOfEach(t)
	dir := stored(t, all, 200<<10)
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	filtered := map[string]int64{}
	for _, r := range all {
		rows := "read_parquet('" + dir + "/" + r.Kind + "-*.parquet')"
		got := object(t, one[string](t, db, "select to_json(t)::varchar from "+rows+" t"))
		want := object(t, string(event.AppendJSON(nil, r)))
		if at := one[int64](t, db, "select epoch_us(time) from "+rows); at != r.Time.AsTime().UnixMicro() {
			t.Errorf("%s: its time is %d", r.Kind, at)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: DuckDB has\n%v\nand its JSON\n%v", r.Kind, got, want)
		}
		for _, field := range store.Blooms {
			column := "path_in_schema = '" + strings.ReplaceAll(field, ".", ", ") + "'"
			meta := "select count(*) from parquet_metadata('" + dir + "/" + r.Kind + "-*.parquet') where " + column
			if n := one[int64](t, db, meta+" and coalesce(bloom_filter_length, 0) = 0"); n != 0 {
				t.Errorf("%s: %s has no bloom filter", r.Kind, field)
			}
			filtered[field] += one[int64](t, db, meta)
		}
	}
	for field, n := range filtered {
		if n == 0 {
			t.Errorf("no kind has %s", field)
		}
	}
}

// object is what both say alike: texts of times and of bytes are each one's own, and a body
// without fields has no column.
func object(t *testing.T, text string) (all map[string]any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&all); err != nil {
		t.Fatal(err)
	}
	delete(all, "time")
	if exec, ok := all["exec"].(map[string]any); ok {
		delete(exec, "args_raw")
	}
	maps.DeleteFunc(all, func(_ string, v any) bool {
		m, ok := v.(map[string]any)
		return ok && len(m) == 0
	})
	return all
}
