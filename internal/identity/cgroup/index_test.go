// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// newTestIndex has no kernel behind it, and a clock that is set by hand.
func newTestIndex() (*Index, *time.Time) {
	now := time.Unix(1000, 0)
	x := NewIndex(Hierarchy{Version: 2, Mount: "/nonexistent", Root: "/"})
	x.now = func() time.Time { return now }
	x.byHandle = func(uint64) (string, error) { return "", errGone }
	return x, &now
}

func wantPath(t *testing.T, x *Index, id uint64, want string) {
	t.Helper()
	if got, ok := x.Lookup(id); got != want || ok != (want != "") {
		t.Errorf("cgroup %d is at %q, %v; want %q", id, got, ok, want)
	}
}

func TestIndexGrace(t *testing.T) {
	x, now := newTestIndex()
	x.Add(7, "/a")
	x.Remove(7)
	*now = now.Add(Grace - time.Second)
	wantPath(t, x, 7, "/a")
	*now = now.Add(2 * time.Second)
	wantPath(t, x, 7, "")
	x.Add(8, "/b")
	x.Remove(8)
	if s := x.Stats(); s.Removed != 1 || s.Live != 0 || s.Bytes != len("/b") {
		t.Errorf("%+v: the first one must be forgotten", s)
	}
}

func TestIndexBounds(t *testing.T) {
	x, _ := newTestIndex()
	for id := range uint64(MaxLive + 10) {
		x.Add(id, "/x")
	}
	if s := x.Stats(); s.Live != MaxLive || s.Refused != 10 {
		t.Errorf("after %d adds: %+v", MaxLive+10, s)
	}
	for id := range uint64(MaxRemoved + 10) {
		x.Remove(id)
	}
	if s := x.Stats(); s.Removed != MaxRemoved || s.Bytes != 2*MaxLive-20 {
		t.Errorf("after %d removals: %+v", MaxRemoved+10, s)
	}
	wantPath(t, x, 9, "")
	wantPath(t, x, 10, "/x")

	long := strings.Repeat("x", maxPath)
	for id := range uint64(MaxBytes/maxPath + 5) {
		x.Add(1_000_000+id, long)
	}
	if s := x.Stats(); s.Bytes > MaxBytes {
		t.Errorf("%d bytes of paths, more than %d", s.Bytes, MaxBytes)
	}
}

func TestIndexRename(t *testing.T) {
	x, _ := newTestIndex()
	x.Add(7, "/a")
	x.Add(7, "/longer")
	wantPath(t, x, 7, "/longer")
	if s := x.Stats(); s.Live != 1 || s.Bytes != len("/longer") {
		t.Errorf("%+v", s)
	}
}

// TestIndexScanOnMiss: without handles a miss walks, at most once a second.
func TestIndexScanOnMiss(t *testing.T) {
	x, now := newTestIndex()
	dir := t.TempDir()
	x.hierarchy.Mount = dir
	x.byHandle = func(uint64) (string, error) { return "", errors.New("not permitted") }
	made := mkdir(t, dir, "a/b")
	wantPath(t, x, made, "/a/b")
	later := mkdir(t, dir, "a/c")
	wantPath(t, x, later, "")
	*now = now.Add(scanEvery)
	wantPath(t, x, later, "/a/c")
	if s := x.Stats(); s.Scans != 2 || s.Misses != 1 || s.Live != 4 {
		t.Errorf("%+v", s)
	}
}

// TestAbsent: what is not there is asked for once a second, until an event tells of it.
func TestAbsent(t *testing.T) {
	x, now := newTestIndex()
	asked := 0
	x.byHandle = func(uint64) (string, error) { asked++; return "", errGone }
	for range 1000 {
		wantPath(t, x, 7, "")
	}
	if asked != 1 {
		t.Errorf("asked %d times in a second", asked)
	}
	*now = now.Add(absentFor)
	wantPath(t, x, 7, "")
	if asked != 2 || x.Stats().Misses != 2 {
		t.Errorf("a second later: asked %d times, %+v", asked, x.Stats())
	}
	x.Add(7, "/late")
	wantPath(t, x, 7, "/late")
	for id := range uint64(3 * maxAbsent) {
		x.Lookup(1000 + id)
		if len(x.absent) > maxAbsent {
			t.Fatalf("%d are remembered", len(x.absent))
		}
	}
}

