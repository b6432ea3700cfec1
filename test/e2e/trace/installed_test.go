// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
	"github.com/skep-io/skep/internal/bt/wire"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// house is a data directory, and the agents that live in it one after the other.
type house struct {
	skepv1connect.AgentServiceClient
	dir     string
	args    []string
	command *exec.Cmd
}

func newHouse(t *testing.T, args ...string) *house {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it loads BPF programs")
	}
	dir, err := os.MkdirTemp("", "skep-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{dir: dir, args: args}
	t.Cleanup(func() {
		h.end(syscall.SIGTERM)
		os.RemoveAll(dir)
	})
	h.start(t)
	return h
}

func (h *house) socket() string { return filepath.Join(h.dir, "skep.sock") }

func (h *house) file(name string) string { return filepath.Join(h.dir, "data", "scripts", name) }

func (h *house) start(t *testing.T) {
	t.Helper()
	args := append([]string{"run", "--private", "--socket", h.socket(), "--data-dir", filepath.Join(h.dir, "data")}, h.args...)
	h.command = exec.Command(skepdtest.Build(t, "skepd"), args...)
	h.command.Stderr = os.Stderr
	if err := skepdtest.Launch(h.command); err != nil {
		t.Fatal(err)
	}
	h.AgentServiceClient = skepdtest.Client(t, h.socket())
}

func (h *house) end(how syscall.Signal) {
	_ = h.command.Process.Signal(how)
	_ = h.command.Wait()
}

