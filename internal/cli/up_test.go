// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// running is a "skep up" with a fake agent and the real page.
type running struct {
	cmd    *exec.Cmd
	stderr *bytes.Buffer
	url    string
	dir    string
	// rest gets the rest of stdout when the program has ended.
	rest chan string
}

var link = regexp.MustCompile(`http://(127\.0\.0\.1:\d+)/\?token=secret-token`)

func startUp(t *testing.T, env ...string) *running {
	return startUpOn(t, "127.0.0.1:0", env...)
}

func startUpOn(t *testing.T, listen string, env ...string) *running {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: skep up changes the user of the page's server")
	}
	dir, err := os.MkdirTemp("", "skep-cli-up-")
	if err != nil {
		t.Fatal(err)
	}
	r := &running{dir: dir, stderr: &bytes.Buffer{}, rest: make(chan string, 1)}
	conf := filepath.Join(dir, "skep.yaml")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "socket: %s/s\n", dir), 0o644); err != nil {
		t.Fatal(err)
	}
	r.cmd = exec.Command("skep", "up", "--config", conf, "--listen", listen)
	r.cmd.Env = append(append(os.Environ(), socketEnv+"=", "LANG=C.UTF-8", "FAKE_SKEPD_LOG="+dir+"/log"), env...)
	r.cmd.Stderr = r.stderr
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.cmd.Process.Kill(); os.RemoveAll(dir) })
	found := make(chan string, 1)
	go func() {
		var all strings.Builder
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if m := link.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
			}
			all.WriteString(lines.Text() + "\n")
		}
		r.rest <- all.String()
	}()
	select {
	case addr := <-found:
		r.url = "http://" + addr + "/"
	case all := <-r.rest:
		r.cmd.Wait()
		r.rest <- all
	case <-time.After(30 * time.Second):
		t.Fatalf("no link: %s", r.stderr)
	}
	return r
}

// end waits for the program and returns its exit code.
func (r *running) end() int {
	<-r.rest
	r.cmd.Wait()
	return r.cmd.ProcessState.ExitCode()
}

// children are the processes below skep up, by /proc: pid -> command.
func (r *running) children(t *testing.T) map[int]string {
	t.Helper()
	out := map[int]string{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		after := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		if after[1] != strconv.Itoa(r.cmd.Process.Pid) {
			continue
		}
		pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
		args, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		out[pid] = strings.ReplaceAll(string(args), "\x00", " ")
	}
	return out
}

func (r *running) child(t *testing.T, what string) int {
	t.Helper()
	for pid, args := range r.children(t) {
		if strings.Contains(args, what) {
			return pid
		}
	}
	t.Fatalf("no child %q in %v", what, r.children(t))
	return 0
}

func ended(pid int) bool {
	for range 100 {
		if syscall.Kill(pid, 0) != nil {
			return true
		}
		if stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); bytes.Contains(stat, []byte(") Z ")) {
			return true // ended, and waits for an init that does not reap
		}
		time.Sleep(50 * time.Millisecond)
	}
	return false
}

func TestUpServesAndStops(t *testing.T) {
	r := startUp(t)
	resp, err := http.Get(r.url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		t.Error("the page opens without the token")
	}
	page := r.child(t, "serve")
	agent := r.child(t, "run")
	uid := checkUnprivileged(t, page)
	if args := r.children(t)[agent]; !strings.Contains(args, fmt.Sprintf("--web-uid %d ", uid)) {
		t.Errorf("the agent does not know the page's user %d: %s", uid, args)
	}
	r.cmd.Process.Signal(syscall.SIGINT)
	if code := r.end(); code != 0 || r.stderr.Len() > 0 {
		t.Errorf("exit code %d, %s", code, r.stderr)
	}
	if log, _ := os.ReadFile(r.dir + "/log"); !strings.HasPrefix(string(log), "stopped run") {
		t.Errorf("the agent was not stopped in peace: %q", log)
	}
	if !ended(page) || !ended(agent) {
		t.Error("a child was left")
	}
}

// checkUnprivileged asks /proc what a process may do.
func checkUnprivileged(t *testing.T, pid int) (uid int) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	status := string(data)
	for _, want := range []string{`(?m)^Uid:\t(6\d{4})\t\d+\t\d+\t\d+$`, `(?m)^Gid:\t6\d{4}\t`, `(?m)^Groups:\s*$`, `(?m)^CapPrm:\t0+$`, `(?m)^CapEff:\t0+$`,
		`(?m)^CapBnd:\t0+$`, `(?m)^CapAmb:\t0+$`, `(?m)^NoNewPrivs:\t1$`} {
		if !regexp.MustCompile(want).MatchString(status) {
			t.Errorf("the page's server: no %s in\n%s", want, status)
		}
	}
	if m := regexp.MustCompile(`(?m)^Uid:\t(\d+)`).FindStringSubmatch(status); m != nil {
		uid, _ = strconv.Atoi(m[1])
	}
	if passwd, _ := os.ReadFile(etcPasswd); strings.Contains(string(passwd), fmt.Sprintf(":%d:", uid)) || uid < firstWebUID || uid > lastWebUID {
		t.Errorf("the page's server has user %d", uid)
	}
	return uid
}

