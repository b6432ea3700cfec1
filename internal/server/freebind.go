// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// ListenTCP listens on an address that the host need not have yet: the agent starts before
// the network does.
func ListenTCP(address string) (net.Listener, error) {
	c := net.ListenConfig{Control: func(network, _ string, raw syscall.RawConn) error {
		var err error
		return errors.Join(raw.Control(func(fd uintptr) { err = freebind(network, int(fd)) }), err)
	}}
	return c.Listen(context.Background(), "tcp", address)
}

func freebind(network string, fd int) error {
	if network == "tcp6" {
		return unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_FREEBIND, 1)
	}
	return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_FREEBIND, 1)
}
