// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// storeRecords is what the promise about queries speaks of.
const storeRecords = 10_000_000

// measureStore is promise 3: what a record costs on its way into a segment, what it takes
// there, and how soon a question about ten million of them is answered.
func measureStore(ctx context.Context, b *bench) (results []result, err error) {
	data := filepath.Join(b.dir, "data")
	if err := os.RemoveAll(data); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(data)) }()
	var r fillReport
	if err := b.runWorkload(&r, "fill", filepath.Join(data, "store"), filepath.Join(b.bin, "skepd"), strconv.Itoa(storeRecords/b.scale)); err != nil {
		return nil, err
	}
	perRecord := decile(r.Append) + decile(r.Close)*float64(len(r.Close))/float64(r.Closed)
	results = []result{
		{what: "disk log: CPU to append and close a record, in records a second on one core", value: 1e9 / perRecord, unit: "/s", limit: 200_000, least: true,
			note: fmt.Sprintf("lower decile of %d batches and %d logs: append %.0f ns, close %.0f ns", len(r.Append), len(r.Close), decile(r.Append), perRecord-decile(r.Append))},
		{what: "disk log: size of a record in segments", value: float64(r.Bytes) / float64(r.Closed), unit: "bytes", limit: 60,
			note: fmt.Sprintf("%d records, %d MiB", r.Closed, r.Bytes>>20)},
		{what: "disk log: records that were not stored", value: float64(r.Lost), exact: true},
	}
	queries, err := b.queries(ctx, r)
	return append(results, queries...), err
}

// decile is what a tenth of the values do not reach: what others do on the machine only ever
// adds to CPU time.
func decile(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(values))[len(values)/10]
}

// question is one call of observe, and how many records answer it.
type question struct {
	what  string
	args  []string
	limit float64 // seconds
	want  int
}

func (b *bench) queries(ctx context.Context, r fillReport) (results []result, err error) {
	lock, err := skepdtest.LockHost() // it took long to fill the directory: tests may have begun
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	until := time.Now().Format(time.RFC3339) // what this host does is not asked for
	a, err := b.startAgent(ctx, "--ephemeral")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.stop()) }()
	for _, q := range []question{
		{"a command that is in all segments", []string{"--comm", commonComm}, 5, r.Common},
		{"exits with an error, by expression", []string{"--kind", "exit", "--where", "exit.code != 0"}, 5, r.Failed},
		{"a command that is in one segment", []string{"--comm", rareComm}, 0.5, r.Rare},
		{"an address that is in one segment", []string{"--addr", rareAddress}, 0.5, 1},
		{"one process by its exec_id", []string{"--where", fmt.Sprintf("process.exec_id == %q", r.RareID)}, 0.5, r.Rare},
	} {
		rs, err := a.ask(b, q, until, r.Records)
		if err != nil {
			return results, err
		}
		results = append(results, rs...)
	}
	peak, err := a.peakResident()
	if err != nil {
		return results, err
	}
	maps, err := a.mapBytes(ctx)
	return append(results, result{what: "resident and kernel maps, peak of an agent that answers them", value: float64(peak+maps) / (1 << 20), unit: "MiB", limit: 120}), err
}

// ask asks five times, as a user does. The least time counts, as of CPU time: on a busy
// machine an answer waits for its turn.
func (a *agent) ask(b *bench, q question, until string, of uint64) ([]result, error) {
	var took []float64
	wrong := 0
	for range 5 {
		c := exec.Command(filepath.Join(b.bin, "skep"), append([]string{"--socket", a.socket, "observe", "--since", "7d", "--until", until, "-o", "json"}, q.args...)...)
		c.Stderr = os.Stderr
		start := time.Now()
		out, err := c.Output()
		if err != nil {
			return nil, fmt.Errorf("ask for %s: %w", q.what, err)
		}
		took = append(took, time.Since(start).Seconds())
		wrong += abs(bytes.Count(out, []byte("\n")) - q.want)
	}
	name := fmt.Sprintf("observe --since over %d records, %s", of, q.what)
	return []result{
		{what: name, value: slices.Min(took), unit: "s", limit: q.limit, note: fmt.Sprintf("least of %d; %d records", len(took), q.want)},
		{what: name + ": records missing or too many", value: float64(wrong), exact: true},
	}, nil
}

func abs(n int) int { return max(n, -n) }
