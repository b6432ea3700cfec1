// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/durationpb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/bt/wire"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

func TestMain(m *testing.M) { os.Exit(skepdtest.Main(m)) }

// opens makes so many calls to openat from a thread of the given name.
func opens(t *testing.T, n int, comm string) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: nothing else runs under this name
		err := os.WriteFile("/proc/thread-self/comm", []byte(comm), 0)
		for range n {
			fd, failed := unix.Openat(unix.AT_FDCWD, "/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if failed == nil {
				failed = unix.Close(fd)
			}
			if failed != nil {
				err = failed
			}
		}
		done <- err
		select {} // a thread that ends ends the agents that were started from it (Pdeathsig)
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// running is a script that has been attached.
type running struct {
	stream *connect.ServerStreamForClient[skepv1.TraceResponse]
	ready  *skepv1.TraceReady
	text   strings.Builder
	maps   map[string]string // the last ones, as they are shown
	ended  *skepv1.TraceEnded
	wrong  []*skepv1.TraceDiagnostic
}

func start(t *testing.T, ctx context.Context, a *skepdtest.Agent, req *skepv1.TraceRequest) *running {
	t.Helper()
	stream, err := a.Trace(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stream.Close() })
	r := &running{stream: stream, maps: map[string]string{}}
	for r.ready == nil && stream.Receive() {
		r.take(stream.Msg())
	}
	return r
}

func (r *running) take(m *skepv1.TraceResponse) {
	for _, e := range m.GetEvents() {
		switch b := e.GetBody().(type) {
		case *skepv1.TraceEvent_Ready:
			r.ready = b.Ready
		case *skepv1.TraceEvent_Text:
			r.text.Write(b.Text.GetText())
		case *skepv1.TraceEvent_Print:
			r.maps[b.Print.GetName()] = wire.MapOf(b.Print).String()
		case *skepv1.TraceEvent_Ended:
			r.ended = b.Ended
		case *skepv1.TraceEvent_Diagnostic:
			r.wrong = append(r.wrong, b.Diagnostic)
		}
	}
}

// finish takes all that comes until the stream ends.
func (r *running) finish() error {
	for r.stream.Receive() {
		r.take(r.stream.Msg())
	}
	return r.stream.Err()
}

func script(text string) *skepv1.TraceRequest {
	return &skepv1.TraceRequest{Mode: skepv1.TraceMode_TRACE_MODE_RUN, Script: text}
}

// TestCount: a script counts what really happened, no more and no less.
func TestCount(t *testing.T) {
	a := skepdtest.Start(t)
	r := start(t, t.Context(), a, script(`tracepoint:syscalls:sys_enter_openat /comm == "skep-opener"/ { @[comm] = count(); } end { printf("the end\n"); }`))
	if r.ready == nil {
		t.Fatal(r.stream.Err(), r.wrong)
	}
	opens(t, 1234, "skep-opener")
	if _, err := a.EndTrace(t.Context(), &skepv1.EndTraceRequest{Id: r.ready.GetId()}); err != nil {
		t.Fatal(err)
	}
	if err := r.finish(); err != nil || r.maps["@"] != "@[skep-opener]: 1234\n" || r.text.String() != "the end\n" || r.ended.GetReason() != "asked" {
		t.Errorf("%v: maps %q, said %q, ended %v", err, r.maps, r.text.String(), r.ended)
	}
}

// held are the BPF objects that the agent has open, and its perf events.
func held(t *testing.T, a *skepdtest.Agent) int {
	t.Helper()
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", a.PID))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && (strings.Contains(to, "bpf") || strings.Contains(to, "perf_event")) {
			n++
		}
	}
	return n
}

// TestNothingIsLeft: however a script ends, nothing of it stays with the agent.
func TestNothingIsLeft(t *testing.T) {
	a := skepdtest.Start(t)
	const text = `tracepoint:syscalls:sys_enter_openat { @[comm, pid] = count(); @h = hist(pid); } interval:ms:100 { print(@h); } profile:hz:99 { @k[kstack] = count(); }`
	// The first script makes what the agent keeps for all.
	if err := start(t, t.Context(), a, script("begin { exit(); }")).finish(); err != nil {
		t.Fatal(err)
	}
	before := held(t, a)
	for same := 0; same < 50; same++ { // the first one's last objects may just be going
		time.Sleep(10 * time.Millisecond)
		if now := held(t, a); now != before {
			before, same = now, 0
		}
	}
	gone := func(how string) {
		t.Helper()
		for end := time.Now().Add(skepdtest.Patience); held(t, a) > before; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: the agent holds %d objects, and held %d before", how, held(t, a), before)
			}
		}
	}
	ctx, die := context.WithCancel(t.Context())
	start(t, ctx, a, script(text))
	if held(t, a) <= before {
		t.Error("a script that runs holds nothing: this test cannot see what it looks for")
	}
	die()
	gone("the client is gone")

	timed := script(text)
	timed.Timeout = durationpb.New(300 * time.Millisecond)
	if r := start(t, t.Context(), a, timed); r.finish() != nil || r.ended.GetReason() != "timeout" {
		t.Errorf("ended %v, %v", r.ended, r.stream.Err())
	}
	gone("its time is over")

	dry := script(text)
	dry.Mode = skepv1.TraceMode_TRACE_MODE_DRY_RUN
	if r := start(t, t.Context(), a, dry); r.finish() != nil || len(r.ready.GetProbes()) != 3 || r.ended != nil {
		t.Errorf("ready %v", r.ready)
	}
	gone("it was only tried")
}