// TestScanSweeps: a lost rmdir event is made up for, a failed walk changes nothing.
func TestScanSweeps(t *testing.T) {
	x, _ := newTestIndex()
	dir := t.TempDir()
	x.hierarchy.Mount = dir
	x.Add(424242, "/lost-rmdir")
	made := mkdir(t, dir, "a")
	if err := x.Scan(); err != nil {
		t.Fatal(err)
	}
	if !x.Has(made) || x.Stats().Live != 2 || x.Stats().Removed != 1 {
		t.Errorf("%+v", x.Stats())
	}
	x.hierarchy.Mount = dir + "/gone"
	if err := x.Scan(); err == nil || !x.Has(made) {
		t.Errorf("a walk that failed: %v, and it must remove nothing: %+v", err, x.Stats())
	}
}

func TestIndexConcurrent(t *testing.T) {
	x, _ := newTestIndex()
	x.hierarchy.Mount = t.TempDir()
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			for i := range uint64(500) {
				id := g*1000 + i + 1<<40
				x.Add(id, "/x")
				if _, ok := x.Lookup(id); !ok {
					t.Error("an added one is missing")
				}
				x.Remove(id)
				if i%100 == 0 {
					_ = x.Scan()
				}
			}
		})
	}
	wg.Wait()
	if s := x.Stats(); s.Live != 1 || s.Removed != 2000 { // live: the root
		t.Errorf("%+v", s)
	}
}

// TestIndexLive makes real cgroups and compares with stat.
func TestIndexLive(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it makes cgroups")
	}
	h, err := ChooseLive()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("skep-cgroup-test-%d", os.Getpid())
	id := mkdir(t, h.Mount, name+"/below")
	t.Cleanup(func() {
		_ = os.Remove(filepath.Join(h.Mount, name, "below"))
		_ = os.Remove(filepath.Join(h.Mount, name))
	})
	want := "/" + name + "/below"
	byHandle, err := openByID(h, id)
	if err != nil || byHandle != want {
		t.Errorf("by handle, cgroup %d is %q, %v; want %q", id, byHandle, err, want)
	}
	x := NewIndex(h)
	wantPath(t, x, id, want)
	wantPath(t, x, 1, "/")
	wantPath(t, x, 1<<60, "")
	if s := x.Stats(); s.Scans != 0 || s.Misses != 1 {
		t.Errorf("a walk was not needed: %+v", s)
	}
	scanned := NewIndex(h)
	if err := scanned.Scan(); err != nil || !scanned.Has(id) {
		t.Errorf("Scan did not find cgroup %d: %v", id, err)
	}
	if err := os.Remove(filepath.Join(h.Mount, name, "below")); err != nil {
		t.Fatal(err)
	}
	if _, err := openByID(h, id); !errors.Is(err, errGone) {
		t.Errorf("removed cgroup by handle: %v", err)
	}
}

func mkdir(t *testing.T, root, name string) (inode uint64) {
	t.Helper()
	dir := filepath.Join(root, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(dir, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func BenchmarkLookup(b *testing.B) {
	x, _ := newTestIndex()
	x.now = time.Now
	x.Add(7, "/a")
	b.ReportAllocs()
	for b.Loop() {
		x.Lookup(7)
	}
}

func BenchmarkByHandle(b *testing.B) {
	h, err := ChooseLive()
	if err != nil {
		b.Skip(err)
	}
	for b.Loop() {
		if _, err := openByID(h, 1); err != nil {
			b.Skip(err)
		}
	}
}
