// SPDX-License-Identifier: Apache-2.0

package ship

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
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
	"github.com/skep-io/skep/internal/event"
)

// collectorServer is a receiver of OTLP.
type collectorServer struct {
	*httptest.Server
	mutex   sync.Mutex
	answers []func(http.ResponseWriter) // for the next requests for logs
	logs    []*collector.ExportLogsServiceRequest
	metrics []*metricscollector.ExportMetricsServiceRequest
	faults  []string
	maxBody int // bytes; more is answered with 413
	fails   func(body []byte) bool
	bodies  []int // sizes of those that were taken
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
		switch {
		case c.maxBody > 0 && len(body) > c.maxBody:
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		case c.fails != nil && c.fails(body):
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		c.bodies = append(c.bodies, len(body))
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

// writeLong appends an exec record with so many bytes of arguments.
func (h *house) writeLong(bytes int) {
	h.seq++
	h.log.Append(event.Exec, &skepv1.Record{Kind: "exec", Seq: h.seq, Body: &skepv1.Record_Exec{Exec: &skepv1.Exec{Args: []string{strings.Repeat("x", bytes)}}}})
	h.log.Flush()
}

// TestOTLPTooLarge: of a batch that is more than the receiver takes all comes but the one
// record that is too large by itself.
func TestOTLPTooLarge(t *testing.T) {
	c := newCollector(t)
	c.maxBody = 64 << 10
	h := newHouse(t, 0)
	o, end := h.start(otlpSpec(t, c.URL+"/base", 0))
	h.write(100, 1)
	h.writeLong(70_000)
	for range 100 {
		h.writeLong(2_000)
	}
	end()
	if s := o.Stats(); s.Delivered != 200 || s.Lost["exec"] != 1 || s.Failures != 0 {
		t.Errorf("%+v", s)
	}
	seqs := numbers(t, strings.Join(c.records(), "\n"))
	if len(seqs) != 200 || seqs[99] != 100 || seqs[100] != 102 || seqs[199] != 201 {
		t.Errorf("%v came", seqs)
	}
}

// TestOTLPBodies: requests are bounded also where the receiver takes anything.
func TestOTLPBodies(t *testing.T) {
	c := newCollector(t)
	h := newHouse(t, 64<<20)
	o, end := h.start(otlpSpec(t, c.URL+"/base", 0))
	for range 200 {
		h.writeLong(50_000) // twice in a log record
	}
	end()
	if s := o.Stats(); s.Delivered != 200 || slices.Max(c.bodies) > maxBody+4096 || len(c.bodies) > 50 {
		t.Errorf("%+v, bodies of %v", s, c.bodies)
	}
}

// TestOTLPPoison: a batch that breaks the receiver each time does not hold up those behind it.
func TestOTLPPoison(t *testing.T) {
	c := newCollector(t)
	c.fails = func(body []byte) bool { return strings.Contains(string(body), "poison") }
	receiver := otlpSpec(t, c.URL+"/base", 0).receiver
	poison := []*skepv1.Record{{Kind: "exec", NodeId: "poison"}, {Kind: "exit"}}
	lost := map[string]uint64{}
	refused := func(kind string, n uint64, _ error) { lost[kind] += n }
	for range 2 { // the second batch has as many attempts as the first
		clear(lost)
		for attempt := range maxFaults - 1 {
			if n, err := receiver.send(t.Context(), poison, refused); n != 0 || err == nil || len(lost) > 0 {
				t.Fatalf("attempt %d: %d, %v, lost %v", attempt, n, err, lost)
			}
		}
		if n, err := receiver.send(t.Context(), poison, refused); n != 2 || err != nil || lost["exec"] != 1 || lost["exit"] != 1 {
			t.Fatalf("the last: %d, %v, lost %v", n, err, lost)
		}
	}
	clear(lost)
	if n, err := receiver.send(t.Context(), []*skepv1.Record{{Kind: "exec"}}, refused); n != 1 || err != nil || len(lost) > 0 {
		t.Errorf("what is behind: %d, %v, lost %v", n, err, lost)
	}
}

// TestTargetHidesPassword: the status names the endpoint and not its password.
func TestTargetHidesPassword(t *testing.T) {
	if target := otlpSpec(t, "https://me:hunter2@host/", 0).Target; strings.Contains(target, "hunter2") || !strings.Contains(target, "host") {
		t.Errorf("target %s", target)
	}
}
