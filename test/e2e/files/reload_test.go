// SPDX-License-Identifier: Apache-2.0

package files

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// reloader is an agent whose watched paths a test changes.
type reloader struct {
	agent  *skepdtest.Agent
	stream *skepdtest.Stream
	file   string
	times  int
}

func (r *reloader) watch(t *testing.T, paths ...string) {
	t.Helper()
	must(t, os.WriteFile(r.file, fmt.Appendf(nil, "sensors: {files: {paths: [%s]}}\n", strings.Join(paths, ", ")), 0o600))
	must(t, syscall.Kill(r.agent.PID, syscall.SIGHUP))
	r.times++
	r.stream.WaitFor(t, fmt.Sprint("reload ", r.times), func(*skepv1.Record) bool {
		return len(r.stream.All(func(r *skepv1.Record) bool { return r.GetAgent().GetEvent() == "reload" })) >= r.times
	})
}

func (r *reloader) taps(t *testing.T) (n int) {
	t.Helper()
	for _, p := range r.agent.Status(t).Programs {
		if strings.HasPrefix(p.Name, "file_") {
			n++
		}
	}
	return n
}

// TestReload: the sensor comes and goes with its paths, and while they change nothing of
// what is watched before and after is lost.
func TestReload(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it loads BPF programs")
	}
	dir := t.TempDir()
	for _, d := range []string{"a", "b", "c"} {
		must(t, os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	r := &reloader{file: skepdtest.WriteConfig(t, "")}
	r.agent = skepdtest.Start(t, "--config", r.file)
	r.stream = r.agent.Observe(t, &skepv1.Filter{Kinds: []string{"file", "exit", "agent"}})
	if n := r.taps(t); n != 0 {
		t.Errorf("%d programs while nothing is watched", n)
	}
	made := func(d string, want int) {
		t.Helper()
		pid, errors := play(t, call{"storm", filepath.Join(dir, d), "1"})
		if errors[0] != "" {
			t.Fatal(errors)
		}
		r.stream.Wait(t, "exit", int(pid))
		r.stream.Sync(t)
		r.stream.Sync(t)
		if got := r.stream.Of("file", int(pid)); len(got) != want {
			t.Errorf("%d records of %s, want %d: %q", len(got), d, want, lines(got))
		}
	}
	made("a", 0)
	r.watch(t, dir+"/a")
	if r.taps(t) == 0 || r.agent.Rung(t, "file") == "" {
		t.Error("the sensor is not attached")
	}
	made("a", 2)
	made("b", 0)
	type done struct {
		pid    uint32
		errors []string
	}
	const n = 4000
	storm := make(chan done)
	go func() {
		pid, errors := play(t, call{"storm", dir + "/a", fmt.Sprint(n)})
		storm <- done{pid, errors}
	}()
	for i := range 10 {
		r.watch(t, [][]string{{dir + "/b", dir + "/a"}, {dir + "/a", dir + "/c"}}[i%2]...)
	}
	end := <-storm
	if end.errors[0] != "" {
		t.Fatal(end.errors)
	}
	r.stream.Wait(t, "exit", int(end.pid))
	r.stream.Sync(t)
	r.stream.Sync(t)
	if got := len(r.stream.Of("file", int(end.pid))); got != 2*n {
		t.Errorf("%d records of %d while the paths changed", got, 2*n)
	}
	made("b", 0)
	made("c", 2)
	r.watch(t)
	if n := r.taps(t); n != 0 {
		t.Errorf("%d programs after the last path has gone", n)
	}
	made("a", 0)
	r.watch(t, dir+"/a")
	made("a", 2)
}
