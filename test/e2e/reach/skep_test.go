// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// command is skep, with the ssh and the hosts of the network.
func (n *network) command(args ...string) *exec.Cmd {
	n.t.Helper()
	if !slices.Contains(args, "--timeout") { // the ssh of these tests is some twenty processes
		args = append([]string{"--timeout", "1m"}, args...)
	}
	c := exec.Command(skepdtest.Build(n.t, "skep"), args...)
	c.Env = append(os.Environ(), "PATH="+n.path("bin")+":"+os.Getenv("PATH"), "SKEP_SOCKET="+n.path("no-agent-here"), "TZ=UTC", "LANG=C.UTF-8")
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return c
}

// result is what a skep that has ended has left.
type result struct {
	stdout, stderr string
	code           int
	took           time.Duration
}

func (n *network) skep(args ...string) result {
	n.t.Helper()
	c := n.command(args...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	start := time.Now()
	if err := c.Start(); err != nil {
		n.t.Fatal(err)
	}
	timer := time.AfterFunc(2*skepdtest.Patience, func() { c.Process.Kill() })
	_ = c.Wait() // its exit code is the result's
	timer.Stop()
	n.nothingLeft()
	return result{stdout.String(), stderr.String(), c.ProcessState.ExitCode(), time.Since(start)}
}

// nothingLeft wants every ssh of this network gone with the skep that had started it, but for
// the moment that being killed takes.
func (n *network) nothingLeft() {
	n.t.Helper()
	left := n.left()
	for end := time.Now().Add(2 * time.Second); len(left) > 0 && time.Now().Before(end); left = n.left() {
		time.Sleep(10 * time.Millisecond)
	}
	for _, command := range left {
		n.t.Errorf("still running: %q", command)
	}
}

func (n *network) left() (commands []string) {
	n.t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		n.t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err == nil && bytes.Contains(text, []byte(n.path("config"))) {
			commands = append(commands, string(text))
		}
	}
	return commands
}

// live is a skep that follows.
type live struct {
	n       *network
	command *exec.Cmd
	done    chan struct{}

	mu             sync.Mutex
	stdout, stderr []string
}

func (n *network) follow(args ...string) *live {
	n.t.Helper()
	l := &live{n: n, command: n.command(args...), done: make(chan struct{})}
	stdout, err := l.command.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	stderr, err := l.command.StderrPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := l.command.Start(); err != nil {
		n.t.Fatal(err)
	}
	var both sync.WaitGroup
	both.Go(func() { l.collect(stdout, &l.stdout) })
	both.Go(func() { l.collect(stderr, &l.stderr) })
	go func() {
		both.Wait()
		_ = l.command.Wait() // its exit code tells
		close(l.done)
	}()
	n.t.Cleanup(func() {
		_ = l.command.Process.Kill() // it may have ended
		<-l.done
	})
	return l
}

func (l *live) collect(from io.Reader, to *[]string) {
	for lines := bufio.NewReader(from); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		l.mu.Lock()
		*to = append(*to, strings.TrimSuffix(line, "\n"))
		l.mu.Unlock()
	}
}

func (l *live) lines(of *[]string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(*of)
}

// await waits for a line of the output.
func (l *live) await(what string, of *[]string, match func(string) bool) {
	l.n.t.Helper()
	for end := time.Now().Add(skepdtest.Patience); !slices.ContainsFunc(l.lines(of), match); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			l.n.t.Fatalf("not seen: %s; stdout ends with %.2000q, stderr is %q", what, tail(l.lines(&l.stdout)), l.lines(&l.stderr))
		}
	}
}

func tail(lines []string) []string { return lines[max(0, len(lines)-3):] }

// interrupt is Ctrl-C; it returns the exit code.
func (l *live) interrupt() int {
	l.n.t.Helper()
	_ = l.command.Process.Signal(syscall.SIGINT)
	select {
	case <-l.done:
	case <-time.After(skepdtest.Patience):
		l.n.t.Fatal("it goes on after Ctrl-C")
	}
	l.n.nothingLeft()
	return l.command.ProcessState.ExitCode()
}

// marker runs a process that every agent of this machine sees, and returns its pid.
func marker(t *testing.T) int {
	t.Helper()
	c := exec.Command("/proc/self/exe", "-test.run=^$")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	return c.Process.Pid
}

// answer is the part of a JSON line that the tests look at.
type answer struct {
	Host     string `json:"host"`
	NodeName string `json:"node_name"`
	Kind     string `json:"kind"`
	Process  struct {
		Pid int `json:"pid"`
	} `json:"process"`
	UID  int    `json:"uid"`
	User string `json:"user"`
	Role string `json:"role"`
}

func decode(t *testing.T, lines ...string) []answer {
	t.Helper()
	var out []answer
	for _, line := range lines {
		var a answer
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%.500q: %v", line, err)
		}
		out = append(out, a)
	}
	return out
}

func (r result) answers(t *testing.T) []answer {
	t.Helper()
	return decode(t, slices.Collect(strings.Lines(r.stdout))...)
}

// wantLine wants a line that begins with one text and holds others.
func wantLine(t *testing.T, text, begin string, hold ...string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, begin) && !slices.ContainsFunc(hold, func(part string) bool { return !strings.Contains(line, part) }) {
			return
		}
	}
	t.Errorf("no line begins with %q and holds %q in:\n%s", begin, hold, text)
}
