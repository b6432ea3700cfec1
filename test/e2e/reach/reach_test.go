// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

func TestMain(m *testing.M) {
	if how := os.Getenv(farEnv); how != "" {
		os.Exit(farEnd(how))
	}
	os.Exit(skepdtest.Main(m))
}

// Two hosts answer as one, and what they say of themselves is not who they are.
func TestTwoHosts(t *testing.T) {
	n := newNetwork(t)
	n.agentHost("alpha", skepdtest.Start(t, "--config", skepdtest.WriteConfig(t, "node_name: beta\n")))
	n.agentHost("beta", skepdtest.Start(t, "--config", skepdtest.WriteConfig(t, "node_name: beta\n")))
	n.write("hosts", "# both\nssh://alpha\nssh://beta # twice is once\nssh://beta\n")
	both := "@" + n.path("hosts")

	ids := n.skep("-H", both, "whoami", "-o", "json")
	got := ids.answers(t)
	slices.SortFunc(got, func(a, b answer) int { return strings.Compare(a.Host, b.Host) })
	if ids.code != 0 || ids.stderr != "" || len(got) != 2 || got[0].Host != "alpha" || got[1].Host != "beta" || got[0].User != "root" || got[0].Role != "admin" {
		t.Errorf("whoami: %+v", ids)
	}

	status := n.skep("-H", both, "status")
	for _, want := range []string{"==> alpha <==\n", "==> beta <==\n", "Node          beta "} {
		if !strings.Contains(status.stdout, want) {
			t.Errorf("status has no %q:\n%s%s", want, status.stdout, status.stderr)
		}
	}

	ps := n.skep("-H", both, "ps", "-o", "json", "--pid", strconv.Itoa(os.Getpid()))
	for _, a := range ps.answers(t) {
		if a.Process.Pid != os.Getpid() {
			t.Errorf("ps shows pid %d", a.Process.Pid)
		}
	}
	if len(ps.answers(t)) != 2 || ps.code != 0 {
		t.Errorf("ps: %+v", ps)
	}
	testStream(t, n, both)
	testCompact(t, n, both)
}

// Each host's own record of one process comes, marked with the host.
func testStream(t *testing.T, n *network, hosts string) {
	l := n.follow("-H", hosts, "observe", "-f", "--last", "0", "--kind", "exec,exit", "-o", "json")
	n.awaitLive(l, "alpha", "beta")
	pid := marker(t)
	for _, host := range []string{"alpha", "beta"} {
		l.await("the exit on "+host, &l.stdout, isRecord(host, "exit", pid))
	}
	if code := l.interrupt(); code != 0 {
		t.Errorf("observe ended with %d: %q", code, l.lines(&l.stderr))
	}
	for _, host := range []string{"alpha", "beta"} {
		for _, kind := range []string{"exec", "exit"} {
			found := slices.DeleteFunc(l.lines(&l.stdout), func(line string) bool { return !isRecord(host, kind, pid)(line) })
			if len(found) != 1 || decode(t, found...)[0].NodeName != "beta" {
				t.Errorf("%s of %s: %d records: %q", kind, host, len(found), found)
			}
		}
	}
}

// awaitLive runs processes until each host has told of one.
func (n *network) awaitLive(l *live, hosts ...string) {
	n.t.Helper()
	for end := time.Now().Add(skepdtest.Patience); ; {
		marker(n.t)
		lines := l.lines(&l.stdout)
		if !slices.ContainsFunc(hosts, func(h string) bool {
			return !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, `{"host":"`+h+`"`) })
		}) {
			return
		}
		if time.Now().After(end) {
			n.t.Fatalf("not all of %q are live: %q", hosts, l.lines(&l.stderr))
		}
	}
}

func isRecord(host, kind string, pid int) func(string) bool {
	return func(line string) bool {
		var a answer
		return json.Unmarshal([]byte(line), &a) == nil && a.Host == host && a.Kind == kind && a.Process.Pid == pid
	}
}

func testCompact(t *testing.T, n *network, hosts string) {
	pid := marker(t)
	r := n.skep("-H", hosts, "observe", "--kind", "exit", "--pid", strconv.Itoa(pid))
	for _, host := range []string{"alpha", "beta"} {
		found := 0
		for line := range strings.Lines(r.stdout) {
			fields := strings.Fields(line)
			if len(fields) > 3 && fields[1] == host && fields[2] == "exit" && strings.Contains(fields[3], fmt.Sprintf("[%d]", pid)) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%d lines of %s:\n%s%s", found, host, r.stdout, r.stderr)
		}
	}
}

