// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/render"
	"github.com/skep-io/skep/internal/server"
	"github.com/skep-io/skep/internal/trace"
)

// maxMetricEntries is how many entries of one map are metrics.
const maxMetricEntries = 1000

// exposed are the scripts whose maps are metrics, by the label that tells them apart.
type exposed struct {
	mutex    sync.Mutex
	sessions map[string]*trace.Session
}

// add makes the maps of a session metrics until conceal is called. If there is one of that
// label already, it gets another.
func (e *exposed) add(label string, s *trace.Session) (unique string, conceal func()) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if e.sessions == nil {
		e.sessions = map[string]*trace.Session{}
	}
	unique = label
	for n := 2; e.sessions[unique] != nil; n++ {
		unique = fmt.Sprintf("%s-%d", label, n)
	}
	e.sessions[unique] = s
	return unique, func() {
		e.mutex.Lock()
		defer e.mutex.Unlock()
		delete(e.sessions, unique)
	}
}

// label is what a script is called in metrics.
func (j *traceJob) label() string {
	file := strings.TrimSuffix(filepath.Base(j.req.GetName()), ".bt")
	if j.req.GetName() == "" {
		file = "script"
	}
	return cmp.Or(j.name, file)
}

// traceMaps implements server.Deps.TraceMaps.
func (t *tracer) traceMaps() []server.TraceMap {
	t.exposed.mutex.Lock()
	sessions := map[string]*trace.Session{}
	for label, s := range t.exposed.sessions {
		sessions[label] = s
	}
	t.exposed.mutex.Unlock()
	var all []server.TraceMap
	for label, s := range sessions {
		held, err := s.Held(maxMetricEntries)
		if err != nil {
			t.logger.Warn("the maps of a script are not read for metrics", "script", label, "error", err)
		}
		for _, h := range held {
			if kind, ok := metricKind(h.Value); ok {
				all = append(all, metricsOf(label, h, kind))
			}
		}
	}
	slices.SortFunc(all, func(a, b server.TraceMap) int {
		return cmp.Or(strings.Compare(a.Script, b.Script), strings.Compare(a.Name, b.Name))
	})
	return all
}

// metricKind is false for what is not a number: texts, stacks, tuples.
func metricKind(t bt.Type) (server.TraceMapKind, bool) {
	switch t.Kind {
	case bt.CountOf:
		return server.TraceCounter, true
	case bt.SumOf:
		if t.Signed { // it may become less
			return server.TraceGauge, true
		}
		return server.TraceCounter, true
	case bt.MinOf, bt.MaxOf, bt.Integer:
		return server.TraceGauge, true
	case bt.AvgOf, bt.StatsOf:
		return server.TraceSummary, true
	case bt.HistogramOf, bt.LinearHistogramOf:
		return server.TraceHistogram, true
	}
	return 0, false
}

func metricsOf(script string, h trace.Held, kind server.TraceMapKind) server.TraceMap {
	m := server.TraceMap{Script: script, Name: h.Name, Kind: kind, Left: uint64(h.Left)}
	for _, e := range h.Entries {
		one := server.TraceMapEntry{Value: number(e.Value)}
		for _, part := range e.Key {
			one.Key = append(one.Key, part.String())
		}
		switch e.Value.Kind {
		case render.Stats:
			one.Count = e.Value.Count
		case render.Average:
			one.Count, one.Value = e.Value.Count, float64(e.Value.Int)*float64(e.Value.Count)
		case render.Histogram:
			one.Count, one.Buckets = e.Value.Total(), buckets(e.Value)
		}
		m.Entries = append(m.Entries, one)
	}
	return m
}

func number(v render.Value) float64 {
	if v.Kind == render.Unsigned {
		return float64(uint64(v.Int))
	}
	return float64(v.Int)
}

// buckets are what Prometheus has: each counts all values up to its bound, which it includes.
// Values are integers, so what is less than high is at most high-1.
func buckets(v render.Value) map[float64]uint64 {
	all, sum := map[float64]uint64{}, uint64(0)
	for _, b := range v.Buckets {
		if sum += b.Count; !b.Above {
			all[float64(b.High-1)] = sum
		}
	}
	return all
}
