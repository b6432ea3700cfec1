// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/sensor/host"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// TestCapability: the first use of a capability is told, the second is not, nor one that was
// refused, nor what the kernel asks of whoever maps memory.
func TestCapability(t *testing.T) {
	s := newScene(t, "", "sensors: {host: {calls: [capability]}}\n")
	if s.agent.Rung(t, "capability") == "" {
		t.Skip("needs fexit or Linux 6.14, for capabilities")
	}
	for _, c := range []struct {
		calls []string
		want  []string
	}{
		{[]string{"map"}, nil},
		{[]string{"chroot", "chroot", "map"}, []string{"CAP_SYS_CHROOT"}},
		{[]string{"chroot", "nobody", "chroot"}, []string{"CAP_SYS_CHROOT", "CAP_SETUID"}},
	} {
		pid, _ := play(t, s.dir, c.calls...)
		var got []string
		for _, h := range s.of(t, pid, len(c.want)) {
			// The others are of what Go and the libraries in this binary do when it starts.
			if slices.Contains([]string{"CAP_SYS_CHROOT", "CAP_SETUID", "CAP_SYS_ADMIN"}, h.Capability) {
				got = append(got, h.Capability)
			}
			if h.UserNamespace != inode(t, "/proc/self/ns/user") {
				t.Errorf("%v is of another user namespace", h)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v used %v, want %v", c.calls, got, c.want)
		}
	}
}

func inode(t *testing.T, file string) uint32 {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Stat(file, &stat); err != nil {
		t.Fatal(err)
	}
	return uint32(stat.Ino)
}

// want reloads the configuration and waits until just these groups are attached.
func (s *scene) want(t *testing.T, n int, groups ...string) {
	t.Helper()
	yaml := fmt.Sprintf(large+"sensors: {host: {calls: [%s]}}\n", strings.Join(groups, ", "))
	if err := os.WriteFile(s.file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.agent.PID, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.stream.WaitFor(t, fmt.Sprint("reload ", n), func(*skepv1.Record) bool {
		return len(s.stream.All(func(r *skepv1.Record) bool { return r.GetAgent().GetEvent() == "reload" })) >= n
	})
	s.wantAttached(t, groups...)
}

// wantAttached waits until the status has programs for these groups only: it looks at them
// once a second.
func (s *scene) wantAttached(t *testing.T, groups ...string) {
	t.Helper()
	programs := map[string]bool{}
	for _, signal := range s.agent.Status(t).Signals {
		if slices.Contains(host.Groups(), signal.Signal) && signal.Available != slices.Contains(groups, signal.Signal) {
			t.Errorf("%s is available: %t", signal.Signal, signal.Available)
		}
	}
	for _, l := range host.Sensor().Ladders {
		for _, r := range l.Rungs {
			for _, p := range r.Programs {
				programs[p] = programs[p] || slices.Contains(groups, l.Signal) || l.Signal == "host_calls" && len(groups) > 0 && !slices.Equal(groups, []string{"kill"})
			}
		}
	}
	var last []string
	for end := time.Now().Add(skepdtest.Patience); ; time.Sleep(50 * time.Millisecond) {
		last = nil
		attached := 0
		for _, p := range s.agent.Status(t).Programs {
			if wanted, ours := programs[p.Name]; ours && !wanted {
				last = append(last, p.Name)
			} else if ours {
				attached++
			}
		}
		if len(last) == 0 && (attached > 0) == (len(groups) > 0) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("for %v there are %d programs, and not wanted %v", groups, attached, last)
		}
	}
}

// large is a ring for a storm.
const large = "rings: {telemetry_bytes: 32MiB}\n"

// TestReload: what is wanted comes and goes, and what stays wanted loses nothing.
func TestReload(t *testing.T) {
	s := newScene(t, "", large+"sensors: {host: {calls: []}}\n")
	s.wantAttached(t)
	told := func(want int, calls ...string) {
		t.Helper()
		pid, _ := play(t, s.dir, calls...)
		if got := s.of(t, pid, want); len(got) != want {
			t.Errorf("%d records of %v, want %d: %v", len(got), calls, want, got)
		}
	}
	told(0, "memfd", "setns", "kill")
	s.want(t, 1, "memfd")
	told(1, "memfd", "setns", "kill")
	s.want(t, 2, "kill")
	told(2, "memfd", "setns", "kill")
	s.want(t, 3, "setns", "memfd")
	told(2, "memfd", "setns", "kill")
	storming := make(chan int)
	go func() {
		pid, _ := play(t, s.dir, "memfds")
		storming <- pid
	}()
	n, pid := 3, 0
	for pid == 0 {
		n++
		s.want(t, n, [][]string{{"memfd"}, {"memfd", "kill", "setns"}}[n%2]...)
		select {
		case pid = <-storming:
		default:
		}
	}
	if got := len(s.of(t, pid, storm)); got != storm {
		t.Errorf("%d records of %d calls during %d reloads", got, storm, n-3)
	}
	s.want(t, n+1)
	told(0, "memfd", "setns", "kill")
}

// TestAuto: what other calls would have to pay for is off, and says what it would cost.
func TestAuto(t *testing.T) {
	s := newScene(t, "", "")
	for _, signal := range s.agent.Status(t).Signals {
		if host.IsTaxing(signal.Rung) {
			t.Errorf("%s is on the rung %s", signal.Signal, signal.Rung)
		}
		for _, r := range signal.Rungs {
			if host.IsTaxing(r.Name) && (r.State != "off" || !strings.Contains(r.Reason, " ns ") || !strings.Contains(r.Reason, "sensors.host.calls")) {
				t.Errorf("%s: rung %s is %s: %s", signal.Signal, r.Name, r.State, r.Reason)
			}
		}
	}
	for _, p := range s.agent.Status(t).Programs {
		if strings.Contains(p.Hook, "sys_enter") || strings.Contains(p.Hook, "sys_exit") {
			t.Errorf("%s is at %s", p.Name, p.Hook)
		}
	}
	pid, results := play(t, s.dir, "kill")
	calls := s.of(t, pid, 2)
	if len(calls) < 2 || calls[0].SignalName != "SIGWINCH" || int(calls[0].Target.GetPid()) != results[0].Number {
		t.Errorf("of a signal is told %v", calls)
	}
}

// TestForged: a signal that claims to come from a timer of the receiver is told all the same.
func TestForged(t *testing.T) {
	s := newScene(t, "", "sensors: {host: {calls: [kill]}}\n")
	if rung := s.agent.Rung(t, "kill"); strings.HasSuffix(rung, "_probe") {
		t.Skip("needs a process's registers (Linux 5.15)")
	}
	pid, results := play(t, s.dir, "kill forged")
	calls := s.of(t, pid, 2)
	if len(calls) != 2 || calls[0].SignalName != "SIGWINCH" || int(calls[0].Target.GetPid()) != results[0].Number {
		t.Errorf("of a forged signal is told %v", calls)
	}
}

// TestRefusedSignal: where the kernel's check can be followed, its refusal is told, with its target.
func TestRefusedSignal(t *testing.T) {
	s := newScene(t, "", "sensors: {host: {calls: [kill]}}\n")
	pid, results := play(t, s.dir, "nobody", "kill parent")
	want := 0
	if rung := s.agent.Rung(t, "kill"); strings.HasPrefix(rung, "fexit") {
		want = 1
	}
	calls := s.of(t, pid, want)
	if len(calls) != want || results[1].Error != "EPERM" {
		t.Fatalf("of a refused signal (%v) is told %v, want %d records", results, calls, want)
	}
	if want == 1 && (calls[0].ErrorName != "EPERM" || calls[0].Delivery != "refused" || int(calls[0].Target.GetPid()) != results[1].Number) {
		t.Errorf("of a refused signal is told %v", calls)
	}
}

// TestLosses: what a small ring has no room for is counted, and leaves a gap of that size in
// the numbers.
func TestLosses(t *testing.T) {
	s := newScene(t, "", "rings: {telemetry_bytes: 64KiB}\nsensors: {host: {calls: [memfd]}}\n")
	mark := func() *skepv1.Record {
		t.Helper()
		pid, _ := play(t, s.dir, "memfd")
		return s.stream.Wait(t, "host", pid)
	}
	first := mark()
	if err := syscall.Kill(s.agent.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	pid, _ := play(t, s.dir, "memfds")
	if err := syscall.Kill(s.agent.PID, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	s.stream.Wait(t, "exit", pid)
	last := mark()
	received := len(s.stream.All(func(r *skepv1.Record) bool { return r.Kind == "host" && r.Seq > first.Seq && r.Seq <= last.Seq }))
	lost := 0
	for _, r := range s.stream.All(func(r *skepv1.Record) bool { return r.GetLoss().GetLostKind() == "host" }) {
		if l := r.GetLoss(); l.Place == "ring_full" {
			lost += int(l.Count)
		}
	}
	// Others on this host may have made some too.
	if own := len(s.stream.Of("host", pid)); lost == 0 || own+lost < storm || received+lost != int(last.Seq-first.Seq) {
		t.Errorf("%d records came, %d of them of the storm, and %d are lost, of %d; %d numbers were given", received, own, lost, storm, last.Seq-first.Seq)
	}
}