// TestBadScripts: each is told where it is wrong, and the agent lives on.
func TestBadScripts(t *testing.T) {
	a := skepdtest.Start(t)
	for _, c := range []struct {
		text         string
		line, column uint32
		want         string
	}{
		{"tracepoint:syscalls:sys_enter_opena { }", 1, 1, "there is no probe"},
		{"begin {\n  @x = foo(1);\n}", 2, 8, "foo"},
		{"begin { @x = 1; @x = \"a\"; }", 1, 0, "@x"},
		{"begin { printf(\"%d\"); }", 1, 0, "printf"},
		{"begin {", 1, 0, ""},
		{"kprobe { }", 1, 0, ""},
		{"begin { system(\"true\"); }", 1, 0, "unsafe"},
		{"begin { $a = " + strings.Repeat("(", 5000) + "1" + strings.Repeat(")", 5000) + "; }", 1, 0, ""},
		{"\x00\x01\xff", 1, 0, ""},
		{"begin { " + strings.Repeat("@a += 1; ", 20_000) + "}", 1, 0, "too large"},
		{"begin { @a = exe == \"/bin/cat\"; }", 1, 0, "only when it is shown"},
		{"begin { @a = container == \"none-of-this\"; }", 1, 0, "no container of the name none-of-this"},
	} {
		r := start(t, t.Context(), a, script(strings.ToValidUTF8(c.text, "?")))
		err := r.finish()
		if r.ready != nil || connect.CodeOf(err) != connect.CodeInvalidArgument || len(r.wrong) == 0 {
			t.Errorf("%.60q: %v, ready %v, wrong %v", c.text, err, r.ready, r.wrong)
			continue
		}
		d := r.wrong[0]
		if d.GetLine() != c.line || c.column > 0 && d.GetColumn() != c.column || !strings.Contains(d.GetText()+d.GetHint(), c.want) || d.GetSource() == "" {
			t.Errorf("%.60q: %.300v", c.text, d)
		}
	}
	a.Status(t)
}

// TestFlood: a script that says more than anybody can read loses some of it, says how much,
// and ends when it is asked to.
func TestFlood(t *testing.T) {
	a := skepdtest.Start(t)
	req := script(`tracepoint:syscalls:sys_enter_openat /comm == "skep-opener"/ { @n = count(); printf("%s %d\n", comm, nsecs); }`)
	req.Limits = &skepv1.TraceLimits{EventsPerSecond: 100}
	r := start(t, t.Context(), a, req)
	if r.ready == nil {
		t.Fatal(r.stream.Err(), r.wrong)
	}
	opens(t, 5000, "skep-opener")
	if _, err := a.EndTrace(t.Context(), &skepv1.EndTraceRequest{Id: r.ready.GetId()}); err != nil {
		t.Fatal(err)
	}
	lost := uint64(0)
	for r.stream.Receive() {
		r.take(r.stream.Msg())
		for _, e := range r.stream.Msg().GetEvents() {
			lost += e.GetLoss().GetCount()
		}
	}
	lines := strings.Count(r.text.String(), "\n")
	if r.maps["@n"] != "@n: 5000\n" || uint64(lines)+lost != 5000 || lines > 1000 || r.stream.Err() != nil {
		t.Errorf("counted %q, %d lines and %d lost, %v", r.maps["@n"], lines, lost, r.stream.Err())
	}
}

// TestCommand: the whole of a command is seen, from its first instruction on.
func TestCommand(t *testing.T) {
	a := skepdtest.Start(t)
	out := a.Skep(t, "trace", "-c", "/bin/cat /etc/hostname", "-e",
		`tracepoint:syscalls:sys_enter_openat /pid == cpid/ { printf("opens %s\n", str(args.filename)); } tracepoint:sched:sched_process_exit /pid == cpid/ { @exits = count(); }`)
	if !strings.HasPrefix(out, "Attaching 2 probes...\n") || !strings.Contains(out, "opens /etc/ld.so.cache\n") || !strings.Contains(out, "opens /etc/hostname\n") || !strings.HasSuffix(out, "\n\n\n@exits: 1\n") {
		t.Errorf("said %s", out)
	}
}
