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

// TestPage is the whole of it: the agent on this kernel, the page's server as
// an unprivileged user, a program that runs, and a browser that shows it.
func TestPage(t *testing.T) {
	needBrowser(t)
	if os.Getuid() != 0 {
		t.Skip("needs root: starts the agent")
	}
	dir := publicDir(t)
	socket := filepath.Join(dir, "skep.sock")
	watched, config := filepath.Join(dir, "watched"), skepdtest.WriteConfig(t, "")
	agent := exec.Command(skepdtest.Build(t, "skepd"), "run", "--private", "--config", config, "--socket", socket, "--data-dir", filepath.Join(dir, "data"), "--web-uid", fmt.Sprint(nobody))
	if said := start(t, agent); said != "\x01" {
		t.Fatalf("skepd did not start: %s", said)
	}
	link := serve(t, dir, socket)
	server := startNameServer(t)
	var ran []int
	got, argument := walk(t, link, "agent", func(what, argument string) error {
		switch what {
		case "resolve":
			return server.ask(argument + ".skep.test")
		case "watch":
			return watch(agent.Process, config, watched, argument)
		case "unwatch":
			return reload(agent.Process, config, "")
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
func watch(agent *os.Process, config, dir, argument string) error {
	for _, c := range changes(dir, argument) {
		if err := os.MkdirAll(filepath.Dir(c.path), 0o755); err != nil {
			return err
		}
	}
	return reload(agent, config, dir)
}

// reload gives a running agent a path to watch, or none.
func reload(agent *os.Process, config, path string) error {
	if err := os.WriteFile(config, fmt.Appendf(nil, "sensors: {files: {paths: [%s]}}\n", path), 0o600); err != nil {
		return err
	}
	return agent.Signal(syscall.SIGHUP)
}

func makeChanges(dir, argument string) error {
	for _, c := range changes(dir, argument) {
		if err := c.do(); err != nil {
			return err
		}
	}
	return nil
}
