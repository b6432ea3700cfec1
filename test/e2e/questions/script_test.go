// SPDX-License-Identifier: Apache-2.0

package questions

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skep-io/skep/test/e2e/containers"
)

const (
	nobody     = 65534
	serverPort = 8080
	// What the name server says of the name that is looked for.
	wantedName, wantedAddress = "db.test", "127.0.0.9"
	pageBytes                 = 4321
)

// script is what happens, and what it knows of it: the truth.
type script struct {
	dir       string // is watched
	space     string // network namespace of the servers and their clients
	server    int    // pid
	container string
	variables map[string]string // of the document's commands

	files     []string // operation, pid and error
	talk      []string // of the container
	fetches   []fetch
	asRoot    []string // marks
	oom       int      // pid of the victim
	crashes   []string // pid and signal
	parent    int      // pid of a shell that has started
	children  []string // marks
	shell     int      // pid of a shell that lived at AT, and of what it ran
	sleeper   int
	gone, new int // pids that did not
}

// fetch is what curl knows of what it did.
type fetch struct{ pid, localPort, sent, received int }

// newScript starts what is there before the agent.
func newScript(t *testing.T) *script {
	t.Helper()
	containers.Need(t, "ip", "dnsmasq", "curl", "python3", "setpriv", "runc")
	dir, err := os.MkdirTemp("", "skep-questions-day-") // users of this test are not root
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	s := &script{dir: dir, space: fmt.Sprint("skep-questions-", os.Getpid()), variables: map[string]string{}}
	resolv := "/etc/netns/" + s.space // what ip netns exec mounts over /etc
	t.Cleanup(func() {
		_ = exec.Command("ip", "netns", "del", s.space).Run()
		os.RemoveAll(resolv)
	})
	run(t, "ip", "netns", "add", s.space)
	run(t, "ip", "-n", s.space, "link", "set", "lo", "up")
	must(t, os.MkdirAll(resolv, 0o755))
	must(t, os.WriteFile(resolv+"/resolv.conf", []byte("nameserver 127.0.0.1\n"), 0o644))
	s.background(t, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=", "--user=root",
		"--listen-address=127.0.0.1", "--bind-interfaces", "--log-facility=-", "--host-record="+wantedName+","+wantedAddress, "--host-record=other.test,127.0.0.8")
	web := filepath.Join(dir, "web")
	must(t, os.Mkdir(web, 0o755))
	must(t, os.WriteFile(filepath.Join(web, "page"), make([]byte, pageBytes), 0o644))
	s.server = s.background(t, "python3", "-m", "http.server", strconv.Itoa(serverPort), "--directory", web)
	listening(t, s.server, serverPort)
	eventually(t, "the name server answers", func() bool {
		return s.inside("curl", "-s", fmt.Sprintf("http://other.test:%d/page", serverPort)).Run() == nil
	})
	return s
}

func (s *script) configuration() string {
	return fmt.Sprintf("bpffs: /sys/fs/bpf/%s\nsensors: {files: {paths: [%s]}}\n", s.space, s.dir)
}

// play makes it happen.
func (s *script) play(t *testing.T) {
	s.changeFile(t)
	s.runContainer(t)
	s.fetchPages(t)
	s.runAsRoot(t)
	s.runOutOfMemory(t)
	s.crash(t)
	s.startChildren(t)
	s.live(t)
}

func (s *script) changeFile(t *testing.T) {
	file := filepath.Join(s.dir, "app.conf")
	s.variables["FILE"] = file
	by := func(what string, c *exec.Cmd) {
		err := c.Run()
		if (err != nil) != strings.Contains(what, "EACCES") {
			t.Errorf("%v: %v", c.Args, err)
		}
		s.files = append(s.files, fmt.Sprintf(what, c.Process.Pid))
	}
	by("create by %d", exec.Command("sh", "-c", "echo first > "+file))
	must(t, os.WriteFile(file+".new", []byte("second"), 0o644))                                                                 // another file
	by("rename by %d", exec.Command("python3", "-c", "import os, sys; os.rename(sys.argv[1], sys.argv[2])", file+".new", file)) // mv tries more than once
	c := exec.Command("sh", "-c", "echo third > "+file)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	by("open by %d EACCES", c)
	by("unlink by %d", exec.Command("rm", file))
}

func (s *script) runContainer(t *testing.T) {
	const port = 7000
	s.container = containers.UniqueName("skep-question")
	s.variables["CONTAINER"] = s.container
	c := containers.RuncRun(t, s.container, "listen", fmt.Sprint("127.0.0.1:", port))
	listening(t, c.PID, port)
	local, _, ok := strings.Cut(containers.RuncExec(t, s.container, "connect", fmt.Sprint("127.0.0.1:", port)), " ")
	if !ok {
		t.Fatal("the container's client says nothing")
	}
	client, server := local, fmt.Sprint("127.0.0.1:", port)
	for _, kind := range []string{"connect", "close"} {
		s.talk = append(s.talk, kind+" "+client+" to "+server)
	}
	for _, kind := range []string{"accept", "close"} {
		s.talk = append(s.talk, kind+" "+server+" to "+client)
	}
	run(t, "runc", "delete", "--force", s.container)
}

