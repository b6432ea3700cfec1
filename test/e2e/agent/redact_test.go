// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// planted is what the agent must not know.
const planted = "Zq7planted7qZ"

// secretive runs a shell whose arguments have the secret in several forms until the test ends.
func secretive(t *testing.T) *exec.Cmd {
	t.Helper()
	c := exec.Command("sh", "-c", "read x", "secretive", "--password", planted, "TOKEN="+planted, "https://me:"+planted+"@host/", "raw\xff", "--pin", planted)
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = c.Wait() // read fails at the end of its input
	})
	return c
}

// TestNoSecretLeaves: whatever the API says of processes that were there before the agent,
// and of those that it saw start, has no secret in it.
func TestNoSecretLeaves(t *testing.T) {
	before := secretive(t)
	time.Sleep(100 * time.Millisecond) // it has become the shell
	dir := t.TempDir()
	h := newPrivateHouse(t, "redact: {names: [pin]}", "sensors: {host: {calls: [mount, memfd]}, files: {paths: ["+dir+"]}}")
	a := h.start()
	s := a.observe()
	after := secretive(t)
	wantCleanNames(t, s, dir)
	pid := uint32(after.Process.Pid)
	record := s.find("the exec", func(r *skepv1.Record) bool {
		return r.Kind == "exec" && r.Process.GetPid() == pid && len(r.GetExec().GetArgs()) > 3
	})
	want := "sh|-c|read x|secretive|--password|[redacted]|TOKEN=[redacted]|https://me:[redacted]@host/|raw\uFFFD|--pin|[redacted]"
	if got := strings.Join(record.GetExec().Args, "|"); got != want || record.GetExec().ArgsRedacted != 4 {
		t.Errorf("got %s, %d redacted", got, record.GetExec().ArgsRedacted)
	}
	if strings.Count(string(record.GetExec().ArgsRaw), "[redacted]") != 4 {
		t.Errorf("raw: %q", record.GetExec().ArgsRaw)
	}
	list, err := a.ListProcesses(t.Context(), &skepv1.ListProcessesRequest{Exited: true})
	if err != nil {
		t.Fatal(err)
	}
	told := []proto.Message{list, a.status()}
	for _, pid := range []int{before.Process.Pid, after.Process.Pid} {
		p, err := a.GetProcess(t.Context(), &skepv1.GetProcessRequest{Pid: uint32(pid)})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(p.Process.Args, "|"); got != want {
			t.Errorf("process %d: %s", pid, got)
		}
		told = append(told, p)
	}
	for _, r := range s.all() {
		told = append(told, r)
	}
	for _, m := range told {
		if text := prototext.Format(m); strings.Contains(text, planted) {
			t.Errorf("the secret is in %s", text)
		}
	}
	if n := a.status().ArgsRedacted; n < 8 {
		t.Errorf("%d arguments redacted, want 8 or more", n)
	}
	a.stop()
	if strings.Contains(a.text(), planted) {
		t.Error("the secret is in the agent's log")
	}
}

// wantCleanNames wants no secret in what a process names by itself.
func wantCleanNames(t *testing.T, s *stream, dir string) {
	t.Helper()
	if err := unix.Mount("//me:"+planted+"@host/share", dir+"/none", "cifs", 0, ""); err == nil {
		t.Error("mounted a share")
	}
	fd, err := unix.MemfdCreate("token="+planted, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := os.Symlink("https://me:"+planted+"@host/x", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	for want, text := range map[string]func(*skepv1.Record) string{
		"//me:[redacted]@host/share":   func(r *skepv1.Record) string { return r.GetHost().GetSource() },
		"token=[redacted]":             func(r *skepv1.Record) string { return r.GetHost().GetName() },
		"https://me:[redacted]@host/x": func(r *skepv1.Record) string { return r.GetFile().GetTarget() },
	} {
		s.find(want, func(r *skepv1.Record) bool { return text(r) == want })
	}
}

// TestRedactOff: an administrator may want it all.
func TestRedactOff(t *testing.T) {
	before := secretive(t)
	time.Sleep(100 * time.Millisecond)
	a := newPrivateHouse(t, "redact: {defaults: false}").start()
	p, err := a.GetProcess(t.Context(), &skepv1.GetProcessRequest{Pid: uint32(before.Process.Pid)})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(strings.Join(p.Process.Args, "|"), planted); got != 4 {
		t.Errorf("the secret is there %d times, want 4: %q", got, p.Process.Args)
	}
}
