// SPDX-License-Identifier: Apache-2.0

// Package web tests skep's page in a real browser.
package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	skepweb "github.com/skep-io/skep/internal/web"
	"github.com/skep-io/skep/test/e2e/web/fakeagent"
)

// needBrowser skips where the page cannot be opened, and says what is missing.
func needBrowser(t *testing.T) {
	t.Helper()
	missing := ""
	if _, err := exec.LookPath("node"); err != nil {
		missing = "node: apt-get install nodejs"
	} else if _, err := exec.LookPath("chromium"); err != nil && os.Getenv("CHROMIUM") == "" {
		missing = "chromium: apt-get install chromium, or set CHROMIUM"
	} else if _, err := os.Stat("node_modules/playwright-core"); err != nil {
		missing = "playwright-core: run npm ci in test/e2e/web"
	}
	if missing != "" {
		t.Skipf("needs %s", missing)
	}
}

// shots is where the screenshots go: SKEP_SHOTS, or away with the test.
func shots(t *testing.T) string {
	if dir := os.Getenv("SKEP_SHOTS"); dir != "" {
		return filepath.Join(dir, t.Name())
	}
	return t.TempDir()
}

// script is a node script that may ask this test to do things.
type script struct {
	// do answers a line that began with "do ".
	do func(what string) error
}

// run returns the script's last line.
func (s script) run(t *testing.T, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	result := s.talk(t, bufio.NewScanner(out), in)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", args[0], err, stderr.String())
	}
	return result
}

func (s script) talk(t *testing.T, out *bufio.Scanner, in io.Writer) (last []byte) {
	for out.Scan() {
		what, asks := strings.CutPrefix(out.Text(), "do ")
		if !asks {
			last = slices.Clone(out.Bytes())
			continue
		}
		answer := "done"
		if err := s.do(what); err != nil {
			t.Errorf("%s: %v", what, err)
			answer = "failed"
		}
		fmt.Fprintln(in, answer)
	}
	return last
}

// shown is what page.mjs reports of the record it opened.
type shown struct {
	Pid  uint32
	Args []string
	Exe  string
	Dns  question
	File renamed
}

// renamed is what the page says of the rename among the changes.
type renamed struct {
	Path    string
	NewPath string `json:"new_path"`
	Pid     uint32
}

// question is what the page says of the name that was asked for.
type question struct {
	Name, Rcode, Server string
	Pid                 uint32
}

func walk(t *testing.T, link, scenario string, do func(what string, argument string) error) (shown, string) {
	t.Helper()
	dir := shots(t)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	argument := fmt.Sprintf("skep-page-%d-%d", os.Getpid(), time.Now().UnixNano())
	line := script{func(what string) error { return do(what, argument) }}.run(t, "page.mjs", link, dir, argument, scenario)
	var got shown
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatalf("result of page.mjs: %v: %s", err, line)
	}
	for _, name := range []string{"dark.png", "light.png", "processes.png"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() < 10000 {
			t.Errorf("screenshot %s: %v", name, err)
		}
	}
	return got, argument
}

// fakeHost is a fake agent behind the real web server.
type fakeHost struct {
	*fakeagent.Agent
	socket string
	link   string
	stop   context.CancelFunc
	ended  chan struct{}
}

func startFake(t *testing.T, o fakeagent.Options) *fakeHost {
	t.Helper()
	h := &fakeHost{socket: filepath.Join(t.TempDir(), "s.sock")}
	h.start(o)
	t.Cleanup(func() { h.stop() })
	ready := make(chan net.Addr, 1)
	failed := make(chan error, 1)
	go func() {
		failed <- skepweb.Serve(t.Context(), skepweb.Options{Listen: "127.0.0.1:0", Socket: h.socket,
			Logger: slog.New(slog.DiscardHandler), Ready: func(a net.Addr) { ready <- a }})
	}()
	select {
	case a := <-ready:
		h.link = fmt.Sprintf("http://%s/?token=%s", a, fakeagent.Token)
	case err := <-failed:
		t.Fatal(err)
	}
	return h
}

func (h *fakeHost) start(o fakeagent.Options) {
	ctx, cancel := context.WithCancel(context.Background())
	h.Agent, h.stop, h.ended = fakeagent.New(o), cancel, make(chan struct{})
	go func() {
		defer close(h.ended)
		_ = h.Serve(ctx, h.socket)
	}()
	for range 100 {
		if c, err := net.Dial("unix", h.socket); err == nil {
			c.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestPageOnFakeAgent walks through the page on invented data: everything but the kernel.
func TestPageOnFakeAgent(t *testing.T) {
	needBrowser(t)
	o := fakeagent.Options{Rate: 300, Loss: true, Past: time.Hour}
	h := startFake(t, o)
	got, argument := walk(t, h.link, "fake", func(what, argument string) error {
		switch what {
		case "exec":
			h.Exec("/bin/echo", "echo", "--", argument)
		case "resolve":
			h.Resolve(argument + ".skep.test")
		case "change":
			for _, c := range changes("/srv/shop/page", argument) {
				h.Operate(c.record())
			}
			h.ChangeHost()
		case "stop":
			h.stop()
			<-h.ended
		case "start":
			h.start(o)
		case "expect 1 follower", "expect 0 followers":
			for end := time.Now().Add(10 * time.Second); fmt.Sprint(h.Followers()) != strings.Fields(what)[1]; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(end) {
					return fmt.Errorf("%d streams are open", h.Followers())
				}
			}
		default:
			return fmt.Errorf("unknown request")
		}
		return nil
	})
	if want := []string{"echo", "--", argument}; !slices.Equal(got.Args, want) {
		t.Errorf("the page shows %q, the agent said %q", got.Args, want)
	}
	if want := (question{argument + ".skep.test", "NXDOMAIN", "10.88.0.1", 1}); got.Dns != want {
		t.Errorf("the page shows the question %+v, the agent said %+v", got.Dns, want)
	}
	if c := changes("/srv/shop/page", argument)[1]; got.File != (renamed{c.path, c.newPath, 1}) {
		t.Errorf("the page shows the rename %+v, the agent said %+v", got.File, c)
	}
}
