// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/bt/render"
	"github.com/skep-io/skep/internal/bt/wire"
)

func traceText(text string) *skepv1.TraceEvent {
	return &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Text{Text: &skepv1.TraceText{From: "printf", Text: []byte(text)}}}
}

func traceValue(v render.Value) *skepv1.TraceEvent {
	p := &skepv1.TracePrint{Entries: []*skepv1.TraceEntry{{Value: wire.Value(v)}}}
	return &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Print{Print: p}}
}

func traceMap(final bool, name string, entries ...render.Entry) *skepv1.TraceEvent {
	p := wire.Print(&render.Map{Name: name, Entries: entries})
	p.Final = final
	return &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Print{Print: p}}
}

func traceCommand(kind skepv1.TraceCommand_Kind, text string) *skepv1.TraceEvent {
	return &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Command{Command: &skepv1.TraceCommand{Kind: kind, Text: []byte(text)}}}
}

func traceEnded(code int32, reason string) *skepv1.TraceEvent {
	return &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Ended{Ended: &skepv1.TraceEnded{Code: code, Reason: reason}}}
}

func traceReady() *skepv1.TraceEvent {
	return &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Ready{Ready: &skepv1.TraceReady{
		Id: "fake", Instructions: 1234, Took: durationpb.New(21 * time.Millisecond), Compiling: durationpb.New(time.Millisecond),
		Loading: durationpb.New(2 * time.Millisecond), Attaching: durationpb.New(18 * time.Millisecond),
		Probes: []*skepv1.TraceProbe{{Name: "tracepoint:syscalls:sys_enter_openat"}, {Name: "kprobe:vfs_read", Via: "fentry"}},
	}}}
}

func integer(n int64) render.Value { return render.Value{Kind: render.Integer, Int: n} }
func enum(n int64, name string) render.Value {
	return render.Value{Kind: render.Enum, Int: n, Text: name}
}
func words(text string) render.Value { return render.Value{Kind: render.Text, Text: text} }

// sampleTrace is what a script says that uses everything.
func sampleTrace() []*skepv1.TraceEvent {
	hist := render.Value{Kind: render.Histogram, Buckets: []render.Bucket{{Low: 4, High: 8, Count: 2}, {Low: 8, High: 16, Count: 1}}}
	stack := render.Value{Kind: render.Stack, Frames: []render.Frame{{Address: 1, Name: "vfs_read", Offset: 5}, {Address: 0xdead}}}
	loss := &skepv1.TraceLoss{Probe: "kprobe:vfs_read", Place: "ring", Count: 1234}
	return []*skepv1.TraceEvent{
		traceReady(),
		traceText("hello " + hostile + "\n"),
		traceValue(render.Value{Kind: render.Tuple, Elems: []render.Value{integer(1), words("two")}}),
		traceMap(false, "@reads", render.Entry{Key: []render.Value{words("ev\x1bil"), integer(3)}, Value: integer(17)}),
		{Body: &skepv1.TraceEvent_Loss{Loss: loss}},
		traceMap(true, "@count", render.Entry{Value: integer(42)}),
		traceMap(true, "@bytes", render.Entry{Value: hist}),
		traceMap(true, "@stack", render.Entry{Key: []render.Value{stack}, Value: integer(1)}),
		traceEnded(0, "exit"),
	}
}

