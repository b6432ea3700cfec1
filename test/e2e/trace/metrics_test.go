// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func scrape(t *testing.T, address string) string {
	t.Helper()
	res, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%d, %v: %s", res.StatusCode, err, body)
	}
	return string(body)
}

func lines(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w+"\n") {
			t.Errorf("no %s", w)
		}
	}
}

// TestMetrics: what the maps of running and installed scripts hold is what Prometheus gets, and
// nothing of those that do not want it or have ended.
func TestMetrics(t *testing.T) {
	address := freeAddress(t)
	h := newHouse(t, "--config", skepdtest.WriteConfig(t, "metrics:\n  listen: "+address+"\n"))
	wanted := func(r *skepv1.TraceRequest) { r.Metrics = true }
	const of = `tracepoint:syscalls:sys_enter_openat /comm == "skep-opener"/ `
	h.install(t, "opens", of+`{ @opens[comm, "x"] = count(); @h = hist(5); @a = avg(6); @last = 7; @neg = sum(-1); }`, wanted)
	h.install(t, "silent", of+`{ @quiet = count(); }`)
	req := script(of + `{ @ = sum(3); }`)
	req.Name, req.Metrics = "/some/where/run.bt", true
	stream, err := h.Trace(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	r := &running{stream: stream, maps: map[string]string{}}
	for r.ready == nil && stream.Receive() {
		r.take(stream.Msg())
	}
	if r.ready.GetMetrics() != "run" {
		t.Fatal(r.ready, r.wrong)
	}
	opens(t, 1234, "skep-opener")
	text := scrape(t, address)
	lines(t, text,
		`skep_trace_total{key="skep-opener",key2="x",map="@opens",script="opens"} 1234`,
		`skep_trace_distribution_bucket{map="@h",script="opens",le="3"} 0`,
		`skep_trace_distribution_bucket{map="@h",script="opens",le="7"} 1234`,
		`skep_trace_distribution_bucket{map="@h",script="opens",le="+Inf"} 1234`,
		`skep_trace_stats_sum{map="@a",script="opens"} 7404`,
		`skep_trace_stats_count{map="@a",script="opens"} 1234`,
		`skep_trace_value{map="@last",script="opens"} 7`,
		`skep_trace_value{map="@neg",script="opens"} -1234`,
		`skep_trace_script_running{script="opens"} 1`,
		`skep_trace_script_running{script="silent"} 1`)
	if !strings.Contains(text, `{map="@",script="run"} 3702`) || strings.Contains(text, "@quiet") {
		t.Errorf("%s", text)
	}
	if _, err := h.EndTrace(t.Context(), &skepv1.EndTraceRequest{Id: r.ready.GetId()}); err != nil || r.finish() != nil {
		t.Error(err, stream.Err())
	}
	if text := scrape(t, address); strings.Contains(text, `script="run"`) || !strings.Contains(text, `script="opens"`) {
		t.Errorf("after its end: %s", text)
	}
}
