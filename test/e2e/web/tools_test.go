// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// TestTools runs tools from the page, with a link that may and one that may not.
func TestTools(t *testing.T) {
	needBrowser(t)
	if os.Getuid() != 0 {
		t.Skip("needs root: starts the agent")
	}
	dir := publicDir(t)
	socket := filepath.Join(dir, "skep.sock")
	agent := exec.Command(skepdtest.Build(t, "skepd"), "run", "--private", "--config", skepdtest.WriteConfig(t, ""), "--socket", socket,
		"--data-dir", filepath.Join(dir, "data"), "--web-uid", fmt.Sprint(nobody))
	if said := start(t, agent); said != "\x01" {
		t.Fatalf("skepd did not start: %s", said)
	}
	serve := exec.Command(unprivileged(t, dir), "serve", "--socket", socket, "--listen", "127.0.0.1:0")
	serve.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	addr := start(t, serve)
	link := func(role string) string {
		token, err := exec.Command(skepdtest.Build(t, "skep"), "token", "--socket", socket, "--ttl", "10m", "--role", role).Output()
		if err != nil {
			t.Fatalf("skep token: %v", err)
		}
		return fmt.Sprintf("http://%s/?token=%s", addr, strings.TrimSpace(string(token)))
	}
	argument := fmt.Sprintf("skep-tools-%d", time.Now().UnixNano())
	script{func(what string) error {
		if what == "open" {
			return openMissing(dir, argument)
		}
		spin(2 * time.Second)
		return nil
	}}.run(t, "tools.mjs", link("view"), link("operate"), argument)
}

// openMissing opens seven files that are not there, one of them with a hostile name.
func openMissing(dir, argument string) error {
	for i := range 7 {
		name := fmt.Sprintf("%s-%d", argument, i)
		if i == 3 {
			name += "<img src=x>"
		}
		if _, err := os.Open(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("open %s: %v, which is not there", name, err)
		}
	}
	return nil
}

// spin is busy in a way that a profile shows, and gives the processor away now and then.
func spin(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		sum := 0
		for i := range 1_000_000 {
			sum += i * i
		}
		if sum == 1 {
			panic("unreachable")
		}
		time.Sleep(time.Millisecond)
	}
}