func TestUpEndsWithItsAgent(t *testing.T) {
	r := startUp(t, "FAKE_SKEPD=dies")
	page := r.child(t, "serve")
	if err := os.WriteFile(r.dir+"/log.die", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code := r.end(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if msg := r.stderr.String(); !strings.Contains(msg, "the agent (skepd) ended: exit status 7; it last said:\n  out of luck") || strings.Count(msg, "ended") != 1 {
		t.Errorf("it said %q", msg)
	}
	if !ended(page) {
		t.Error("the page's server was left")
	}
}

func TestUpEndsWithItsPage(t *testing.T) {
	r := startUp(t)
	agent := r.child(t, "run")
	syscall.Kill(r.child(t, "serve"), syscall.SIGKILL)
	if code := r.end(); code != 1 || !strings.Contains(r.stderr.String(), "the page (skep serve) ended: signal: killed") {
		t.Errorf("exit code %d, %s", code, r.stderr)
	}
	if !ended(agent) {
		t.Error("the agent was left")
	}
}

func TestUpKilledLeavesNothing(t *testing.T) {
	r := startUp(t)
	page, agent := r.child(t, "serve"), r.child(t, "run")
	r.cmd.Process.Kill()
	r.end()
	if !ended(page) || !ended(agent) {
		t.Error("a child outlives skep up")
	}
}

func TestUpUsesARunningAgent(t *testing.T) {
	dir, err := os.MkdirTemp("", "skep-cli-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	stop, err := serveFake(dir+"/s", &fakeAgent{})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	os.Chmod(dir, 0o711)
	os.Chmod(dir+"/s", 0o666)
	r := startUp(t, socketEnv+"="+dir+"/s")
	for _, args := range r.children(t) {
		if strings.Contains(args, "run") {
			t.Errorf("started a second agent: %s", args)
		}
	}
	r.cmd.Process.Signal(syscall.SIGTERM)
	if code := r.end(); code != 0 || !strings.Contains(r.stderr.String(), "using the agent that runs already") {
		t.Errorf("exit code %d, %s", code, r.stderr)
	}
}

func TestUpCannotStart(t *testing.T) {
	r := startUp(t, "FAKE_SKEPD=refuse")
	if code := r.end(); code != 1 || !strings.Contains(r.stderr.String(), "skep: start the agent: load programs: this kernel has no BTF; boot one") {
		t.Errorf("exit code %d, %s", code, r.stderr)
	}
}

func TestUpOnATakenPort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go http.Serve(ln, http.NotFoundHandler()) // somebody else's page
	r := startUpOn(t, ln.Addr().String())
	code := r.end()
	if code != 1 || !strings.Contains(r.stderr.String(), "address already in use; choose another address with --listen") {
		t.Errorf("exit code %d, %s", code, r.stderr)
	}
	if log, _ := os.ReadFile(r.dir + "/log"); !strings.HasPrefix(string(log), "stopped run") {
		t.Errorf("the agent was not stopped: %q", log)
	}
}

func TestUnusedUID(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwd")
	var lines strings.Builder
	for uid := firstWebUID; uid <= lastWebUID; uid++ {
		if uid != 64000 && uid != 64001 {
			fmt.Fprintf(&lines, "u%d:x:%d:%d::/:/bin/false\n", uid, uid, 64001)
		}
	}
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if uid, err := unusedUID(path); err != nil || uid != 64000 {
		t.Errorf("%d, %v", uid, err)
	}
}

// TestRatesFit: every rate is there at 80 columns, and none of a sensor that is off.
func TestRatesFit(t *testing.T) {
	now := &skepv1.GetStatusResponse{Signals: []*skepv1.SignalStatus{{Signal: "exec"}, {Signal: "dns"}}}
	for _, k := range event.Kinds() {
		now.Kinds = append(now.Kinds, &skepv1.KindStatus{Kind: k.String()})
	}
	lines := packed(rateParts(nil, now, time.Second), 80)
	text := strings.Join(lines, "\n")
	for _, line := range lines {
		if len(line) > 80 {
			t.Errorf("%q has %d columns", line, len(line))
		}
	}
	if !strings.Contains(text, "exec 0/s") || !strings.Contains(text, "dns 0/s") || strings.Contains(text, "file ") {
		t.Errorf("%q: want exec and dns, and no file", text)
	}
	now.Signals = append(now.Signals, &skepv1.SignalStatus{Signal: "file"})
	if text := strings.Join(rateParts(nil, now, time.Second), "  "); !strings.Contains(text, "file 0/s") {
		t.Errorf("the file sensor is on: %q", text)
	}
}
