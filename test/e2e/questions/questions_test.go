// SPDX-License-Identifier: Apache-2.0

package questions

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// record is what the answers are compared by.
type record struct {
	Kind    string
	Time    time.Time
	Process struct {
		Pid    int
		Uid    int
		Comm   string
		ExecID string `json:"exec_id"`
	}
	Exec struct{ Args []string }
	Exit struct {
		SignalName string `json:"signal_name"`
	}
	Oom struct {
		LimitBytes uint64 `json:"limit_bytes"`
	}
	Connection struct {
		Direction     string
		Local, Remote struct {
			Address string
			Port    int
		}
		Peer struct{ Pid int }
		// Payload.
		BytesSent     int `json:"bytes_sent"`
		BytesReceived int `json:"bytes_received"`
	}
	DNS  struct{ Name, Type, Rcode string }
	File struct {
		Operation string
		Path      string
		NewPath   string `json:"new_path"`
		ErrorName string `json:"error_name"`
	}
}

// host is where the agents of this test live, one after another.
type host struct {
	t   *testing.T
	dir string
	env []string // of those who ask
	run *exec.Cmd
}

func newHost(t *testing.T, yaml string) *host {
	t.Helper()
	lock, err := skepdtest.LockHost()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	dir, err := os.MkdirTemp("", "skep-questions-") // the path of a unix socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	h := &host{t: t, dir: dir}
	if err := os.WriteFile(filepath.Join(dir, "skep.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	h.env = append(os.Environ(), "SKEP_SOCKET="+h.socket(), "PATH="+filepath.Dir(skepdtest.Build(t, "skep"))+":"+os.Getenv("PATH"))
	t.Cleanup(h.stop)
	return h
}

func (h *host) socket() string { return filepath.Join(h.dir, "skep.sock") }

func (h *host) start() {
	h.t.Helper()
	c := exec.Command(skepdtest.Build(h.t, "skepd"), "run", "--ephemeral", "--config", filepath.Join(h.dir, "skep.yaml"),
		"--socket", h.socket(), "--data-dir", filepath.Join(h.dir, "data"))
	log := &bytes.Buffer{}
	c.Stdout, c.Stderr = log, log
	if err := skepdtest.Launch(c); err != nil {
		h.t.Fatalf("%v\n%s", err, log)
	}
	h.run = c
}

func (h *host) stop() {
	if h.run == nil {
		return
	}
	_ = h.run.Process.Signal(syscall.SIGTERM)
	if err := h.run.Wait(); err != nil {
		h.t.Errorf("stop skepd: %v", err)
	}
	h.run = nil
}

// youngAgent is what a question about an hour is told by an agent that runs for less.
var youngAgent = regexp.MustCompile(`skep: the past that is known begins at .*\n`)

// ask runs a command of the document, with its variables set.
func (h *host) ask(command string, variables map[string]string) string {
	h.t.Helper()
	c := exec.Command("sh", "-euc", command)
	c.Env = slices.Clone(h.env)
	for name, value := range variables {
		c.Env = append(c.Env, name+"="+value)
	}
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if said := youngAgent.ReplaceAllString(stderr.String(), ""); err != nil || said != "" {
		h.t.Fatalf("%s: %v: %s", command, err, said)
	}
	return string(out)
}

func (h *host) records(command string, variables map[string]string) (all []record) {
	h.t.Helper()
	for line := range strings.Lines(h.ask(command+" -o json", variables)) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			h.t.Fatalf("%q: %v", line, err)
		}
		if r.Kind == "loss" {
			h.t.Fatalf("%s: something is missing: %s", command, line)
		}
		all = append(all, r)
	}
	return all
}

// TestQuestions asks what docs/questions.md asks.
func TestQuestions(t *testing.T) {
	questions := document(t)
	if len(questions) != len(answers) {
		t.Fatalf("the document has %d questions, this test the answers to %d", len(questions), len(answers))
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: it loads BPF programs")
	}
	s := newScript(t)
	h := newHost(t, s.configuration())
	h.start()
	s.play(t)
	s.settle(t, h)
	h.stop()
	h.start() // knows nothing but what is on disk
	s.look(h)
	for i, q := range questions {
		t.Run(strings.ReplaceAll(q.title, " ", "_"), func(t *testing.T) {
			asker := &host{t: t, dir: h.dir, env: h.env}
			answers[i](t, s, func() []record { return asker.records(q.command, s.variables) }, func() string { return asker.ask(q.command, s.variables) })
		})
	}
}

// same compares what was told with what happened, in any order.
func same(t *testing.T, told, happened []string) {
	t.Helper()
	slices.Sort(told)
	slices.Sort(happened)
	if len(happened) == 0 {
		t.Error("nothing happened: the test tests nothing")
	}
	if !slices.Equal(told, happened) {
		t.Errorf("told\n  %s\nhappened\n  %s", strings.Join(told, "\n  "), strings.Join(happened, "\n  "))
	}
}

// telling renders records for same, but those for which the text is "".
func telling(records []record, text func(record) string) (all []string) {
	for _, r := range records {
		if line := text(r); line != "" {
			all = append(all, line)
		}
	}
	return all
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(skepdtest.Patience); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain: ", what)
		}
	}
}
