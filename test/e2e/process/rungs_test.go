// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// scene is where one case runs: an agent on some rung, and a directory.
type scene struct {
	agent  *skepdtest.Agent
	stream *skepdtest.Stream
	dir    string // a tmpfs, the same for all rungs, so that paths and inodes compare
	self   string // this test's binary in dir

	mutex   sync.Mutex
	records map[string]*skepv1.Record // by case and name: what the rungs must agree on
}

// cases run once on each rung.
var cases = map[string]func(t *testing.T, s *scene){
	"argv":        testArgv,
	"image":       testImage,
	"paths":       testPaths,
	"gains":       testGains,
	"script":      testScript,
	"namespaces":  testNamespaces,
	"terminal":    testTerminal,
	"lineage":     testLineage,
	"threads":     testThreads,
	"exit":        testExit,
	"pid reuse":   testPidReuse,
	"failed exec": testFailedExec,
	"oom":         testOOM,
	"hostile":     testHostile,
	"storm":       testStorm,
}

// rungs are the ways to run the sensor: nil is the best that works.
var rungs = map[string][]string{
	"best":   nil,
	"raw_tp": {"--force-rung", "fork=raw_tp,exec=raw_tp,exit=raw_tp,cgroup=raw_tp"},
}

func TestRungs(t *testing.T) {
	dir := workDir(t)
	seen := map[string]*scene{}
	for name, args := range rungs {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, dir, args...)
			seen[name] = s
			for _, signal := range []string{"fork", "exec", "exit", "cgroup"} {
				want := name
				if args == nil {
					want = "tp_btf"
				}
				equal(t, "rung of "+signal, s.agent.Rung(t, signal), want)
			}
			for name, run := range cases {
				t.Run(name, func(t *testing.T) { run(t, s) })
			}
			s.checkStatus(t)
		})
	}
	compareRungs(t, seen["best"], seen["raw_tp"])
}

// TestVictimRung: each of the two OOM rungs serves the kernels whose tracepoint it reads, and no other.
func TestVictimRung(t *testing.T) {
	// Without the other sensors an agent starts much sooner in an emulator.
	lean := skepdtest.WriteConfig(t, "sensors: {tcp: {enabled: false}, dns: {enabled: false}, udp: {enabled: false}, unix: {enabled: false}}\n")
	rung := func(args ...string) string {
		return skepdtest.Start(t, append(args, "--config", lean)...).Rung(t, "oom")
	}
	best := rung()
	for _, forced := range []string{"tp_btf", "tp_btf_pid"} {
		want := ""
		if forced == best {
			want = forced
		}
		equal(t, "rung with "+forced+" forced", rung("--force-rung", "oom="+forced), want)
	}
}

func newScene(t *testing.T, dir string, args ...string) *scene {
	t.Helper()
	agent := skepdtest.Start(t, args...)
	return &scene{
		agent: agent, stream: agent.Observe(t, nil), dir: dir, self: filepath.Join(dir, "self"),
		records: map[string]*skepv1.Record{},
	}
}

// checkStatus: nothing was lost, nothing failed to decode, and every number came.
func (s *scene) checkStatus(t *testing.T) {
	t.Helper()
	s.stream.Sync(t)
	for _, loss := range s.agent.Status(t).Losses {
		// Runs that the kernel left out, of which skep cannot know whether there was anything
		// to see, for example a thread. That no process is missing is what testStorm shows.
		if loss.Place == "program_missed" {
			t.Logf("not run: %v", loss)
		} else if loss.Count != 0 {
			t.Errorf("lost: %v", loss)
		}
	}
	next := map[string]uint64{}
	for _, r := range s.stream.All(func(*skepv1.Record) bool { return true }) {
		if n := next[r.Kind]; n != 0 && r.Seq != n {
			t.Errorf("%s record %d follows %d", r.Kind, r.Seq, n-1)
		}
		next[r.Kind] = r.Seq + 1
	}
}

// keep remembers a record for the comparison of the rungs.
func (s *scene) keep(t *testing.T, name string, r *skepv1.Record) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	_, rung, _ := cutFirst(t.Name())
	s.records[rung+": "+name] = timeless(r)
}

// timeless drops what is different each time something happens.
func timeless(r *skepv1.Record) *skepv1.Record {
	r = proto.CloneOf(r)
	r.NodeId, r.Seq, r.BootNs, r.Time = "", 0, 0, nil // each agent has a data directory of its own
	p := r.Process
	p.ProcessId, p.ExecId, p.ParentExecId, p.Pid, p.Ppid = "", "", "", 0, 0
	if e := r.GetExec(); e != nil {
		e.Session, e.Tty = 0, ""
		if e.NsPid > 20 { // else it is that of a pid namespace of the test's
			e.NsPid = 0
		}
		if n := e.Namespaces; n != nil { // those that the test makes are new each time
			e.Namespaces = &skepv1.Namespaces{Time: n.Time}
		}
		if e.Memfd {
			e.File.Inode, e.Filename = 0, ""
		}
	}
	if e := r.GetExit(); e != nil {
		e.DurationNs, e.MaxRssBytes, e.UserNs, e.SystemNs = 0, 0, 0, 0
	}
	if o := r.GetOom(); o != nil {
		o.CgroupId, o.UsageBytes, o.VictimRssBytes = 0, 0, 0
	}
	return r
}

func compareRungs(t *testing.T, a, b *scene) {
	t.Helper()
	if a == nil || b == nil {
		return // one was not chosen to run
	}
	for name, want := range a.records {
		got := b.records[name]
		if got == nil {
			t.Errorf("%s: no record on the lower rung", name)
		} else if !proto.Equal(got, want) {
			t.Errorf("%s: the rungs differ:\n%s\n%s", name, protojson.Format(want), protojson.Format(got))
		}
	}
	if len(a.records) != len(b.records) {
		t.Errorf("%d and %d records compared", len(a.records), len(b.records))
	}
}

// workDir is a tmpfs with the test's binary in it, open to other users.
func workDir(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it mounts and changes users")
	}
	dir, err := os.MkdirTemp("", "skep-e2e-process-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755,size=600m"))
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	copyFile(t, "/proc/self/exe", filepath.Join(dir, "self"))
	return dir
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, data, 0o755))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// helper is a command that runs the test's binary with a verb.
func (s *scene) helper(verb ...string) *exec.Cmd {
	c := exec.Command(s.self)
	c.Env, c.Stderr, c.Dir = next(verb...), os.Stderr, "/"
	return c
}
