// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/test/filled"
)

func scrape(t *testing.T, a *agent) string {
	t.Helper()
	w := httptest.NewRecorder()
	a.MetricsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// identifiers are numbers in the status that measure nothing of the agent.
var identifiers = map[protoreflect.FullName]bool{
	"skep.v1.Subscriber.id": true, "skep.v1.ProgramStatus.id": true, "skep.v1.GetStatusResponse.time": true,
}

// numbered fills every field of m, and notes which value each number got.
func numbered(m protoreflect.Message, next *float64, values map[string]float64) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		*next += 2
		v := filled.Scalar(f, *next)
		switch {
		case f.Message() != nil && f.Message().FullName() == "google.protobuf.Timestamp":
			m.Set(f, protoreflect.ValueOfMessage(timestamppb.New(time.Unix(int64(*next), 0)).ProtoReflect()))
		case f.Message() != nil && f.Message().FullName() == "google.protobuf.Duration":
			m.Set(f, protoreflect.ValueOfMessage(durationpb.New(time.Duration(*next)*time.Second).ProtoReflect()))
		case f.IsList() && f.Message() != nil:
			numbered(m.Mutable(f).List().AppendMutable().Message(), next, values)
			continue
		case f.IsList():
			continue
		case f.Message() != nil:
			numbered(m.Mutable(f).Message(), next, values)
			continue
		default:
			m.Set(f, v)
		}
		if f.Kind() != protoreflect.StringKind && f.Kind() != protoreflect.BoolKind && !identifiers[f.FullName()] {
			values[fmt.Sprintf("%s#%g", f.FullName(), *next)] = *next // a message may be there more than once
		}
	}
}

// Every number of the status must be a metric, also those that will be added
// to the schema: each field gets a value of its own, which must be found.
func TestEveryNumberIsAMetric(t *testing.T) {
	a := startAgent(t)
	status, values, next := &skepv1.GetStatusResponse{}, map[string]float64{}, 1000.0
	numbered(status.ProtoReflect(), &next, values)
	a.status = func() *skepv1.GetStatusResponse { return status }
	text := scrape(t, a)
	found := map[string]bool{}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); f[0] != "#" {
			found[f[len(f)-1]] = true
		}
	}
	if len(values) < 29 {
		t.Fatalf("only %d numbers were filled", len(values))
	}
	for field, v := range values {
		if strings.Contains(field, "_ns#") || strings.Contains(field, ".ns_") {
			v /= 1e9
		}
		if !found[fmt.Sprintf("%g", v)] {
			t.Errorf("%s (%g) is in no metric", field, v)
		}
	}
}

func TestMetricNamesAndHostileLabels(t *testing.T) {
	a := startAgent(t)
	twin := func(runs uint64) *skepv1.ProgramStatus {
		return &skepv1.ProgramStatus{Name: "sched_exec", Hook: "tp_btf/sched_process_exec", Runs: runs, RunTimeNs: 2e9, NsPerRun: 100 * float64(runs), RunsPerSecond: 10}
	}
	a.status = func() *skepv1.GetStatusResponse {
		return &skepv1.GetStatusResponse{
			Version: "1\"\n\xff", Kinds: []*skepv1.KindStatus{{Kind: "exec", Received: 12}},
			Losses:   []*skepv1.LossCount{{Place: "ring_full", Kind: "exec", Count: 3}},
			Programs: []*skepv1.ProgramStatus{twin(1), twin(3)}, Store: &skepv1.StoreStatus{}, Outputs: []*skepv1.OutputStatus{{Name: "siem"}},
			Memory:  &skepv1.MemoryStatus{Maps: []*skepv1.MapStatus{{Name: "m", Type: "hash", Bytes: 1}, {Name: "m", Type: "hash", Bytes: 2}}},
			Signals: []*skepv1.SignalStatus{{Signal: "exec", Intent: "see", Rung: "tp_btf", Available: true}},
		}
	}
	text := scrape(t, a)
	for _, want := range []string{
		`skep_events_total{kind="exec"} 12`,
		`skep_events_lost_total{kind="exec",place="ring_full"} 3`,
		`skep_events_lost_total{kind="exec",place="restart"} 0`,
		`skep_events_lost_total{kind="exec",place="store"} 0`,
		`skep_events_lost_total{kind="exec",place="ship:siem"} 0`,
		`skep_events_lost_total{kind="unknown",place="malformed"} 0`,
		`skep_events_lost_total{kind="sched_exec",place="program_missed"} 0`,
		`skep_program_runs_total{hook="tp_btf/sched_process_exec",program="sched_exec"} 4`,
		`skep_program_run_seconds_total{hook="tp_btf/sched_process_exec",program="sched_exec"} 4`,
		`skep_program_run_duration_seconds{hook="tp_btf/sched_process_exec",program="sched_exec"} 2e-07`,
		`skep_map_memory_bytes{map="m",type="hash"} 3`,
		`skep_signal_available{intent="see",rung="tp_btf",signal="exec"} 1`,
		`version="1\"\n` + "\uFFFD" + `"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

func TestPromtoolAcceptsTheMetrics(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("needs promtool: apt-get install prometheus")
	}
	a := startAgent(t)
	status, next := &skepv1.GetStatusResponse{}, 1000.0
	numbered(status.ProtoReflect(), &next, map[string]float64{})
	a.status = func() *skepv1.GetStatusResponse { return status }
	a.calls.add("/x/GetStatus", errors.New("x"))
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(scrape(t, a))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestCallsAreCounted(t *testing.T) {
	needRoot(t)
	a := startAgent(t)
	client(a.socket).GetStatus(t.Context(), &skepv1.GetStatusRequest{})
	client(a.socket).GetProcess(t.Context(), &skepv1.GetProcessRequest{})
	bearer(a, "x").GetStatus(t.Context(), &skepv1.GetStatusRequest{})
	a.fill(event.Exec, 0, 5)
	for s := observe(t, a, &skepv1.ObserveRequest{Last: 5, Filter: &skepv1.Filter{Where: "exec.args[0] == ''"}}); s.Receive(); {
	}
	waitFor(t, "the filter's failures", func() bool { return strings.Contains(scrape(t, a), "skep_filter_failures_total 5") })
	text := scrape(t, a)
	for _, want := range []string{
		`skep_api_calls_total{code="ok",method="GetStatus"} 1`,
		`skep_api_calls_total{code="invalid_argument",method="GetProcess"} 1`,
		`skep_api_calls_total{code="unauthenticated",method="GetStatus"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

func TestServeMetrics(t *testing.T) {
	a := startAgent(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.ServeMetrics(ctx, l) }()
	var body []byte
	waitFor(t, "the metrics", func() bool {
		res, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		body, _ = io.ReadAll(res.Body)
		return res.StatusCode == http.StatusOK
	})
	if !strings.Contains(string(body), "skep_agent_info") || strings.Contains(string(body), "go_gc_") {
		t.Errorf("%s", body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
