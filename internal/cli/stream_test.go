// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startSkep runs skep as a process against a fake agent.
func startSkep(t testing.TB, args ...string) (*exec.Cmd, io.Reader, *bytes.Buffer) {
	t.Helper()
	return startSkepOn(t, &fakeAgent{}, args...)
}

func startSkepOn(t testing.TB, agent *fakeAgent, args ...string) (*exec.Cmd, io.Reader, *bytes.Buffer) {
	t.Helper()
	dir, err := os.MkdirTemp("", "skep-cli-") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	stop, err := serveFake(socket, agent)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("skep", args...)
	cmd.Env = append(os.Environ(), socketEnv+"="+socket, "LANG=C.UTF-8")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		stop()
		os.RemoveAll(dir)
	})
	return cmd, out, &stderr
}

// TestFollowTellsFirst: whoever follows a kind that nobody watches would wait for ever.
func TestFollowTellsFirst(t *testing.T) {
	cmd, out, stderr := startSkep(t, "observe", "-f", "--kind", "accept,exec")
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if got, want := stderr.String(), "skep: nothing makes records of kind accept now: over\n"; got != want {
		t.Errorf("it said %q, want %q", got, want)
	}
}

// The stream shows a record as soon as it is there, although the output is
// buffered, and ends quietly when the user has had enough.
func TestFollowFlushesAndEndsQuietly(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cmd, out, stderr := startSkep(t, "observe", "-f")
		found := make(chan bool, 1)
		lines := bufio.NewScanner(out)
		go func() {
			for lines.Scan() {
				if strings.Contains(lines.Text(), "live[200]") {
					found <- true
					break
				}
			}
			for lines.Scan() {
			}
		}()
		select {
		case <-found:
		case <-time.After(20 * time.Second):
			t.Fatal("the live record was not shown")
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
			t.Errorf("%v: %v, %q", sig, err, stderr)
		}
	}
}

// TestAgentIsKilled: a connection that breaks off is an agent that is no more.
func TestAgentIsKilled(t *testing.T) {
	dir, err := os.MkdirTemp("", "skep-cli-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	stop, err := serveFake(filepath.Join(dir, "agent"), &fakeAgent{})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	front, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	conns := make(chan net.Conn, 16)
	go func() {
		for {
			conn, err := front.Accept()
			if err != nil {
				return
			}
			agent, err := net.Dial("unix", filepath.Join(dir, "agent"))
			if err != nil {
				conn.Close()
				return
			}
			conns <- conn
			go io.Copy(agent, conn)
			go io.Copy(conn, agent)
		}
	}()
	cmd := exec.Command("skep", "observe", "-f", "--socket", filepath.Join(dir, "s"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer timer.Stop()
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "live[200]") {
	}
	for len(conns) > 0 {
		(<-conns).Close() // without a last word
	}
	for lines.Scan() {
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitNoAgent || !strings.HasPrefix(stderr.String(), "skep: the agent went away") {
		t.Errorf("exit code %d, %q", code, stderr.String())
	}
}

// An answer that was interrupted is not a success.
func TestInterruptedQuestion(t *testing.T) {
	requests, err := os.Create(filepath.Join(t.TempDir(), "requests"))
	if err != nil {
		t.Fatal(err)
	}
	defer requests.Close()
	cmd, _, stderr := startSkepOn(t, &fakeAgent{requests: requests}, "ps", "--where", "hang")
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if asked, _ := os.ReadFile(requests.Name()); bytes.Contains(asked, []byte("ListProcesses ")) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("skep did not ask within 20 s")
		}
	}
	cmd.Process.Signal(syscall.SIGINT)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || stderr.Len() > 0 {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

// Every record of a flood comes out, in every format.
func TestFloodIsComplete(t *testing.T) {
	const n = 20000
	for output, extra := range map[string]int{"compact": 0, "json": 0, "table": 1} {
		cmd, out, stderr := startSkep(t, "observe", "--where", strconv.Itoa(n), "-o", output)
		lines := countLines(out)
		if err := cmd.Wait(); err != nil || lines != n+extra {
			t.Errorf("%s: %d lines, %v, %s", output, lines, err, stderr)
		}
	}
}

func countLines(r io.Reader) (n int) {
	buf := make([]byte, 64<<10)
	for {
		k, err := r.Read(buf)
		n += bytes.Count(buf[:k], []byte{'\n'})
		if err != nil {
			return n
		}
	}
}

// BenchmarkObserveToPipe is the whole way: fake agent, socket, skep, pipe.
// The agent's share of the CPU is in it; cpu-us/record is skep's alone.
func BenchmarkObserveToPipe(b *testing.B) {
	for _, output := range []string{"compact", "json", "table"} {
		b.Run(output, func(b *testing.B) {
			cmd, out, _ := startSkep(b, "observe", "--where", strconv.Itoa(b.N), "-o", output)
			countLines(out)
			if err := cmd.Wait(); err != nil {
				b.Fatal(err)
			}
			cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(cpu.Microseconds())/float64(b.N), "cpu-us/record")
		})
	}
}

func BenchmarkRender(b *testing.B) {
	records := sampleRecords()
	for _, output := range []string{"compact", "json", "table"} {
		b.Run(output, func(b *testing.B) {
			a := &app{err: io.Discard}
			p, buf := a.newPrinter(output), []byte(nil)
			b.ReportAllocs()
			for i := range b.N {
				buf = p.record(buf[:0], records[i%len(records)])
			}
		})
	}
}
