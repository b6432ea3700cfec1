// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
)

// sight is what events tell of a process beside its id: its names.
type sight struct{ comm, exe string }

// readName reads the names of a process from /proc, which is a tenth of what readProc
// takes. exe is empty for a kernel thread, and both for a process that has gone.
func readName(id abi.ExecID) sight {
	dir := procDir(id.Tgid)
	exe := readExe(dir)
	if front, cut := strings.CutSuffix(exe, " (deleted)"); cut && unlinked(dir) {
		exe = front
	}
	// Last: if it is still the same process now, the link was its.
	stat, ok := readStat(dir)
	if !ok || stat.ticks != id.StartNS/(1e9/userHZ) {
		return sight{}
	}
	if stat.flags&kernelThread != 0 {
		exe = ""
	}
	return sight{stat.comm, valid(exe)}
}

// readExe is the path of a process's executable, "" if it has none. One that cannot be read,
// as it is longer than a page or the process is out of the agent's reach, is the link itself:
// that leads to the file too, and a process must not pass for a kernel thread by it.
func readExe(dir string) string {
	path, err := os.Readlink(dir + "exe")
	switch {
	case err == nil:
		return path
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		return ""
	}
	return dir + "exe"
}

// unlinked tells whether the executable has no name any more; a name may end in " (deleted)".
func unlinked(dir string) bool {
	var stat unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, dir+"exe", unix.AT_STATX_DONT_SYNC, unix.STATX_NLINK, &stat)
	return err == nil && stat.Mask&unix.STATX_NLINK != 0 && stat.Nlink == 0
}

// each calls do for all of 0 to n-1, on all CPUs.
func each(n int, do func(i int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	all.Wait()
}

// How long one process may keep Fill waiting, and how many may, over all calls: reading its
// command line takes a lock of its memory, which a fault in a file of a dead server holds.
const (
	fillPatience = 100 * time.Millisecond
	maxStuck     = 16
)

// Fill reads what /proc says of the processes that Existing has added, beside their
// names. It returns of how many that was not read, because too many kept it waiting.
func (t *Table) Fill(ctx context.Context) (unread int) {
	ids := t.bare()
	defer t.filled()
	var left atomic.Int64
	each(len(ids), func(i int) {
		if ctx.Err() != nil || t.stuck.Load() >= maxStuck || !t.fillWithin(fillPatience, ids[i]) {
			left.Add(1)
		}
	})
	return int(left.Load())
}

// fillWithin fills one entry and reports whether that was done in time. If not, it goes
// on, and counts as stuck until it is done.
func (t *Table) fillWithin(patience time.Duration, id abi.ExecID) bool {
	if !t.claimFill(id) {
		return false
	}
	var settled atomic.Bool // by whoever is first: the reading, or the end of patience
	done := make(chan struct{})
	go func() {
		t.fill(id)
		if !settled.CompareAndSwap(false, true) {
			t.stuck.Add(-1)
		}
		close(done)
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
	}
	if settled.CompareAndSwap(false, true) {
		t.stuck.Add(1)
		return false
	}
	return true
}

func (t *Table) bare() (ids []abi.ExecID) {
	t.mutex.RLock()
	defer t.mutex.RUnlock()
	for id, e := range t.entries {
		if e.bare {
			ids = append(ids, id)
		}
	}
	return ids
}

// claimFill keeps a process that is being read from being read a second time.
func (t *Table) claimFill(id abi.ExecID) bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	e := t.entries[id]
	if e == nil || e.filling {
		return false
	}
	e.filling = true
	return true
}

func (t *Table) fill(id abi.ExecID) {
	body, _ := t.read(id)
	t.mutex.Lock()
	defer t.mutex.Unlock()
	e := t.entries[id]
	if e != nil {
		e.filling = false
	}
	// With another name this is the image of an exec that the ring is still to tell of.
	if e == nil || !e.bare || e.dead || body == nil || body.File.Path != e.process.Exe {
		return
	}
	body.CgroupId, body.Cgroup = e.cgroup, t.cgroups.Place(e.cgroup).Cgroup
	e.exec, e.bare = body, false
}

// filled lets those go on that wait for Fill.
func (t *Table) filled() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.filling == nil {
		return
	}
	for e := range t.allLive {
		e.inherit()
	}
	close(t.filling)
	t.filling = nil
}

// inherit gives a process that was forked before Fill had read its parent's image that
// image, through those that were forked in between.
func (e *entry) inherit() {
	const maxForks = 64
	up := e.up
	for i := 0; i < maxForks && up != nil && e.image() == nil && !e.process.Preexisting; i++ {
		e.origin = up.image()
		if up.process.Preexisting {
			return
		}
		up = up.up
	}
}

// maxAwait bounds how long a reader waits for Fill; later it gets what there is.
const maxAwait = 3 * time.Second

// await returns once Fill has read what Existing has added.
func (t *Table) await() {
	t.mutex.RLock()
	filling := t.filling
	t.mutex.RUnlock()
	if filling == nil {
		return
	}
	select {
	case <-filling:
	case <-time.After(maxAwait):
	}
}
