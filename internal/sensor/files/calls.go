// SPDX-License-Identifier: Apache-2.0

package files

import (
	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
)

// maxCalls is FILE_CALLS of bpf/files.
const maxCalls = 512

// call describes a system call: which of its arguments is what, counted from 1.
type call struct {
	operation    abi.FileOperation
	dir, name    int
	dir2, name2  int // the new path; of a symlink name2 is its text
	first, other int // details: see abi.FileHead
	how          int // openat2's struct, which has both
}

// common are the system calls of every architecture.
var common = map[int]call{
	unix.SYS_OPENAT:    {operation: abi.FileOpen, dir: 1, name: 2, first: 3, other: 4},
	unix.SYS_OPENAT2:   {operation: abi.FileOpen, dir: 1, name: 2, how: 3},
	unix.SYS_MKDIRAT:   {operation: abi.FileMkdir, dir: 1, name: 2, other: 3},
	unix.SYS_MKNODAT:   {operation: abi.FileMknod, dir: 1, name: 2, first: 4, other: 3},
	unix.SYS_RENAMEAT2: {operation: abi.FileRename, dir: 1, name: 2, dir2: 3, name2: 4, first: 5},
	unix.SYS_UNLINKAT:  {operation: abi.FileUnlink, dir: 1, name: 2, first: 3},
	unix.SYS_LINKAT:    {operation: abi.FileLink, dir: 1, name: 2, dir2: 3, name2: 4, first: 5},
	unix.SYS_SYMLINKAT: {operation: abi.FileSymlink, dir: 2, name: 3, name2: 1},
	unix.SYS_FCHMOD:    {operation: abi.FileChmod, dir: 1, other: 2},
	unix.SYS_FCHMODAT:  {operation: abi.FileChmod, dir: 1, name: 2, other: 3},
	unix.SYS_FCHMODAT2: {operation: abi.FileChmod, dir: 1, name: 2, other: 3},
	unix.SYS_FCHOWN:    {operation: abi.FileChown, dir: 1, first: 2, other: 3},
	unix.SYS_FCHOWNAT:  {operation: abi.FileChown, dir: 1, name: 2, first: 3, other: 4},
	unix.SYS_RENAMEAT:  {operation: abi.FileRename, dir: 1, name: 2, dir2: 3, name2: 4},

	unix.SYS_MOUNT:      {operation: abi.FileMount},
	unix.SYS_UMOUNT2:    {operation: abi.FileMount},
	unix.SYS_MOVE_MOUNT: {operation: abi.FileMount},
	unix.SYS_PIVOT_ROOT: {operation: abi.FileMount},
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
