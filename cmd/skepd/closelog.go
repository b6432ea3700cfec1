// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime/debug"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/store"
)

// closeLogCommand is what the agent starts to close a period of its disk log.
func closeLogCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:    "close-log ID",
		Short:  "Make Parquet files of a log of the disk log; the agent does this",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return fmt.Errorf("close log: %q is not the number of a log", args[0])
			}
			background()
			damage, err := store.CloseLog(c.Context(), dir, id)
			if err == nil {
				fmt.Println(damage.Bytes, damage.Records)
			}
			return err
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "directory of the disk log")
	return c
}

// background makes this process give way to all others. It is not SCHED_IDLE: on a host
// that is always busy logs would pile up.
func background() {
	// Of the process group, which the agent has made for it: all threads of the runtime are
	// in it. That this fails is no reason not to go on.
	_ = unix.Setpriority(unix.PRIO_PGRP, 0, 19)
	const whoPgrp, classIdle = 2, 3 << 13 // ioprio_set(2)
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, whoPgrp, 0, classIdle)
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(128 << 20)
}
