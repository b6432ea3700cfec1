// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// fileIDKernfs is FILEID_KERNFS of include/linux/exportfs.h: the handle's
// bytes are the 64-bit kernfs node id (since 5.5, v1 and v2 alike).
const fileIDKernfs = 0xfe

// errGone: the kernel knows no such cgroup, so no walk would find it.
var errGone = errors.New("no such cgroup")

// openByID asks the kernel for the path of a cgroup. It needs
// CAP_DAC_READ_SEARCH; another error than errGone says nothing about the cgroup.
func openByID(h Hierarchy, id uint64) (string, error) {
	mount, err := unix.Open(h.Mount, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", h.Mount, err)
	}
	defer unix.Close(mount)
	handle := unix.NewFileHandle(fileIDKernfs, binary.NativeEndian.AppendUint64(nil, id))
	fd, err := unix.OpenByHandleAt(mount, handle, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if errors.Is(err, unix.ESTALE) {
		return "", errGone
	}
	if err != nil {
		return "", fmt.Errorf("open cgroup %d by handle: %w", id, err)
	}
	defer unix.Close(fd)
	full, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return "", fmt.Errorf("read path of cgroup %d: %w", id, err)
	}
	return h.relative(full)
}

// relative turns a path of the mount into one of the hierarchy.
func (h Hierarchy) relative(full string) (string, error) {
	if strings.HasSuffix(full, " (deleted)") {
		return "", errGone
	}
	rest, ok := strings.CutPrefix(full, h.Mount)
	if !ok || rest != "" && rest[0] != '/' && h.Mount != "/" {
		return "", errGone // outside the part that is mounted here
	}
	return path.Join(h.Root, rest), nil
}
