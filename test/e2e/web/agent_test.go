// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// nobody is the unprivileged user of skep serve here.
const nobody = 65534

// publicDir is a folder that the unprivileged user can enter, which t.TempDir is not.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "skep-page-test-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start runs a program until the test ends and returns the first line that it
// writes to its --ready-fd, without the newline.
func start(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var stderr bytes.Buffer
	cmd.Args = append(cmd.Args, "--ready-fd", "3")
	cmd.ExtraFiles, cmd.Stderr = []*os.File{w}, &stderr
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, cmd, &stderr) })
	if err := r.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) || line == "" {
		t.Fatalf("%s is not ready: %v", filepath.Base(cmd.Path), err)
	}
	return strings.TrimSpace(line)
}

func stop(t *testing.T, cmd *exec.Cmd, stderr *bytes.Buffer) {
	name := filepath.Base(cmd.Path)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("stop %s: %v", name, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s ended badly: %v", name, err)
	}
	if t.Failed() {
		t.Logf("%s said:\n%s", name, stderr.String())
	}
}

// unprivileged copies skep to where nobody can run it.
func unprivileged(t *testing.T, dir string) string {
	t.Helper()
	program, err := os.ReadFile(skepdtest.Build(t, "skep"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "skep"), program, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "skep")
}

// skepd is the command of an agent that keeps its data in a directory, and whose page the
// unprivileged user may serve.
func skepd(t *testing.T, config, dir, socket string, more ...string) *exec.Cmd {
	args := []string{"run", "--config", config, "--socket", socket, "--data-dir", filepath.Join(dir, "data"), "--web-uid", fmt.Sprint(nobody)}
	return exec.Command(skepdtest.Build(t, "skepd"), append(args, more...)...)
}

// serve starts the page's server as the unprivileged user, and returns what makes a link to
// the page for a role.
func serve(t *testing.T, dir, socket string) (link func(role string) string) {
	t.Helper()
	c := exec.Command(unprivileged(t, dir), "serve", "--socket", socket, "--listen", "127.0.0.1:0")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	addr := start(t, c)
	return func(role string) string {
		t.Helper()
		token, err := exec.Command(skepdtest.Build(t, "skep"), "token", "--socket", socket, "--ttl", "10m", "--role", role).Output()
		if err != nil {
			t.Fatalf("skep token: %v", err)
		}
		return fmt.Sprintf("http://%s/?token=%s", addr, strings.TrimSpace(string(token)))
	}
}

// agentHost is where an agent runs that pins nothing, until the test ends.
type agentHost struct {
	dir, config, socket string
	agent               *exec.Cmd
}

// startAgent starts one with a configuration.
func startAgent(t *testing.T, yaml string, args ...string) *agentHost {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: starts the agent")
	}
	h := &agentHost{dir: publicDir(t), config: skepdtest.WriteConfig(t, yaml)}
	h.socket = filepath.Join(h.dir, "skep.sock")
	h.agent = skepd(t, h.config, h.dir, h.socket, append(args, "--private")...)
	if said := start(t, h.agent); said != "\x01" {
		t.Fatalf("skepd did not start: %s", said)
	}
	return h
}

// reload gives the agent another configuration.
func (h *agentHost) reload(yaml string) error {
	if err := os.WriteFile(h.config, []byte(yaml), 0o600); err != nil {
		return err
	}
	return h.agent.Process.Signal(syscall.SIGHUP)
}

// TestPage is the whole of it: the agent on this kernel, the page's server as
// an unprivileged user, a program that runs, and a browser that shows it.
func TestPage(t *testing.T) {
	needBrowser(t)
	h := startAgent(t, "")
	watched := filepath.Join(h.dir, "watched")
	server := startNameServer(t)
	var ran []int
	got, argument := walk(t, serve(t, h.dir, h.socket)("view"), "agent", func(what, argument string) error {
		switch what {
		case "resolve":
			return server.ask(argument + ".skep.test")
		case "watch":
			return watch(h, watched, argument)
		case "unwatch":
			return h.reload(watching(""))
		case "change":
			return makeChanges(watched, argument)
		}
		echo := exec.Command("/bin/echo", "--", argument)
		err := echo.Run()
		ran = append(ran, echo.ProcessState.Pid()) // the record of one of them is opened
		return err
	})
	if want := []string{"/bin/echo", "--", argument}; !slices.Equal(got.Args, want) {
		t.Errorf("the page shows arguments %q, ran %q", got.Args, want)
	}
	if want := (question{argument + ".skep.test", "NXDOMAIN", server.addr, uint32(os.Getpid())}); got.Dns != want {
		t.Errorf("the page shows the question %+v, asked was %+v", got.Dns, want)
	}
	exe, err := filepath.EvalSymlinks("/bin/echo")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(ran, int(got.Pid)) || got.Exe != exe {
		t.Errorf("the page shows pid %d of %s, ran pids %d of %s", got.Pid, got.Exe, ran, exe)
	}
	if c := changes(watched, argument)[1]; got.File != (renamed{c.path, c.newPath, uint32(os.Getpid())}) {
		t.Errorf("the page shows the rename %+v, done was %+v", got.File, c)
	}
}

// watch lets a running agent watch a directory. What the changes need is made before: so many
// operations at once would be sampled.
func watch(h *agentHost, dir, argument string) error {
	for _, c := range changes(dir, argument) {
		if err := os.MkdirAll(filepath.Dir(c.path), 0o755); err != nil {
			return err
		}
	}
	return h.reload(watching(dir))
}

// watching is a configuration with a path to watch, or none.
func watching(path string) string { return fmt.Sprintf("sensors: {files: {paths: [%s]}}\n", path) }

func makeChanges(dir, argument string) error {
	for _, c := range changes(dir, argument) {
		if err := c.do(); err != nil {
			return err
		}
	}
	return nil
}
