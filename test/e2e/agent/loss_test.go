// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// TestLossesAgree: what the rings could not hold is in the stream, in the status and in
// the metrics, and with what came it is what the generator has counted.
func TestLossesAgree(t *testing.T) {
	address := freeAddress(t)
	h := newHouse(t, tinyRings, "metrics:\n  listen: "+address)
	a := h.start("--ephemeral")
	s := a.observe()
	g := h.generator()
	for range 5 {
		g.run(200, 0) // far more than the rings hold, and faster than anyone reads
		time.Sleep(100 * time.Millisecond)
	}
	produced := g.produced()
	within(t, skepdtest.Patience, "the stream has all", func() error {
		got, lost := generated(s.all()), losses(s.all(), "ring_full")
		if got["oom"]+lost["oom"] < produced["oom"] || got["listen"]+lost["listen"] < produced["listen"] {
			return fmt.Errorf("of %v it has %v, and %v are counted as lost", produced, got, lost)
		}
		return nil
	})
	records, status := s.all(), a.status()
	got, lost := generated(records), losses(records, "ring_full")
	metrics := scrape(t, "http://"+address+"/metrics")
	for _, kind := range []string{"oom", "listen"} {
		if lost[kind] == 0 || !accounted(kind, got[kind], lost[kind], produced[kind]) {
			t.Errorf("stream: of %d %s records %d came and %d are counted as lost", produced[kind], kind, got[kind], lost[kind])
		}
	}
	for kind, n := range lost {
		if told := lossOf(status, "ring_full", kind); told != n {
			t.Errorf("status: %d %s records lost, the stream says %d", told, kind, n)
		}
		if name := fmt.Sprintf(`skep_events_lost_total{kind="%s",place="ring_full"}`, kind); metrics[name] != n {
			t.Errorf("metrics: %d %s records lost, the stream says %d", metrics[name], kind, n)
		}
	}
	if k := kindOf(t, status, "oom"); k.Received != got["oom"] || k.Lost != lost["oom"] {
		t.Errorf("status: %d and %d lost, the stream says %d and %d", k.Received, k.Lost, got["oom"], lost["oom"])
	}
	if metrics[`skep_events_total{kind="oom"}`] != got["oom"] || metrics[`skep_events_missed_total{kind="oom"}`] != lost["oom"] {
		t.Errorf("metrics: %d and %d lost, the stream says %d and %d", metrics[`skep_events_total{kind="oom"}`],
			metrics[`skep_events_missed_total{kind="oom"}`], got["oom"], lost["oom"])
	}
	a.stop()
	wantContinuous(t, s.end(), nil)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// scrape reads metrics with whole values.
func scrape(t *testing.T, url string) map[string]uint64 {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]uint64{}
	for line := range strings.Lines(string(text)) {
		at := strings.LastIndexByte(line, ' ')
		if v, err := strconv.ParseFloat(strings.TrimSpace(line[at+1:]), 64); err == nil && at > 0 {
			values[line[:at]] = uint64(v)
		}
	}
	return values
}

// TestTableHeals: after forks, execs and exits were lost, the process table is what /proc
// says, within three seconds.
func TestTableHeals(t *testing.T) {
	h := newHouse(t, tinyRings)
	a := h.start("--ephemeral")
	s := a.observe("loss")
	var gone, left []*exec.Cmd
	for range 50 {
		gone = append(gone, sleeper(t))
	}
	if err := a.command.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	g := h.generator()
	g.run(40, 0) // the critical ring is full: nothing of what follows is seen
	for _, c := range gone {
		c.Process.Kill()
		c.Wait()
	}
	for range 50 {
		left = append(left, sleeper(t))
	}
	if err := a.command.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	s.find("loss of an exec", func(r *skepv1.Record) bool { return r.GetLoss().GetLostKind() == "exec" })
	within(t, healing(3*time.Second), "the table heals", func() error {
		table := map[uint32]*skepv1.ProcessInfo{}
		r, err := a.ListProcesses(t.Context(), &skepv1.ListProcessesRequest{})
		if err != nil {
			return err
		}
		for _, p := range r.Processes {
			table[p.Process.Pid] = p
		}
		for _, c := range gone {
			if table[uint32(c.Process.Pid)] != nil {
				return fmt.Errorf("process %d has ended and is in the table", c.Process.Pid)
			}
		}
		for _, c := range left {
			if err := sameAsProc(c.Process.Pid, table[uint32(c.Process.Pid)]); err != nil {
				return err
			}
		}
		return onlyLiving(table)
	})
	a.stop()
}

