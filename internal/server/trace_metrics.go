// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"math"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// TraceMapKind is what the values of a map are as metrics.
type TraceMapKind uint8

// The kinds: a sum that only grows, a number, how many there were and their sum, how many
// there were up to some bounds.
const (
	TraceCounter TraceMapKind = iota
	TraceGauge
	TraceSummary
	TraceHistogram
)

// TraceMap is a map of a script that is to be metrics.
type TraceMap struct {
	Script, Name string
	Kind         TraceMapKind
	Entries      []TraceMapEntry // the last ones are kept if there are too many
	Left         uint64          // entries that are not among them
}

// TraceMapEntry is one of a map.
type TraceMapEntry struct {
	Key     []string // its parts
	Value   float64  // of a summary: the sum
	Count   uint64   // of a summary or histogram
	Buckets map[float64]uint64
}

// What one script may add to the metrics.
const (
	maxTraceSeries = 5000 // of one map; each bucket of a histogram is one
	maxTraceLabel  = 256  // bytes
)

// Their names, by kind. A metric has one type, a script any number of maps of any: so the map
// is a label, and there is a name for each type.
var traceMetrics = map[TraceMapKind]struct{ name, help string }{
	TraceCounter:   {"skep_trace_total", "Maps of scripts that count or add up: count(), sum() of unsigned numbers."},
	TraceGauge:     {"skep_trace_value", "Maps of scripts with one number: what was assigned, min(), max(), sum() of signed numbers."},
	TraceSummary:   {"skep_trace_stats", "Maps of scripts by avg() and stats(): how many values there were, and their sum."},
	TraceHistogram: {"skep_trace_distribution", "Maps of scripts by hist() and lhist(). Their sum is not known and NaN."},
}

// traceCollector serves the maps of scripts. What labels they have is up to the scripts, so
// it describes none.
type traceCollector struct{ maps func() []TraceMap }

// Describe implements prometheus.Collector.
func (traceCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c traceCollector) Collect(out chan<- prometheus.Metric) {
	for _, m := range c.maps() {
		collectTrace(m, out)
	}
}

func collectTrace(m TraceMap, out chan<- prometheus.Metric) {
	left, series := m.Left, 0
	seen := map[string]bool{}
	for i := range m.Entries {
		e := &m.Entries[len(m.Entries)-1-i]
		names, values := traceLabels(m, e)
		id := strings.Join(values, "\xff")
		series += 1 + len(e.Buckets)
		if series > maxTraceSeries || seen[id] { // Prometheus would refuse all metrics
			left++
			continue
		}
		seen[id] = true
		metric, err := traceMetric(m.Kind, e, names, values)
		if err != nil {
			left++
			continue
		}
		out <- metric
	}
	desc := prometheus.NewDesc("skep_trace_left_out", "Entries of maps of scripts that are not among the metrics, as they are too many or cannot be told apart.",
		[]string{"script", "map"}, nil)
	out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(left), traceLabel(m.Script), traceLabel(m.Name))
}

// traceLabels are script, map, and key, key2, key3 and so on.
func traceLabels(m TraceMap, e *TraceMapEntry) (names, values []string) {
	names, values = []string{"script", "map"}, []string{traceLabel(m.Script), traceLabel(m.Name)}
	for i, part := range e.Key {
		name := "key"
		if i > 0 {
			name = fmt.Sprintf("key%d", i+1)
		}
		names, values = append(names, name), append(values, traceLabel(part))
	}
	return names, values
}

func traceLabel(text string) string { return cut(strings.ToValidUTF8(text, "\uFFFD"), maxTraceLabel) }

func traceMetric(kind TraceMapKind, e *TraceMapEntry, names, values []string) (prometheus.Metric, error) {
	of := traceMetrics[kind]
	desc := prometheus.NewDesc(of.name, of.help, names, nil)
	switch kind {
	case TraceCounter:
		return prometheus.NewConstMetric(desc, prometheus.CounterValue, e.Value, values...)
	case TraceSummary:
		return prometheus.NewConstSummary(desc, e.Count, e.Value, nil, values...)
	case TraceHistogram:
		return prometheus.NewConstHistogram(desc, e.Count, math.NaN(), e.Buckets, values...)
	}
	return prometheus.NewConstMetric(desc, prometheus.GaugeValue, e.Value, values...)
}

// traces tells of the installed scripts.
func (s samples) traces(list []*skepv1.TraceStatus) {
	for _, t := range list {
		s.add(metricTraceRuns, oneIf(t.GetState() == "running"), t.GetName())
		if t.GetSince() != nil {
			s.add(metricTraceSince, float64(t.GetSince().AsTime().UnixNano())/1e9, t.GetName())
		}
		s.add(metricTraceProbes, float64(t.GetProbes()), t.GetName())
		s.add(metricTraceEvents, float64(t.GetEvents()), t.GetName())
		s.add(metricTraceLost, float64(t.GetLost()), t.GetName())
		s.add(metricTraceLog, float64(t.GetLogBytes()), t.GetName())
	}
}
