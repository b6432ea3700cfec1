// SPDX-License-Identifier: Apache-2.0

package files

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
)

// Mounts is a [Host]: what its first process sees, with the devices of its mounts as
// mountinfo has them. Those are the kernel's own; what stat(2) calls a device is another
// number on btrfs.
type Mounts struct {
	root    int
	devices map[uint64]uint32
}

// ReadMounts looks at the host. The caller closes what it gets.
func ReadMounts() (*Mounts, error) { return mountsOf(hostProcess()) }

// hostProcess is one, below /proc, whose paths are the host's: the first, since the agent
// may have a mount namespace of its own in which its unit hides some; or the agent itself,
// where the first must not be looked at.
var hostProcess = sync.OnceValue(func() string {
	if unix.Access("/proc/1/root/", unix.F_OK) == nil {
		return "1"
	}
	return "self"
})

func mountsOf(process string) (*Mounts, error) {
	f, err := os.Open("/proc/" + process + "/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	defer f.Close()
	m, err := parseMounts(f)
	if err != nil {
		return nil, err
	}
	if m.root, err = openRoot(process); err != nil {
		return nil, fmt.Errorf("open the host's root: %w", err)
	}
	return m, nil
}

func openRoot(process string) (int, error) {
	return unix.Open("/proc/"+process+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// Close gives back what is open.
func (m *Mounts) Close() error { return unix.Close(m.root) }

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
	fd, err := openBelow(m.root, name, 0)
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
	real, ok := pathBelow(m.root, fd)
	return Found{Object: abi.FileObject{Inode: stat.Ino, Device: device}, Path: real}, ok
}

// openBelow opens what a name means to a process with this root.
func openBelow(root int, name string, resolve uint64) (fd int, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | resolve}
	for range 100 { // a rename anywhere, while it follows "..", may have led out of the root
		if fd, err = unix.Openat2(root, name, &how); err != unix.EAGAIN || resolve&resolveCached != 0 {
			break
		}
	}
	return fd, err
}

// pathBelow is the path of what is open as the root shows it.
func pathBelow(root, fd int) (string, bool) {
	there, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil || !strings.HasPrefix(there, "/") {
		return "", false
	}
	base, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(root))
	if err != nil {
		return "", false
	}
	if base == "/" || there == base {
		return "/" + strings.TrimPrefix(there, base), true
	}
	below, ok := strings.CutPrefix(there, base+"/")
	return "/" + below, ok
}

// resolveCached is RESOLVE_CACHED of linux/openat2.h (5.12).
const resolveCached = 0x20

// Resolve finds what an absolute name means to a process, following symlinks, without
// waiting for any disk or server: what the process has just used, the kernel still knows.
// Process 0 is any that shares the host's root. The answer is the path as the process's
// root shows it.
func Resolve(pid uint32, name string) (string, bool) {
	process := hostProcess()
	if pid != 0 {
		process = strconv.FormatUint(uint64(pid), 10)
	}
	root, err := openRoot(process)
	if err != nil {
		return "", false
	}
	defer unix.Close(root)
	fd, err := openBelow(root, name, resolveCached)
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	there, ok := pathBelow(root, fd)
	if !ok || strings.HasPrefix(there, fmt.Sprintf("/proc/%d/", os.Getpid())) { // /proc/self, which meant the process
		return "", false
	}
	return valid(there), true
}
