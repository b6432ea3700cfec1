// SPDX-License-Identifier: Apache-2.0

package files

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
)

// Mounts is a [Host]: this one, with the devices of its mounts as mountinfo has them.
// Those are the kernel's own; what stat(2) calls a device is another number on btrfs.
type Mounts struct{ devices map[uint64]uint32 }

// ReadMounts reads /proc/self/mountinfo.
func ReadMounts() (*Mounts, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	defer f.Close()
	return parseMounts(f)
}

func parseMounts(r io.Reader) (*Mounts, error) {
	m := &Mounts{devices: map[uint64]uint32{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 {
			continue
		}
		major, minor, ok := strings.Cut(fields[2], ":")
		id, err := strconv.ParseUint(fields[0], 10, 64)
		if !ok || err != nil {
			continue
		}
		a, errA := strconv.ParseUint(major, 10, 12)
		b, errB := strconv.ParseUint(minor, 10, 20)
		if errA == nil && errB == nil {
			m.devices[id] = uint32(a<<20 | b)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	return m, nil
}

// Find implements [Host].
func (m *Mounts) Find(name string) (Found, bool) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return Found{}, false
	}
	defer unix.Close(fd)
	var stat unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_INO|unix.STATX_MNT_ID, &stat); err != nil {
		return Found{}, false
	}
	device, ok := m.devices[stat.Mnt_id]
	if !ok {
		device = stat.Dev_major<<20 | stat.Dev_minor
	}
	real, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return Found{}, false
	}
	return Found{Object: abi.FileObject{Inode: stat.Ino, Device: device}, Path: real}, true
}

// resolveCached is RESOLVE_CACHED of linux/openat2.h (5.12).
const resolveCached = 0x20

// Resolve finds what an absolute name means to a process, following symlinks, without
// waiting for any disk or server: what the process has just used, the kernel still knows.
// Process 0 is any that shares the agent's root. The answer is the path as the process's
// root shows it.
func Resolve(pid uint32, name string) (string, bool) {
	top := "/"
	if pid != 0 {
		top = fmt.Sprintf("/proc/%d/root", pid)
	}
	root, err := unix.Open(top, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", false
	}
	defer unix.Close(root)
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | resolveCached | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(root, name, &how)
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	there, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	own := fmt.Sprintf("/proc/%d/", os.Getpid()) // /proc/self, which meant the process
	if err != nil || !strings.HasPrefix(there, "/") || strings.HasPrefix(there, own) {
		return "", false
	}
	base, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(root))
	if err != nil {
		return "", false
	}
	if base != "/" {
		below, ok := strings.CutPrefix(there, base+"/")
		if !ok && there != base {
			return "", false
		}
		there = "/" + below
	}
	return valid(there), true
}
