// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// fakeTracer knows scripts by what they say: "count" runs until it is asked to end and then
// tells why and how many more events than one it sent, "wrong" has an error, "break" fails,
// anything else is sent back.
type fakeTracer struct {
	mutex sync.Mutex
	held  int // scripts in the kernel
}

func (f *fakeTracer) add(n int) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.held += n
}

func (f *fakeTracer) running() int {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.held
}

func (f *fakeTracer) ToolRole(name string) (skepv1.Role, bool) {
	role, ok := map[string]skepv1.Role{"opensnoop": skepv1.Role_ROLE_OPERATE, "sslsniff": skepv1.Role_ROLE_ADMIN}[name]
	return role, ok
}

func (f *fakeTracer) Tools() ([]*skepv1.Tool, error) {
	return []*skepv1.Tool{{Name: "opensnoop", Role: skepv1.Role_ROLE_OPERATE}, {Name: "sslsniff", Role: skepv1.Role_ROLE_ADMIN}}, nil
}

func says(text string) *skepv1.TraceEvent {
	return &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Text{Text: &skepv1.TraceText{Text: []byte(text)}}}
}

func (f *fakeTracer) Trace(ctx context.Context, req *skepv1.TraceRequest, end <-chan string, send func(...*skepv1.TraceEvent) error) error {
	f.add(1)
	defer f.add(-1)
	switch req.GetScript() {
	case "wrong":
		d := &skepv1.TraceDiagnostic{Severity: skepv1.TraceDiagnostic_SEVERITY_ERROR, Line: 1, Column: 2, Text: "no such probe"}
		return errors.Join(send(&skepv1.TraceEvent{Body: &skepv1.TraceEvent_Diagnostic{Diagnostic: d}}), ErrScript)
	case "break":
		return errors.New("attach: not today")
	case "count":
	default:
		return send(says(req.GetScript() + req.GetTool()))
	}
	if err := send(&skepv1.TraceEvent{Body: &skepv1.TraceEvent_Ready{Ready: &skepv1.TraceReady{}}}); err != nil {
		return err
	}
	select {
	case why := <-end:
		return send(says("the maps"), &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Ended{Ended: &skepv1.TraceEnded{Reason: why}}})
	case <-ctx.Done():
		return ctx.Err()
	}
}

func startTracing(t *testing.T) (*agent, *fakeTracer) {
	t.Helper()
	needRoot(t)
	f := &fakeTracer{}
	return startAgent(t, func(d *Deps) { d.Tracer = f }), f
}

func running(script string) *skepv1.TraceRequest {
	return &skepv1.TraceRequest{Mode: skepv1.TraceMode_TRACE_MODE_RUN, Script: script}
}

// begin starts the script "count" and returns its stream and its id.
func (a *agent) begin(t *testing.T, ctx context.Context, req *skepv1.TraceRequest) (*connect.ServerStreamForClient[skepv1.TraceResponse], string) {
	t.Helper()
	stream, err := client(a.socket).Trace(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stream.Close() })
	if !stream.Receive() {
		t.Fatal(stream.Err())
	}
	return stream, stream.Msg().GetEvents()[0].GetReady().GetId()
}

// ends is the reason that a script gives at its end, after its maps.
func ends(t *testing.T, stream *connect.ServerStreamForClient[skepv1.TraceResponse]) string {
	t.Helper()
	if !stream.Receive() {
		t.Fatalf("no end: %v", stream.Err())
	}
	events := stream.Msg().GetEvents()
	if string(events[0].GetText().GetText()) != "the maps" || stream.Receive() {
		t.Errorf("got %v", stream.Msg())
	}
	return events[1].GetEnded().GetReason()
}

func TestTraceEnds(t *testing.T) {
	a, f := startTracing(t)
	stream, id := a.begin(t, t.Context(), running("count"))
	if _, err := client(a.socket).EndTrace(t.Context(), &skepv1.EndTraceRequest{Id: id}); err != nil {
		t.Error(err)
	}
	if why := ends(t, stream); why != "asked" || stream.Err() != nil {
		t.Errorf("ended because %q, %v", why, stream.Err())
	}
	waitFor(t, "the script is gone", func() bool { return f.running() == 0 })
	if _, err := client(a.socket).EndTrace(t.Context(), &skepv1.EndTraceRequest{Id: id}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("what has ended: %v", err)
	}

	stream, id = a.begin(t, t.Context(), running("count"))
	if _, err := client(a.socket).EndTrace(t.Context(), &skepv1.EndTraceRequest{Id: id, Signal: "SIGUSR1"}); err != nil {
		t.Error(err)
	}
	if why := ends(t, stream); why != SignalReason+"SIGUSR1" {
		t.Errorf("the tracer was told %q of a signal", why)
	}

	stream, id = a.begin(t, t.Context(), running("count"))
	if _, err := client(a.socket).EndTrace(t.Context(), &skepv1.EndTraceRequest{Id: id, Confirmed: true}); err != nil {
		t.Error(err)
	}
	if why := ends(t, stream); why != ConfirmedReason {
		t.Errorf("the tracer was told %q of what is done", why)
	}

	timed := running("count")
	timed.Timeout = durationpb.New(50 * time.Millisecond)
	stream, _ = a.begin(t, t.Context(), timed)
	if why := ends(t, stream); why != "timeout" {
		t.Errorf("ended because %q", why)
	}

	stream, _ = a.begin(t, t.Context(), running("count"))
	go a.stop()
	if why := ends(t, stream); why != "stopping" {
		t.Errorf("ended because %q", why)
	}
}

