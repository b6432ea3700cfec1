// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/skep-io/skep/bpf"
)

// firstTgid is the generator's: no real process has such a pid.
const firstTgid = 1 << 30

// perTurn is how many records of each kind one run makes.
const perTurn = 25

// generator writes records into a house's pinned rings, and counts them.
type generator struct {
	t          *testing.T
	collection *ebpf.Collection
}

func (h *house) generator() *generator {
	h.t.Helper()
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(bpf.Object("generator")))
	if err != nil {
		h.t.Fatal(err)
	}
	dirs, _ := filepath.Glob(h.pins + "/*/maps")
	if len(dirs) != 1 {
		h.t.Fatalf("pins of %d kernel sides, want 1: %v", len(dirs), dirs)
	}
	shared := map[string]*ebpf.Map{}
	for _, name := range []string{"critical", "telemetry", "loss", "processes"} {
		if spec.Maps[name] == nil {
			continue
		}
		m, err := ebpf.LoadPinnedMap(filepath.Join(dirs[0], name), nil)
		if err != nil {
			h.t.Fatal(err)
		}
		defer m.Close()
		spec.Maps[name].MaxEntries = m.MaxEntries()
		shared[name] = m
	}
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: shared})
	if err != nil {
		h.t.Fatalf("load generator: %v", err)
	}
	g := &generator{h.t, c}
	c = nil
	h.t.Cleanup(func() {
		g.collection.Close()
		g.collection = nil // its constants stay mapped for as long as it can be reached
	})
	return g
}

// run makes that many turns of records as fast as it can, or in even steps over a time.
func (g *generator) run(runs int, over time.Duration) {
	g.t.Helper()
	start := time.Now()
	for i := range runs {
		if due := start.Add(over * time.Duration(i) / time.Duration(runs)); time.Until(due) > 0 {
			time.Sleep(time.Until(due))
		}
		if _, err := g.collection.Programs["generate"].Run(&ebpf.RunOptions{}); err != nil {
			g.t.Fatalf("run generator: %v", err)
		}
	}
}

// produced is what the generator itself has counted, by kind.
func (g *generator) produced() map[string]uint64 {
	g.t.Helper()
	var n struct{ Forks, Exits, OOMs, Listens uint64 }
	if err := g.collection.Maps["produced"].Lookup(uint32(0), &n); err != nil {
		g.t.Fatal(err)
	}
	return map[string]uint64{"fork": n.Forks, "exit": n.Exits, "oom": n.OOMs, "listen": n.Listens}
}

// accounted tells whether records and losses of a kind make up what was produced. The
// host may lose listens of its own; OOM kills it has none.
func accounted(kind string, got, lost, produced uint64) bool {
	if kind == "listen" {
		return got+lost >= produced && got+lost <= produced+lost/100+5
	}
	return got+lost == produced
}
