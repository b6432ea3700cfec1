// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// watchMask: a directory appears or goes, or runc renames its new state.json
// into place.
const watchMask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_TO | unix.IN_CLOSE_WRITE | unix.IN_ONLYDIR

// watch tells whether anything changed in some directories (inotify). Asking
// costs one system call, so it can be done for every cgroup without a pattern;
// a container may live for some milliseconds only.
type watch struct {
	file   *os.File
	fd     int
	broken atomic.Bool // a watch could not be added: changes may go unseen
}

func newWatch() (*watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch runc state directories: %w", err)
	}
	return &watch{file: os.NewFile(uintptr(fd), "inotify"), fd: fd}, nil
}

// add watches a directory; one that is gone, or no directory, needs no watch.
func (w *watch) add(dir string) {
	if w == nil {
		return
	}
	_, err := unix.InotifyAddWatch(w.fd, dir, watchMask)
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) {
		w.broken.Store(true)
	}
}

// changed tells whether something happened since the last call.
func (w *watch) changed() (changed bool) {
	var buf [4096]byte
	for {
		n, err := unix.Read(w.fd, buf[:])
		if n <= 0 && !errors.Is(err, unix.EINTR) {
			return changed
		}
		changed = true
	}
}

// wait calls f now and whenever something happened, until ctx is done. It takes nothing from
// the queue: f does, by changed, under the lock that also guards what it then reads. Whoever
// has that lock thus knows of all that happened.
func (w *watch) wait(ctx context.Context, f func()) {
	defer context.AfterFunc(ctx, func() { _ = w.file.SetReadDeadline(time.Unix(1, 0)) })()
	conn, err := w.file.SyscallConn()
	if err != nil {
		return // it was closed
	}
	_ = conn.Read(func(uintptr) (done bool) {
		f()
		return false
	})
}

// existing returns the deepest directory above pattern that exists: where a
// missing state directory will appear.
func existing(pattern string) string {
	dir, _, _ := strings.Cut(pattern, "*")
	for dir = filepath.Clean(dir); dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
	}
	return dir
}
