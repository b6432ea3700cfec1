// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

func testLineage(t *testing.T, s *scene) {
	t.Run("child", func(t *testing.T) { testChild(t, s) })
	t.Run("chain", func(t *testing.T) { testChain(t, s) })
	t.Run("fork without exec", func(t *testing.T) { testForkOnly(t, s) })
	t.Run("CLONE_PARENT", func(t *testing.T) { testSibling(t, s) })
	t.Run("orphan", func(t *testing.T) { testOrphan(t, s) })
	t.Run("posix_spawn", func(t *testing.T) { testSpawn(t, s) })
}

// own is the agent's view of this test's own process, which was there before the agent.
func (s *scene) own(t *testing.T) *skepv1.Process {
	t.Helper()
	r, err := s.agent.GetProcess(t.Context(), &skepv1.GetProcessRequest{Pid: uint32(os.Getpid())})
	must(t, err)
	return r.Process.Process
}

func testChild(t *testing.T, s *scene) {
	_, r := s.tell(t, s.helper("truth"))
	own := s.own(t)
	equal(t, "parent_exec_id", r.Process.ParentExecId, own.ExecId)
	equal(t, "ppid", r.Process.Ppid, uint32(os.Getpid()))
	fork := s.stream.Wait(t, "fork", int(r.Process.Pid))
	equal(t, "process_id of fork and exec", fork.Process.ProcessId, r.Process.ProcessId)
	equal(t, "fork's parent", fork.Process.ParentExecId, own.ExecId)
	equal(t, "fork's exe", fork.Process.Exe, own.Exe)
	exit := s.exit(t, int(r.Process.Pid))
	equal(t, "exec_id of exec and exit", exit.Process.ExecId, r.Process.ExecId)
	s.keep(t, "fork", fork)
	s.keep(t, "exec", r)
	s.keep(t, "exit", exit)
}

// testChain: one process, three images.
func testChain(t *testing.T, s *scene) {
	_, _, pid := s.run(t, s.helper("exec", s.self, "exec", s.self, "truth"))
	execs := s.execs(t, pid)
	if len(execs) != 3 {
		t.Fatalf("%d execs", len(execs))
	}
	ids := map[string]bool{}
	for _, r := range execs {
		ids[r.Process.ExecId] = true
		equal(t, "process_id", r.Process.ProcessId, execs[0].Process.ProcessId)
		equal(t, "parent_exec_id", r.Process.ParentExecId, s.own(t).ExecId)
		if !strings.HasPrefix(r.Process.ExecId, r.Process.ProcessId+"-") {
			t.Errorf("exec_id %s of process %s", r.Process.ExecId, r.Process.ProcessId)
		}
	}
	equal(t, "exec ids", len(ids), 3)
	equal(t, "exit's exec_id", s.exit(t, pid).Process.ExecId, execs[2].Process.ExecId)
}

func testForkOnly(t *testing.T, s *scene) {
	_, lines, parent := s.run(t, s.helper("forks", "7"))
	child := number(t, lines[0])
	exit := s.exit(t, child)
	fork := s.stream.Wait(t, "fork", child)
	execs := s.execs(t, parent)
	equal(t, "execs", len(s.stream.Of("exec", child)), 0)
	equal(t, "parent_exec_id", fork.Process.ParentExecId, execs[0].Process.ExecId)
	equal(t, "exe", fork.Process.Exe, execs[0].Process.Exe)
	equal(t, "comm", fork.Process.Comm, execs[0].Process.Comm)
	equal(t, "exit's exec_id", exit.Process.ExecId, fork.Process.ExecId)
	equal(t, "code", exit.GetExit().Code, 7)
	s.keep(t, "fork", fork)
	s.keep(t, "exit", exit)
}

func testSibling(t *testing.T, s *scene) {
	_, lines, caller := s.run(t, s.helper("sibling"))
	child := number(t, lines[0])
	var status unix.WaitStatus
	_, err := unix.Wait4(child, &status, 0, nil)
	must(t, err) // it is this test's child, not the caller's
	equal(t, "code", status.ExitStatus(), 5)
	fork := s.stream.Wait(t, "fork", child)
	equal(t, "parent_exec_id", fork.Process.ParentExecId, s.own(t).ExecId)
	if fork.Process.Ppid == uint32(caller) {
		t.Errorf("the caller %d is the parent", caller)
	}
}

// testOrphan: the parent has gone, its record has not.
func testOrphan(t *testing.T, s *scene) {
	c := s.helper("orphan")
	in, err := c.StdinPipe()
	must(t, err)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	scanner := bufio.NewScanner(out)
	scanner.Scan()
	child := number(t, scanner.Text())
	_, err = c.Process.Wait()
	must(t, err)
	parent := s.exit(t, c.Process.Pid)
	answer, err := s.agent.GetProcess(t.Context(), &skepv1.GetProcessRequest{Pid: uint32(child)})
	must(t, err)
	equal(t, "parent_exec_id", answer.Process.Process.ParentExecId, parent.Process.ExecId)
	if len(answer.Ancestors) < 2 || answer.Ancestors[0].Process.ExecId != parent.Process.ExecId || answer.Ancestors[0].Exited == nil {
		t.Errorf("ancestors: %v", answer.Ancestors)
	}
	must(t, in.Close())
	s.exit(t, child)
}

