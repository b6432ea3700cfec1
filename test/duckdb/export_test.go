// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// TestExport: DuckDB finds in a file that skep export wrote what was stored: by the real
// agent and command, with a filter and without.
func TestExport(t *testing.T) {
	a := startAgent(t, segments(t))
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	whole := a.export(t, "whole.parquet")
	curl := a.export(t, "curl.parquet", "--comm", "curl", "--kind", "exec")
	for query, want := range map[string]int64{
		// The agent has stored what itself and the host did, too.
		"select count(*) from " + whole + " where kind = 'exec' and node_id = 'node'":                                              processes,
		"select count(distinct seq) from " + whole + " where kind = 'exec' and node_id = 'node'":                                   processes,
		"select count(*) from " + whole + " where kind = 'close' and node_id = ''":                                                 connections,
		"select sum(connection.bytes_sent)::bigint from " + whole + " where kind = 'close' and node_id = ''":                       connections * (connections - 1) / 2,
		"select count(*) from " + whole + " where node_id = 'node' and exec.args[3] = '77' and len(exec.args) = 3":                 1,
		"select count(*) from " + whole + " where node_id = 'node' and process.container.labels['tier'] = '3'":                     processes / 5,
		"select count(*) from " + whole + " where node_id = 'node' and connection is not null":                                     0,
		"select count(*) from " + whole + " where node_id = '' and kind = 'close' and exec is not null":                            0,
		"select epoch_ns(min(time)) from " + whole + " where node_id = 'node'":                                                     begin.UnixMicro() * 1000,
		"select count(*) from " + curl + " where node_id = 'node'":                                                                 (processes + 6) / 7,
		"select count(*) from " + curl + " where process.comm <> 'curl' or kind <> 'exec'":                                         0,
		"select count(*) from (select time < lag(time) over () as back from " + whole + ") where back":                             0,
		"select count(*) from (select * from " + whole + " where node_id = 'node' and process.exe <> '/usr/bin/' || process.comm)": 0,
	} {
		if got := one[int64](t, db, query); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
}

// agent is a skepd that has a disk log, and the directory of both programs.
type agent struct{ dir string }

func startAgent(t *testing.T, stored string) agent {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it loads BPF programs")
	}
	lock, err := skepdtest.LockHost()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	dir, err := os.MkdirTemp("", "skep-duckdb-") // the path of a unix socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	a := agent{dir}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", dir+"/", "./cmd/skepd", "./cmd/skep")
	build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	// What is stored is older than a week some day.
	yaml := fmt.Sprintf("bpffs: /sys/fs/bpf/skep-duckdb-%d\nstore: {dir: %s, max_age: 87600h}\n", os.Getpid(), stored)
	if err := os.WriteFile(filepath.Join(dir, "skep.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	c := exec.Command(filepath.Join(dir, "skepd"), "run", "--ephemeral", "--config", filepath.Join(dir, "skep.yaml"),
		"--socket", a.socket(), "--data-dir", filepath.Join(dir, "data"))
	c.Stdout, c.Stderr = &log, &log
	if err := skepdtest.Launch(c); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		if err := c.Wait(); err != nil {
			t.Errorf("stop the agent: %v\n%s", err, &log)
		}
	})
	return a
}

func (a agent) socket() string { return filepath.Join(a.dir, "skep.sock") }

// export runs skep export and returns how DuckDB reads what it wrote.
func (a agent) export(t *testing.T, name string, args ...string) string {
	t.Helper()
	file := filepath.Join(a.dir, name)
	args = append([]string{"--socket", a.socket(), "export", "-o", "parquet", "--since", "2026-11-24T00:00:00Z"}, args...)
	if out, err := exec.Command(filepath.Join(a.dir, "skep"), append(args, file)...).CombinedOutput(); err != nil {
		t.Fatalf("export: %v: %s", err, out)
	}
	return "read_parquet('" + file + "')"
}