// TestTraceClientDies: nothing of a script outlives who asked for it.
func TestTraceClientDies(t *testing.T) {
	a, f := startTracing(t)
	ctx, die := context.WithCancel(t.Context())
	a.begin(t, ctx, running("count"))
	if f.running() != 1 {
		t.Fatal("the script does not run")
	}
	die()
	waitFor(t, "the script is gone", func() bool { return f.running() == 0 })
	waitFor(t, "its place is free", func() bool {
		places := a.scripts.places
		places.mu.Lock()
		a.scripts.mutex.Lock()
		defer places.mu.Unlock()
		defer a.scripts.mutex.Unlock()
		return places.all == 0 && len(a.scripts.running) == 0
	})
}

func TestTraceIsBounded(t *testing.T) {
	a, f := startTracing(t)
	ctx, die := context.WithCancel(t.Context())
	for range maxScriptsPerUID {
		a.begin(t, ctx, running("count"))
	}
	one := func() error {
		stream, err := client(a.socket).Trace(t.Context(), running("hello"))
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		for stream.Receive() {
		}
		return stream.Err()
	}
	if err := one(); connect.CodeOf(err) != connect.CodeResourceExhausted || !strings.Contains(err.Error(), "16 scripts of uid 0 run") {
		t.Errorf("one too many: %v", err)
	}
	die()
	waitFor(t, "all are gone", func() bool { return f.running() == 0 })
	waitFor(t, "there is room again", func() bool { return one() == nil })
}

func TestTraceRefuses(t *testing.T) {
	a, _ := startTracing(t)
	const run, list = skepv1.TraceMode_TRACE_MODE_RUN, skepv1.TraceMode_TRACE_MODE_LIST
	for _, c := range []struct {
		req  *skepv1.TraceRequest
		code connect.Code
		want string
	}{
		{&skepv1.TraceRequest{Script: "x"}, connect.CodeInvalidArgument, "there is no mode 0"},
		{&skepv1.TraceRequest{Mode: 99, Script: "x"}, connect.CodeInvalidArgument, "there is no mode 99"},
		{&skepv1.TraceRequest{Mode: run}, connect.CodeInvalidArgument, "give a script or a tool"},
		{&skepv1.TraceRequest{Mode: run, Script: "x", Tool: "opensnoop"}, connect.CodeInvalidArgument, "give a script or a tool"},
		{&skepv1.TraceRequest{Mode: run, Script: "x", Pattern: "*"}, connect.CodeInvalidArgument, "give a script or a tool"},
		{&skepv1.TraceRequest{Mode: list, Script: "x", Pattern: "*"}, connect.CodeInvalidArgument, "give a script or a tool"},
		{&skepv1.TraceRequest{Mode: run, Tool: "rm"}, connect.CodeNotFound, `there is no tool "rm"`},
		{running(strings.Repeat("x", maxScriptBytes+1)), connect.CodeInvalidArgument, "script: has 524289 bytes"},
		{&skepv1.TraceRequest{Mode: run, Script: "x", Name: strings.Repeat("x", maxScriptName+1)}, connect.CodeInvalidArgument, "name: has"},
		{&skepv1.TraceRequest{Mode: run, Script: "x", Args: make([]string, maxScriptArgs+1)}, connect.CodeInvalidArgument, "args: are 257"},
		{&skepv1.TraceRequest{Mode: run, Script: "x", Timeout: durationpb.New(-1)}, connect.CodeInvalidArgument, "timeout: must be"},
		{&skepv1.TraceRequest{Mode: run, Script: "x", Timeout: durationpb.New(0)}, connect.CodeInvalidArgument, "timeout: must be"},
		{&skepv1.TraceRequest{Mode: run, Script: "x", Timeout: durationpb.New(maxScriptTime + 1)}, connect.CodeInvalidArgument, "timeout: must be"},
		{running("wrong"), connect.CodeInvalidArgument, "the script has errors"},
		{running("break"), connect.CodeFailedPrecondition, "attach: not today"},
	} {
		stream, err := client(a.socket).Trace(t.Context(), c.req)
		if err != nil {
			t.Fatal(err)
		}
		var said []*skepv1.TraceEvent
		for stream.Receive() {
			said = append(said, stream.Msg().GetEvents()...)
		}
		if err := stream.Err(); connect.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60v: %v, want %q", c.req, err, c.want)
		}
		if wrong := c.req.GetScript() == "wrong"; wrong != (len(said) == 1 && said[0].GetDiagnostic().GetColumn() == 2) {
			t.Errorf("%.60v: says %v", c.req, said)
		}
	}
	without := startAgent(t)
	stream, err := client(without.socket).Trace(t.Context(), running("x"))
	if err != nil {
		t.Fatal(err)
	}
	if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeUnimplemented {
		t.Errorf("without a tracer: %v", stream.Err())
	}
}

