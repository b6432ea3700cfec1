// SPDX-License-Identifier: Apache-2.0

// Package duckdb reads the segments of the disk log with a reader that is not skep's.
// It is a module of its own, because DuckDB needs cgo: go test ./... here, or
// go run ./test/run duckdb in the repository's root.
package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/store"
)

const (
	processes   = 5000
	connections = 3000
)

var begin = time.Date(2026, 11, 24, 8, 0, 0, 123456789, time.UTC)

// records are execs of which every seventh is curl's, in two containers, and closed
// connections whose bytes add up to what is known.
func records() (all []*skepv1.Record) {
	for i := range processes {
		comm := "sed"
		if i%7 == 0 {
			comm = "curl"
		}
		all = append(all, &skepv1.Record{
			NodeId: "node", BootId: "boot", Kind: "exec", Seq: uint64(i + 1), Time: timestamppb.New(begin.Add(time.Duration(i) * time.Millisecond)), NodeName: "web-1",
			Process: &skepv1.Process{
				ProcessId: fmt.Sprint("p-", i), ExecId: fmt.Sprint("e-", i), Pid: uint32(i), Comm: comm, Exe: "/usr/bin/" + comm, Uid: uint32(i % 3),
				Container: &skepv1.Container{Id: strings.Repeat("a", 63) + fmt.Sprint(i%2), Name: fmt.Sprint("app-", i%2), Labels: map[string]string{"tier": fmt.Sprint(i % 5)}},
			},
			Body: &skepv1.Record_Exec{Exec: &skepv1.Exec{Args: []string{comm, "-x", fmt.Sprint(i)}, ArgsRaw: []byte{0xff, byte(i)}, CgroupId: 1<<63 + uint64(i), Setuid: i%10 == 0}},
		})
	}
	for i := range connections {
		all = append(all, &skepv1.Record{
			Kind: "close", Seq: uint64(i + 1), Time: timestamppb.New(begin.Add(time.Duration(i) * time.Second)), Process: &skepv1.Process{Pid: 7},
			Body: &skepv1.Record_Connection{Connection: &skepv1.Connection{
				Local: &skepv1.Endpoint{Address: "10.0.0.1", Port: 40000}, Remote: &skepv1.Endpoint{Address: fmt.Sprint("10.0.1.", i%200), Port: 443}, BytesSent: uint64(i)}},
		})
	}
	return all
}

func segments(t *testing.T) string {
	t.Helper()
	dir := stored(t, records(), 200<<10)
	files, _ := filepath.Glob(filepath.Join(dir, "exec-*.parquet"))
	if len(files) < 3 {
		t.Fatalf("only %d segments of exec", len(files))
	}
	return dir
}

// stored writes records with the store, and returns its directory once all of them are in
// segments.
func stored(t *testing.T, records []*skepv1.Record, logBytes int64) string {
	t.Helper()
	dir := t.TempDir()
	log := event.NewLog(event.LogOptions{Bytes: 256 << 20})
	s, err := store.New(store.Options{Dir: dir, Log: log, LogBytes: logBytes})
	if err != nil {
		t.Fatal(err)
	}
	s.Open()
	for _, r := range records {
		k, _ := event.KindOf(r)
		log.Append(k, r)
	}
	log.Close()
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	logs, _ := filepath.Glob(filepath.Join(dir, "*.wal"))
	for _, path := range logs {
		var id uint64
		if _, err := fmt.Sscanf(filepath.Base(path), "%d.wal", &id); err != nil {
			t.Fatal(err)
		}
		if _, err := store.CloseLog(context.Background(), dir, id); err != nil {
			t.Fatal(err)
		}
		os.Remove(path)
	}
	return dir
}

