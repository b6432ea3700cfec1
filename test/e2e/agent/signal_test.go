// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// TestStopUnderLoad: every signal that stops does so cleanly, once or often, also under
// load and with a reader that does not read; the streams get all there is, to the end.
func TestStopUnderLoad(t *testing.T) {
	for _, c := range []struct {
		name    string
		signals []os.Signal
	}{
		{"SIGTERM", []os.Signal{syscall.SIGTERM}},
		{"SIGTERM twice", []os.Signal{syscall.SIGTERM, syscall.SIGTERM}},
		{"SIGINT", []os.Signal{syscall.SIGINT}},
		{"SIGPIPE is nothing", []os.Signal{syscall.SIGPIPE, syscall.SIGTERM}},
		{"SIGHUP is a reload", []os.Signal{syscall.SIGHUP, syscall.SIGTERM}},
		{"all of them", []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGTERM}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newPrivateHouse(t)
			before := orphans(t)
			a := h.start()
			s := a.observe()
			stop := load(t)
			s.find("exit", func(r *skepv1.Record) bool { return r.Kind == "exit" })
			a.stop(c.signals...)
			stop()
			records := s.end()
			wantContinuous(t, records, nil)
			if last := records[len(records)-1]; last.GetAgent().GetEvent() != "stop" {
				t.Errorf("the stream ends with a %s, want the agent's stop", last.Kind)
			}
			if s.err != nil {
				t.Errorf("the stream ended with: %v", s.err)
			}
			if _, err := os.Lstat(h.socket); err == nil {
				t.Error("the socket is still there")
			}
			wantNoOrphans(t, before)
		})
	}
}

// TestNohup: started to survive its terminal, it does.
func TestNohup(t *testing.T) {
	h := newPrivateHouse(t)
	c := h.command("run")
	a := h.startAs(exec.Command("sh", append([]string{"-c", `trap "" HUP; exec "$@"`, "sh", c.Path}, c.Args[1:]...)...))
	if err := a.command.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	a.status()
	a.stop()
}

// TestLogGoesAway: an agent whose stderr nobody reads any more, or that has none, goes on.
func TestLogGoesAway(t *testing.T) {
	t.Run("broken pipe", func(t *testing.T) {
		h := newPrivateHouse(t)
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		c := h.command("run")
		c.Stderr = write
		read.Close()
		a := h.startAs(c) // its first line goes to nobody
		write.Close()
		wantWhole(t, a.observe())
		a.stop()
	})
	t.Run("closed", func(t *testing.T) {
		h := newPrivateHouse(t)
		c := h.command("run")
		a := h.startAs(exec.Command("sh", append([]string{"-c", `exec "$@" 2>&-`, "sh", c.Path}, c.Args[1:]...)...))
		wantWhole(t, a.observe())
		a.stop()
	})
}

// TestReadyFDTells: whoever starts the agent learns there why it did not start.
func TestReadyFDTells(t *testing.T) {
	h := newPrivateHouse(t)
	h.write("data/node_id", "not a uuid")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	c := h.command("run", "--ready-fd", "3")
	c.ExtraFiles = []*os.File{write}
	sentence := refused(t, c, "node_id")
	write.Close()
	text := make([]byte, 4096)
	n, err := read.Read(text)
	if err != nil || "skepd: "+string(text[:n]) != sentence {
		t.Errorf("the descriptor got %q (%v), stderr %q", text[:n], err, sentence)
	}
}
