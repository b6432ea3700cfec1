// SPDX-License-Identifier: Apache-2.0

package files

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

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

// wantAttached waits until the status has programs of the sensor, or none: it looks at them
// once a second.
func (r *reloader) wantAttached(t *testing.T, want bool) {
	t.Helper()
	for end := time.Now().Add(skepdtest.Patience); ; time.Sleep(50 * time.Millisecond) {
		attached := slices.ContainsFunc(r.agent.Status(t).Programs, func(p *skepv1.ProgramStatus) bool { return strings.HasPrefix(p.Name, "file_") })
		if attached == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("programs of the sensor are attached: %t, want %t", attached, want)
		}
	}
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
	r.wantAttached(t, false)
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
	r.wantAttached(t, true)
	if r.agent.Rung(t, "file") == "" {
		t.Error("no rung is told")
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
	r.wantAttached(t, false)
	made("a", 0)
	r.watch(t, dir+"/a")
	made("a", 2)
}
