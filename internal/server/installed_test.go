// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"math"
	"os/exec"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// fakeInstaller has the script "there".
type fakeInstaller struct{ installed []uint32 }

func (f *fakeInstaller) Install(_ context.Context, uid uint32, req *skepv1.InstallTraceRequest) (*skepv1.InstallTraceResponse, error) {
	switch req.GetName() {
	case "there":
		return nil, ErrInstalled
	case "full":
		return nil, ErrTooMany
	case "broken":
		return nil, errors.New("attach: not today")
	}
	f.installed = append(f.installed, uid)
	return &skepv1.InstallTraceResponse{Installed: &skepv1.InstalledTrace{Status: &skepv1.TraceStatus{Name: req.GetName()}}}, nil
}

func (f *fakeInstaller) List() []*skepv1.InstalledTrace {
	return []*skepv1.InstalledTrace{{Status: &skepv1.TraceStatus{Name: "there"}}}
}

func (f *fakeInstaller) Logs(ctx context.Context, req *skepv1.TraceLogsRequest, send func(*skepv1.TraceLogsResponse) error) error {
	if req.GetName() != "there" {
		return ErrNotInstalled
	}
	err := send(&skepv1.TraceLogsResponse{Lost: 3})
	if req.GetFollow() {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (f *fakeInstaller) Remove(_ context.Context, name string) error {
	if name != "there" {
		return ErrNotInstalled
	}
	return nil
}

func startInstalling(t *testing.T) (*agent, *fakeInstaller) {
	t.Helper()
	needRoot(t)
	f := &fakeInstaller{}
	return startAgent(t, func(d *Deps) { d.Tracer, d.Installer = &fakeTracer{}, f }), f
}

func TestInstallRefuses(t *testing.T) {
	a, f := startInstalling(t)
	good := running("x")
	with := func(change func(*skepv1.TraceRequest)) *skepv1.TraceRequest {
		r := running("x")
		change(r)
		return r
	}
	for _, c := range []struct {
		name string
		req  *skepv1.TraceRequest
		code connect.Code
		want string
	}{
		{"", good, connect.CodeInvalidArgument, "name: must be"},
		{"../x", good, connect.CodeInvalidArgument, "name: must be"},
		{".x", good, connect.CodeInvalidArgument, "name: must be"},
		{"a/b", good, connect.CodeInvalidArgument, "name: must be"},
		{strings.Repeat("x", 65), good, connect.CodeInvalidArgument, "name: must be"},
		{"a", nil, connect.CodeInvalidArgument, "mode"},
		{"a", with(func(r *skepv1.TraceRequest) { r.Mode = skepv1.TraceMode_TRACE_MODE_LIST }), connect.CodeInvalidArgument, "mode"},
		{"a", with(func(r *skepv1.TraceRequest) { r.Pid = 1 }), connect.CodeInvalidArgument, "outlives the processes"},
		{"a", with(func(r *skepv1.TraceRequest) { r.CommandPid = 1 }), connect.CodeInvalidArgument, "outlives the processes"},
		{"a", with(func(r *skepv1.TraceRequest) { r.Timeout = durationpb.New(1) }), connect.CodeInvalidArgument, "timeout"},
		{"a", with(func(r *skepv1.TraceRequest) { r.Tool = "opensnoop" }), connect.CodeInvalidArgument, "give a script or a tool"},
		{"a", with(func(r *skepv1.TraceRequest) { r.Script, r.Tool = "", "rm" }), connect.CodeInvalidArgument, "there is no tool"},
		{"there", good, connect.CodeAlreadyExists, "remove it first"},
		{"full", good, connect.CodeResourceExhausted, "remove one"},
		{"broken", good, connect.CodeFailedPrecondition, "attach: not today"},
	} {
		_, err := client(a.socket).InstallTrace(t.Context(), &skepv1.InstallTraceRequest{Name: c.name, Trace: c.req})
		if connect.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q %.60v: %v, want %q", c.name, c.req, err, c.want)
		}
	}
	if len(f.installed) > 0 {
		t.Error("something was installed")
	}
	if _, err := client(a.socket).InstallTrace(t.Context(), &skepv1.InstallTraceRequest{Name: "a.b-C_1", Trace: good}); err != nil || len(f.installed) != 1 {
		t.Error(err)
	}
	if _, err := client(a.socket).RemoveTrace(t.Context(), &skepv1.RemoveTraceRequest{Name: "gone"}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("remove: %v", err)
	}
	logs, err := client(a.socket).TraceLogs(t.Context(), &skepv1.TraceLogsRequest{Name: "there"})
	if err != nil || !logs.Receive() || logs.Msg().GetLost() != 3 || logs.Receive() || logs.Err() != nil {
		t.Errorf("logs: %v, %v", err, logs.Err())
	}
	logs, err = client(a.socket).TraceLogs(t.Context(), &skepv1.TraceLogsRequest{Name: "gone"})
	if err != nil || logs.Receive() || connect.CodeOf(logs.Err()) != connect.CodeNotFound {
		t.Errorf("logs of none: %v, %v", err, logs.Err())
	}
}

// TestFollowedLogEndsWithTheAgent: a reader that follows holds up no stop.
func TestFollowedLogEndsWithTheAgent(t *testing.T) {
	a, _ := startInstalling(t)
	logs, err := client(a.socket).TraceLogs(t.Context(), &skepv1.TraceLogsRequest{Name: "there", Follow: true})
	if err != nil || !logs.Receive() {
		t.Fatal(err, logs.Err())
	}
	go a.stop()
	if logs.Receive() || connect.CodeOf(logs.Err()) != connect.CodeUnavailable {
		t.Errorf("ended with %v", logs.Err())
	}
}

func TestInstallIsAudited(t *testing.T) {
	a, _ := startInstalling(t)
	req := &skepv1.InstallTraceRequest{Name: "x", Trace: running(strings.Repeat("\x01", 5000))}
	if _, err := client(a.socket).InstallTrace(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the line", func() bool { return strings.Contains(a.audit.text(), "InstallTrace") })
	line := a.audit.all(t)[0]
	request, ok := line["request"].(map[string]any)
	if trace, _ := request["trace"].(map[string]any); !ok || request["name"] != "x" || !strings.Contains(trace["script"].(string), "(5000 bytes, sha256 ") {
		t.Errorf("%v", line)
	}
}

// TestToolTakesNoMore: what a request adds to a tool takes role admin.
func TestToolTakesNoMore(t *testing.T) {
	s := newAgent(t, func(d *Deps) { d.Tracer = &fakeTracer{} }).Server
	for _, c := range []struct {
		change func(*skepv1.TraceRequest)
		may    bool
	}{
		{func(*skepv1.TraceRequest) {}, true},
		{func(r *skepv1.TraceRequest) { r.Limits = &skepv1.TraceLimits{} }, true},
		{func(r *skepv1.TraceRequest) { r.Unsafe = true }, false},
		{func(r *skepv1.TraceRequest) { r.Metrics = true }, false},
		{func(r *skepv1.TraceRequest) { r.Limits = &skepv1.TraceLimits{MapEntries: 1} }, false},
		{func(r *skepv1.TraceRequest) { r.Limits = &skepv1.TraceLimits{RingBytes: 1} }, false},
		{func(r *skepv1.TraceRequest) { r.Limits = &skepv1.TraceLimits{EventsPerSecond: 1} }, false},
		{func(r *skepv1.TraceRequest) { r.Limits = &skepv1.TraceLimits{Probes: 1} }, false},
		{func(r *skepv1.TraceRequest) { r.Settings = map[string]string{"max_map_keys": "1000000"} }, false},
		{func(r *skepv1.TraceRequest) { r.Tool = "sslsniff" }, false},
		{func(r *skepv1.TraceRequest) { r.Tool = "" }, false},
	} {
		req := &skepv1.TraceRequest{Mode: skepv1.TraceMode_TRACE_MODE_RUN, Tool: "opensnoop"}
		c.change(req)
		if err := s.mayTrace(caller{role: skepv1.Role_ROLE_OPERATE}, req); (err == nil) != c.may {
			t.Errorf("%v: %v", req, err)
		}
	}
}

// hostileMaps are of every kind, with keys that hold whatever processes are called.
func hostileMaps() []TraceMap {
	counts := TraceMap{Script: "a\"\n", Name: "@opens", Kind: TraceCounter, Left: 2}
	for _, key := range []string{"cat", "x\"\\\n\x1b[31m", "\xff\xfe", strings.Repeat("long", 200) + "1", strings.Repeat("long", 200) + "2"} {
		counts.Entries = append(counts.Entries, TraceMapEntry{Key: []string{key, "7"}, Value: 3})
	}
	many := TraceMap{Script: "a", Name: "@many", Kind: TraceGauge}
	for i := range 2 * maxTraceSeries {
		many.Entries = append(many.Entries, TraceMapEntry{Key: []string{strings.Repeat("k", i%200) + string(rune('a'+i/200))}, Value: -1})
	}
	return []TraceMap{
		counts, many,
		{Script: "a", Name: "@avg", Kind: TraceSummary, Entries: []TraceMapEntry{{Value: 10, Count: 4}}},
		{Script: "a", Name: "@h", Kind: TraceHistogram, Entries: []TraceMapEntry{{Count: 7, Buckets: map[float64]uint64{-1: 0, 0: 2, 1: 5, 3: 6}}}},
		{Script: "b", Name: "@avg", Kind: TraceCounter, Entries: []TraceMapEntry{{Value: math.MaxUint64}}},
		{Script: "b", Name: "@none", Kind: TraceCounter},
	}
}

func TestTraceMaps(t *testing.T) {
	a := newAgent(t, func(d *Deps) { d.TraceMaps = hostileMaps })
	text := scrape(t, a)
	for _, want := range []string{
		`skep_trace_total{key="cat",key2="7",map="@opens",script="a\"\n"} 3`,
		`skep_trace_total{key="x\"\\\n` + "\x1b" + `[31m",key2="7",map="@opens",script="a\"\n"} 3`,
		`skep_trace_left_out{map="@opens",script="a\"\n"} 3`, // two, and one of two that are alike when cut
		`skep_trace_left_out{map="@many",script="a"} 5000`,
		`skep_trace_stats_sum{map="@avg",script="a"} 10`,
		`skep_trace_stats_count{map="@avg",script="a"} 4`,
		`skep_trace_distribution_bucket{map="@h",script="a",le="1"} 5`,
		`skep_trace_distribution_bucket{map="@h",script="a",le="+Inf"} 7`,
		`skep_trace_distribution_count{map="@h",script="a"} 7`,
		`skep_agent_info`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if n := strings.Count(text, `map="@many"`); n > maxTraceSeries+1 {
		t.Errorf("%d series of one map", n)
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("needs promtool: apt-get install prometheus")
	}
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