// sampleTool is what some tools say.
func sampleTool(name string) []*skepv1.TraceEvent {
	record := func(values ...render.Value) *skepv1.TraceEvent {
		return &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Text{Text: &skepv1.TraceText{From: "printf", Text: []byte("not shown"), Values: wire.Values(values)}}}
	}
	stack := render.Value{Kind: render.Stack, Frames: []render.Frame{{Address: 1, Name: "tcp_v4_rcv", Offset: 5}, {Address: 2, Name: "ip_rcv"}}}
	hist := render.Value{Kind: render.Histogram, Buckets: []render.Bucket{{Low: 4, High: 8, Count: 2}, {Low: 8, High: 16, Count: 1}}}
	said := []*skepv1.TraceEvent{traceReady()}
	switch name {
	case "opensnoop":
		said = append(said,
			record(integer(7), integer(1000), words("cat"), integer(3), enum(0, ""), words("/etc/hosts")),
			record(integer(8), integer(0), words("ev\x1bil"), integer(-1), enum(2, "ENOENT"), words(hostile)),
			traceMap(true, "@path"))
	case "tcpdrop":
		reason := enum(3, "SKB_DROP_REASON_NO_SOCKET")
		said = append(said, record(words("192.0.2.1"), integer(80), words("192.0.2.2"), integer(1024), reason, stack))
	case "biotop":
		said = append(said, traceMap(true, "@bytes",
			render.Entry{Key: []render.Value{integer(1), words("a")}, Value: integer(4096)},
			render.Entry{Key: []render.Value{integer(2), words("ev\x1bil")}, Value: integer(1 << 20)}))
	case "softirqs":
		said = append(said, traceMap(false, "@ns", render.Entry{Key: []render.Value{enum(1, "TIMER")}, Value: hist}))
	}
	return append(said, traceEnded(0, "asked"))
}

func wrongScript(name string) []*skepv1.TraceEvent {
	d := &skepv1.TraceDiagnostic{
		Severity: skepv1.TraceDiagnostic_SEVERITY_ERROR, Name: name, Line: 3, Column: 2, Length: 11, Text: "there is no tracepoint sched:\x1b[31m",
		Source: "\ttracepoint:\x1b[31m { }", Hint: "did you mean sched:sched_switch?", Detail: "the log of the verifier",
	}
	w := &skepv1.TraceDiagnostic{Severity: skepv1.TraceDiagnostic_SEVERITY_WARNING, Name: name, Text: "this may be slow"}
	return []*skepv1.TraceEvent{{Body: &skepv1.TraceEvent_Diagnostic{Diagnostic: w}}, {Body: &skepv1.TraceEvent_Diagnostic{Diagnostic: d}}}
}

func listedProbes(arguments bool) *skepv1.TraceResponse {
	all := &skepv1.TraceResponse{}
	for _, name := range []string{"tracepoint:sched:sched_switch", "tracepoint:sched:sched_waking"} {
		p := &skepv1.TraceProbe{Name: name}
		if arguments {
			p.Arguments = []*skepv1.TraceArgument{{Type: "char", Name: "prev_comm[16]"}, {Type: "pid_t", Name: "prev_pid"}}
		}
		all.Events = append(all.Events, &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Listed{Listed: p}})
	}
	return all
}