func testSpawn(t *testing.T, s *scene) {
	said, lines, parent := s.run(t, s.helper("vfork"))
	r := s.execs(t, number(t, lines[0]))[0]
	said.check(t, r)
	equal(t, "ppid", r.Process.Ppid, uint32(parent))
	equal(t, "parent_exec_id", r.Process.ParentExecId, s.execs(t, parent)[0].Process.ExecId)
}

func testPidReuse(t *testing.T, s *scene) {
	if _, err := os.Stat("/proc/sys/kernel/ns_last_pid"); err != nil {
		t.Skip("needs CONFIG_CHECKPOINT_RESTORE: ", err)
	}
	_, lines, _ := s.run(t, s.helper("reuse"))
	pid := number(t, lines[0])
	s.stream.Sync(t)
	forks, exits := s.stream.Of("fork", pid), s.stream.Of("exit", pid)
	if len(forks) < 2 || len(exits) < 2 {
		t.Fatalf("pid %d: %d forks, %d exits", pid, len(forks), len(exits))
	}
	forks, exits = forks[len(forks)-2:], exits[len(exits)-2:]
	if forks[0].Process.ProcessId == forks[1].Process.ProcessId {
		t.Errorf("two processes are %s", forks[0].Process.ProcessId)
	}
	for i, code := range []uint32{11, 12} {
		equal(t, "exit's exec_id", exits[i].Process.ExecId, forks[i].Process.ExecId)
		equal(t, "code", exits[i].GetExit().Code, code)
	}
}

func testThreads(t *testing.T, s *scene) {
	t.Run("are no processes", func(t *testing.T) {
		_, ids, pid := s.run(t, s.helper("threads", "20"))
		s.stream.Sync(t)
		equal(t, "threads", len(ids), 20)
		for _, id := range ids {
			tid := number(t, id)
			equal(t, "records of thread "+id, tid != pid && len(s.stream.Of("fork", tid))+len(s.stream.Of("exit", tid)) > 0, false)
		}
		equal(t, "exits", len(s.stream.Of("exit", pid)), 1)
	})
	t.Run("exec by one", func(t *testing.T) {
		said, _, pid := s.run(t, s.helper("thread", s.self, "truth"))
		execs := s.execs(t, pid)
		if len(execs) != 2 {
			t.Fatalf("%d execs", len(execs))
		}
		said.check(t, execs[1])
		equal(t, "process_id", execs[1].Process.ProcessId, execs[0].Process.ProcessId)
		equal(t, "pid", execs[1].Process.Pid, uint32(pid))
		equal(t, "exits", len(s.stream.Of("exit", pid)), 1)
		s.keep(t, "exec", execs[1])
	})
	t.Run("leader ends first", func(t *testing.T) {
		c := s.helper("leader")
		_ = c.Run()
		exit := s.exit(t, c.Process.Pid)
		equal(t, "wait's code", c.ProcessState.ExitCode(), 9)
		equal(t, "code", exit.GetExit().Code, 9)
		if ms := exit.GetExit().DurationNs / 1e6; ms < 100 {
			t.Errorf("ended after %d ms, with its first thread", ms)
		}
		equal(t, "exits", len(s.stream.Of("exit", c.Process.Pid)), 1)
		s.keep(t, "exit", exit)
	})
	t.Run("end together", func(t *testing.T) { testThreadRace(t, s) })
}

// testThreadRace: of the threads that end in one moment just one may end the process.
func testThreadRace(t *testing.T, s *scene) {
	var pids []int
	for range 100 {
		c := s.helper("race")
		_ = c.Run()
		equal(t, "wait's code", c.ProcessState.ExitCode(), 4)
		pids = append(pids, c.Process.Pid)
	}
	s.stream.Sync(t)
	for _, pid := range pids {
		equal(t, "exits", len(s.stream.Of("exit", pid)), 1)
		equal(t, "code", s.exit(t, pid).GetExit().Code, 4)
	}
}

// testStorm: where many processes begin and end at once, and interrupt each other, each
// is told of once, or counted as missed: from 7.x on a program can be interrupted by
// another task's, and that one's rescue by a third's.
func testStorm(t *testing.T, s *scene) {
	const workers, children = 6, 500
	var storms []*exec.Cmd
	for range workers {
		c := s.helper("storm", strconv.Itoa(children))
		must(t, c.Start())
		storms = append(storms, c)
	}
	for _, c := range storms {
		must(t, c.Wait())
	}
	s.stream.Sync(t)
	missing := 0
	for _, c := range storms {
		parent := s.exit(t, c.Process.Pid).Process.ProcessId
		for _, kind := range []string{"fork", "exit"} {
			count := map[string]int{}
			for _, r := range s.stream.All(func(r *skepv1.Record) bool {
				return r.Kind == kind && strings.HasPrefix(r.Process.GetParentExecId(), parent+"-")
			}) {
				count[r.Process.ExecId]++
			}
			missing += children - len(count)
			for id, n := range count {
				if n != 1 {
					t.Errorf("%s of %s came %d times", kind, id, n)
				}
			}
		}
	}
	if missing != 0 {
		time.Sleep(2 * time.Second) // such misses are counted once a second
	}
	missed := 0
	for _, loss := range s.agent.Status(t).Losses {
		if loss.Place == "program_missed" {
			missed += int(loss.Count)
		}
	}
	if missing < 0 || missing > missed {
		t.Errorf("%d records are missing, %d runs of programs are counted as missed", missing, missed)
	}
}
