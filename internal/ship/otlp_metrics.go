// SPDX-License-Identifier: Apache-2.0

package ship

import (
	"time"

	dto "github.com/prometheus/client_model/go"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
)

// metricsOf turns Prometheus' families into OTLP: counters are sums that count up since
// the start, all else is a gauge. The names stay as they are at metrics.listen.
func metricsOf(node Node, families []*dto.MetricFamily, started, now time.Time) []*metrics.ResourceMetrics {
	scoped := &metrics.ScopeMetrics{Scope: scopeOf(node)}
	for _, family := range families {
		m := &metrics.Metric{Name: family.GetName(), Description: family.GetHelp()}
		points := pointsOf(family, started, now)
		if family.GetType() == dto.MetricType_COUNTER {
			m.Data = &metrics.Metric_Sum{Sum: &metrics.Sum{
				DataPoints: points, IsMonotonic: true, AggregationTemporality: metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE,
			}}
		} else {
			m.Data = &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: points}}
		}
		scoped.Metrics = append(scoped.Metrics, m)
	}
	return []*metrics.ResourceMetrics{{Resource: resourceOf(node), ScopeMetrics: []*metrics.ScopeMetrics{scoped}}}
}

func pointsOf(family *dto.MetricFamily, started, now time.Time) []*metrics.NumberDataPoint {
	var points []*metrics.NumberDataPoint
	for _, m := range family.GetMetric() {
		var labels attributes
		for _, l := range m.GetLabel() {
			labels.text(l.GetName(), l.GetValue())
		}
		value := m.GetGauge().GetValue()
		if family.GetType() == dto.MetricType_COUNTER {
			value = m.GetCounter().GetValue()
		}
		points = append(points, &metrics.NumberDataPoint{
			Attributes: labels, StartTimeUnixNano: uint64(started.UnixNano()), TimeUnixNano: uint64(now.UnixNano()),
			Value: &metrics.NumberDataPoint_AsDouble{AsDouble: value},
		})
	}
	return points
}
