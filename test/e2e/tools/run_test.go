// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/test/e2e/skepdtest"
	"github.com/skep-io/skep/tools"
)

// trial is a tool beside known events.
type trial struct {
	name  string // of the tool, or of the tool and a word
	flags []string
	args  []string
	all   bool // do not restrict the tool to the generator's process
	// prepare is done before the tool is attached.
	prepare, generate func(*generator)
	check             func(*testing.T, *outcome)
}

// tool is the first word of the name.
func (t *trial) tool() string {
	name, _, _ := strings.Cut(t.name, " ")
	return name
}

// outcome is what the tool said, and what the generator knows.
type outcome struct {
	generator
	pid     int
	records []row
	lost    string           // what the tool told of losses
	maps    map[string][]row // all entries that were printed
	took    time.Duration    // of the generator
	// soft and hard are what /proc counted from before the tool until after it.
	soft, hard map[string]int64
	threads    map[string]int64 // the same, of the generator's threads that are still there
}

type row map[string]any

func (r row) number(name string) int64 {
	n, _ := r[name].(json.Number)
	v, _ := n.Int64()
	return v
}

func (r row) text(name string) string { s, _ := r[name].(string); return s }

// where are the records that match.
func (o *outcome) where(match func(row) bool) []row {
	var found []row
	for _, r := range o.records {
		if match(r) {
			found = append(found, r)
		}
	}
	return found
}

// sum adds up the values of a map's entries that match, nil for all.
func (o *outcome) sum(name string, match func(row) bool) int64 {
	n := int64(0)
	for _, r := range o.maps[name] {
		if match == nil || match(r) {
			n += r.number(strings.TrimPrefix(name, "@"))
		}
	}
	return n
}

// counted is how many values histograms hold in buckets that match, nil for all.
func (o *outcome) counted(name string, match func(row) bool, bucket func(least, most int64) bool) int64 {
	n := int64(0)
	for _, r := range o.maps[name] {
		if match != nil && !match(r) {
			continue
		}
		buckets, _ := r[strings.TrimPrefix(name, "@")].([]any)
		for _, one := range buckets {
			b := row(one.(map[string]any))
			if bucket == nil || bucket(b.number("min"), b.number("max")) {
				n += b.number("count")
			}
		}
	}
	return n
}

// process is a generator that runs.
type process struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err bytes.Buffer
}

func begin(t *testing.T, name string) *process {
	t.Helper()
	p, dir := &process{Cmd: exec.Command("/proc/self/exe")}, t.TempDir()
	p.Env = append(os.Environ(), trialEnv+"="+name, "SKEP_TOOL_DIR="+dir)
	p.Stderr = &p.err
	for _, dir := range []string{dir, filepath.Dir(dir)} { // other users run programs from there
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	if p.in, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(2*skepdtest.Patience, func() { p.Process.Kill() })
	t.Cleanup(func() {
		late.Stop()
		p.in.Close()
		p.Wait()
	})
	p.line(t)
	return p
}

// line is the next thing that the generator says.
func (p *process) line(t *testing.T) string {
	t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the generator: %v: %s", err, p.err.String())
	}
	return line
}

// running is a tool that is attached.
type running struct {
	*exec.Cmd
	out *bufio.Reader
	err bytes.Buffer
}

// attach runs a tool until it is attached; refused is why it is not.
func attach(t *testing.T, a *skepdtest.Agent, args ...string) (r *running, refused string) {
	t.Helper()
	r = &running{Cmd: exec.Command(skepdtest.Build(t, "skep"), append([]string{"--socket", a.Socket}, args...)...)}
	r.Stderr = &r.err
	out, err := r.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.out = bufio.NewReader(out)
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(2*skepdtest.Patience, func() { r.Process.Kill() })
	t.Cleanup(func() { late.Stop() })
	if line, _ := r.out.ReadString('\n'); !strings.Contains(line, "attached_probes") {
		r.Wait()
		return nil, line + r.err.String()
	}
	return r, ""
}

// finish ends the tool as Ctrl-C does, and reads what it has said.
func (r *running) finish(t *testing.T, o *outcome) {
	t.Helper()
	if err := r.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	o.maps = map[string][]row{}
	d := json.NewDecoder(r.out)
	d.UseNumber()
	for {
		var raw struct {
			Type string
			Data json.RawMessage
		}
		if err := d.Decode(&raw); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("what the tool says: %v", err)
		}
		inner := json.NewDecoder(bytes.NewReader(raw.Data))
		inner.UseNumber()
		switch raw.Type {
		case "record":
			one := row{}
			if err := inner.Decode(&one); err != nil {
				t.Fatal(err)
			}
			o.records = append(o.records, one)
		case "map":
			var m struct {
				Map     string
				Entries []row
			}
			if err := inner.Decode(&m); err != nil {
				t.Fatal(err)
			}
			o.maps[m.Map] = append(o.maps[m.Map], m.Entries...)
		case "lost_events":
			o.lost += string(raw.Data)
		}
	}
	if err := r.Wait(); err != nil {
		t.Errorf("the tool ended: %v: %s", err, r.err.String())
	}
}