func one[T any](t *testing.T, db *sql.DB, query string) (v T) {
	t.Helper()
	if err := db.QueryRow(query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// TestDuckDB: DuckDB reads the segments where they lie, and finds what was stored.
func TestDuckDB(t *testing.T) {
	dir := segments(t)
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec, closed := "read_parquet('"+dir+"/exec-*.parquet')", "read_parquet('"+dir+"/close-*.parquet')"
	for query, want := range map[string]int64{
		"select count(*) from " + exec:                                                                   processes,
		"select count(distinct seq) from " + exec:                                                        processes,
		"select count(*) from " + exec + " where process.comm = 'curl'":                                  (processes + 6) / 7,
		"select count(*) from " + exec + " where process.exec_id = 'e-4242'":                             1,
		"select count(*) from " + exec + " where process.container.name = 'app-1'":                       processes / 2,
		"select count(*) from " + exec + " where process.container.labels['tier'] = '3'":                 processes / 5,
		"select count(*) from " + exec + " where exec.args[3] = '77' and len(exec.args) = 3":             1,
		"select count(*) from " + exec + " where exec.setuid":                                            processes / 10,
		"select count(*) from " + exec + " where exec.args_raw = '\\xFF\\x07'::blob":                     20,
		"select count(*) from " + exec + " where process.uid = 0":                                        (processes + 2) / 3,
		"select count(*) from " + closed:                                                                 connections,
		"select sum(connection.bytes_sent)::bigint from " + closed:                                       connections * (connections - 1) / 2,
		"select count(*) from " + closed + " where connection.remote.address = '10.0.1.9'":               connections / 200,
		"select count(*) from " + closed + " where process.container is null":                            connections,
		"select epoch_ns(min(time)) from " + exec:                                                        begin.Truncate(time.Microsecond).UnixNano(), // all that its TIMESTAMPTZ can hold
		"select count(*) from read_parquet('" + dir + "/*.parquet', union_by_name=true)":                 processes + connections,
		"select count(*) from " + exec + " where time < '2026-11-24 08:00:01.123456789+00'::timestamptz": 1000,
	} {
		if got := one[int64](t, db, query); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
	if got := one[uint64](t, db, "select max(exec.cgroup_id) from "+exec); got != 1<<63+processes-1 {
		t.Errorf("the largest cgroup id is %d", got)
	}
}

// TestColumnNames: the columns are the fields of the schema, as DuckDB shows them.
func TestColumnNames(t *testing.T) {
	dir := segments(t)
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("describe select * from read_parquet('" + dir + "/close-*.parquet')")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	types := map[string]string{}
	for rows.Next() {
		var name, typ string
		var rest [4]any
		if err := rows.Scan(&name, &typ, &rest[0], &rest[1], &rest[2], &rest[3]); err != nil {
			t.Fatal(err)
		}
		types[name] = typ
	}
	fields := (&skepv1.Record{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if _, there := types[string(f.Name())]; there != (f.ContainingOneof() == nil || f.Name() == "connection") {
			t.Errorf("column %s: there is %v", f.Name(), there)
		}
	}
	for _, of := range []protoreflect.MessageDescriptor{(&skepv1.Connection{}).ProtoReflect().Descriptor(), (&skepv1.Process{}).ProtoReflect().Descriptor()} {
		column := types[strings.ToLower(string(of.Name()))]
		for i := range of.Fields().Len() {
			if name := string(of.Fields().Get(i).Name()); !strings.Contains(column, name) {
				t.Errorf("%s is not in %s", name, column)
			}
		}
	}
}

// TestPruning: DuckDB needs the statistics and bloom filters of the files: it finds them.
func TestPruning(t *testing.T) {
	dir := segments(t)
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	meta := "parquet_metadata('" + dir + "/exec-*.parquet')"
	for query, least := range map[string]int64{
		"select count(*) from " + meta + " where path_in_schema = 'time' and stats_min_value is not null":            3,
		"select count(*) from " + meta + " where compression = 'ZSTD'":                                               60,
		"select count(*) from " + meta + " where path_in_schema = 'process, comm' and encodings like '%DICTIONARY%'": 3,
	} {
		if got := one[int64](t, db, query); got < least {
			t.Errorf("%s: %d, want %d or more", query, got, least)
		}
	}
}
