// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/demo"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

func TestMain(m *testing.M) { os.Exit(skepdtest.Main(m)) }

type scene struct {
	Name    string            `json:"name"`
	Seen    []json.RawMessage `json:"seen"`
	Missing []string          `json:"missing"`
	Skipped string            `json:"skipped"`
}

// records are those of a kind.
func (s scene) records(t *testing.T, kind string) (all []*skepv1.Record) {
	t.Helper()
	for _, raw := range s.Seen {
		r := new(skepv1.Record)
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw, r); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if r.Kind == kind {
			all = append(all, r)
		}
	}
	return all
}

// TestDemo plays all scenes and compares what was told with what they did.
func TestDemo(t *testing.T) {
	agent := skepdtest.Start(t)
	before := leftovers(t)
	scenes := map[string]scene{}
	for d := json.NewDecoder(strings.NewReader(agent.Skep(t, "demo", "-o", "json"))); ; {
		var s scene
		if err := d.Decode(&s); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		scenes[s.Name] = s
	}
	for _, want := range demo.Scenes() {
		if s, ok := scenes[want.Name]; !ok || len(s.Missing) > 0 || s.Skipped != "" {
			t.Errorf("scene %s: played %t, missing %q, skipped %q", want.Name, ok, s.Missing, s.Skipped)
		}
	}
	wantSame(t, before)
	if t.Failed() {
		return
	}
	shell := scenes["reverse-shell"].records(t, "exec")
	if len(shell) != 3 || shell[0].Process.ProcessId != shell[1].Process.ProcessId || shell[2].Process.ParentExecId != shell[1].Process.ExecId {
		t.Errorf("updater, its shell and the shell's id: %v", shell)
	}
	mined := scenes["miner"].records(t, "close")
	if len(mined) != 1 || mined[0].GetConnection().GetBytesReceived() != 5*29 {
		t.Errorf("the pool answers five shares with 29 bytes each: %v", mined)
	}
	if crashed := scenes["crash-loop"].records(t, "exit"); len(crashed) != 4 {
		t.Errorf("crashes: %v", crashed)
	}
}

// TestInterrupted: Ctrl-C, and even kill -9, leave nothing that runs.
func TestInterrupted(t *testing.T) {
	for _, tt := range []struct {
		name   string
		signal syscall.Signal
		tidy   bool // it could clean up
	}{{"interrupt", syscall.SIGINT, true}, {"kill", syscall.SIGKILL, false}} {
		t.Run(tt.name, func(t *testing.T) {
			agent := skepdtest.Start(t)
			before := leftovers(t)
			c := exec.Command(skepdtest.Build(t, "skep"), "--socket", agent.Socket, "demo", "dns-failure")
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			title, err := bufio.NewReader(out).ReadString('\n')
			if err != nil || !strings.Contains(title, "Names that fail") {
				t.Errorf("said %q, %v", title, err)
			}
			_ = c.Process.Signal(tt.signal)
			err = c.Wait()
			if exit := new(exec.ExitError); tt.tidy && (!errors.As(err, &exit) || exit.ExitCode() != 130) {
				t.Errorf("ended with %v, want status 130", err)
			}
			if tt.tidy {
				wantSame(t, before)
				return
			}
			wantNoProcess(t)
			for _, left := range leftovers(t) {
				if !strings.Contains(strings.Join(before, " "), left) {
					if err := syscall.Rmdir(left); err != nil { // empty, as the documentation says
						t.Error(err)
					}
				}
			}
		})
	}
}

// TestRefused: without root nothing is made.
func TestRefused(t *testing.T) {
	c := exec.Command(skepdtest.Build(t, "skep"), "demo")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	var stderr bytes.Buffer
	c.Stderr = &stderr
	err := c.Run()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 4 || !strings.Contains(stderr.String(), "root") {
		t.Errorf("%v: %s", err, stderr.String())
	}
}

// leftovers are the directories that a demo makes.
func leftovers(t *testing.T) (found []string) {
	t.Helper()
	temporary, err := filepath.Glob(filepath.Join(os.TempDir(), "skep-demo-*"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), "docker-") {
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return append(found, temporary...)
}

func wantSame(t *testing.T, before []string) {
	t.Helper()
	wantNoProcess(t)
	if after := leftovers(t); strings.Join(after, "\n") != strings.Join(before, "\n") {
		t.Errorf("left behind: %q, before: %q", after, before)
	}
}

// wantNoProcess waits for the last of the stage's processes.
func wantNoProcess(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(skepdtest.Patience); ; time.Sleep(20 * time.Millisecond) {
		var alive []string
		lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range lines {
			if line, err := os.ReadFile(file); err == nil && bytes.Contains(line, []byte("\x00"+demo.Verb+"\x00")) {
				alive = append(alive, file)
			}
		}
		if len(alive) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still running: %q", alive)
		}
	}
}
