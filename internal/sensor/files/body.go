// SPDX-License-Identifier: Apache-2.0

package files

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

// Where a path comes from: FileOperation.path_source.
const (
	fromKernel   = "kernel"
	fromProc     = "proc"
	fromArgument = "argument"
)

// Resolver finds what a name means to a process: [Resolve], or a test's.
type Resolver func(pid uint32, name string) (string, bool)

// Body is the public record; nil for an operation that turns out not to be watched.
func (e *Event) Body(plan *Plan, resolve Resolver) *skepv1.FileOperation {
	source := fromKernel
	for i := range e.Paths {
		p := &e.Paths[i]
		if !p.Through {
			continue
		}
		if resolved, ok := e.resolve(p, resolve); ok {
			p.Text = resolved
			if source == fromKernel {
				source = fromProc
			}
		} else {
			source = fromArgument
		}
	}
	if !e.watched(plan) {
		return nil
	}
	b := &skepv1.FileOperation{
		Operation: e.operation(), Path: e.Paths[0].Text, NewPath: e.Paths[1].Text, Target: e.Target, PathSource: source,
		PathTruncated: e.Paths[0].Truncated || e.Paths[1].Truncated || e.Has(abi.FileCut), Inode: e.Inode, Type: typeOf(e.Mode),
		ResultUnknown: !e.Has(abi.FileHasResult),
	}
	if e.Inode != 0 {
		b.Device = device(e.Device)
	}
	if e.Error != 0 {
		b.Error, b.ErrorName = uint32(e.Error), unix.ErrnoName(unix.Errno(e.Error))
	}
	if e.Has(abi.FileDetails) {
		e.setDetails(b)
	}
	return b
}

// watched decides where the kernel side could not: names of a process that shares the
// host's root are compared with what is configured.
func (e *Event) watched(plan *Plan) bool {
	if !e.Has(abi.FileUnproven) || e.Has(abi.FileDeep) || !e.Has(abi.FileHostRoot) {
		return true
	}
	for _, p := range e.Paths {
		if p.Text != "" && (p.Truncated || plan.Watched(p.Text)) {
			return true
		}
	}
	return false
}

// resolve takes symlinks out of a path: those of its directory or, where what was operated
// on is known to be what the last name leads to, of all of it.
func (e *Event) resolve(p *Path, resolve Resolver) (string, bool) {
	pid := e.Owner.Tgid
	if e.Has(abi.FileHostRoot) {
		pid = 0 // it may have ended
	}
	if op := abi.FileOperation(e.Operation); (op == abi.FileChmod || op == abi.FileChown) && e.Mode != 0 && typeOf(e.Mode) != "symlink" {
		return resolve(pid, p.parent+path.Base(p.Text))
	}
	dir, ok := resolve(pid, p.parent)
	if !ok {
		return "", false
	}
	return path.Join(dir, path.Base(p.Text)), true
}

func (e *Event) operation() string {
	switch abi.FileOperation(e.Operation) {
	case abi.FileOpen:
		if e.Has(abi.FileCreated) {
			return "create"
		}
		return "open"
	case abi.FileMkdir:
		return "mkdir"
	case abi.FileMknod:
		return "mknod"
	case abi.FileRename:
		return "rename"
	case abi.FileUnlink:
		return "unlink"
	case abi.FileRmdir:
		return "rmdir"
	case abi.FileLink:
		return "link"
	case abi.FileSymlink:
		return "symlink"
	case abi.FileChmod:
		return "chmod"
	case abi.FileChown:
		return "chown"
	}
	return "operation(" + strconv.Itoa(int(e.Operation)) + ")"
}

func (e *Event) setDetails(b *skepv1.FileOperation) {
	switch abi.FileOperation(e.Operation) {
	case abi.FileOpen:
		b.Flags = openFlags(e.Details[0])
		if e.Details[0]&(unix.O_CREAT|unix.O_TMPFILE&^unix.O_DIRECTORY) != 0 {
			b.Mode = octal(e.Details[1])
		}
	case abi.FileMkdir, abi.FileMknod, abi.FileChmod:
		b.Mode = octal(e.Details[1])
	case abi.FileRename:
		b.Flags = renameFlags(e.Details[0])
	case abi.FileChown:
		b.Owner = ownerID(e.Details[0]) + ":" + ownerID(e.Details[1])
	}
}

// octal writes the permissions of a mode as chmod(1) takes them.
func octal(mode uint32) string { return fmt.Sprintf("%04o", mode&0o7777) }

// ownerID is empty for an id that stays as it is.
func ownerID(id uint32) string {
	if id == ^uint32(0) {
		return ""
	}
	return strconv.FormatUint(uint64(id), 10)
}

type flagName struct {
	bits uint32
	name string
}

// openNames: those that hold others come first.
var openNames = []flagName{
	{unix.O_TMPFILE, "O_TMPFILE"}, {unix.O_SYNC, "O_SYNC"}, {unix.O_CREAT, "O_CREAT"}, {unix.O_EXCL, "O_EXCL"}, {unix.O_TRUNC, "O_TRUNC"},
	{unix.O_APPEND, "O_APPEND"}, {unix.O_NONBLOCK, "O_NONBLOCK"}, {unix.O_DSYNC, "O_DSYNC"}, {unix.O_DIRECT, "O_DIRECT"},
	{unix.O_DIRECTORY, "O_DIRECTORY"}, {unix.O_NOFOLLOW, "O_NOFOLLOW"}, {unix.O_NOATIME, "O_NOATIME"}, {unix.O_CLOEXEC, "O_CLOEXEC"},
}

func openFlags(flags uint32) string {
	access := [4]string{"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"}[flags&unix.O_ACCMODE]
	return strings.Join(append([]string{access}, names(flags&^unix.O_ACCMODE, openNames)...), "|")
}

func renameFlags(flags uint32) string {
	return strings.Join(names(flags, []flagName{
		{unix.RENAME_NOREPLACE, "RENAME_NOREPLACE"}, {unix.RENAME_EXCHANGE, "RENAME_EXCHANGE"}, {unix.RENAME_WHITEOUT, "RENAME_WHITEOUT"},
	}), "|")
}

func names(flags uint32, known []flagName) (set []string) {
	for _, k := range known {
		if flags&k.bits == k.bits {
			set = append(set, k.name)
			flags &^= k.bits
		}
	}
	return set
}

func typeOf(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "file"
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFLNK:
		return "symlink"
	case unix.S_IFIFO:
		return "fifo"
	case unix.S_IFSOCK:
		return "socket"
	case unix.S_IFCHR:
		return "char_device"
	case unix.S_IFBLK:
		return "block_device"
	}
	return ""
}

// device writes a kernel dev_t as major:minor.
func device(dev uint32) string {
	return strconv.FormatUint(uint64(dev>>20), 10) + ":" + strconv.FormatUint(uint64(dev&(1<<20-1)), 10)
}
