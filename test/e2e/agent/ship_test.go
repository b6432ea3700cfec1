// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// shipped reads a file of JSON lines: how often each record is there, by kind and number.
func shipped(t *testing.T, text string) map[string]int {
	t.Helper()
	found := map[string]int{}
	for line := range strings.Lines(text) {
		var r struct {
			Kind string
			Seq  uint64
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("not JSON: %q: %v", line, err)
		}
		found[fmt.Sprint(r.Kind, " ", r.Seq)]++
	}
	return found
}

// TestShip: what the stream has a file and syslog have too, each record once, to the
// agent's last, also where the outputs change meanwhile.
func TestShip(t *testing.T) {
	h := newPrivateHouse(t)
	path, socket := filepath.Join(h.dir, "events.jsonl"), filepath.Join(h.dir, "log")
	l, err := net.ListenPacket("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	messages := make(chan string, 1<<16)
	go func() {
		buf := make([]byte, 1<<18)
		for {
			n, _, err := l.ReadFrom(buf)
			if err != nil {
				close(messages)
				return
			}
			messages <- string(buf[:n])
		}
	}()
	receiver := newReceiver(t)
	yaml := func(keep int) string {
		return fmt.Sprintf("ship:\n  archive: {file: {path: %s, keep: %d}}\n  siem: {kinds: [exec, exit], syslog: {address: 'unix://%s'}}\n"+
			"  traces: {exes: [/bin/true, /usr/bin/true], where: 'kind == \"exec\" && exec.args.size() == 1', otlp: {endpoint: '%s', metrics: 0s}}\n", path, keep, socket, receiver.URL)
	}
	h.yaml = yaml(1)
	a := h.start()
	s := a.observe()
	for i := range 10 {
		for range 10 {
			if err := exec.Command("/bin/true").Run(); err != nil {
				t.Fatal(err)
			}
		}
		a.reload(s, i+1, yaml(i+2))
	}
	outputs := a.status().Outputs
	if len(outputs) != 3 || outputs[2].Type != "otlp" || outputs[0].Name != "archive" || outputs[0].Type != "file" || outputs[1].Type != "syslog" {
		t.Errorf("outputs: %v", outputs)
	}
	a.stop()
	records := s.end()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	var syslog strings.Builder
	for m := range messages {
		_, body, ok := strings.Cut(m, " - ")
		if !ok || !strings.HasPrefix(m, "<30>1 ") {
			t.Fatalf("not a message of RFC 5424 from a daemon: %q", m)
		}
		syslog.WriteString(body + "\n")
	}
	inFile, inSyslog, inOTLP := shipped(t, string(text)), shipped(t, syslog.String()), shipped(t, receiver.lines())
	if len(inOTLP) < 100 {
		t.Errorf("%d records over OTLP, want 100 or more", len(inOTLP))
	}
	for _, r := range records {
		key := fmt.Sprint(r.Kind, " ", r.Seq)
		if inFile[key] != 1 {
			t.Errorf("%s is %d times in the file", key, inFile[key])
		}
		want := 0
		if r.Kind == "exec" || r.Kind == "exit" {
			want = 1
		}
		if inSyslog[key] != want {
			t.Errorf("%s is %d times in syslog", key, inSyslog[key])
		}
		want = 0
		if r.Kind == "exec" && filepath.Base(r.Process.GetExe()) == "true" && len(r.GetExec().Args) == 1 {
			want = 1
		}
		if inOTLP[key] != want {
			t.Errorf("%s is %d times sent over OTLP, want %d", key, inOTLP[key], want)
		}
	}
	if len(records) < 300 || len(inFile) != len(records) {
		t.Errorf("%d records, %d in the file", len(records), len(inFile))
	}
}

// TestShipLosses: a receiver that is away for longer than the log lasts loses records, and
// the stream, the status and the metrics say how many; the agent itself loses none.
func TestShipLosses(t *testing.T) {
	address := freeAddress(t)
	away := freeAddress(t)
	h := newHouse(t, "history: {max_bytes: 1MiB}\nmetrics: {listen: '"+address+"'}\nship: {siem: {kinds: [oom], syslog: {address: 'tcp://"+away+"'}}}")
	a := h.start("--ephemeral")
	s := a.observe()
	g := h.generator()
	g.run(1000, 2*time.Second)
	produced := g.produced()["oom"]
	l, err := net.Listen("tcp", away) // it comes back
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var text strings.Builder
		buf := make([]byte, 1<<16)
		for {
			n, err := conn.Read(buf)
			text.Write(buf[:n])
			if err != nil {
				got <- text.String()
				return
			}
		}
	}()
	var output *skepv1.OutputStatus
	within(t, skepdtest.Patience, "all is delivered or lost", func() error {
		output = a.status().Outputs[0]
		if output.Lost == 0 || output.LastError != "" || lossOf(a.status(), "ship:siem", "oom")+output.Delivered < produced {
			return fmt.Errorf("of %d: %v", produced, output)
		}
		return nil
	})
	lost := lossOf(a.status(), "ship:siem", "oom")
	within(t, 5*time.Second, "the stream and the metrics say the same", func() error {
		told := losses(s.all(), "ship:siem")["oom"]
		metric := scrape(t, "http://"+address+"/metrics")[`skep_events_lost_total{kind="oom",place="ship:siem"}`]
		if told != lost || metric != lost {
			return fmt.Errorf("status %d, stream %d, metrics %d", lost, told, metric)
		}
		return nil
	})
	if own := losses(s.all(), "ring_full"); len(own) > 0 {
		t.Errorf("the agent has lost %v", own)
	}
	a.stop()
	text := <-got
	came := uint64(strings.Count(text, `"kind":"oom"`))
	if !strings.Contains(text, `"place":"ship:siem"`) {
		t.Error("the receiver was not told of the gap")
	}
	if came+lost != produced || lost == 0 {
		t.Errorf("of %d came %d, and %d are counted as lost", produced, came, lost)
	}
}

