// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/render"
	"github.com/skep-io/skep/internal/identity/cgroup"
	"github.com/skep-io/skep/internal/server"
	"github.com/skep-io/skep/internal/trace/host"
	"github.com/skep-io/skep/tools"
)

// startTracer is a tracer that takes a container's name for the path of a cgroup.
func startTracer(t *testing.T) *tracer {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it loads BPF programs")
	}
	h := host.New(cgroup.RootV2())
	t.Cleanup(func() { h.Close() })
	return &tracer{host: h, logger: slog.New(slog.DiscardHandler), cgroups: func(name string) ([]uint64, error) {
		id, ok := h.CgroupID(name)
		if !ok {
			return nil, errors.New("there is no cgroup " + name)
		}
		return []uint64{id, 1 << 62}, nil
	}}
}

// traced is what came of a request.
type traced struct {
	events []*skepv1.TraceEvent
	wrong  string
}

func (tr *tracer) traced(t *testing.T, req *skepv1.TraceRequest, end <-chan string, ready func()) (traced, error) {
	t.Helper()
	var got traced
	err := tr.Trace(t.Context(), req, end, func(events ...*skepv1.TraceEvent) error {
		for _, e := range events {
			got.wrong += e.GetDiagnostic().GetText()
			if e.GetReady() != nil && ready != nil {
				ready()
			}
		}
		got.events = append(got.events, events...)
		return nil
	})
	return got, err
}

// TestToolsWithAllOptions: the kernel takes each tool with every option that it can have.
func TestToolsWithAllOptions(t *testing.T) {
	tr := startTracer(t)
	all, err := tools.All()
	if err != nil {
		t.Fatal(err)
	}
	kprobes := tr.host.Check(bt.Kprobe) == nil
	for _, tool := range all {
		t.Run(tool.Name, func(t *testing.T) {
			req := &skepv1.TraceRequest{
				Mode: skepv1.TraceMode_TRACE_MODE_DRY_RUN, Tool: tool.Name, Pid: uint32(os.Getpid()), Container: cgroup.RootV2(),
				Options: map[string]string{"comm": "some'th\"ing\\", "uid": "4294967295", "top": "3"},
			}
			if len(tool.Maps) > 0 {
				req.Options["interval"] = "90s"
			}
			for _, o := range tool.Options {
				if o.Required {
					req.Args = append(req.Args, "vfs_read")
				}
			}
			got, err := tr.traced(t, req, nil, nil)
			switch {
			case tool.Filter.None != "":
				if err == nil || !strings.Contains(err.Error(), tool.Filter.None) {
					t.Errorf("it cannot be restricted, and says %v", err)
				}
			case errors.Is(err, server.ErrScript) && !kprobes && strings.Contains(tool.Script, "kprobe:"):
			case err != nil:
				t.Errorf("%v: %s", err, got.wrong)
			}
		})
	}
}

// TestTyped: values go to clients as what the headers say that they are.
func TestTyped(t *testing.T) {
	number := func(n int64) render.Value { return render.Value{Kind: render.Integer, Int: n, Size: 4} }
	enum := func(n int64, name string) render.Value { return render.Value{Kind: render.Enum, Int: n, Text: name} }
	words := func(text string) render.Value { return render.Value{Kind: render.Text, Text: text} }
	for _, c := range []struct {
		of       string
		is, want render.Value
	}{
		{"int", number(2), number(2)},
		{"us", number(2), number(2)},
		{"errno", number(2), enum(2, "ENOENT")},
		{"errno", number(0), enum(0, "")},
		{"errno", number(-7), enum(-7, "")},
		{"signal", render.Value{Kind: render.Unsigned, Int: 9}, enum(9, "SIGKILL")},
		{"capability", number(21), enum(21, "SYS_ADMIN")},
		{"capability", number(1 << 40), enum(1<<40, "")},
		{"tcp_state", number(10), enum(10, "LISTEN")},
		{"softirq", number(0), enum(0, "HI")},
		{"syscall", number(unix.SYS_GETPID), enum(unix.SYS_GETPID, "getpid")},
		{"drop_reason", enum(3, "SKB_DROP_REASON_NO_SOCKET"), enum(3, "SKB_DROP_REASON_NO_SOCKET")},
		{"bool", number(1), render.Value{Kind: render.Bool, Int: 1}},
		{"address", number(255), render.Value{Kind: render.Pointer, Int: 255}},
		{"call", words("tracepoint:syscalls:sys_exit_mount"), words("mount")},
		{"call", words("mount"), words("mount")},
		{"text", words("tracepoint:syscalls:sys_exit_mount"), words("tracepoint:syscalls:sys_exit_mount")},
	} {
		if got := typed(c.of, c.is); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s %v is %+v, expected %+v", c.of, c.is, got, c.want)
		}
	}
	tool := &toolRun{Tool: &tools.Tool{Columns: []tools.Column{{Name: "a", Type: "int"}, {Name: "b", Type: "errno"}}, Maps: []tools.Map{{Name: "@", Keys: []string{"signal"}}}}}
	row := []render.Value{number(1), number(2)}
	tool.record(row)
	tool.record(row[:1]) // no row: a heading
	m := &render.Map{Name: "@", Entries: []render.Entry{{Key: []render.Value{number(9)}, Value: number(9)}}}
	tool.shape(m)
	if row[0].Kind != render.Integer || row[1].Text != "ENOENT" || m.Entries[0].Key[0].Text != "SIGKILL" || m.Entries[0].Value.Kind != render.Integer {
		t.Errorf("%+v, %+v", row, m.Entries)
	}
}

