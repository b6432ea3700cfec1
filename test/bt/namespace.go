// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

const insideVariable = "SKEP_BT_INSIDE"

// withTracefs makes sure that cases find the tracing file system: where nobody mounted it,
// this program runs itself again in a mount namespace of its own and mounts it there, so
// that the host stays as it is. It is true if that was done, with how it ended.
func withTracefs() (done bool, code int, err error) {
	const point = "/sys/kernel/tracing"
	if _, err := os.Stat(point + "/events"); err == nil {
		return false, 0, nil
	}
	if os.Getenv(insideVariable) != "" {
		if err := syscall.Mount("tracefs", point, "tracefs", 0, ""); err != nil {
			return false, 0, fmt.Errorf("mount tracefs at %s: %w", point, err)
		}
		return false, 0, nil
	}
	self, err := os.Executable()
	if err != nil {
		return false, 0, fmt.Errorf("make mount namespace: %w", err)
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	signal.Ignore(os.Interrupt) // the one inside takes it
	if err := cmd.Run(); err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			return true, exit.ExitCode(), nil
		}
		return true, 1, fmt.Errorf("make mount namespace: %w", err)
	}
	return true, 0, nil
}
