// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/server"
	"github.com/skep-io/skep/internal/trace/journal"
)

func sampleInstalled() *skepv1.InstalledTrace {
	return &skepv1.InstalledTrace{Uid: 7, Trace: &skepv1.TraceRequest{
		Mode: skepv1.TraceMode_TRACE_MODE_RUN, Script: "begin { printf(\"\\x1b\\n\"); }", Args: []string{"1", "two"}, Metrics: true,
	}}
}

// TestInstalledFiles: what was written is read, and nothing else is run.
func TestInstalledFiles(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: changes owners")
	}
	dir := filepath.Join(t.TempDir(), "scripts")
	for _, name := range []string{"good", "cut", "changed", "open", "foreign", "renamed", "link", "empty", "twice"} {
		if err := writeInstalled(dir, name, sampleInstalled()); err != nil {
			t.Fatal(err)
		}
	}
	file := func(name string) string { return filepath.Join(dir, name+installedSuffix) }
	text, err := os.ReadFile(file("good"))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.Truncate(file("cut"), int64(len(text)-10)),
		os.WriteFile(file("changed"), []byte(strings.Replace(string(text), "two", "owt", 1)), 0o600),
		os.Chmod(file("open"), 0o622),
		os.Chown(file("foreign"), 61000, 0),
		os.Rename(file("renamed"), file("other")),
		os.Remove(file("link")), os.Symlink("good"+installedSuffix, file("link")),
		os.Truncate(file("empty"), 0),
		os.Link(file("twice"), filepath.Join(dir, "elsewhere")),
		os.WriteFile(filepath.Join(dir, "..script"), nil, 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	all, err := readInstalled(dir)
	if err != nil || len(all) != 9 {
		t.Fatalf("%d files, %v", len(all), err)
	}
	for name, f := range all {
		if (f.err == nil) != (name == "good") {
			t.Errorf("%s: %v", name, f.err)
		}
	}
	if got := all["good"].script; !proto.Equal(got.GetTrace(), sampleInstalled().GetTrace()) || got.GetUid() != 7 {
		t.Errorf("%v", got)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestLargestInstalled: whatever a request may hold is read again after a restart.
func TestLargestInstalled(t *testing.T) {
	dir, script := filepath.Join(t.TempDir(), "scripts"), sampleInstalled()
	script.Trace.Script, script.Trace.Args = strings.Repeat("\x01", 512<<10), []string{strings.Repeat("\x02", 511<<10)}
	if err := writeInstalled(dir, "large", script); err != nil {
		t.Fatal(err)
	}
	all, err := readInstalled(dir)
	if err != nil || all["large"].err != nil || !proto.Equal(all["large"].script.GetTrace(), script.GetTrace()) {
		t.Errorf("%v, %v", err, all["large"].err)
	}
}

// TestRemoveWhileInstalled: a script that is being installed is not there yet, so that its file
// is not written behind a removal.
func TestRemoveWhileInstalled(t *testing.T) {
	i := newInstalled(&tracer{}, filepath.Join(t.TempDir(), "scripts"), slog.New(slog.DiscardHandler))
	r, err := i.reserve("x", sampleInstalled())
	if err != nil {
		t.Fatal(err)
	}
	r.neverRan()
	if err := i.Remove(t.Context(), "x"); !errors.Is(err, server.ErrNotInstalled) || i.find("x") != r {
		t.Errorf("removed: %v", err)
	}
	r.claimed.Store(false)
	if err := i.Remove(t.Context(), "x"); err != nil || i.find("x") != nil {
		t.Errorf("not removed: %v", err)
	}
}

// TestStatusWhileInstalled: how scripts are may be asked for at any moment; the race detector looks on.
func TestStatusWhileInstalled(t *testing.T) {
	i := newInstalled(startTracer(t), filepath.Join(t.TempDir(), "scripts"), slog.New(slog.DiscardHandler))
	if err := os.Mkdir(i.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		for ctx.Err() == nil {
			i.status()
		}
	})
	script := &skepv1.TraceRequest{Mode: skepv1.TraceMode_TRACE_MODE_RUN, Script: `begin { exit(); }`}
	for n := range 5 {
		name := fmt.Sprint("s", n)
		res, err := i.Install(t.Context(), 0, &skepv1.InstallTraceRequest{Name: name, Trace: script})
		if err != nil || res.GetInstalled() == nil {
			t.Fatal(err, res)
		}
	}
	group.Go(func() { i.run(ctx) })
	stop()
	group.Wait()
	for _, s := range i.status() {
		if s.GetState() != "ended" {
			t.Errorf("%v", s)
		}
	}
}

// TestLostOfALog: of what is said at once only what the log has no room for is lost.
func TestLostOfALog(t *testing.T) {
	i := newInstalled(&tracer{}, t.TempDir(), slog.New(slog.DiscardHandler))
	r, err := i.reserve("x", sampleInstalled())
	if err == nil {
		err = i.openJournal(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.claimed.Store(false)
	text := func(n int) *skepv1.TraceEvent {
		return &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Text{Text: &skepv1.TraceText{Text: make([]byte, n)}}}
	}
	r.take(text(1), text(journal.MaxBody), text(2))
	r.neverRan()
	entries, lost := 0, uint64(0)
	err = i.Logs(t.Context(), &skepv1.TraceLogsRequest{Name: "x"}, func(res *skepv1.TraceLogsResponse) error {
		entries, lost = entries+len(res.GetEntries()), lost+res.GetLost()
		return nil
	})
	if s := r.statusNow(); err != nil || entries != 2 || lost != 1 || s.GetLost() != 1 || s.GetEvents() != 3 {
		t.Errorf("%d entries, lost %d, %v, %v", entries, lost, s, err)
	}
}

// TestLeftovers: what a killed agent left of scripts that are not installed is taken away, and
// nothing of those that are.
func TestLeftovers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "scripts")
	if err := writeInstalled(dir, "a.log", sampleInstalled()); err != nil {
		t.Fatal(err)
	}
	want := []string{"a.log.log", "a.log.log.1", "a.log.script"}
	for _, name := range append([]string{"b.log", "b.log.3", "a.log.1", ".b.script123"}, want[:2]...) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := readInstalled(dir)
	if err == nil {
		err = removeLeftovers(dir, kept)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	hidden, _ := filepath.Glob(filepath.Join(dir, ".b*"))
	for i, path := range left {
		left[i] = filepath.Base(path)
	}
	if err != nil || !slices.Equal(left, want) || len(hidden) > 0 {
		t.Errorf("left are %v and %v, %v", left, hidden, err)
	}
}

// FuzzInstalled: what is read is what was written under its sum, or an error.
func FuzzInstalled(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte(sumOf([]byte("{}")) + "\n{}"))
	f.Add([]byte(sumOf([]byte(`{"trace":{}}`)) + "\n" + `{"trace":{}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		script, err := parseInstalled(text)
		if (err == nil) != (script.GetTrace() != nil) {
			t.Errorf("%v, %v", script, err)
		}
	})
}
