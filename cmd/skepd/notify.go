// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
)

// notifyManager tells a service manager that the agent answers, so that what is ordered
// behind it is seen from its start (sd_notify(3)).
func notifyManager() {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if err := sendDatagram(path, "READY=1"); err != nil {
		slog.Warn("service manager not told that the agent is ready", "error", err)
	}
}

func sendDatagram(path, text string) error {
	// A first byte of "@" means an abstract socket to package net as well.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(text)); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}
