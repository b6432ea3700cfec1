// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// objects are the ids of all BPF objects in the kernel, with a name for messages.
type objects map[string]string

// all enumerates the kernel's links, programs and maps.
func all(t *testing.T) (objects, map[string][]string) {
	t.Helper()
	found, uses := objects{}, map[string][]string{}
	var it link.Iterator
	defer it.Close()
	for it.Next() {
		info, err := it.Link.Info()
		if err != nil {
			continue
		}
		id := fmt.Sprintf("link %d", info.ID)
		found[id] = fmt.Sprint("type ", info.Type)
		uses[id] = []string{fmt.Sprintf("prog %d", info.Program)}
	}
	if errors.Is(it.Err(), unix.EAGAIN) { // a link that is just going away: look again
		time.Sleep(5 * time.Millisecond)
		return all(t)
	}
	if it.Err() != nil {
		t.Fatal(it.Err())
	}
	for id, err := ebpf.ProgramGetNextID(0); err == nil; id, err = ebpf.ProgramGetNextID(id) {
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			continue
		}
		name := fmt.Sprintf("prog %d", id)
		if info, err := p.Info(); err == nil {
			found[name] = info.Name
			ids, _ := info.MapIDs()
			for _, m := range ids {
				uses[name] = append(uses[name], fmt.Sprintf("map %d", m))
			}
		}
		p.Close()
	}
	for id, err := ebpf.MapGetNextID(0); err == nil; id, err = ebpf.MapGetNextID(id) {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			continue
		}
		if info, err := m.Info(); err == nil {
			found[fmt.Sprintf("map %d", id)] = info.Name
		}
		m.Close()
	}
	return found, uses
}

// orphans are the objects that no living process holds: pinned, or held by an attachment.
// So agents of other tests that run at the same time do not count.
func orphans(t *testing.T) objects {
	t.Helper()
	found, uses := all(t)
	var drop func(id string)
	drop = func(id string) {
		delete(found, id)
		for _, used := range uses[id] {
			drop(used)
		}
	}
	for _, o := range skepdtest.Held() {
		drop(fmt.Sprint(o.Kind, " ", o.ID))
	}
	return found
}

// wantNoOrphans waits until there are no more than before: the kernel frees late.
func wantNoOrphans(t *testing.T, before objects) {
	t.Helper()
	within(t, 10*time.Second, "nothing is left in the kernel", func() error {
		runtime.GC() // a collection that this test had loaded keeps its constants mapped
		now := orphans(t)
		maps.DeleteFunc(now, func(id, _ string) bool { _, ok := before[id]; return ok })
		if len(now) > 0 {
			return fmt.Errorf("left: %v", now)
		}
		return nil
	})
}

// agentRuns looks for the mark of a living agent that pins.
func agentRuns(t *testing.T) bool {
	t.Helper()
	found, _ := all(t)
	for id, name := range found {
		if strings.HasPrefix(id, "prog ") && name == "skep_agent" {
			return true
		}
	}
	return false
}

// pinned lists everything below a directory.
func pinned(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err == nil {
			names = append(names, strings.TrimPrefix(name, dir))
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return names
}

// linkIDs are the ids of the pinned links of a house, by program.
func (h *house) linkIDs() map[string]link.ID {
	h.t.Helper()
	ids := map[string]link.ID{}
	files, _ := filepath.Glob(h.pins + "/*/links/*/*")
	for _, file := range files {
		l, err := link.LoadPinnedLink(file, nil)
		if err != nil {
			h.t.Fatal(err)
		}
		info, err := l.Info()
		if err != nil {
			h.t.Fatal(err)
		}
		ids[filepath.Base(file)] = info.ID
		l.Close()
	}
	return ids
}
