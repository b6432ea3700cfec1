// SPDX-License-Identifier: Apache-2.0

package files

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
)

// maxCalls is FILE_CALLS of bpf/files.
const maxCalls = 512

// call describes a system call: which of its arguments is what, counted from 1.
type call struct {
	event        string // as the kernel's tracepoint for it calls it
	operation    abi.FileOperation
	dir, name    int
	dir2, name2  int // the new path; of a symlink name2 is its text
	first, other int // details: see abi.FileHead
	how          int // openat2's struct, which has both
}

// common are the system calls of every architecture.
var common = map[int]call{
	unix.SYS_OPENAT:    {event: "openat", operation: abi.FileOpen, dir: 1, name: 2, first: 3, other: 4},
	unix.SYS_OPENAT2:   {event: "openat2", operation: abi.FileOpen, dir: 1, name: 2, how: 3},
	unix.SYS_MKDIRAT:   {event: "mkdirat", operation: abi.FileMkdir, dir: 1, name: 2, other: 3},
	unix.SYS_MKNODAT:   {event: "mknodat", operation: abi.FileMknod, dir: 1, name: 2, first: 4, other: 3},
	unix.SYS_RENAMEAT2: {event: "renameat2", operation: abi.FileRename, dir: 1, name: 2, dir2: 3, name2: 4, first: 5},
	unix.SYS_UNLINKAT:  {event: "unlinkat", operation: abi.FileUnlink, dir: 1, name: 2, first: 3},
	unix.SYS_LINKAT:    {event: "linkat", operation: abi.FileLink, dir: 1, name: 2, dir2: 3, name2: 4, first: 5},
	unix.SYS_SYMLINKAT: {event: "symlinkat", operation: abi.FileSymlink, dir: 2, name: 3, name2: 1},
	unix.SYS_FCHMOD:    {event: "fchmod", operation: abi.FileChmod, dir: 1, other: 2},
	unix.SYS_FCHMODAT:  {event: "fchmodat", operation: abi.FileChmod, dir: 1, name: 2, other: 3},
	unix.SYS_FCHMODAT2: {event: "fchmodat2", operation: abi.FileChmod, dir: 1, name: 2, other: 3},
	unix.SYS_FCHOWN:    {event: "fchown", operation: abi.FileChown, dir: 1, first: 2, other: 3},
	unix.SYS_FCHOWNAT:  {event: "fchownat", operation: abi.FileChown, dir: 1, name: 2, first: 3, other: 4},
	unix.SYS_RENAMEAT:  {event: "renameat", operation: abi.FileRename, dir: 1, name: 2, dir2: 3, name2: 4},

	unix.SYS_MOUNT:      {event: "mount", operation: abi.FileMount},
	unix.SYS_UMOUNT2:    {event: "umount", operation: abi.FileMount},
	unix.SYS_MOVE_MOUNT: {event: "move_mount", operation: abi.FileMount},
	unix.SYS_PIVOT_ROOT: {event: "pivot_root", operation: abi.FileMount},
}

// calls is the kernel side's table, by number.
func calls() [maxCalls]abi.FileCall {
	var table [maxCalls]abi.FileCall
	for _, list := range []map[int]call{common, older} {
		for number, c := range list {
			table[number] = abi.FileCall{
				Operation: uint8(c.operation), Directory: [2]uint8{uint8(c.dir), uint8(c.dir2)}, Name: [2]uint8{uint8(c.name), uint8(c.name2)},
				Details: [2]uint8{uint8(c.first), uint8(c.other)}, How: uint8(c.how),
			}
		}
	}
	return table
}

// ends are the tracepoints at the end of each of these calls.
func ends() []string {
	var all []string
	for _, list := range []map[int]call{common, older} {
		for _, c := range list {
			all = append(all, "syscalls/sys_exit_"+c.event)
		}
	}
	slices.Sort(all)
	return all
}
