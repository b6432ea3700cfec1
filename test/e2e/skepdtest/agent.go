// SPDX-License-Identifier: Apache-2.0

package skepdtest

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
)

// Patience bounds every wait: emulated kernels on a busy host are slow.
const Patience = 60 * time.Second

// Agent is a running skepd.
type Agent struct {
	skepv1connect.AgentServiceClient
	Socket string
	Dir    string // temporary; the agent's own
	PID    int

	command   *exec.Cmd
	transport *http.Transport
	log       string
}

// Start runs a private skepd with further arguments until the test ends, and returns
// when it answers. The test fails if the agent does not stop cleanly.
func Start(t testing.TB, args ...string) *Agent {
	t.Helper()
	return start(t, append([]string{"--private"}, args...))
}

func start(t testing.TB, args []string) *Agent {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it loads BPF programs")
	}
	program := Build(t, "skepd")
	// Not t.TempDir: a unix socket's path has at most 107 bytes, and other users connect.
	dir, err := os.MkdirTemp("", "skep-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	a := &Agent{Dir: dir, Socket: filepath.Join(dir, "skep.sock"), log: filepath.Join(dir, "skepd.log")}
	a.AgentServiceClient, a.transport = Connect(a.Socket)
	args = append([]string{"run", "--socket", a.Socket, "--data-dir", filepath.Join(dir, "data")}, args...)
	a.run(t, exec.Command(program, args...))
	return a
}

func (a *Agent) run(t testing.TB, c *exec.Cmd) {
	t.Helper()
	log, err := os.Create(a.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c.Stdout, c.Stderr = log, log
	if err := Launch(c); err != nil {
		t.Fatalf("%v\n%s", err, a.Log())
	}
	a.command, a.PID = c, c.Process.Pid
	t.Cleanup(func() { a.stop(t) })
}

// Log is what the agent has written so far.
func (a *Agent) Log() string {
	text, err := os.ReadFile(a.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// stop ends the agent as a service manager does. With a connection open that would take a second, in which it waits
// for its client to go.
func (a *Agent) stop(t testing.TB) {
	a.transport.CloseIdleConnections()
	_ = a.command.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(Patience, func() { _ = a.command.Process.Kill() })
	err := a.command.Wait()
	timer.Stop()
	if err != nil {
		t.Errorf("skepd did not stop cleanly: %v", err)
	}
	if t.Failed() {
		t.Logf("skepd's log:\n%s", a.Log())
	}
}

// Client talks to the agent behind a unix socket until the test ends.
func Client(t testing.TB, socket string) skepv1connect.AgentServiceClient {
	client, transport := Connect(socket)
	t.Cleanup(transport.CloseIdleConnections)
	return client
}

// Status asks for the agent's status.
func (a *Agent) Status(t testing.TB) *skepv1.GetStatusResponse {
	t.Helper()
	status, err := a.GetStatus(t.Context(), &skepv1.GetStatusRequest{})
	if err != nil {
		t.Fatalf("get status: %v", err)
	}
	return status
}

// Rung is the rung in use for a signal, "" if none is.
func (a *Agent) Rung(t testing.TB, signal string) string {
	t.Helper()
	for _, s := range a.Status(t).Signals {
		if s.Signal == signal {
			return s.Rung
		}
	}
	t.Fatalf("the agent has no signal %s", signal)
	return ""
}

// Skep runs the command-line program against the agent and returns its output.
func (a *Agent) Skep(t testing.TB, args ...string) string {
	t.Helper()
	c := exec.Command(Build(t, "skep"), append([]string{"--socket", a.Socket}, args...)...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("skep %q: %v: %s", args, err, stderr.String())
	}
	return string(out)
}

// WriteConfig writes a skep.yaml for --config and returns its path.
func WriteConfig(t testing.TB, yaml string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "skep.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(fmt.Errorf("write configuration: %w", err))
	}
	return file
}
