// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// listener listens at the names that it is given, and says so.
const listener = `
import json, os, socket, sys
os.setuid(65534)
all = []
for name in json.loads(sys.argv[1]):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET if "seq" in name else socket.SOCK_STREAM)
    s.bind(name)
    s.listen()
    all.append(s)
print(json.dumps(len(all)), flush=True)
sys.stdin.read()
`

// visitor connects to each of the names, and to one that nobody has.
const visitor = `
import json, socket, sys
for name in json.loads(sys.argv[1]):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET if "seq" in name else socket.SOCK_STREAM)
    s.connect(name)
try:
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).connect("/nonexistent/socket")
except FileNotFoundError:
    pass
print(json.dumps("done"), flush=True)
sys.stdin.read()
`

// TestUnixPrograms: who connects to what, and who listens there.
func TestUnixPrograms(t *testing.T) {
	needPython(t)
	a := skepdtest.Start(t)
	rung := a.Rung(t, "unix")
	if rung == "" {
		t.Skip("needs a rung of the signal unix, of which none works here")
	}
	dir, err := os.MkdirTemp("", "skep-e2e-unix-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o777))
	s := a.Observe(t, &skepv1.Filter{Kinds: []string{"unix", "exit"}})
	names := []string{filepath.Join(dir, "plain"), filepath.Join(dir, "new\nline\x1b[31m"), filepath.Join(dir, "seq"), "\x00skep" + dir, "\x00seq\n" + dir}
	list, err := json.Marshal(names)
	must(t, err)
	var n int
	l := python(t, listener, string(list))
	l.said(&n)
	v := python(t, visitor, string(list))
	var done string
	v.said(&done)
	v.end()
	s.Wait(t, "exit", v.cmd.Process.Pid)
	records := s.Of("unix", v.cmd.Process.Pid)
	want := len(names)
	if rung != "tp_btf" {
		want++ // it tells of failures too
	}
	if len(records) != want {
		t.Fatalf("%d records, want %d: %v", len(records), want, records)
	}
	for i, name := range names {
		u := records[i].GetUnix()
		shown, abstract := strings.CutPrefix(name, "\x00")
		if abstract {
			shown = "@" + shown
		}
		kind := "stream"
		if strings.Contains(name, "seq") {
			kind = "seqpacket"
		}
		if u.Path != shown || u.Abstract != abstract || u.Type != kind || u.Error != 0 || (u.Netns != 0) != abstract {
			t.Errorf("connect to %q: %v", name, u)
		}
		if p := u.Peer; p.GetPid() != l.pid() || p.GetComm() != "python3" || p.GetProcessId() == "" || u.PeerUid != 65534 || u.PeerGone {
			t.Errorf("connect to %q: peer %v of uid %d, want %d of 65534", name, p, u.PeerUid, l.pid())
		}
	}
	if want > len(names) {
		if u := records[len(names)].GetUnix(); u.ErrorName != "ENOENT" || u.Path != "/nonexistent/socket" || u.Peer != nil {
			t.Errorf("failed connect: %v", u)
		}
	}
	checkShown(t, a, dir)
	l.end()
}

// checkShown: the command line finds a socket by its directory, and shows no control character.
func checkShown(t *testing.T, a *skepdtest.Agent, dir string) {
	t.Helper()
	out := a.Skep(t, "observe", "--kind", "unix", "--path", dir, "--last", "10")
	if strings.Count(out, "\n") != 3 || !strings.Contains(out, dir+`/new\nline\x1b[31m (python3[`) || strings.Contains(out, "\x1b") {
		t.Errorf("observe says %q", out)
	}
}
