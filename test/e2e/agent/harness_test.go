// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// house is where the agents of one test live: one after another, with the same socket,
// data and pins.
type house struct {
	t      *testing.T
	dir    string
	socket string
	pins   string // "" for private agents
	yaml   string
}

// newHouse makes a house for pinned agents, alone on this host until the test ends, and
// checks at the end that nothing of skep's is left in the kernel.
func newHouse(t *testing.T, yaml ...string) *house {
	t.Helper()
	h := newPrivateHouse(t, yaml...)
	lockHost(t)
	h.pins = "/sys/fs/bpf/skep-agent-test-" + fmt.Sprint(os.Getpid())
	h.yaml += "bpffs: " + h.pins + "\n"
	before := orphans(t)
	t.Cleanup(func() {
		if out, err := h.command("remove").CombinedOutput(); err != nil {
			t.Errorf("skepd remove: %v: %s", err, out)
		}
		wantNoOrphans(t, before)
		if _, err := os.Lstat(h.pins); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", h.pins, err)
		}
	})
	return h
}

// newPrivateHouse makes one for agents that pin nothing.
func newPrivateHouse(t *testing.T, yaml ...string) *house {
	t.Helper()
	needRoot(t)
	// Not t.TempDir: a unix socket's path has at most 107 bytes.
	dir, err := os.MkdirTemp("", "skep-agent-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	text := strings.Join(yaml, "\n") + "\n"
	if !strings.Contains(text, "store:") { // or the past of a stream would be that of the agents before
		text += "store: {enabled: false}\n"
	}
	return &house{t: t, dir: dir, socket: filepath.Join(dir, "skep.sock"), yaml: text}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it loads BPF programs")
	}
}

// lockHost waits for every other test that starts a pinned agent.
func lockHost(t *testing.T) {
	t.Helper()
	f, err := skepdtest.LockHost()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	for end := time.Now().Add(2 * skepdtest.Patience); agentRuns(t); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a skep agent that pins is running on this host; stop it: there can be only one, and this test needs its place")
		}
	}
}

// args are those of a skepd in this house.
func (h *house) args(verb string, more ...string) []string {
	config := filepath.Join(h.dir, "skep.yaml")
	if err := os.WriteFile(config, []byte(h.yaml), 0o600); err != nil {
		h.t.Fatal(err)
	}
	args := []string{verb, "--config", config, "--socket", h.socket, "--data-dir", filepath.Join(h.dir, "data")}
	if verb == "run" && h.pins == "" {
		args = append(args, "--private")
	}
	return append(args, more...)
}

func (h *house) command(verb string, more ...string) *exec.Cmd {
	return exec.Command(skepdtest.Build(h.t, "skepd"), h.args(verb, more...)...)
}

// skep runs the command-line program and returns its output.
func (h *house) skep(args ...string) string {
	h.t.Helper()
	c := exec.Command(skepdtest.Build(h.t, "skep"), append([]string{"--socket", h.socket}, args...)...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		h.t.Fatalf("skep %q: %v: %s", args, err, stderr.String())
	}
	return string(out)
}

// agent is a running skepd.
type agent struct {
	skepv1connect.AgentServiceClient
	house     *house
	command   *exec.Cmd
	transport *http.Transport
	log       string
	ended     bool
}

// start returns once the agent answers. It is killed when the test ends, if it still runs.
func (h *house) start(more ...string) *agent {
	h.t.Helper()
	return h.startAs(h.command("run", more...))
}

func (h *house) startAs(c *exec.Cmd) *agent {
	h.t.Helper()
	log, err := os.CreateTemp(h.dir, "log-")
	if err != nil {
		h.t.Fatal(err)
	}
	defer log.Close()
	if c.Stderr == nil {
		c.Stderr = log
	}
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	}
	a := &agent{house: h, command: c, log: log.Name()}
	a.AgentServiceClient, a.transport = skepdtest.Connect(h.socket)
	h.t.Cleanup(a.transport.CloseIdleConnections)
	if err := skepdtest.Launch(c); err != nil {
		h.t.Fatalf("%v\n%s", err, a.text())
	}
	h.t.Cleanup(a.cleanup)
	return a
}