// TestToolOptionsRefused: what cannot be meant is told, and nothing runs.
func TestToolOptionsRefused(t *testing.T) {
	tr := startTracer(t)
	for _, c := range []struct {
		tool, option, value string
		args                []string
		want                string
	}{
		{"opensnoop", "colour", "red", nil, "no tool has it"},
		{"opensnoop", "comm", "", nil, "15 bytes"},
		{"opensnoop", "comm", "a\x00b", nil, "15 bytes"},
		{"opensnoop", "uid", "-1", nil, "number of a user"},
		{"opensnoop", "top", "0", nil, "from 1 to"},
		{"opensnoop", "interval", "5s", nil, "it keeps nothing"},
		{"biotop", "interval", "1ns", nil, "from 10ms"},
		{"opensnoop", "", "", []string{"a"}, "0 arguments"},
		{"runqslower", "", "", []string{"x"}, "whole number"},
		{"funccount", "", "", nil, "needs function"},
		{"nosuchtool", "", "", nil, "nosuchtool"},
	} {
		req := &skepv1.TraceRequest{Mode: skepv1.TraceMode_TRACE_MODE_RUN, Tool: c.tool, Args: c.args}
		if c.option != "" {
			req.Options = map[string]string{c.option: c.value}
		}
		if _, err := tr.traced(t, req, nil, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// TestToolsInACgroup: of processes in two cgroups each tool sees those of one, whether it looks
// at the current task or at another.
func TestToolsInACgroup(t *testing.T) {
	tr := startTracer(t)
	inside := newCgroup(t, "skep-test-inside")
	outside := newCgroup(t, "skep-test-outside")
	for _, name := range []string{"execsnoop", "exitsnoop", "opensnoop", "runqlat", "offcputime"} {
		for place, want := range map[string]bool{inside: true, outside: false} {
			end := make(chan string, 1)
			ran := make(chan error, 1)
			req := &skepv1.TraceRequest{Mode: skepv1.TraceMode_TRACE_MODE_RUN, Tool: name, Container: place}
			got, err := tr.traced(t, req, end, func() {
				go func() {
					ran <- runIn(inside)
					end <- "asked"
				}()
			})
			if err != nil || <-ran != nil {
				t.Fatalf("%s: %v: %s", name, err, got.wrong)
			}
			saw := 0
			for _, e := range got.events {
				if e.GetText() != nil {
					saw++
				}
				for _, entry := range e.GetPrint().GetEntries() {
					if e.GetPrint().GetName() == "@us" && (len(entry.GetValue().GetHistogram().GetBuckets()) > 0 || len(entry.GetKey()) > 0) {
						saw++
					}
				}
			}
			if saw > 0 != want {
				t.Errorf("%s of %s saw %d things of a process in %s", name, filepath.Base(place), saw, filepath.Base(inside))
			}
		}
	}
}

func newCgroup(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(cgroup.RootV2(), name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(path) })
	return path
}

// runIn runs a program in a cgroup from its beginning on.
func runIn(place string) error {
	dir, err := os.Open(place)
	if err != nil {
		return err
	}
	defer dir.Close()
	c := exec.Command("/bin/sh", "-c", "sleep 0.05; : < /dev/null; /bin/true")
	c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd()), Pdeathsig: unix.SIGKILL}
	return c.Run()
}
