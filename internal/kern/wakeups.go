// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// wakeups waits for what rings ask for when they fill: their forced wake-ups are gathered
// in one epoll descriptor, which the Go runtime then waits for like for a socket. A thread
// that blocks in epoll_wait itself costs three context switches per tick.
type wakeups struct {
	epoll *os.File
	conn  syscall.RawConn
}

func watch(rings ...*ring) (*wakeups, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("watch rings: %w", err)
	}
	for _, ring := range rings {
		// Edge-triggered: only wake-ups count, not that the ring holds data.
		event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(ring.fd)}
		err = errors.Join(err, unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, ring.fd, &event))
	}
	// NewFile hands a descriptor to the runtime's poller only if it does not block.
	if err = errors.Join(err, unix.SetNonblock(fd, true)); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("watch rings: %w", err)
	}
	w := &wakeups{epoll: os.NewFile(uintptr(fd), "rings")}
	if w.conn, err = w.epoll.SyscallConn(); err != nil {
		w.epoll.Close()
		return nil, fmt.Errorf("watch rings: %w", err)
	}
	return w, nil
}

// wait returns after d, or earlier with true if a ring asked for it.
func (w *wakeups) wait(d time.Duration) (bool, error) {
	if err := w.epoll.SetReadDeadline(time.Now().Add(d)); err != nil {
		return false, fmt.Errorf("wait for rings: %w", err)
	}
	var events [2]unix.EpollEvent
	woken := false
	err := w.conn.Read(func(fd uintptr) bool {
		n, _ := unix.EpollWait(int(fd), events[:], 0) // does not block
		woken = n > 0
		return woken
	})
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return false, fmt.Errorf("wait for rings: %w", err)
	}
	return woken, nil
}

// interrupt ends a wait that is under way.
func (w *wakeups) interrupt() { _ = w.epoll.SetReadDeadline(time.Now()) }

func (w *wakeups) close() error { return w.epoll.Close() }