func (a *agent) text() string {
	text, err := os.ReadFile(a.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (a *agent) cleanup() {
	if !a.ended {
		a.kill()
	}
	if a.house.t.Failed() {
		a.house.t.Logf("skepd's log:\n%s", a.text())
	}
}

// stop ends the agent as a service manager does: within skepdtest.Patience, or the test fails. With a connection of this
// test open that would take a second, in which it waits for its client to go.
func (a *agent) stop(signals ...os.Signal) {
	a.house.t.Helper()
	a.transport.CloseIdleConnections()
	if len(signals) == 0 {
		signals = []os.Signal{syscall.SIGTERM}
	}
	for _, s := range signals {
		if err := a.command.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
			a.house.t.Error(err)
		}
	}
	timer := time.AfterFunc(skepdtest.Patience, func() { a.command.Process.Kill() })
	defer timer.Stop()
	if err := a.wait(); err != nil {
		a.house.t.Errorf("skepd did not stop cleanly: %v", err)
	}
}

func (a *agent) kill() {
	a.command.Process.Kill()
	a.wait()
}

func (a *agent) wait() error {
	a.ended = true
	return a.command.Wait()
}

func (a *agent) status() *skepv1.GetStatusResponse {
	a.house.t.Helper()
	s, err := a.GetStatus(a.house.t.Context(), &skepv1.GetStatusRequest{})
	if err != nil {
		a.house.t.Fatalf("get status: %v", err)
	}
	return s
}

// lossOf is how many records of a kind the status says were lost at a place: 0 if it says nothing.
func lossOf(s *skepv1.GetStatusResponse, place, kind string) uint64 {
	for _, l := range s.Losses {
		if l.Place == place && l.Kind == kind {
			return l.Count
		}
	}
	return 0
}

// kindOf is what the status says of a kind of records.
func kindOf(t *testing.T, s *skepv1.GetStatusResponse, kind string) *skepv1.KindStatus {
	t.Helper()
	for _, k := range s.Kinds {
		if k.Kind == kind {
			return k
		}
	}
	t.Fatalf("the status says nothing of the kind %s: %v", kind, s.Kinds)
	return nil
}

// refused runs a command that must end by itself with exit code 1 and one sentence on
// stderr, which holds all of the wanted parts, and returns the sentence.
func refused(t *testing.T, c *exec.Cmd, want ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(skepdtest.Patience, func() { c.Process.Kill() })
	err := c.Wait()
	timer.Stop()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("it ended with %v, want exit status 1", err)
	}
	var said []string
	for line := range strings.Lines(stderr.String()) {
		if !strings.HasPrefix(line, "time=") { // the log
			said = append(said, strings.TrimSpace(line))
		}
	}
	sentence := strings.Join(said, "\n")
	t.Logf("it says: %s", sentence)
	if len(said) != 1 || !strings.HasPrefix(sentence, "skepd: ") {
		t.Errorf("want one sentence, got %q", stderr.String())
	}
	for _, part := range want {
		if !strings.Contains(sentence, part) {
			t.Errorf("%q does not say %q", sentence, part)
		}
	}
	return sentence
}

// healing is how long a table may take to heal: ten times as long in a guest, which is
// emulated, on a machine that may be busy.
func healing(limit time.Duration) time.Duration {
	if inGuest {
		return 10 * limit
	}
	return limit
}

// within waits for a condition; the last error is why it does not hold.
func within(t *testing.T, limit time.Duration, what string, check func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Errorf("%s: not within %v: %v", what, limit, err)
}

// grep returns the lines that hold a text.
func grep(text, part string) []string {
	var found []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			found = append(found, line)
		}
	}
	return found
}
