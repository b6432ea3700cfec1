// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// signals returns a context that ends when the agent is to stop, and a channel that says
// when to read the configuration again.
//
// SIGHUP has two meanings. Sent by somebody, it asks for a reload, as with every daemon.
// Sent by the kernel, it says that the terminal of a skepd in the foreground has gone, and
// then it must not live on unseen. The two are told apart by whether the terminal that was
// there at the start still is. Under nohup there is only the first.
func signals(parent context.Context) (ctx context.Context, reload <-chan struct{}, stop func()) {
	ctx, stop = signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	foreground := !signal.Ignored(syscall.SIGHUP) && hasTerminal()
	hangups, asked := make(chan os.Signal, 1), make(chan struct{}, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for range hangups {
			if foreground && !hasTerminal() {
				stop()
				return
			}
			select {
			case asked <- struct{}{}:
			default: // it will be read after this, too
			}
		}
	}()
	return ctx, asked, stop
}

// hasTerminal tells whether this process has a controlling terminal (tty(4)).
func hasTerminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_WRONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}
