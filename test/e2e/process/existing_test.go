// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// waiting is a helper that waits for its input to end, then tells the truth.
type waiting struct {
	command *exec.Cmd
	input   io.Closer
	output  io.Reader
}

func startWaiting(t *testing.T, s *scene, args ...string) *waiting {
	t.Helper()
	w := &waiting{command: s.helper("wait")}
	w.command.Args = append([]string{"waiting"}, args...)
	in, err := w.command.StdinPipe()
	must(t, err)
	out, err := w.command.StdoutPipe()
	must(t, err)
	must(t, w.command.Start())
	t.Cleanup(func() { w.input.Close(); _ = w.command.Process.Kill(); _, _ = w.command.Process.Wait() })
	w.input, w.output = in, out
	_, err = bufio.NewReaderSize(out, 16).ReadString('\n') // "ready", and nothing more before the input ends
	must(t, err)
	return w
}

func (w *waiting) pid() int { return w.command.Process.Pid }

// TestExisting: processes that were there first are in the table, as far as /proc knows.
func TestExisting(t *testing.T) {
	s := &scene{dir: workDir(t)}
	s.self = filepath.Join(s.dir, "self")
	memfd, w := s.helper("fexec wait", s.self), startWaiting(t, s, "one", "", "t\xffo")
	in, err := memfd.StdinPipe()
	must(t, err)
	out, err := memfd.StdoutPipe()
	must(t, err)
	must(t, memfd.Start())
	t.Cleanup(func() { _ = memfd.Wait() })
	t.Cleanup(func() { in.Close() })
	_, err = bufio.NewReaderSize(out, 16).ReadString('\n')
	must(t, err)
	odd := filepath.Join(s.dir, "odd (deleted)")
	must(t, os.Link(s.self, odd))
	s2 := &scene{dir: s.dir, self: odd}
	oddly := startWaiting(t, s2)
	zombie := s.helper("exit", "0")
	must(t, zombie.Start()) // and nobody waits for it
	t.Cleanup(func() { _ = zombie.Wait() })
	waitZombie(t, zombie.Process.Pid)

	s.agent = skepdtest.Start(t)
	s.stream = s.agent.Observe(t, nil)
	info := s.process(t, w.pid())
	p := info.Process
	equal(t, "preexisting", p.Preexisting, true)
	equal(t, "exe", p.Exe, s.self)
	equal(t, "parent", p.ParentExecId, s.own(t).ExecId)
	record := &skepv1.Record{Process: p, Body: &skepv1.Record_Exec{Exec: info.Exec}}
	equal(t, "path_source", info.Exec.File.PathSource, "proc")
	equal(t, "memfd", s.process(t, memfd.Process.Pid).Exec.Memfd, true)
	equal(t, "odd name's exe", s.process(t, oddly.pid()).Process.Exe, odd)
	equal(t, "odd name's unlinked", s.process(t, oddly.pid()).Exec.Unlinked, false)
	if r, err := s.agent.GetProcess(t.Context(), &skepv1.GetProcessRequest{Pid: uint32(zombie.Process.Pid)}); err == nil {
		t.Errorf("a zombie lives: %v", r.Process)
	}
	kthreadd := s.process(t, 2)
	if kthreadd.Process.Comm == "kthreadd" { // else this is a container
		equal(t, "kernel thread's exe", kthreadd.Process.Exe, "")
		equal(t, "kernel thread's args", len(kthreadd.Args), 0)
	}

	w.input.Close()
	said := w.truth(t)
	record.GetExec().File.PathSource = "kernel"
	said.check(t, record)
	exit := s.exit(t, w.pid())
	equal(t, "exit's exec_id", exit.Process.ExecId, p.ExecId)
	equal(t, "exit's preexisting", exit.Process.Preexisting, true)
}

// TestExistingAll: of the processes that were there first none is left out, pid 1 neither.
func TestExistingAll(t *testing.T) {
	before, err := filepath.Glob("/proc/[0-9]*")
	must(t, err)
	agent := skepdtest.Start(t)
	found := 0
	for _, dir := range before {
		pid, err := strconv.ParseUint(filepath.Base(dir), 10, 32)
		must(t, err)
		if _, err := agent.GetProcess(t.Context(), &skepv1.GetProcessRequest{Pid: uint32(pid)}); err == nil {
			found++
		} else if stat, gone := os.ReadFile(dir + "/stat"); gone == nil && !bytes.Contains(stat, []byte(") Z ")) {
			t.Errorf("process %d lives and is not in the table: %v", pid, err)
		}
	}
	if found == 0 {
		t.Errorf("none of %d processes found", len(before))
	}
}