func (h *house) install(t *testing.T, name, text string, change ...func(*skepv1.TraceRequest)) *skepv1.InstallTraceResponse {
	t.Helper()
	req := script(text)
	for _, c := range change {
		c(req)
	}
	res, err := h.InstallTrace(t.Context(), &skepv1.InstallTraceRequest{Name: name, Trace: req})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// await waits until an installed script is in a state, and returns it.
func (h *house) await(t *testing.T, name, state string) *skepv1.TraceStatus {
	t.Helper()
	for end := time.Now().Add(skepdtest.Patience); ; time.Sleep(20 * time.Millisecond) {
		res, err := h.ListTraces(t.Context(), &skepv1.ListTracesRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range res.GetTraces() {
			if one.GetStatus().GetName() == name && one.GetStatus().GetState() == state {
				return one.GetStatus()
			}
		}
		if time.Now().After(end) {
			t.Fatalf("script %s is not %s: %v", name, state, res.GetTraces())
		}
	}
}

// logs is what the log of a script has, as one text, and how much it lost.
func (h *house) logs(t *testing.T, name string) (text string, lost uint64) {
	t.Helper()
	stream, err := h.TraceLogs(t.Context(), &skepv1.TraceLogsRequest{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var b strings.Builder
	for stream.Receive() {
		lost += stream.Msg().GetLost()
		for _, e := range stream.Msg().GetEntries() {
			switch body := e.GetEvent().GetBody().(type) {
			case *skepv1.TraceEvent_Ready:
				fmt.Fprintln(&b, "ready")
			case *skepv1.TraceEvent_Text:
				b.Write(body.Text.GetText())
			case *skepv1.TraceEvent_Print:
				b.WriteString(wire.MapOf(body.Print).String())
			case *skepv1.TraceEvent_Loss:
				lost += body.Loss.GetCount()
			case *skepv1.TraceEvent_Ended:
				fmt.Fprintln(&b, "ended", body.Ended.GetReason())
			}
		}
	}
	if stream.Err() != nil {
		t.Fatal(stream.Err())
	}
	return b.String(), lost
}

const counting = `tracepoint:syscalls:sys_enter_openat /comm == "skep-opener"/ { @[comm] = count(); } end { printf("the end\n"); }`

// TestInstalled: an installed script is back after a stop and after a kill of the agent. What
// its maps held is in the log after a stop, and lost after a kill.
func TestInstalled(t *testing.T) {
	h := newHouse(t)
	if res := h.install(t, "opens", counting); res.GetInstalled().GetStatus().GetState() != "running" || res.GetInstalled().GetStatus().GetProbes() != 2 {
		t.Fatal(res)
	}
	opens(t, 321, "skep-opener")
	h.end(syscall.SIGTERM)
	h.start(t)
	h.await(t, "opens", "running")
	want := "ready\nthe end\n@[skep-opener]: 321\nended stopping\nready\n"
	if text, lost := h.logs(t, "opens"); text != want || lost != 0 {
		t.Errorf("after a stop: %q, lost %d", text, lost)
	}
	opens(t, 5, "skep-opener")
	h.end(syscall.SIGKILL)
	h.start(t)
	h.await(t, "opens", "running")
	opens(t, 7, "skep-opener")
	follow, err := h.TraceLogs(t.Context(), &skepv1.TraceLogsRequest{Name: "opens", Follow: true, Last: 1})
	if err != nil || !follow.Receive() || follow.Msg().GetEntries()[0].GetEvent().GetReady() == nil {
		t.Fatalf("%v, %v, %v", err, follow.Msg(), follow.Err())
	}
	if _, err := h.RemoveTrace(t.Context(), &skepv1.RemoveTraceRequest{Name: "opens"}); err != nil {
		t.Fatal(err)
	}
	var last []string
	for follow.Receive() {
		for _, e := range follow.Msg().GetEntries() {
			last = append(last, string(e.GetEvent().GetText().GetText()))
			if p := e.GetEvent().GetPrint(); p != nil {
				last = append(last, wire.MapOf(p).String())
			}
		}
	}
	if got := strings.Join(last, ""); got != "the end\n@[skep-opener]: 7\n" || follow.Err() != nil {
		t.Errorf("followed to the end: %q, %v", got, follow.Err())
	}
	if left, err := os.ReadDir(h.file("")); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	h.end(syscall.SIGTERM)
	h.start(t)
	if res, err := h.ListTraces(t.Context(), &skepv1.ListTracesRequest{}); err != nil || len(res.GetTraces()) > 0 {
		t.Errorf("it is back: %v, %v", res, err)
	}
}

// TestInstalledCannotCome: a script that cannot be started again, or whose file was changed, is
// told with the reason, runs not at all, and holds up no other.
func TestInstalledCannotCome(t *testing.T) {
	h := newHouse(t)
	program := filepath.Join(h.dir, "program")
	text, err := os.ReadFile(skepdtest.Build(t, "skep"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, text, 0o700); err != nil {
		t.Fatal(err)
	}
	h.install(t, "gone", "uprobe:"+program+":main.main { @ = count(); }")
	h.install(t, "changed", counting)
	h.install(t, "well", counting)
	h.install(t, "done", `begin { printf("hello\n"); exit(3); }`)
	if s := h.await(t, "done", "ended"); s.GetReason() != "exit, with 3" || s.GetEvents() != 1 {
		t.Errorf("%v", s)
	}
	h.end(syscall.SIGTERM)
	file, err := os.OpenFile(h.file("changed.script"), os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		_, err = file.WriteString(" ")
		err = errors.Join(err, file.Close())
	}
	if err = errors.Join(err, os.Remove(program)); err != nil {
		t.Fatal(err)
	}
	h.start(t)
	h.await(t, "well", "running")
	if s := h.await(t, "gone", "failed"); !strings.Contains(s.GetReason(), "line 1: ") {
		t.Errorf("%v", s)
	}
	if s := h.await(t, "changed", "damaged"); !strings.Contains(s.GetReason(), "checksum") {
		t.Errorf("%v", s)
	}
	if text, _ := h.logs(t, "done"); strings.Count(text, "hello") != 2 {
		t.Errorf("a script that ended begins again with the agent: %q", text)
	}
	page, err := exec.Command(skepdtest.Build(t, "skep"), "--socket", h.socket(), "status").Output()
	if err != nil || !strings.Contains(string(page), "damaged") || !strings.Contains(string(page), "failed") {
		t.Errorf("%v\n%s", err, page)
	}
	for _, name := range []string{"gone", "changed"} {
		if _, err := h.RemoveTrace(t.Context(), &skepv1.RemoveTraceRequest{Name: name}); err != nil {
			t.Errorf("remove %s: %v", name, err)
		}
	}
}

// TestInstalledFloods: what an installed script says beyond its rate is counted, in its log and
// its status, and the log stays small.
func TestInstalledFloods(t *testing.T) {
	h := newHouse(t)
	const n = 20_000
	h.install(t, "flood", `tracepoint:syscalls:sys_enter_openat /comm == "skep-opener"/ { printf("%s\n", comm); }`)
	opens(t, n, "skep-opener")
	h.end(syscall.SIGTERM)
	h.start(t)
	h.await(t, "flood", "running")
	text, lost := h.logs(t, "flood")
	if lines := strings.Count(text, "skep-opener\n"); uint64(lines)+lost != n || lost == 0 {
		t.Errorf("%d lines and %d lost of %d", lines, lost, n)
	}
	if s := h.await(t, "flood", "running"); s.GetLogBytes() == 0 || s.GetLogBytes() > 16<<20 {
		t.Errorf("%v", s)
	}
}