func sameAsProc(pid int, p *skepv1.ProcessInfo) error {
	if p == nil {
		return fmt.Errorf("process %d lives and is not in the table", pid)
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return err
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return err
	}
	if args := strings.Join(p.Args, "\x00") + "\x00"; p.Process.Exe != exe || args != string(line) {
		return fmt.Errorf("process %d is %s %q, in the table %s %q", pid, exe, line, p.Process.Exe, args)
	}
	return nil
}

// onlyLiving refuses processes that are gone, but for the generator's.
func onlyLiving(table map[uint32]*skepv1.ProcessInfo) error {
	for pid := range table {
		if _, err := os.Stat(fmt.Sprint("/proc/", pid)); pid < firstTgid && errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("process %d is not in /proc", pid)
		}
	}
	return nil
}

// TestStoppedReader: a reader that is stopped slows neither the agent nor another reader,
// and learns later exactly how much it has missed.
func TestStoppedReader(t *testing.T) {
	h := newHouse(t, "history:\n  max_bytes: 4MiB")
	a := h.start("--ephemeral")
	s := a.observe("fork", "exit", "oom", "listen", "loss")
	file := filepath.Join(h.dir, "stopped.json")
	reader := stoppedReader(t, h, file)
	g := h.generator()
	runs := 1500
	if os.Getenv("SKEP_KERNEL") != "" {
		runs = 300
	}
	g.run(runs, 3*time.Second)
	produced := g.produced()
	within(t, skepdtest.Patience, "the other reader has all", func() error {
		got, lost := generated(s.all()), losses(s.all(), "ring_full", "subscriber")
		if !accounted("oom", got["oom"], lost["oom"], produced["oom"]) {
			return fmt.Errorf("of %d it has %d, and %d are counted as lost", produced["oom"], got["oom"], lost["oom"])
		}
		return nil
	})
	if err := reader.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	var slow, missed uint64
	within(t, skepdtest.Patience, "the stopped reader has all", func() error {
		slow, missed = countFile(t, file)
		if slow+missed < produced["oom"] {
			return fmt.Errorf("of %d it has %d, and %d are counted as lost", produced["oom"], slow, missed)
		}
		return nil
	})
	t.Logf("of %d the stopped reader got %d and was told of %d", produced["oom"], slow, missed)
	if slow+missed != produced["oom"] || runs == 1500 && missed == 0 {
		t.Errorf("of %d the stopped reader got %d and was told of %d", produced["oom"], slow, missed)
	}
	a.stop()
	reader.Wait()
}

// stoppedReader is a real skep observe that was stopped once it had subscribed.
func stoppedReader(t *testing.T, h *house, file string) *exec.Cmd {
	t.Helper()
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c := exec.Command(skepdtest.Build(t, "skep"), "--socket", h.socket, "observe", "--kind", "oom,fork,exit,listen", "-f", "--last", "1", "-o", "json")
	c.Stdout = out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() })
	within(t, skepdtest.Patience, "the reader has subscribed", func() error {
		exec.Command("true").Run()
		if info, err := os.Stat(file); err != nil || info.Size() == 0 {
			return errors.New("it wrote nothing")
		}
		return nil
	})
	if err := c.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	return c
}

// countFile counts the OOM kills of a file of JSON records, and those told as lost.
func countFile(t *testing.T, file string) (got, lost uint64) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r struct {
			Kind string
			Loss struct {
				LostKind string `json:"lost_kind"`
				Count    uint64
			}
		}
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			continue // the last line is being written
		}
		if r.Kind == "oom" {
			got++
		} else if r.Loss.LostKind == "oom" {
			lost += r.Loss.Count
		}
	}
	return got, lost
}

// TestCrowd: however much is lost of all else, no record of a process's life is.
func TestCrowd(t *testing.T) {
	h := newHouse(t, "rings:\n  critical_bytes: 16777216\n  telemetry_bytes: 65536")
	a := h.start("--ephemeral")
	s := a.observe("loss")
	g := h.generator()
	produced := func() (listens, others uint64) {
		n := g.produced()
		return n["listen"], n["fork"] + n["exit"] + n["oom"]
	}
	for range 5 {
		g.run(200, 0) // far more than the small ring holds, and well within the large one
		time.Sleep(100 * time.Millisecond)
	}
	within(t, skepdtest.Patience, "the losses are told", func() error {
		if lost := losses(s.all(), "ring_full"); lost["listen"] < 1000 {
			return fmt.Errorf("%v", lost)
		}
		return nil
	})
	lost := losses(s.all(), "ring_full")
	listens, others := produced()
	if lost["fork"]+lost["exec"]+lost["exit"]+lost["oom"] > 0 || lost["listen"] == 0 {
		t.Errorf("of %d listens and %d others are lost: %v", listens, others, lost)
	}
	a.stop()
}
