// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// reload writes a configuration and waits for the agent's n-th record about a reload,
// whose detail it returns.
func (a *agent) reload(s *stream, n int, yaml string) string {
	a.house.t.Helper()
	a.house.yaml = yaml
	a.house.args("run") // writes the file
	if err := a.command.Process.Signal(syscall.SIGHUP); err != nil {
		a.house.t.Fatal(err)
	}
	detail := ""
	within(a.house.t, skepdtest.Patience, fmt.Sprint("reload ", n), func() error {
		var details []string
		for _, r := range s.all() {
			if r.GetAgent().GetEvent() == "reload" {
				details = append(details, r.GetAgent().Detail)
			}
		}
		if len(details) < n {
			return fmt.Errorf("%d reloads so far", len(details))
		}
		detail = details[n-1]
		return nil
	})
	return detail
}

// TestReloadLosesNothing: 20 reloads that change everything that can change, while a
// generator counts what it writes: every record comes.
func TestReloadLosesNothing(t *testing.T) {
	h := newHouse(t)
	base := h.yaml
	addresses := []string{freeAddress(t), freeAddress(t)}
	a := h.start("--ephemeral")
	s, agents := a.observe(), a.observe("agent")
	g := h.generator()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				g.run(1, 0)
				time.Sleep(5 * time.Millisecond)
			}
		}
	}()
	for i := range 20 {
		level, address := []string{"debug", "info"}[i%2], addresses[i%2]
		detail := a.reload(agents, i+1, base+fmt.Sprintf("log: {level: %s}\nmetrics: {listen: '%s'}\nhistory: {max_bytes: %dMiB}\nredact: {args: [secret%d]}\n",
			level, address, 17+i%2, i))
		for _, key := range []string{"redact.args", "metrics.listen", "history.max_bytes"} {
			if !strings.Contains(detail, key) {
				t.Errorf("reload %d changed %q, which has no %s", i+1, detail, key)
			}
		}
		if n := len(scrape(t, "http://"+address+"/metrics")); n < 20 {
			t.Errorf("%d metrics at the new address", n)
		}
		if old, err := net.Dial("tcp", addresses[1-i%2]); err == nil {
			old.Close()
			t.Error("the old address still answers")
		}
	}
	close(stop)
	<-stopped
	produced := g.produced()
	within(t, skepdtest.Patience, "the stream has all", func() error {
		if got := generated(s.all()); got["oom"] < produced["oom"] || got["listen"] < produced["listen"] {
			return fmt.Errorf("of %v it has %v", produced, got)
		}
		return nil
	})
	records := s.all()
	got := generated(records)
	for _, kind := range []string{"fork", "exit", "oom", "listen"} {
		if got[kind] != produced[kind] || produced[kind] == 0 {
			t.Errorf("%s: %d came of %d", kind, got[kind], produced[kind])
		}
	}
	if lost := losses(records, "ring_full", "subscriber", "restart"); len(lost) > 0 {
		t.Errorf("lost: %v", lost)
	}
	wantContinuous(t, records, nil)
	t.Logf("produced %v over 20 reloads", produced)
}

// TestReloadApplies: a new pattern is in force for the next process, a level for the next line.
func TestReloadApplies(t *testing.T) {
	h := newPrivateHouse(t)
	a := h.start()
	s := a.observe()
	seen := func(word string) string {
		c := exec.Command("sh", "-c", "exit 0", word)
		if err := c.Run(); err != nil {
			t.Fatal(err)
		}
		r := s.find("the shell", func(r *skepv1.Record) bool {
			return r.Kind == "exec" && r.Process.GetPid() == uint32(c.Process.Pid) && r.GetExec().GetFilename() != "" && len(r.GetExec().Args) == 4
		})
		return r.GetExec().Args[3]
	}
	if got := seen("acct-1"); got != "acct-1" {
		t.Errorf("before: %s", got)
	}
	a.reload(s, 1, "redact: {args: ['acct-(\\d)']}\nlog: {level: error}")
	if got := seen("acct-1"); got != "acct-[redacted]" {
		t.Errorf("after: %s", got)
	}
	a.reload(s, 2, "redact: {args: []}\nlog: {level: info}")
	if got := seen("acct-1"); got != "acct-1" {
		t.Errorf("in the end: %s", got)
	}
	if n := len(grep(a.text(), "configuration reloaded")); n != 1 {
		t.Errorf("the log tells of %d reloads, want the one after its level was info again", n)
	}
}

// TestReloadKeeps: what cannot change, or has a fault, is told and stays as it was.
func TestReloadKeeps(t *testing.T) {
	address, taken := freeAddress(t), ""
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken = l.Addr().String()
	h := newPrivateHouse(t, "metrics: {listen: '"+address+"'}")
	a := h.start()
	s := a.observe("agent")
	for i, tt := range []struct{ yaml, detail, log string }{
		{"sokcet: x", "not reloaded", "sokcet"},
		{"metrics: {listen: '" + taken + "'}", "as before until the cause in the log is mended: metrics.listen", "address already in use"},
		{"metrics: {listen: '" + address + "'}\nstore: {enabled: false}\nrings: {critical_bytes: 8MiB}\ncluster: east", "as before until a restart: cluster, rings.critical_bytes", "restart skepd"},
	} {
		if detail := a.reload(s, i+1, tt.yaml); !strings.Contains(detail, tt.detail) {
			t.Errorf("%s: the stream says %q, want %q", tt.yaml, detail, tt.detail)
		}
		if len(grep(a.text(), tt.log)) == 0 {
			t.Errorf("%s: the log does not say %q:\n%s", tt.yaml, tt.log, a.text())
		}
		if res, err := http.Get("http://" + address + "/metrics"); err != nil {
			t.Errorf("%s: the metrics are gone: %v", tt.yaml, err)
		} else {
			res.Body.Close()
		}
	}
	a.stop()
}

// TestTerminalGone: an agent in the foreground ends with its terminal, and with a terminal
// that is still there a SIGHUP is a reload.
func TestTerminalGone(t *testing.T) {
	h := newPrivateHouse(t)
	master, slave := openTerminal(t)
	c := h.command("run")
	c.Stdin = slave
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	a := h.startAs(c)
	slave.Close()
	s := a.observe("agent")
	a.reload(s, 1, "")
	master.Close() // the terminal hangs up; the kernel tells the session
	timer := time.AfterFunc(skepdtest.Patience, func() { a.command.Process.Kill() })
	defer timer.Stop()
	if err := a.wait(); err != nil {
		t.Errorf("it did not stop cleanly: %v", err)
	}
}

// openTerminal makes a pseudoterminal (pts(4)).
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}
