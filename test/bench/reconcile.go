// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// firstTgid is the generator's: no real process has such a pid.
const firstTgid = 1 << 30

var generatedKinds = []string{"fork", "exit", "oom", "listen"}

// count is what a subscriber saw of one kind.
type count struct{ received, lost uint64 }

// tally is a subscriber that counts the generator's records, and what it was told is lost.
type tally struct {
	cancel context.CancelFunc
	mutex  sync.Mutex
	counts map[string]count
}

func (a *agent) tally(ctx context.Context) (*tally, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := a.Observe(ctx, &skepv1.ObserveRequest{Filter: &skepv1.Filter{Kinds: generatedKinds}, Follow: true})
	if err != nil {
		cancel()
		return nil, err
	}
	t := &tally{cancel: cancel, counts: map[string]count{}}
	live := make(chan struct{})
	go func() {
		once := sync.OnceFunc(func() { close(live) })
		defer once()
		for stream.Receive() {
			if stream.Msg().Live {
				once()
			}
			t.add(stream.Msg().Records)
		}
	}()
	<-live
	return t, nil
}

func (t *tally) add(records []*skepv1.Record) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for _, r := range records {
		t.counts = addRecord(t.counts, r.Kind, r.Process.GetPid(), r.GetLoss().GetLostKind(), r.GetLoss().GetCount())
	}
}

func addRecord(counts map[string]count, kind string, pid uint32, lostKind string, lost uint64) map[string]count {
	switch {
	case kind == "loss":
		c := counts[lostKind]
		c.lost += lost
		counts[lostKind] = c
	case pid >= firstTgid:
		c := counts[kind]
		c.received++
		counts[kind] = c
	}
	return counts
}

func (t *tally) get() map[string]count {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	copied := map[string]count{}
	for k, v := range t.counts {
		copied[k] = v
	}
	return copied
}

func (t *tally) stop() { t.cancel() }

// reconcile compares what the generator counted with what the agent, the reader and the
// stopped subscriber have received and been told is lost.
func (b *bench) reconcile(ctx context.Context, a *agent, g *generator, reader *tally, stopped *exec.Cmd,
	base map[string]*skepv1.KindStatus, rate int, limit float64) ([]result, error) {
	time.Sleep(time.Second)
	produced, err := g.produced()
	if err != nil {
		return nil, err
	}
	now, err := a.kinds(ctx)
	if err != nil {
		return nil, err
	}
	var total, lost, off uint64
	for _, kind := range generatedKinds {
		total += produced[kind]
		lost += now[kind].Lost - base[kind].Lost
		if kind == "oom" || kind == "listen" { // the host makes none of its own
			off += distance(produced[kind], now[kind].Received+now[kind].Lost-base[kind].Received-base[kind].Lost)
		}
	}
	late, err := b.wake(stopped)
	if err != nil {
		return nil, err
	}
	peak, err := a.peakResident()
	if err != nil {
		return nil, err
	}
	maps, err := a.mapBytes(ctx)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%d records/s: ", rate)
	results := []result{
		{what: name + "lost before the agent", value: float64(lost) / float64(total) * 100, unit: "%", limit: limit, exact: limit == 0,
			note: fmt.Sprintf("%d of %d produced", lost, total)},
		{what: name + "agent: |received + lost - produced|, kinds oom and listen", value: float64(off), exact: true},
		{what: name + "reader: |received + lost - produced|, all kinds", value: float64(unaccounted(produced, reader.get())), exact: true,
			note: describe(reader.get())},
		{what: name + "stopped subscriber, after waking: the same", value: float64(unaccounted(produced, late)), exact: true, note: describe(late)},
		{what: name + "resident and kernel maps, peak", value: float64(peak+maps) / (1 << 20), unit: "MiB", limit: 150},
	}
	return results, nil
}

func distance(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// unaccounted sums the differences over the kinds. Losses count the host's own forks and
// exits too, so for those two kinds a loss may exceed what is missing.
func unaccounted(produced map[string]uint64, seen map[string]count) uint64 {
	var off uint64
	for _, kind := range generatedKinds {
		c := seen[kind]
		if (kind == "fork" || kind == "exit") && c.lost > 0 && c.received <= produced[kind] && c.received+c.lost >= produced[kind] {
			continue
		}
		off += distance(produced[kind], c.received+c.lost)
	}
	return off
}

func describe(seen map[string]count) string {
	text := "received+lost:"
	for _, kind := range generatedKinds {
		text += fmt.Sprintf(" %s %d+%d", kind, seen[kind].received, seen[kind].lost)
	}
	return text
}

// caughtUp is how long a subscriber writes nothing when it has nothing left to read; a
// collection of its heap takes half a second on a slow machine.
const caughtUp = 3 * time.Second

// wake lets the stopped subscriber go on, ends it once it has caught up, and counts what it wrote.
func (b *bench) wake(stopped *exec.Cmd) (map[string]count, error) {
	if err := stopped.Process.Signal(syscall.SIGCONT); err != nil {
		return nil, err
	}
	path := filepath.Join(b.dir, "stopped.jsonl")
	size, since := int64(-1), time.Now()
	for ; time.Since(since) < caughtUp; time.Sleep(100 * time.Millisecond) {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if info.Size() != size {
			size, since = info.Size(), time.Now()
		}
	}
	if err := stopped.Process.Signal(os.Interrupt); err != nil {
		return nil, err
	}
	stopped.Wait()
	return countFile(path)
}

func countFile(path string) (map[string]count, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	counts := map[string]count{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r struct {
			Kind    string
			Process struct{ Pid uint32 }
			Loss    struct {
				LostKind string `json:"lost_kind"`
				Count    uint64
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("read stopped subscriber: %w", err)
		}
		counts = addRecord(counts, r.Kind, r.Process.Pid, r.Loss.LostKind, r.Loss.Count)
	}
	return counts, lines.Err()
}