// Whoever fails, in whatever way, is named with the reason, in bounded time;
// the one that works answers.
func TestHostsThatFail(t *testing.T) {
	n := newNetwork(t)
	n.agentHost("alpha", skepdtest.Start(t))
	n.listen("hangs", (*host).hold)
	refuses, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.alias("refuses", refuses.Addr().(*net.TCPAddr).Port)
	refuses.Close()
	n.sshd("bare", "SetEnv PATH=/usr/bin:/bin")
	n.sshd("greeter", "ForceCommand echo Welcome to greeter; exec cat >/dev/null")
	n.sshd("frozen", "ForceCommand exec cat >/dev/null")
	n.sshd("closed", "DenyUsers root")
	n.sshd("unknown")
	n.forget("unknown")
	n.sshd("idle", "SetEnv PATH="+filepath.Dir(skepdtest.Build(t, "skep"))+":/usr/bin:/bin SKEP_SOCKET="+n.path("none.sock"))
	n.far("babbles", "babble")
	n.far("giant", "giant")
	n.far("stops", "stop")

	args := []string{"--timeout", "40s", "-o", "json", "whoami"}
	for _, h := range []string{"hangs", "refuses", "bare", "greeter", "frozen", "closed", "unknown", "idle", "babbles", "giant", "stops", "alpha"} {
		args = append(args, "-H", "ssh://"+h)
	}
	r := n.skep(args...)
	if got := r.answers(t); len(got) != 1 || got[0].Host != "alpha" || got[0].User != "root" {
		t.Errorf("answers: %q", r.stdout)
	}
	if r.code == 0 || r.took > 20*time.Second+skepdtest.Patience {
		t.Errorf("exit code %d after %v", r.code, r.took)
	}
	if !strings.Contains(r.stderr, "skep: hangs: no answer within 40s") { // ssh's own limit is the same
		wantLine(t, r.stderr, "skep: hangs: ssh failed", "timed out")
	}
	wantLine(t, r.stderr, "skep: refuses: ssh failed", "Connection refused")
	wantLine(t, r.stderr, "skep: bare: skep is not in the PATH", "not found")
	wantLine(t, r.stderr, "skep: greeter: something else than skep answered", `"Welcome to greeter\n"`)
	wantLine(t, r.stderr, "skep: frozen: no answer within 40s")
	wantLine(t, r.stderr, "skep: closed: ssh failed", "Permission denied")
	wantLine(t, r.stderr, "skep: unknown: ssh failed", "Host key verification failed")
	wantLine(t, r.stderr, "skep: idle: no agent answers at "+n.path("none.sock"))
	wantLine(t, r.stderr, "skep: babbles: the answer makes no sense: ")
	wantLine(t, r.stderr, "skep: giant: ", "larger than configured max")
	wantLine(t, r.stderr, "skep: stops: the connection was lost: ", "enough of this")
	for line := range strings.Lines(r.stderr) {
		if strings.ContainsAny(line, "\x1b\x07\r") || !strings.HasPrefix(line, "skep: ") || len(line) > 1000 {
			t.Errorf("a line of stderr is %.2000q", line)
		}
	}
	if t.Failed() {
		t.Log(r.stderr)
	}
}