// TestTools runs the trials.
func TestTools(t *testing.T) {
	a := skepdtest.Start(t)
	for i := range trials {
		one := &trials[i]
		t.Run(one.name, func(t *testing.T) { one.run(t, a) })
	}
}

// run makes the trial. An interrupt that comes while a program runs is not seen by another one: the
// kernel counts it, the tool tells it, and the trial is made again.
func (one *trial) run(t *testing.T, a *skepdtest.Agent) {
	const most = 3
	for try := 1; ; try++ {
		o := one.outcome(t, a)
		if o.lost != "" && try < most && strings.Contains(o.lost, `"missed"`) {
			t.Logf("made again: %s", o.lost)
			continue
		}
		if o.lost != "" {
			t.Errorf("events were lost: %s", o.lost)
		}
		one.check(t, o)
		if t.Failed() {
			t.Logf("the generator knows %v %v", o.Numbers, o.Texts)
			t.Logf("the tool said %.3000v; %.3000v", o.records, o.maps)
		}
		return
	}
}

// outcome runs the tool beside its generator.
func (one *trial) outcome(t *testing.T, a *skepdtest.Agent) *outcome {
	t.Helper()
	p := begin(t, one.name)
	args := append([]string{"tool", one.tool(), "-o", "json"}, one.flags...)
	if one.name != one.tool() { // skep NAME is skep tool NAME
		args = args[1:]
	}
	if !one.all {
		args = append(args, "--pid", fmt.Sprint(p.Process.Pid))
	}
	o := &outcome{pid: p.Process.Pid}
	soft, hard, ran := softirqs(), interrupts(), threads(fmt.Sprint(o.pid))
	r, refused := attach(t, a, append(args, one.args...)...)
	if r == nil {
		if why := missing(one.tool()); why == "" || !strings.Contains(refused, why) {
			t.Fatalf("%s is not attached: %s (expected %q)", one.tool(), refused, why)
		}
		t.Skipf("needs %s: %s", missing(one.tool()), strings.TrimSpace(refused))
	}
	begun := time.Now()
	fmt.Fprintln(p.in, "go")
	line := p.line(t)
	o.took = time.Since(begun)
	if err := json.Unmarshal([]byte(line), &o.generator); err != nil {
		t.Fatalf("the generator says %q: %v", line, err)
	}
	r.finish(t, o)
	o.soft, o.hard, o.threads = since(softirqs(), soft), since(interrupts(), hard), since(threads(fmt.Sprint(o.pid)), ran)
	return o
}

func since(now, before map[string]int64) map[string]int64 {
	for name := range now {
		now[name] -= before[name]
	}
	return now
}

// TestEachToolHasATrial: a tool without one would not be tested.
func TestEachToolHasATrial(t *testing.T) {
	all, err := tools.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range all {
		if !slices.ContainsFunc(trials, func(one trial) bool { return one.tool() == tool.Name }) {
			t.Errorf("%s has no trial", tool.Name)
		}
	}
}

// missing is part of why a tool cannot run here, "" if it can.
func missing(tool string) string {
	there := func(pattern string) bool {
		found, _ := filepath.Glob(pattern)
		return len(found) > 0
	}
	switch tool {
	case "argdist", "funccount", "funclatency", "stackcount", "trace":
		if !there("/sys/bus/event_source/devices/kprobe") {
			return "kprobe"
		}
	case "capable":
		var uts unix.Utsname
		var major, minor int
		if unix.Uname(&uts) == nil {
			fmt.Sscanf(unix.ByteSliceToString(uts.Release[:]), "%d.%d", &major, &minor)
		}
		if major*1000+minor < 6014 {
			return "cap_capable"
		}
	case "bashreadline":
		if !there("/bin/bash") {
			return "/bin/bash"
		}
	case "gethostlatency", "memleak":
		if !there("/lib/*/libc.so.6") && !there("/lib64/libc.so.6") {
			return "libc"
		}
	case "sslsniff":
		if !there("/lib/*/libssl.so*") && !there("/lib64/libssl.so*") {
			return "libssl"
		}
	}
	return ""
}

// TestLoads: the kernel takes each tool, or it is said why not.
func TestLoads(t *testing.T) {
	a := skepdtest.Start(t)
	all, err := tools.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range all {
		t.Run(tool.Name, func(t *testing.T) {
			args := []string{"--socket", a.Socket, "tool", tool.Name, "--dry-run"}
			for _, o := range tool.Options {
				if o.Required {
					args = append(args, "vfs_fallocate") // which no tracepoint stands for
				}
			}
			out, err := exec.Command(skepdtest.Build(t, "skep"), args...).CombinedOutput()
			switch why := missing(tool.Name); {
			case why == "" && err != nil:
				t.Errorf("%v: %s", err, out)
			case why != "" && (err == nil || !strings.Contains(string(out), why)):
				t.Errorf("it cannot run here for want of %s, and that is not said: %v, %s", why, err, out)
			}
		})
	}
}
