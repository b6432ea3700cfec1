// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"connectrpc.com/connect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// TestLossesByProbe: of each probe what was printed and what was lost is what happened, and a
// probe that loses nothing is told of no loss.
func TestLossesByProbe(t *testing.T) {
	a := skepdtest.Start(t)
	req := script(`tracepoint:syscalls:sys_enter_openat /comm == "skep-opener"/ { printf("o\n"); }
		tracepoint:syscalls:sys_enter_getsid /comm == "skep-calm"/ { printf("c\n"); }
		tracepoint:syscalls:sys_enter_openat /comm == "skep-filler"/ { @n++; @[@n] = 1; }`)
	req.Limits = &skepv1.TraceLimits{RingBytes: 4096, MapEntries: 10, EventsPerSecond: 1_000_000}
	r := start(t, t.Context(), a, req)
	if r.ready == nil {
		t.Fatal(r.stream.Err(), r.wrong)
	}
	opens(t, 20_000, "skep-opener")
	opens(t, 100, "skep-filler")
	if _, err := a.EndTrace(t.Context(), &skepv1.EndTraceRequest{Id: r.ready.GetId()}); err != nil {
		t.Fatal(err)
	}
	lost := map[string]uint64{}
	for r.stream.Receive() {
		r.take(r.stream.Msg())
		for _, e := range r.stream.Msg().GetEvents() {
			if l := e.GetLoss(); l != nil {
				lost[l.GetPlace()+" "+l.GetProbe()] += l.GetCount()
			}
		}
	}
	inRing, inMap := lost["ring tracepoint:syscalls:sys_enter_openat"], lost["map tracepoint:syscalls:sys_enter_openat"]
	if n := uint64(strings.Count(r.text.String(), "o\n")); n+inRing != 20_000 || inRing == 0 {
		t.Errorf("%d opens printed, %d lost of 20000", n, inRing)
	}
	if inMap != 90 || len(lost) != 2 {
		t.Errorf("lost %v", lost)
	}
}

// kib is a line of the agent's /proc/PID/status.
func kib(t *testing.T, a *skepdtest.Agent, field string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.PID))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(text, []byte(field+":"))
	n, err := strconv.Atoi(string(bytes.Fields(rest)[0]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestHungClient: a client that does not read costs the agent little, and others nothing.
func TestHungClient(t *testing.T) {
	a := skepdtest.Start(t)
	req := script(`tracepoint:syscalls:sys_enter_openat /comm == "skep-opener"/ { printf("%s\n", str(args.filename)); @[nsecs] = count(); } interval:ms:1 { print(@); }`)
	req.Limits = &skepv1.TraceLimits{EventsPerSecond: 1_000_000}
	hung := start(t, t.Context(), a, req)
	other := start(t, t.Context(), a, script(`tracepoint:syscalls:sys_enter_openat /comm == "skep-opener"/ { @ = count(); }`))
	if hung.ready == nil || other.ready == nil {
		t.Fatal(hung.wrong, other.wrong)
	}
	before := kib(t, a, "VmRSS")
	opens(t, 300_000, "skep-opener")
	if grown := kib(t, a, "VmRSS") - before; grown > 200<<10 {
		t.Errorf("the agent has grown by %d KiB", grown)
	}
	if _, err := a.EndTrace(t.Context(), &skepv1.EndTraceRequest{Id: other.ready.GetId()}); err != nil || other.finish() != nil || other.maps["@"] != "@: 300000\n" {
		t.Errorf("%v, %v, counted %q", err, other.stream.Err(), other.maps["@"])
	}
	a.Status(t)
}

// TestAgentKilled: the client of a script whose agent is killed is told, and the next agent
// knows nothing of the script.
func TestAgentKilled(t *testing.T) {
	h := newHouse(t)
	stream, err := h.Trace(t.Context(), script(counting))
	if err != nil || !stream.Receive() {
		t.Fatal(err, stream.Err())
	}
	defer stream.Close()
	h.end(syscall.SIGKILL)
	for stream.Receive() {
	}
	if code := connect.CodeOf(stream.Err()); stream.Err() == nil || code == connect.CodeInvalidArgument {
		t.Errorf("ended with %v", stream.Err())
	}
	h.start(t)
	res, err := h.ListTraces(t.Context(), &skepv1.ListTracesRequest{})
	if err != nil || len(res.GetTraces()) > 0 {
		t.Errorf("%v, %v", res, err)
	}
}

// TestAgentStops: a script whose agent stops ends in peace, with its maps.
func TestAgentStops(t *testing.T) {
	h := newHouse(t)
	stream, err := h.Trace(t.Context(), script(counting))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	r := &running{stream: stream, maps: map[string]string{}}
	for r.ready == nil && stream.Receive() {
		r.take(stream.Msg())
	}
	opens(t, 11, "skep-opener")
	h.end(syscall.SIGTERM)
	if err := r.finish(); err != nil || r.maps["@"] != "@[skep-opener]: 11\n" || r.text.String() != "the end\n" || r.ended.GetReason() != "stopping" {
		t.Errorf("%v: maps %q, said %q, ended %v", err, r.maps, r.text.String(), r.ended)
	}
}

// TestManyScripts: two hundred scripts, one after the other, leave the agent as it was.
func TestManyScripts(t *testing.T) {
	a := skepdtest.Start(t)
	one := func(i int) {
		t.Helper()
		r := start(t, t.Context(), a, script(fmt.Sprintf(`begin { @[%d] = count(); exit(); } interval:ms:50 { } tracepoint:syscalls:sys_enter_getsid { @k[kstack] = count(); }`, i)))
		if err := r.finish(); err != nil || r.maps["@"] != fmt.Sprintf("@[%d]: 1\n", i) {
			t.Fatal(err, r.maps, r.wrong)
		}
	}
	for i := range 20 {
		one(i)
	}
	fds, threads, memory := held(t, a), kib(t, a, "Threads"), kib(t, a, "VmRSS")
	for i := range 200 {
		one(i)
	}
	if now := held(t, a); now != fds {
		t.Errorf("%d objects of the kernel are held, before %d", now, fds)
	}
	if now := kib(t, a, "Threads"); now > threads+16 {
		t.Errorf("%d threads, before %d", now, threads)
	}
	if now := kib(t, a, "VmRSS"); now > memory+40<<10 {
		t.Errorf("%d KiB resident, before %d", now, memory)
	}
}
