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
	"syscall"
	"time"

	"github.com/cilium/ebpf"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/bpf"
)

// measureRate is promise 2: at a known rate of records, received + lost = produced, for
// the agent and for each subscriber, also while one subscriber is stopped.
func measureRate(ctx context.Context, b *bench) ([]result, error) {
	var all []result
	for _, load := range []struct {
		rate  int
		limit float64
	}{{50_000, 0}, {100_000, 1}} {
		rs, err := b.rateAt(ctx, load.rate, load.limit)
		if err != nil {
			return all, err
		}
		all = append(all, rs...)
	}
	return all, nil
}

func (b *bench) rateAt(ctx context.Context, rate int, limit float64) (rs []result, err error) {
	a, config, err := b.startPinned(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.stop()) }()
	g, err := newGenerator(filepath.Join(config, "maps"))
	if err != nil {
		return nil, err
	}
	defer g.close()
	reader, err := a.tally(ctx)
	if err != nil {
		return nil, err
	}
	defer reader.stop()
	stopped, err := b.stoppedSubscriber(a.socket)
	if err != nil {
		return nil, err
	}
	defer stopped.Process.Kill()
	seconds := max(1, 10/b.scale)
	base, err := a.kinds(ctx)
	if err != nil {
		return nil, err
	}
	if err := g.run(ctx, rate, time.Duration(seconds)*time.Second); err != nil {
		return nil, err
	}
	return b.reconcile(ctx, a, g, reader, stopped, base, rate, limit)
}

// generator runs the counted BPF generator on an agent's pinned rings.
type generator struct {
	collection *ebpf.Collection
	program    *ebpf.Program
}

// perRun is how many records one run of the program makes: four in each of 25 turns.
const perRun = 100

func newGenerator(pins string) (*generator, error) {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(bpf.Object("generator")))
	if err != nil {
		return nil, err
	}
	shared := map[string]*ebpf.Map{}
	for _, name := range []string{"critical", "telemetry", "loss", "processes"} {
		m, err := ebpf.LoadPinnedMap(filepath.Join(pins, name), nil)
		if err != nil {
			return nil, fmt.Errorf("open the agent's map %s: %w", name, err)
		}
		defer m.Close()
		if spec.Maps[name] != nil {
			spec.Maps[name].MaxEntries = m.MaxEntries()
			shared[name] = m
		}
	}
	if err := spec.Variables["cfg_critical_wakeup"].Set(uint64(512 << 10)); err != nil {
		return nil, err
	}
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: shared})
	if err != nil {
		return nil, fmt.Errorf("load generator: %w", err)
	}
	return &generator{c, c.Programs["generate"]}, nil
}

func (g *generator) close() { g.collection.Close() }

// run keeps to the rate by catching up with the clock in steps of 5 ms.
func (g *generator) run(ctx context.Context, rate int, length time.Duration) error {
	start := time.Now()
	runs := 0
	for ctx.Err() == nil {
		elapsed := time.Since(start)
		if elapsed >= length {
			return nil
		}
		for due := int(elapsed.Seconds() * float64(rate) / perRun); runs < due; runs++ {
			if _, err := g.program.Run(&ebpf.RunOptions{}); err != nil {
				return fmt.Errorf("run generator: %w", err)
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return ctx.Err()
}

// produced is what the generator itself has counted, by kind.
func (g *generator) produced() (map[string]uint64, error) {
	var n struct{ Forks, Exits, OOMs, Listens uint64 }
	err := g.collection.Maps["produced"].Lookup(uint32(0), &n)
	return map[string]uint64{"fork": n.Forks, "exit": n.Exits, "oom": n.OOMs, "listen": n.Listens}, err
}

// startPinned starts an agent whose maps can be opened from outside.
func (b *bench) startPinned(ctx context.Context) (*agent, string, error) {
	root := "/sys/fs/bpf/skep-bench"
	a, err := b.configured(b.config+"bpffs: "+root+"\n").startAgent(ctx, "--ephemeral")
	if err != nil {
		return nil, "", err
	}
	dirs, err := filepath.Glob(root + "/*")
	if err != nil || len(dirs) != 1 {
		return nil, "", errors.Join(fmt.Errorf("find the agent's pins: %d directories below %s", len(dirs), root), a.stop())
	}
	return a, dirs[0], nil
}

// stoppedSubscriber is a real `skep observe` that is stopped as soon as it has subscribed.
func (b *bench) stoppedSubscriber(socket string) (*exec.Cmd, error) {
	out, err := os.Create(filepath.Join(b.dir, "stopped.jsonl"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	c := exec.Command(filepath.Join(b.bin, "skep"), "--socket", socket, "observe", "--kind", "fork,exit,oom,listen", "--follow", "--last", "0", "-o", "json")
	c.Stdout, c.Stderr = out, os.Stderr
	if err := c.Start(); err != nil {
		return nil, err
	}
	time.Sleep(500 * time.Millisecond)
	return c, c.Process.Signal(syscall.SIGSTOP)
}

func (a *agent) kinds(ctx context.Context) (map[string]*skepv1.KindStatus, error) {
	status, err := a.GetStatus(ctx, &skepv1.GetStatusRequest{})
	if err != nil {
		return nil, err
	}
	kinds := map[string]*skepv1.KindStatus{}
	for _, k := range status.Kinds {
		kinds[k.Kind] = k
	}
	return kinds, nil
}