func (s *script) fetchPages(t *testing.T) {
	s.variables["NAME"], s.variables["ADDRESS"], s.variables["PORT"] = wantedName, wantedAddress, strconv.Itoa(serverPort)
	curl := []string{"curl", "-s", "-o", "/dev/null", "-w", "%{local_port} %{size_request} %{size_header} %{size_download}",
		fmt.Sprintf("http://%s:%d/page", wantedName, serverPort)}
	for _, as := range [][]string{nil, {"setpriv", "--reuid", strconv.Itoa(nobody), "--clear-groups"}} {
		args := append(as, curl...)
		c := s.inside(args[0], args[1:]...)
		out, err := c.Output()
		must(t, err)
		f := fetch{pid: c.Process.Pid}
		var header, body int
		if _, err := fmt.Sscan(string(out), &f.localPort, &f.sent, &header, &body); err != nil || body != pageBytes {
			t.Fatalf("curl says %q: %v", out, err)
		}
		f.received = header + body
		s.fetches = append(s.fetches, f)
	}
	must(t, s.inside("curl", "-s", "-o", "/dev/null", fmt.Sprintf("http://other.test:%d/page", serverPort)).Run())
}

// markOf is the argument that tells processes of this test from the host's others.
const markOf = "skep-question"

func mark(t *testing.T, uid uint32, text string) {
	t.Helper()
	c := exec.Command("true", markOf, text)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	must(t, c.Run())
}

func (s *script) runAsRoot(t *testing.T) {
	mark(t, 0, "before")
	s.variables["FROM"] = moment()
	for i := range 5 {
		text := fmt.Sprint("as root ", i)
		mark(t, 0, text)
		s.asRoot = append(s.asRoot, text)
		mark(t, nobody, "as nobody")
	}
	s.variables["TO"] = moment()
	mark(t, 0, "after")
}

// moment is a time that is surely after what came before, and before what comes behind.
func moment() string {
	time.Sleep(100 * time.Millisecond)
	defer time.Sleep(100 * time.Millisecond)
	return time.Now().UTC().Format(time.RFC3339Nano)
}

func (s *script) runOutOfMemory(t *testing.T) {
	group := memoryCgroup(t, memoryLimit)
	c := exec.Command("sh", "-c", `echo $$ > "$0/cgroup.procs"; exec python3 -c 'x = bytearray(256 << 20)'`, group)
	_ = c.Run()
	if status := c.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
		t.Fatalf("what needs more memory than it may ended with %v", c.ProcessState)
	}
	s.oom = c.Process.Pid
}

func (s *script) crash(t *testing.T) {
	for _, signal := range []string{"SEGV", "ABRT", "TERM"} { // the last one is no crash
		c := exec.Command("sh", "-c", "kill -"+signal+" $$")
		_ = c.Run()
		if !c.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
			t.Fatalf("%v: %v", c.Args, c.ProcessState)
		}
		if signal != "TERM" {
			s.crashes = append(s.crashes, fmt.Sprintf("%d by SIG%s", c.Process.Pid, signal))
		}
	}
}

func (s *script) startChildren(t *testing.T) {
	s.children = []string{"child 1", "child 2", "child 3"}
	c := exec.Command("sh", "-c", fmt.Sprintf(`for i in 1 2 3; do /bin/true %s "child $i"; done; exit 0`, markOf))
	must(t, c.Run())
	s.parent = c.Process.Pid
}

// live has processes that live at a time, and others that do not.
func (s *script) live(t *testing.T) {
	gone := exec.Command("true")
	must(t, gone.Run())
	c := exec.Command("sh", "-c", "sleep 1000 & echo $!; wait")
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	s.shell = c.Process.Pid
	s.sleeper, err = strconv.Atoi(strings.TrimSpace(line))
	must(t, err)
	eventually(t, "it sleeps", func() bool {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", s.sleeper))
		return string(comm) == "sleep\n"
	})
	s.variables["AT"] = moment()
	_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
	_ = c.Wait()
	after := exec.Command("true", markOf, "end")
	must(t, after.Run())
	s.gone, s.new = gone.Process.Pid, after.Process.Pid
}

// settle waits until the agent has told all: it does not end in the middle of anything.
func (s *script) settle(t *testing.T, h *host) {
	eventually(t, "the last process is told", func() bool {
		return strings.Contains(h.ask("skep observe --since 1h --kind exec --comm true -o json", nil), `"end"`)
	})
	eventually(t, "the connections are closed", func() bool {
		return len(h.records(`skep observe --since 1h --kind close --addr `+wantedAddress, nil)) >= 2*len(s.fetches)
	})
}

// look finds what a user takes from an answer to put it into the next question.
func (s *script) look(h *host) {
	for _, r := range h.records("skep observe --since 1h --kind exec --comm sh", nil) {
		if r.Process.Pid == s.parent {
			s.variables["EXEC_ID"] = r.Process.ExecID
		}
	}
}