// TestStartInACrowd: of processes that begin and end while the agent attaches, none stays
// in its table.
func TestStartInACrowd(t *testing.T) {
	var crowd sync.WaitGroup
	stop := make(chan struct{})
	for range 2 * runtime.NumCPU() {
		crowd.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = exec.Command("/bin/true").Run()
				}
			}
		})
	}
	agent := skepdtest.Start(t)
	close(stop)
	crowd.Wait()
	var ghosts []string
	for end := time.Now().Add(skepdtest.Patience); ; time.Sleep(100 * time.Millisecond) {
		r, err := agent.ListProcesses(t.Context(), &skepv1.ListProcessesRequest{Filter: &skepv1.Filter{}})
		must(t, err)
		ghosts = nil
		for _, p := range r.Processes {
			if _, err := os.Stat(fmt.Sprint("/proc/", p.Process.Pid)); err != nil {
				ghosts = append(ghosts, fmt.Sprintf("%d %s", p.Process.Pid, p.Process.Comm))
			}
		}
		if len(r.Processes) > 0 && len(ghosts) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("of %d processes in the table these are none: %q", len(r.Processes), ghosts)
		}
	}
}

func (s *scene) process(t *testing.T, pid int) *skepv1.ProcessInfo {
	t.Helper()
	r, err := s.agent.GetProcess(t.Context(), &skepv1.GetProcessRequest{Pid: uint32(pid)})
	if err != nil {
		t.Fatalf("process %d: %v", pid, err)
	}
	return r.Process
}

// tableSize is the smallest that the configuration allows.
const tableSize = 1024

// TestTableFull: where the kernel's table has no room, processes keep their ids and tell
// of their exit, and the loss is counted.
func TestTableFull(t *testing.T) {
	s := &scene{dir: workDir(t)}
	s.self = filepath.Join(s.dir, "self")
	s.agent = skepdtest.Start(t, "--config", skepdtest.WriteConfig(t, "tables:\n  processes: 1024\n"))
	s.stream = s.agent.Observe(t, nil)
	c := s.helper("crowd", "1200")
	in, err := c.StdinPipe()
	must(t, err)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	t.Cleanup(func() { in.Close(); _ = c.Wait() })
	_, err = bufio.NewReader(out).ReadString('\n')
	must(t, err)

	said, r := s.tell(t, s.helper("exec", s.self, "truth"))
	said.check(t, r)
	pid := int(r.Process.Pid)
	execs := s.execs(t, pid)
	equal(t, "execs", len(execs), 2)
	equal(t, "process_id", execs[0].Process.ProcessId, execs[1].Process.ProcessId)
	exit := s.exit(t, pid)
	equal(t, "exit's exec_id", exit.Process.ExecId, execs[1].Process.ExecId)
	equal(t, "exits", len(s.stream.Of("exit", pid)), 1)
	if _, err := s.agent.GetProcess(t.Context(), &skepv1.GetProcessRequest{Pid: uint32(pid)}); err == nil {
		t.Error("the process is in the table for ever")
	}

	_, lines, parent := s.run(t, s.helper("forks", "6"))
	fork := s.stream.Wait(t, "fork", number(t, lines[0]))
	equal(t, "child's parent", fork.Process.ParentExecId, s.execs(t, parent)[0].Process.ExecId)

	loss := s.stream.WaitFor(t, "loss", func(r *skepv1.Record) bool { return r.Kind == "loss" && r.GetLoss().Place == "table_full" })
	if l := loss.GetLoss(); l.LostKind != "fork" || l.Count == 0 || l.FirstSeq != 0 {
		t.Errorf("loss: %v", l)
	}
	s.stream.Sync(t)
	forks := s.stream.All(func(r *skepv1.Record) bool { return r.Kind == "fork" && r.Process.Ppid == uint32(c.Process.Pid) })
	if len(forks) < 1200 { // its threads are none
		t.Errorf("%d forks of the crowd", len(forks))
	}
	for _, f := range forks {
		if f.Seq == 0 || f.Process.ParentExecId != forks[0].Process.ParentExecId {
			t.Fatalf("fork %v", f)
		}
	}
}
