// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strconv"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// datagrams renders what a UDP flow has carried: ↑1.2 KiB in 3 ↓400 B in 2 over 1.2s, idle.
func (e essence) datagrams(dst []byte, c *skepv1.Connection) []byte {
	for _, way := range []struct {
		arrow          string
		bytes, packets uint64
	}{{e.up, c.GetBytesSent(), c.GetPacketsSent()}, {e.down, c.GetBytesReceived(), c.GetPacketsReceived()}} {
		dst = append(append(dst, ' '), way.arrow...)
		dst = appendBytes(dst, way.bytes)
		dst = strconv.AppendUint(append(dst, " in "...), way.packets, 10)
	}
	if ns := c.GetDurationNs(); ns > 0 { // else all of it fell into one tick of the kernel's coarse clock
		dst = appendDuration(append(dst, " over "...), time.Duration(ns))
	}
	reason := event.Printable(c.GetCloseReason())
	if reason == "" {
		reason = "so far"
	}
	return append(append(dst, ", "...), reason...)
}

// unix renders a connect to a unix socket: → /run/docker.sock (dockerd[812]).
func (e essence) unix(dst []byte, u *skepv1.UnixConnect) []byte {
	dst = append(dst, e.to[1:]...)
	path := event.Printable(u.GetPath())
	if u.GetPathUnknown() {
		path = "[name not known]"
	}
	dst = e.append(dst, bold, path)
	dst = e.peer(dst, u.GetPeer())
	if u.GetPeerGone() {
		dst = append(dst, ' ')
		dst = e.append(dst, yellow, "[gone]")
	}
	if u.GetType() != "stream" {
		dst = append(dst, ' ')
		dst = e.append(dst, dim, event.Printable(u.GetType()))
	}
	if name := event.Printable(u.GetErrorName()); name != "" {
		dst = e.append(append(dst, ' '), red, name)
	}
	return dst
}