// playTrace is told by the environment what to run, and prints what it says.
func playTrace(socket string) {
	req := running(os.Getenv("SCRIPT"))
	req.Tool, req.Unsafe = os.Getenv("TOOL"), os.Getenv("UNSAFE") != ""
	stream, err := client(socket).Trace(context.Background(), req)
	if err != nil {
		panic(err)
	}
	for stream.Receive() {
		fmt.Printf("%s\n", stream.Msg().GetEvents()[0].GetText().GetText())
	}
	fmt.Println(stream.Err())
	_, err = client(socket).EndTrace(context.Background(), &skepv1.EndTraceRequest{Id: os.Getenv("ID")})
	fmt.Println(err)
}

// TestTraceTakesARole: seen by connecting as other users.
func TestTraceTakesARole(t *testing.T) {
	a, f := startTracing(t)
	operate := syscall.Credential{Uid: 61000, Gid: operateGID}
	_, id := a.begin(t, t.Context(), running("count"))
	for _, c := range []struct {
		cred syscall.Credential
		env  []string
		want string
	}{
		{syscall.Credential{Uid: 0, Gid: 0}, []string{"SCRIPT=ran"}, "ran\n<nil>\nnot_found"},
		{operate, []string{"SCRIPT=ran"}, "permission_denied: this needs role admin"},
		{operate, []string{"TOOL=opensnoop"}, "opensnoop\n<nil>\n"},
		{operate, []string{"TOOL=opensnoop", "UNSAFE=1"}, "this needs role admin"},
		{operate, []string{"TOOL=sslsniff"}, "this needs role admin"},
		{operate, []string{"TOOL=opensnoop", "ID=" + id}, "not_found: no script of that id runs"},
		{syscall.Credential{Uid: 61000, Gid: viewGID}, []string{"TOOL=opensnoop", "ID=" + id}, "this needs role operate"},
		{syscall.Credential{Uid: nobodyUID, Gid: nobodyUID}, []string{"SCRIPT=ran", "ID=" + id}, "this needs role operate"},
	} {
		out, err := a.actor(t, c.cred, "trace", c.env...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) || c.cred.Uid != 0 && c.env[0] == "SCRIPT=ran" && strings.HasPrefix(string(out), "ran") {
			t.Errorf("%v %q: %v\n%s\nwant %s", c.cred, c.env, err, out, c.want)
		}
	}
	if f.running() != 1 {
		t.Error("another user ended the script")
	}
}

func TestTraceIsAudited(t *testing.T) {
	a, _ := startTracing(t)
	long := &skepv1.TraceRequest{
		Mode: skepv1.TraceMode_TRACE_MODE_RUN, Script: "// \x1b[31m" + strings.Repeat("\x01", 5000), Name: "x.bt" + strings.Repeat("\x01", 4000),
		Args: make([]string, 200), Options: map[string]string{strings.Repeat("k", 2000): "v"},
	}
	for _, req := range []*skepv1.TraceRequest{{Mode: 1, Script: "begin { exit() }", Name: "one.bt", Args: []string{"7"}}, long} {
		stream, err := client(a.socket).Trace(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for stream.Receive() {
		}
	}
	waitFor(t, "the lines", func() bool { return strings.Count(a.audit.text(), `"end"`) == 2 })
	lines := a.audit.all(t)
	if fmt.Sprint(lines[0]["request"]) != `map[args:[7] mode:run name:one.bt script:begin { exit() }]` || lines[0]["event"] != "start" {
		t.Errorf("%v", lines[0])
	}
	request, ok := lines[2]["request"].(map[string]any)
	if !ok || !strings.HasPrefix(fmt.Sprint(request["script"]), "// \x1b[31m\x01") || !strings.Contains(fmt.Sprint(request["script"]), "(5008 bytes, sha256 ") ||
		!strings.HasPrefix(fmt.Sprint(request["name"]), "x.bt") || len(request["args"].([]any)) != 5 {
		t.Errorf("%v", request)
	}
	if n := len(a.audit.text()); n > 10<<10 {
		t.Errorf("%d bytes", n)
	}
}
