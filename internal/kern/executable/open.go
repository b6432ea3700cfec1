// SPDX-License-Identifier: Apache-2.0

package executable

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Identity tells a file from any other, and from itself after it was changed.
type Identity struct {
	Device, Inode  uint64
	Size           int64
	Seconds, Nanos int64 // of the last change (ctime): that of its contents (mtime) is as its owner says
}

// ErrReplaced means that a path leads to another file than before, or that the file changed.
var ErrReplaced = errors.New("the file was replaced or changed since its symbols were read; try again")

// Pin finds the file that a path leads to, and holds it, without opening it: what is at a path
// may be a pipe that blocks or a device that does something when it is opened. A path that
// begins with /proc/PID/root is followed as the process follows it: no symbolic link leads
// out of its root directory. The file must be a regular one.
func Pin(path string) (*os.File, Identity, error) {
	file, stat, err := pin(path)
	if err != nil {
		return nil, Identity{}, err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG {
		file.Close()
		return nil, Identity{}, fmt.Errorf("open executable %s: it is not a file", path)
	}
	return file, Identity{stat.Dev, stat.Ino, stat.Size, int64(stat.Ctim.Sec), int64(stat.Ctim.Nsec)}, nil
}

// PinSame is [Pin], but for a file that is not the one meant: the error wraps [ErrReplaced].
// Any file is taken if want is zero.
func PinSame(path string, want Identity) (*os.File, error) {
	file, id, err := Pin(path)
	if err == nil && want != (Identity{}) && id != want {
		file.Close()
		return nil, fmt.Errorf("open executable %s: %w", path, ErrReplaced)
	}
	return file, err
}

// PathOf is a path that leads to what is pinned, whatever becomes of its name.
func PathOf(pinned *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(pinned.Fd())) }

func pin(path string) (*os.File, *unix.Stat_t, error) {
	fd, err := openPath(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open executable: %w", &os.PathError{Op: "open", Path: path, Err: err})
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		unix.Close(fd)
		return nil, nil, fmt.Errorf("open executable: %w", &os.PathError{Op: "fstat", Path: path, Err: err})
	}
	return os.NewFile(uintptr(fd), path), &stat, nil
}

func openPath(path string) (int, error) {
	root, rest, ok := splitRoot(path)
	if !ok {
		return unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	dir, err := unix.Open(root, unix.O_PATH|unix.O_CLOEXEC|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(dir)
	// openat2 is as old as 5.6.
	return unix.Openat2(dir, rest, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
}

// splitRoot parts /proc/PID/root from what is inside of it.
func splitRoot(path string) (root, rest string, ok bool) {
	after, ok := strings.CutPrefix(path, "/proc/")
	if !ok {
		return "", "", false
	}
	pid, inside, _ := strings.Cut(after, "/")
	rest, ok = strings.CutPrefix(inside, "root/")
	if !ok || pid == "" || pid != "self" && strings.Trim(pid, "0123456789") != "" {
		return "", "", false
	}
	return "/proc/" + pid + "/root", "/" + rest, true
}

// reopen opens what is pinned for reading.
func reopen(pinned *os.File) (*os.File, error) {
	return os.OpenFile(PathOf(pinned), os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
}

// isFile tells whether a path leads to a regular file.
func isFile(path string) bool {
	pinned, _, err := Pin(path)
	if err != nil {
		return false
	}
	pinned.Close()
	return true
}

// readSmall reads a text of at most 64 KiB.
func readSmall(path string) (string, error) {
	pinned, id, err := Pin(path)
	if err != nil {
		return "", err
	}
	defer pinned.Close()
	file, err := reopen(pinned)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text := make([]byte, min(id.Size, 64<<10))
	n, err := file.ReadAt(text, 0)
	if n > 0 {
		err = nil
	}
	return string(text[:n]), err
}

// mostNames bounds how many names of one directory are looked at.
const mostNames = 1 << 16

// namesIn lists a directory's files, none if it cannot be read.
func namesIn(path string) []string {
	pinned, stat, err := pin(path)
	if err != nil {
		return nil
	}
	defer pinned.Close()
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	dir, err := reopen(pinned)
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(mostNames)
	return names
}