// TestShipEnds: what an output has not delivered when a reload removes it, and when the
// agent stops, is told by the stream, and by the status as long as there is one.
func TestShipEnds(t *testing.T) {
	away := "ship: {%s: {kinds: [oom], syslog: {address: 'tcp://" + freeAddress(t) + "'}}}\n"
	h := newHouse(t)
	base := h.yaml
	h.yaml = base + fmt.Sprintf(away, "first")
	a := h.start("--ephemeral")
	s := a.observe()
	g := h.generator()
	came := func(n uint64) func() error {
		return func() error {
			got := uint64(0)
			for _, r := range s.all() {
				if r.Kind == "oom" {
					got++
				}
			}
			if got != n {
				return fmt.Errorf("%d of %d", got, n)
			}
			return nil
		}
	}
	g.run(3, 0)
	first := g.produced()["oom"]
	within(t, skepdtest.Patience, "all came", came(first))
	a.reload(s, 1, base+fmt.Sprintf(away, "second"))
	within(t, skepdtest.Patience, "the loss of the removed output", func() error {
		told, counted := losses(s.all(), "ship:first")["oom"], lossOf(a.status(), "ship:first", "oom")
		if told != first || counted != first {
			return fmt.Errorf("of %d the stream tells %d, the status %d", first, told, counted)
		}
		return nil
	})
	g.run(3, 0)
	both := g.produced()["oom"]
	within(t, skepdtest.Patience, "all came", came(both))
	a.stop()
	records := s.end()
	if told := losses(records, "ship:second")["oom"]; told != both-first || told == 0 {
		t.Errorf("of %d records that were not delivered at the stop the stream tells %d", both-first, told)
	}
	if last := records[len(records)-1]; !isAgent("stop")(last) {
		t.Errorf("the last record is %v", last)
	}
}