// forget makes a host's key one that is not known.
func (n *network) forget(name string) {
	n.t.Helper()
	kept := ""
	for line := range strings.Lines(read(n.t, n.path("known_hosts"))) {
		if !strings.HasPrefix(line, name+" ") {
			kept += line
		}
	}
	n.write("known_hosts", kept)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A host that dies in the middle of a stream is told; the other one goes on.
func TestHostThatDies(t *testing.T) {
	n := newNetwork(t)
	a := skepdtest.Start(t)
	n.agentHost("alpha", a)
	beta := n.agentHost("beta", a)
	l := n.follow("-H", "ssh://alpha", "-H", "ssh://beta", "observe", "-f", "--last", "0", "--kind", "exec,exit", "-o", "json")
	n.awaitLive(l, "alpha", "beta")
	beta.drop()
	l.await("beta's end", &l.stderr, func(line string) bool { return strings.HasPrefix(line, "skep: beta: the connection was lost: ") })
	pid := marker(t)
	l.await("alpha's record after beta's end", &l.stdout, isRecord("alpha", "exit", pid))
	if code := l.interrupt(); code != 3 {
		t.Errorf("exit code %d, want 3: one of the two went away", code)
	}
	if errs := l.lines(&l.stderr); len(errs) != 1 {
		t.Errorf("stderr: %q", errs)
	}
}

// A host that freezes in the middle of a stream is told by its silence.
func TestHostThatFreezes(t *testing.T) {
	n := newNetwork(t)
	n.far("freezes", "freeze")
	r := n.skep("--timeout", "8s", "-H", "ssh://freezes", "observe", "-f", "-o", "json")
	if got := r.answers(t); r.code != 3 || len(got) != 1 || got[0].Host != "freezes" || r.took > 24*time.Second+skepdtest.Patience {
		t.Errorf("exit code %d after %v: %q", r.code, r.took, r.stdout)
	}
	wantLine(t, r.stderr, "skep: freezes: no answer within 8s")
}

// The agent sees who has logged in, gives that user's role, and logs the call.
func TestRoleOfTheLogin(t *testing.T) {
	n := newNetwork(t)
	a := skepdtest.Start(t, "--config", skepdtest.WriteConfig(t, "roles: {view_group: nogroup}\n"))
	h := n.agentHost("alpha", a)
	viewer := n.skep("-H", "ssh://viewer@alpha", "whoami", "-o", "json")
	if viewer.code != 0 {
		t.Fatalf("%+v\n%s", viewer, h.log())
	}
	if got := viewer.answers(t); len(got) != 1 || got[0].Host != "viewer@alpha" || got[0].UID != viewerUID || got[0].Role != "view" {
		t.Errorf("viewer: %s", viewer.stdout)
	}
	stranger := n.skep("-H", "ssh://stranger@alpha", "ps")
	if stranger.code != 4 || !strings.Contains(stranger.stderr, "skep: stranger@alpha: this needs role view, "+strconv.Itoa(strangerUID)) {
		t.Errorf("stranger: %+v", stranger)
	}
	denied := n.skep("-H", "ssh://viewer@alpha", "token", "--role", "admin")
	if denied.code != 4 || denied.stdout != "" {
		t.Errorf("a viewer asks for an admin's token: %+v", denied)
	}
	audit := read(t, filepath.Join(a.Dir, "data", "audit.log"))
	for _, want := range []string{
		fmt.Sprintf(`"uid":%d,"user":"%d","role":"view","peer_uid":%d`, viewerUID, viewerUID, viewerUID),
		fmt.Sprintf(`"event":"refused","uid":%d`, strangerUID),
	} {
		if !strings.Contains(audit, want) {
			t.Errorf("the audit log has no %s:\n%s", want, audit)
		}
	}
}

// What a hostile agent says stays in its lines, under its own name.
func TestHostileAgent(t *testing.T) {
	n := newNetwork(t)
	n.far("evil", "agent")
	n.far("worse", "agent")
	for _, output := range []string{"compact", "table", "json"} {
		r := n.skep("-H", "ssh://evil", "-H", "ssh://worse", "observe", "-o", output)
		if r.code != 1 || len(r.stderr) > 20<<10 {
			t.Errorf("exit code %d, %d bytes of errors", r.code, len(r.stderr))
		}
		if strings.ContainsAny(r.stdout+r.stderr, "\x1b\r\u202e") {
			t.Errorf("not safe on a terminal: %q, %.3000q", r.stdout, r.stderr)
		}
		lines := 0
		for line := range strings.Lines(r.stdout) {
			if strings.HasPrefix(line, "TIME") {
				continue
			}
			lines++
			if !strings.Contains(line[:min(len(line), 60)], "evil") && !strings.Contains(line[:min(len(line), 60)], "worse") {
				t.Errorf("%s: whose line is %q", output, line)
			}
		}
		if want := map[string]int{"compact": 4, "table": 4, "json": 2}[output]; lines != want {
			t.Errorf("%s: %d lines, want %d: %q", output, lines, want, r.stdout)
		}
		for line := range strings.Lines(r.stderr) {
			if !strings.HasPrefix(line, "skep: evil: ") && !strings.HasPrefix(line, "skep: worse: ") {
				t.Errorf("%s: whose error is %.200q", output, line)
			}
		}
	}
}
