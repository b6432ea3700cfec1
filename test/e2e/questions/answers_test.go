// SPDX-License-Identifier: Apache-2.0

package questions

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// answer checks what the records say, and what a user reads.
type answer func(t *testing.T, s *script, records func() []record, text func() string)

// answers are in the order of the document.
var answers = []answer{whoChanged, whatTalked, whoResolved, whatRanAsRoot, whatRanOutOfMemory, whatCrashed, whoConnected, howMuchWasSent, whatWasStarted, whatLived}

// shows checks that each of the texts is in a line of its own of what a user reads.
func shows(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !regexp.MustCompile(`(?m)^.*` + line + `.*$`).MatchString(text) {
			t.Errorf("no line has %q:\n%s", line, text)
		}
	}
}

func whoChanged(t *testing.T, s *script, records func() []record, text func() string) {
	same(t, telling(records(), func(r record) string {
		return strings.TrimSpace(fmt.Sprintf("%s by %d %s", r.File.Operation, r.Process.Pid, r.File.ErrorName))
	}), slices.Clone(s.files))
	shows(t, text(), `python3\[\d+\] +rename .*/app\.conf\.new → .*/app\.conf`, `sh\[\d+\] +open .*app\.conf .*EACCES`)
}

func whatTalked(t *testing.T, s *script, records func() []record, text func() string) {
	same(t, telling(records(), func(r record) string {
		return fmt.Sprintf("%s %s:%d to %s:%d", r.Kind, r.Connection.Local.Address, r.Connection.Local.Port, r.Connection.Remote.Address, r.Connection.Remote.Port)
	}), slices.Clone(s.talk))
	shows(t, text(), `connect +.*127\.0\.0\.1:7000`, `accept +.*`)
}

func whoResolved(t *testing.T, s *script, records func() []record, text func() string) {
	asked := map[string]bool{}
	for _, r := range records() {
		if r.DNS.Name != wantedName || r.DNS.Type == "A" && r.DNS.Rcode != "NOERROR" {
			t.Errorf("told: %+v", r)
		}
		asked[fmt.Sprintf("%s[%d] of %d", r.Process.Comm, r.Process.Pid, r.Process.Uid)] = true
	}
	var told, happened []string
	for who := range asked {
		told = append(told, who)
	}
	for i, f := range s.fetches {
		happened = append(happened, fmt.Sprintf("curl[%d] of %d", f.pid, []int{0, nobody}[i]))
	}
	same(t, told, happened)
	shows(t, text(), `curl\[\d+\] +A db\.test .*`+wantedAddress)
}

func whatRanAsRoot(t *testing.T, s *script, records func() []record, text func() string) {
	same(t, telling(records(), marked), slices.Clone(s.asRoot))
	shows(t, text(), `true\[\d+\] .*as root 0`, `true\[\d+\] .*as root 4`)
}

// marked is what a process of this test was given to say, "" for the host's others.
func marked(r record) string {
	if r.Kind == "exec" && len(r.Exec.Args) == 3 && r.Exec.Args[1] == markOf {
		return r.Exec.Args[2]
	}
	return ""
}

func whatRanOutOfMemory(t *testing.T, s *script, records func() []record, text func() string) {
	same(t, telling(records(), func(r record) string {
		if r.Process.Pid != s.oom { // another test's
			return ""
		}
		return fmt.Sprintf("%s[%d] at %d", r.Process.Comm, r.Process.Pid, r.Oom.LimitBytes)
	}), []string{fmt.Sprintf("python3[%d] at %d", s.oom, memoryLimit)})
	shows(t, text(), fmt.Sprintf(`oom +python3\[%d\]`, s.oom))
}

func whatCrashed(t *testing.T, s *script, records func() []record, text func() string) {
	happened := slices.Clone(s.crashes)
	same(t, telling(records(), func(r record) string {
		if line := fmt.Sprintf("%d by %s", r.Process.Pid, r.Exit.SignalName); slices.Contains(happened, line) || r.Exit.SignalName == "SIGTERM" {
			return line
		}
		return "" // another test's
	}), happened)
	shows(t, text(), `sh\[\d+\] .*SIGSEGV`, `sh\[\d+\] .*SIGABRT`)
}

func whoConnected(t *testing.T, s *script, records func() []record, text func() string) {
	var happened []string
	for _, f := range s.fetches {
		happened = append(happened, fmt.Sprintf("%d of curl[%d] to %d", f.localPort, f.pid, s.server))
	}
	same(t, telling(records(), func(r record) string {
		if r.Process.Pid != s.server || r.Connection.Local.Address != wantedAddress { // another test's, or to other.test
			return ""
		}
		return fmt.Sprintf("%d of curl[%d] to %d", r.Connection.Remote.Port, r.Connection.Peer.Pid, r.Process.Pid)
	}), happened)
	shows(t, text(), fmt.Sprintf(`python3\[%d\] .*:%d`, s.server, s.fetches[0].localPort))
}

func howMuchWasSent(t *testing.T, s *script, records func() []record, text func() string) {
	var happened []string
	for _, f := range s.fetches {
		happened = append(happened, fmt.Sprintf("%d sent %d and got %d", f.pid, f.sent, f.received), fmt.Sprintf("%d sent %d and got %d", s.server, f.received, f.sent))
	}
	same(t, telling(records(), func(r record) string {
		return fmt.Sprintf("%d sent %d and got %d", r.Process.Pid, r.Connection.BytesSent, r.Connection.BytesReceived)
	}), happened)
	shows(t, text(), `curl\[\d+\] .*`+wantedAddress)
}

func whatWasStarted(t *testing.T, s *script, records func() []record, text func() string) {
	same(t, telling(records(), marked), slices.Clone(s.children))
	shows(t, text(), `true\[\d+\] .*child 1`, `true\[\d+\] .*child 3`)
}

func whatLived(t *testing.T, s *script, records func() []record, text func() string) {
	pids := map[int]bool{}
	for _, r := range records() {
		pids[r.Process.Pid] = true
	}
	me := os.Getpid() // was there before the agent
	if !pids[s.shell] || !pids[s.sleeper] || !pids[me] || pids[s.gone] || pids[s.new] {
		t.Errorf("of %d processes: shell %v, its sleep %v, this test %v; ended before %v, started after %v",
			len(pids), pids[s.shell], pids[s.sleeper], pids[me], pids[s.gone], pids[s.new])
	}
	tree := text()
	shell, sleeper := regexp.MustCompile(fmt.Sprintf(`(?m)^ *%d `, s.shell)).FindStringIndex(tree), regexp.MustCompile(fmt.Sprintf(`(?m)^ *%d `, s.sleeper)).FindStringIndex(tree)
	if shell == nil || sleeper == nil || strings.Count(tree[shell[0]:sleeper[0]], "\n") != 1 {
		t.Errorf("the sleep %d is not shown below its shell %d:\n%s", s.sleeper, s.shell, tree)
	}
}
