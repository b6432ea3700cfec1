// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

func TestAuditOfCalls(t *testing.T) {
	needRoot(t)
	a := startAgent(t)
	c := client(a.socket)
	c.GetProcess(t.Context(), &skepv1.GetProcessRequest{Pid: 7})
	hostile := "\x1b[31m</script>\n" + strings.Repeat("x", 5)
	c.ListProcesses(t.Context(), &skepv1.ListProcessesRequest{Filter: &skepv1.Filter{Comms: []string{hostile}}})
	c.ListProcesses(t.Context(), &skepv1.ListProcessesRequest{Filter: &skepv1.Filter{Comms: []string{strings.Repeat("y", 5000)}}})
	bearer(a, "Bearer nope").GetStatus(t.Context(), &skepv1.GetStatusRequest{})
	s := observe(t, a, &skepv1.ObserveRequest{Last: 1})
	for s.Receive() {
	}
	waitFor(t, "the stream's last line", func() bool { return strings.Contains(a.audit.text(), `"end"`) })

	lines := a.audit.all(t)
	for i, want := range []map[string]any{
		{"event": "call", "method": "GetProcess", "code": "not_found"},
		{"event": "call", "method": "ListProcesses", "code": "ok"},
		{"event": "call", "method": "ListProcesses", "code": "ok"},
		{"event": "refused", "method": "GetStatus", "code": "unauthenticated"},
		{"event": "start", "method": "Observe"},
		{"event": "end", "method": "Observe", "code": "ok"},
	} {
		if i >= len(lines) {
			t.Fatalf("%d lines: %s", len(lines), a.audit.text())
		}
		for k, v := range want {
			if lines[i][k] != v {
				t.Errorf("line %d: %s is %v, want %v", i, k, lines[i][k], v)
			}
		}
		if lines[i]["uid"] != 0.0 || lines[i]["user"] != "root" || lines[i]["pid"] != float64(os.Getpid()) {
			t.Errorf("line %d does not say who: %v", i, lines[i])
		}
		if at, err := time.Parse(time.RFC3339Nano, lines[i]["time"].(string)); err != nil || time.Since(at) > time.Minute {
			t.Errorf("line %d: time %v, %v", i, at, err)
		}
	}
	text := a.audit.text()
	for _, want := range []string{`"request":{"pid":7}`, `"request":{"filter":{"comms":["\u001b[31m\u003c/script\u003e\n`, `{"too_long_bytes":5`, `"request":{"last":1}`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, "nope") {
		t.Error("the audit log has what was sent as a token")
	}
}

// brokenDisk fails as long as it is full.
type brokenDisk struct{ full bool }

func (d *brokenDisk) Write(p []byte) (int, error) {
	if d.full {
		return 0, errors.New("no space left on device")
	}
	return len(p), nil
}

func TestCallsGoOnWithoutAudit(t *testing.T) {
	needRoot(t)
	a := startAgent(t, func(d *Deps) { d.Audit = &brokenDisk{full: true} })
	if _, err := client(a.socket).GetStatus(t.Context(), &skepv1.GetStatusRequest{}); err != nil {
		t.Error(err)
	}
	if a.Server.audit.failed.Load() != 1 {
		t.Error("the failure was not counted")
	}
}

func TestAuditFileRotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	a, err := OpenAudit(path)
	if err != nil {
		t.Fatal(err)
	}
	a.MaxBytes = 100
	for i := range 60 {
		if _, err := fmt.Fprintf(a, "line %04d of ten..\n", i); err != nil { // five in a file
			t.Fatal(err)
		}
	}
	a.Close()
	again, err := OpenAudit(path)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(again, "after a restart")
	again.Close()
	files, _ := filepath.Glob(path + "*")
	if len(files) != auditKeep+1 {
		t.Errorf("%v", files)
	}
	oldest, _ := os.ReadFile(path + ".4")
	newest, _ := os.ReadFile(path)
	if !strings.HasPrefix(string(oldest), "line 0035") || !strings.HasSuffix(string(newest), "0059 of ten..\nafter a restart\n") {
		t.Errorf("oldest %q, newest %q", oldest, newest)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

// TestAuditFullDisk: a line that does not fit is not there in part, and the next ones come.
func TestAuditFullDisk(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=16k"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	path := filepath.Join(dir, "audit.log")
	a, err := OpenAudit(path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	fmt.Fprintln(a, "first")
	if n, err := fmt.Fprintln(a, strings.Repeat("x", 32<<10)); n != 0 || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("on a full disk: %d, %v", n, err)
	}
	fmt.Fprintln(a, "second")
	if text, err := os.ReadFile(path); err != nil || string(text) != "first\nsecond\n" {
		t.Errorf("%d bytes: %.40q, %v", len(text), text, err)
	}
}

// A request that does not arrive is given up; a stream that lasts is not.
func TestRequestsAreBoundInTime(t *testing.T) {
	needRoot(t)
	a := newAgent(t)
	a.requestTimeout = time.Second
	a.serve(t)
	for name, http1 := range map[string]bool{"HTTP/1.1": true, "HTTP/2": false} {
		t.Run(name, func(t *testing.T) {
			never, w := io.Pipe()
			defer w.Close()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://skep/skep.v1.AgentService/GetStatus", never)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/proto")
			start := time.Now()
			res, err := httpClient(a.socket, http1).Do(req)
			if err == nil {
				res.Body.Close()
			}
			if took := time.Since(start); took > 20*time.Second || err == nil && res.StatusCode == http.StatusOK {
				t.Errorf("after %v: %v, %v", took, res, err)
			}
			streamOutlivesTimeout(t, a, http1)
		})
	}
}

func streamOutlivesTimeout(t *testing.T, a *agent, http1 bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c := connect.NewClient[skepv1.ObserveRequest, skepv1.ObserveResponse](httpClient(a.socket, http1), "http://skep/skep.v1.AgentService/Observe")
	s, err := c.CallServerStream(ctx, connect.NewRequest(&skepv1.ObserveRequest{Follow: true}))
	if err != nil || !s.Receive() {
		t.Fatal(err)
	}
	time.Sleep(3 * a.requestTimeout)
	a.fill(1, 0, 1)
	if !s.Receive() || len(s.Msg().GetRecords()) != 1 {
		t.Errorf("the stream broke: %v", s.Err())
	}
}

// A user who asks for tables and does not read them holds a bounded number of them.
func TestCallsUnderWayAreBounded(t *testing.T) {
	needRoot(t)
	a := newAgent(t)
	release := make(chan struct{})
	a.status = func() *skepv1.GetStatusResponse { <-release; return &skepv1.GetStatusResponse{} }
	a.serve(t)
	c, results := client(a.socket), make(chan error, maxCallsPerUID+1)
	for range maxCallsPerUID + 1 {
		go func() {
			_, err := c.GetStatus(t.Context(), &skepv1.GetStatusRequest{})
			results <- err
		}()
	}
	if err := <-results; connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("one too many: %v", err)
	}
	close(release)
	for range maxCallsPerUID {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if _, err := c.GetStatus(t.Context(), &skepv1.GetStatusRequest{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
