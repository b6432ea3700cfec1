// SPDX-License-Identifier: Apache-2.0

package files

import (
	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
)

// older are the system calls that later architectures have left out.
var older = map[int]call{
	unix.SYS_OPEN:    {operation: abi.FileOpen, name: 1, first: 2, other: 3},
	unix.SYS_CREAT:   {operation: abi.FileOpen, name: 1, other: 2},
	unix.SYS_MKDIR:   {operation: abi.FileMkdir, name: 1, other: 2},
	unix.SYS_MKNOD:   {operation: abi.FileMknod, name: 1, first: 3, other: 2},
	unix.SYS_RENAME:  {operation: abi.FileRename, name: 1, name2: 2},
	unix.SYS_UNLINK:  {operation: abi.FileUnlink, name: 1},
	unix.SYS_RMDIR:   {operation: abi.FileRmdir, name: 1},
	unix.SYS_LINK:    {operation: abi.FileLink, name: 1, name2: 2},
	unix.SYS_SYMLINK: {operation: abi.FileSymlink, name: 2, name2: 1},
	unix.SYS_CHMOD:   {operation: abi.FileChmod, name: 1, other: 2},
	unix.SYS_CHOWN:   {operation: abi.FileChown, name: 1, first: 2, other: 3},
	unix.SYS_LCHOWN:  {operation: abi.FileChown, name: 1, first: 2, other: 3},
}
