// SPDX-License-Identifier: Apache-2.0

package ship

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	metricscollector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// collectorServer is a receiver of OTLP.
type collectorServer struct {
	*httptest.Server
	mutex   sync.Mutex
	answers []func(http.ResponseWriter) // for the next requests for logs
	logs    []*collector.ExportLogsServiceRequest
	metrics []*metricscollector.ExportMetricsServiceRequest
	faults  []string
}

func newCollector(t *testing.T) *collectorServer {
	c := &collectorServer{}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collectorServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Content-Type") != "application/x-protobuf" || r.Header.Get("X-Key") != "secret" || r.Method != http.MethodPost {
		c.faults = append(c.faults, fmt.Sprint(r.Method, r.Header, err))
	}
	switch r.URL.Path {
	case "/base/v1/logs":
		if len(c.answers) > 0 {
			answer := c.answers[0]
			c.answers = c.answers[1:]
			answer(w)
			return
		}
		m := &collector.ExportLogsServiceRequest{}
		if err := proto.Unmarshal(body, m); err != nil {
			c.faults = append(c.faults, err.Error())
		}
		c.logs = append(c.logs, m)
	case "/base/v1/metrics":
		m := &metricscollector.ExportMetricsServiceRequest{}
		if err := proto.Unmarshal(body, m); err != nil {
			c.faults = append(c.faults, err.Error())
		}
		c.metrics = append(c.metrics, m)
	default:
		c.faults = append(c.faults, r.URL.Path)
	}
}

func (c *collectorServer) records() (bodies []string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, m := range c.logs {
		for _, l := range m.ResourceLogs[0].ScopeLogs[0].LogRecords {
			bodies = append(bodies, l.Body.GetStringValue())
		}
	}
	return bodies
}

func find(attributes []*common.KeyValue, key string) *common.AnyValue {
	for _, a := range attributes {
		if a.Key == key {
			return a.Value
		}
	}
	return nil
}

func status(code int, header ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

func otlpSpec(t *testing.T, endpoint string, metrics time.Duration) *Spec {
	t.Helper()
	spec, err := NewOTLP(OTLPOptions{
		Endpoint: endpoint, Headers: map[string]string{"X-Key": "secret"}, Metrics: metrics, Started: time.Unix(1, 0),
		Gather: func() ([]*dto.MetricFamily, error) {
			label := []*dto.LabelPair{{Name: proto.String("kind"), Value: proto.String("exec")}}
			return []*dto.MetricFamily{
				{Name: proto.String("skep_events_total"), Help: proto.String("Events."), Type: dto.MetricType_COUNTER.Enum(),
					Metric: []*dto.Metric{{Label: label, Counter: &dto.Counter{Value: proto.Float64(7)}}}},
				{Name: proto.String("skep_up"), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: proto.Float64(1.5)}}}},
			}, nil
		},
	}, node, filter(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	spec.Linger = 10 * time.Millisecond
	return spec
}

func TestOTLP(t *testing.T) {
	c := newCollector(t)
	h := newHouse(t, 0)
	o, end := h.start(otlpSpec(t, c.URL+"/base/", time.Hour))
	h.write(1200, 42)
	end()
	bodies := c.records()
	if seqs := numbers(t, strings.Join(bodies, "\n")); len(seqs) != 1200 || seqs[1199] != 1200 || len(c.faults) > 0 {
		t.Fatalf("%d records, faults %v", len(bodies), c.faults)
	}
	first := c.logs[0].ResourceLogs[0]
	l := first.ScopeLogs[0].LogRecords[0]
	if l.TimeUnixNano != 1700000000123456789 || l.EventName != "skep.exec" || find(l.Attributes, "process.pid").GetIntValue() != 42 ||
		len(find(l.Attributes, "process.command_args").GetArrayValue().GetValues()) != 2 || find(first.Resource.Attributes, "host.id").GetStringValue() != "n" {
		t.Errorf("the first is %v of %v", l, first.Resource)
	}
	if s := o.Stats(); s.Delivered != 1200 || s.Failures != 0 {
		t.Errorf("%+v", s)
	}
	if len(c.metrics) == 0 {
		t.Fatal("no metrics came")
	}
	all := c.metrics[0].ResourceMetrics[0].ScopeMetrics[0].Metrics
	sum, gauge := all[0].GetSum(), all[1].GetGauge()
	if !sum.GetIsMonotonic() || sum.DataPoints[0].GetAsDouble() != 7 || find(sum.DataPoints[0].Attributes, "kind").GetStringValue() != "exec" ||
		sum.DataPoints[0].StartTimeUnixNano != 1e9 || gauge.DataPoints[0].GetAsDouble() != 1.5 {
		t.Errorf("metrics: %v", all)
	}
}

// TestOTLPAnswers: what may pass is tried again, what will not is lost and counted.
func TestOTLPAnswers(t *testing.T) {
	for _, tt := range []struct {
		name      string
		answer    func(http.ResponseWriter)
		delivered uint64
		lost      map[string]uint64
		failures  uint64
	}{
		{"busy", status(503, "Retry-After", "1"), 4, nil, 1},
		{"too many", status(429), 4, nil, 1},
		{"server error", status(500), 4, nil, 1},
		{"not allowed yet", status(401), 4, nil, 1},
		{"bad request", status(400), 0, map[string]uint64{"exec": 4}, 0},
		{"rejects some", func(w http.ResponseWriter) {
			body, _ := proto.Marshal(&collector.ExportLogsServiceResponse{PartialSuccess: &collector.ExportLogsPartialSuccess{RejectedLogRecords: 3, ErrorMessage: "too old"}})
			_, _ = w.Write(body)
		}, 1, map[string]uint64{"unknown": 3}, 0},
		{"nonsense", func(w http.ResponseWriter) { _, _ = w.Write([]byte("\xff\xff\xff")) }, 4, nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCollector(t)
			c.answers = append(c.answers, tt.answer)
			h := newHouse(t, 0)
			o, end := h.start(otlpSpec(t, c.URL+"/base", 0))
			h.write(4, 1)
			end()
			s := o.Stats()
			if s.Delivered != tt.delivered || s.Failures != tt.failures || fmt.Sprint(s.Lost) != fmt.Sprint(tt.lost) && len(s.Lost)+len(tt.lost) > 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestOTLPRedirect: a login page is no delivery, and gets neither records nor headers.
func TestOTLPRedirect(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			var logins atomic.Int64
			login := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { logins.Add(1) }))
			defer login.Close()
			c := newCollector(t)
			c.answers = append(c.answers, status(code, "Location", login.URL))
			h := newHouse(t, 0)
			o, end := h.start(otlpSpec(t, c.URL+"/base", 0))
			h.write(4, 1)
			end()
			if n, came := logins.Load(), len(c.records()); n != 0 || came != 4 || o.Stats().Failures != 1 {
				t.Errorf("%d requests elsewhere, %d records came, %+v", n, came, o.Stats())
			}
		})
	}
	c := newCollector(t)
	c.answers = append(c.answers, status(302, "Location", "/"))
	spec := otlpSpec(t, c.URL+"/base", 0)
	if _, err := spec.receiver.send(t.Context(), []*skepv1.Record{{}}, nil); err == nil || !strings.Contains(err.Error(), "302, a redirect") {
		t.Errorf("got %v", err)
	}
}

// TestTargetHidesPassword: the status names the endpoint and not its password.
func TestTargetHidesPassword(t *testing.T) {
	if target := otlpSpec(t, "https://me:hunter2@host/", 0).Target; strings.Contains(target, "hunter2") || !strings.Contains(target, "host") {
		t.Errorf("target %s", target)
	}
}
