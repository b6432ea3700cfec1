// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peer is whose account is at the other end of a connection, as it was at
// connect. Of a process the kernel vouches for it; the process can neither forge
// it nor change it by exec or setuid later. Over TCP a certificate does.
type peer struct {
	uid, gid uint32
	groups   []uint32 // supplementary ones
	pid      int32    // of the process; 0 over TCP
	// Over TCP: the address, and the certificate's serial number and end.
	address, certificate string
	expires              time.Time
}

// place is where the peer is, for people.
func (p peer) place() string {
	if p.address != "" {
		return p.address
	}
	return fmt.Sprintf("pid %d", p.pid)
}

// in says whether the peer was in a group.
func (p peer) in(gid uint32) bool {
	if p.gid == gid {
		return true
	}
	for _, g := range p.groups {
		if g == gid {
			return true
		}
	}
	return false
}

// peerOf asks the kernel who connected.
func peerOf(conn syscall.Conn) (peer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return peer{}, fmt.Errorf("read peer credentials: %w", err)
	}
	var p peer
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); sockErr != nil {
			return
		}
		p.uid, p.gid, p.pid = cred.Uid, cred.Gid, cred.Pid
		p.groups, sockErr = peerGroups(fd)
	})
	if err = errors.Join(err, sockErr); err != nil {
		return peer{}, fmt.Errorf("read peer credentials: %w", err)
	}
	return p, nil
}

// peerGroups reads SO_PEERGROUPS (Linux 4.13), for which x/sys/unix has no
// function. ERANGE says how much room it takes.
func peerGroups(fd uintptr) ([]uint32, error) {
	groups := make([]uint32, 64)
	for {
		size := uint32(len(groups) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == 0:
			return groups[:size/4], nil
		case errno == unix.ERANGE && int(size/4) > len(groups):
			groups = make([]uint32, size/4)
		default:
			return nil, fmt.Errorf("SO_PEERGROUPS: %w", errno)
		}
	}
}

// peerConn is a connection whose peer is known.
type peerConn struct {
	net.Conn
	peer    peer
	release func()      // gives its place back, if it has one
	timer   *time.Timer // closes a stranger's
	expiry  *time.Timer // closes it when the peer's certificate ends
}

func (c *peerConn) Close() error {
	c.trust() // else the timers would keep what is closed in memory
	if c.expiry != nil {
		c.expiry.Stop()
	}
	return c.expel()
}

// expel closes the connection and gives its place back. It leaves the timer alone, whose
// function it is: that may run before admit has kept the timer.
func (c *peerConn) expel() error {
	if c.release != nil {
		c.release()
	}
	return c.Conn.Close()
}

// endInTime closes the connection when the peer's certificate ends: a stream may
// last for weeks, and does not outlast the right to it.
func (c *peerConn) endInTime() {
	if !c.peer.expires.IsZero() {
		c.expiry = time.AfterFunc(time.Until(c.peer.expires), func() { c.expel() })
	}
}

// trust lets a stranger stay, who has shown a token.
func (c *peerConn) trust() {
	if c.timer != nil {
		c.timer.Stop()
	}
}

type peerKey struct{}

// withPeer is http.Server.ConnContext.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if pc, ok := c.(*peerConn); ok {
		return context.WithValue(ctx, peerKey{}, pc)
	}
	return ctx
}

func connFrom(ctx context.Context) *peerConn {
	c, _ := ctx.Value(peerKey{}).(*peerConn)
	return c
}

func peerFrom(ctx context.Context) (peer, bool) {
	if c := connFrom(ctx); c != nil {
		return c.peer, true
	}
	return peer{}, false
}
