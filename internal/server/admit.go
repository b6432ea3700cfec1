// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// admission gives connections their places. Who has no role gets one of few, and not for
// long: it is enough to be told which group to join. One person may have many uids
// (subuid(5)), so all without a role share those places, and cannot take those of the
// users who have one. Root always gets in.
type admission struct {
	roles     *roles
	members   *limiter
	strangers *limiter
	stay      time.Duration // of a stranger
	// Connections that found no place.
	refusedMembers, refusedStrangers atomic.Uint64
}

func newAdmission(r *roles) *admission {
	return &admission{
		roles: r, stay: strangerStays,
		members:   newLimiter(maxConnsPerUID).within(maxConns),
		strangers: newLimiter(maxStrangerConnsPerUID).within(maxStrangerConns),
	}
}

// admit gives a connection its place, which it has until it is closed, or refuses it.
func (a *admission) admit(c *peerConn) bool {
	uid := c.peer.uid
	if uid == 0 {
		return true
	}
	places, refused := a.members, &a.refusedMembers
	stranger := a.roles.of(c.peer) == skepv1.Role_ROLE_UNSPECIFIED
	if stranger {
		places, refused = a.strangers, &a.refusedStrangers
	}
	if !places.acquire(uid) {
		refused.Add(1)
		return false
	}
	c.release = sync.OnceFunc(func() { places.release(uid) })
	if stranger {
		c.timer = time.AfterFunc(a.stay, func() { c.expel() })
	}
	return true
}

// door is a listener whose connections need admission.
type door struct {
	net.Listener
	admission *admission
}

// Accept implements net.Listener.
func (d door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c, ok := conn.(*peerConn)
		if !ok {
			return conn, nil
		}
		if d.admission.admit(c) {
			c.endInTime()
			return conn, nil
		}
		conn.Close()
	}
}
