// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"
)

// checkReadyFD refuses a descriptor that was not given to this program: the agent opens
// many of its own, and would write into one of them and close it.
func checkReadyFD(fd int) error {
	if fd < 0 {
		return nil
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil || fd <= 2 {
		return fmt.Errorf("use --ready-fd %d: give it an open descriptor above 2, such as the writing end of a pipe", fd)
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFREG, unix.S_IFCHR:
	default: // of the Go runtime
		return fmt.Errorf("use --ready-fd %d: it is not a pipe, a socket or a file; pass the writing end of a pipe", fd)
	}
	unix.CloseOnExec(fd)
	return nil
}

// ready tells whoever started the agent that it answers.
func (f *flags) ready() {
	f.tell([]byte{1})
	notifyManager()
}

func (f *flags) failed(err error) { f.tell([]byte(err.Error())) }

func (f *flags) tell(message []byte) {
	if f.readyFD < 0 {
		return
	}
	pipe := os.NewFile(uintptr(f.readyFD), "ready-fd")
	f.readyFD = -1
	if pipe == nil {
		return
	}
	_, err := pipe.Write(message)
	if err = errors.Join(err, pipe.Close()); err != nil {
		slog.Warn("ready-fd not written", "error", err)
	}
}