// Trace does what the script's text names.
func (f *fakeAgent) Trace(ctx context.Context, req *skepv1.TraceRequest, s *connect.ServerStream[skepv1.TraceResponse]) error {
	f.note("Trace", req)
	send := func(events ...*skepv1.TraceEvent) error { return s.Send(&skepv1.TraceResponse{Events: events}) }
	switch req.GetMode() {
	case skepv1.TraceMode_TRACE_MODE_LIST:
		return s.Send(listedProbes(req.GetArguments()))
	case skepv1.TraceMode_TRACE_MODE_EMIT_AST, skepv1.TraceMode_TRACE_MODE_EMIT_IR, skepv1.TraceMode_TRACE_MODE_EMIT_ASM:
		return send(&skepv1.TraceEvent{Body: &skepv1.TraceEvent_Emitted{Emitted: &skepv1.TraceEmitted{Text: "r0 = 0\nexit\n"}}})
	case skepv1.TraceMode_TRACE_MODE_DRY_RUN:
		return send(traceReady())
	}
	if req.GetTool() != "" {
		return send(sampleTool(req.GetTool())...)
	}
	word, rest, _ := strings.Cut(strings.TrimSpace(req.GetScript()), " ")
	switch word {
	case "wrong":
		return errors.Join(send(wrongScript(req.GetName())...), connect.NewError(connect.CodeInvalidArgument, errors.New("the script has errors")))
	case "system":
		return send(traceReady(), traceText("before\n"), traceCommand(skepv1.TraceCommand_KIND_SYSTEM, rest), traceText("after\n"), traceEnded(0, "exit"))
	case "confirm":
		system, confirm := traceCommand(skepv1.TraceCommand_KIND_SYSTEM, rest), traceCommand(skepv1.TraceCommand_KIND_CONFIRM, "")
		if err := send(traceReady(), traceText("before\n"), system, traceText("after\n"), confirm); err != nil {
			return err
		}
		select {
		case <-f.endings():
			return send(traceText("it is done\n"), traceEnded(0, "exit"))
		case <-ctx.Done():
			return ctx.Err()
		}
	case "complain":
		helper := &skepv1.TraceDiagnostic{
			Severity: skepv1.TraceDiagnostic_SEVERITY_WARNING, Line: 1, Column: 5, Text: "cannot be read", Reference: "Bad address\nmore", Helper: "probe_read", Returned: -14,
		}
		own := &skepv1.TraceDiagnostic{Severity: skepv1.TraceDiagnostic_SEVERITY_ERROR, Line: 1, Column: 7, Text: "the script says so"}
		said := func(d *skepv1.TraceDiagnostic) *skepv1.TraceEvent {
			return &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Diagnostic{Diagnostic: d}}
		}
		return send(traceReady(), said(helper), said(own), traceEnded(0, "exit"))
	case "cat":
		return send(traceReady(), traceCommand(skepv1.TraceCommand_KIND_CAT, rest), traceEnded(0, "exit"))
	case "exit":
		code, _ := strconv.Atoi(rest)
		return send(traceReady(), traceEnded(int32(code), "exit"))
	case "stopping":
		return send(traceReady(), traceEnded(0, "stopping"))
	case "child":
		return f.traceChild(ctx, req, send)
	case "follow", "stubborn", "slow":
		return f.traceUntil(ctx, word, send)
	}
	if err := misbehave(word); err != nil {
		return err
	}
	return send(sampleTrace()...)
}

// traceUntil runs until it is asked to end; "stubborn" then does not, and "slow" is never attached.
func (f *fakeAgent) traceUntil(ctx context.Context, how string, send func(...*skepv1.TraceEvent) error) error {
	if how != "slow" {
		if err := send(traceReady(), traceText("attached\n")); err != nil {
			return err
		}
	}
	ended := f.endings()
	if how != "follow" {
		ended = nil
	}
	select {
	case <-ended:
		return send(traceText("the end probe\n"), traceMap(true, "@n", render.Entry{Value: integer(5)}), traceEnded(0, "asked"))
	case <-ctx.Done():
		f.note("Gone", &skepv1.EndTraceRequest{})
		return ctx.Err()
	}
}

// traceChild tells how the command is before the script is ready, and waits for its end.
func (f *fakeAgent) traceChild(ctx context.Context, req *skepv1.TraceRequest, send func(...*skepv1.TraceEvent) error) error {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(int(req.GetCommandPid())) + "/stat")
	if err != nil {
		return err
	}
	if err := send(traceText("state " + strings.Fields(string(stat))[2] + "\n")); err != nil {
		return err
	}
	time.Sleep(50 * time.Millisecond) // were it running, it would be heard
	if err := send(traceText("now\n"), traceReady()); err != nil {
		return err
	}
	select {
	case <-f.endings():
		return send(traceText("it has ended\n"), traceEnded(0, "asked"))
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fakeAgent) endings() chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ends == nil {
		f.ends = make(chan struct{}, 16)
	}
	return f.ends
}

// ListTools has none.
func (f *fakeAgent) ListTools(context.Context, *skepv1.ListToolsRequest) (*skepv1.ListToolsResponse, error) {
	return &skepv1.ListToolsResponse{}, nil
}

// EndTrace ends the one script that runs.
func (f *fakeAgent) EndTrace(_ context.Context, req *skepv1.EndTraceRequest) (*skepv1.EndTraceResponse, error) {
	f.note("EndTrace", req)
	f.endings() <- struct{}{}
	return &skepv1.EndTraceResponse{}, nil
}
