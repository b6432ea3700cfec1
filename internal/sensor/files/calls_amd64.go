// SPDX-License-Identifier: Apache-2.0

package files

import (
	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
)

// older are the system calls that later architectures have left out.
var older = map[int]call{
	unix.SYS_OPEN:    {event: "open", operation: abi.FileOpen, name: 1, first: 2, other: 3},
	unix.SYS_CREAT:   {event: "creat", operation: abi.FileOpen, name: 1, other: 2},
	unix.SYS_MKDIR:   {event: "mkdir", operation: abi.FileMkdir, name: 1, other: 2},
	unix.SYS_MKNOD:   {event: "mknod", operation: abi.FileMknod, name: 1, first: 3, other: 2},
	unix.SYS_RENAME:  {event: "rename", operation: abi.FileRename, name: 1, name2: 2},
	unix.SYS_UNLINK:  {event: "unlink", operation: abi.FileUnlink, name: 1},
	unix.SYS_RMDIR:   {event: "rmdir", operation: abi.FileRmdir, name: 1},
	unix.SYS_LINK:    {event: "link", operation: abi.FileLink, name: 1, name2: 2},
	unix.SYS_SYMLINK: {event: "symlink", operation: abi.FileSymlink, name: 2, name2: 1},
	unix.SYS_CHMOD:   {event: "chmod", operation: abi.FileChmod, name: 1, other: 2},
	unix.SYS_CHOWN:   {event: "chown", operation: abi.FileChown, name: 1, first: 2, other: 3},
	unix.SYS_LCHOWN:  {event: "lchown", operation: abi.FileChown, name: 1, first: 2, other: 3},
}
