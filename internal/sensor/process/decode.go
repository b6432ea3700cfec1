// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"unsafe"

	"github.com/skep-io/skep/internal/abi"
)

// Fork, Exit, Oom, and Attach are fixed records: their ABI structs say it all.

// Decode copies a record of fixed layout out of a ring. It fails on a record that
// is shorter than its type.
func Decode[T abi.ForkRecord | abi.ExitRecord | abi.OOMRecord | abi.AttachRecord | abi.Process](raw []byte, to *T) error {
	return copyFixed(raw, unsafe.Pointer(to), unsafe.Sizeof(*to))
}

// copyFixed copies rather than casts: a record may be unaligned or too short.
func copyFixed(raw []byte, to unsafe.Pointer, size uintptr) error {
	if uintptr(len(raw)) < size {
		return fmt.Errorf("decode record: %d bytes of %d", len(raw), size)
	}
	copy(unsafe.Slice((*byte)(to), size), raw)
	return nil
}

// Cgroup is a cgroup that appears or goes.
type Cgroup struct {
	ID   uint64
	Path string // below the hierarchy's root; "" where the kernel side could not read it
}

// DecodeCgroup decodes EVENT_CGROUP_MKDIR and EVENT_CGROUP_RMDIR.
func DecodeCgroup(raw []byte) (Cgroup, error) {
	var r abi.CgroupRecord
	fixed := unsafe.Offsetof(r.Path)
	if err := copyFixed(raw, unsafe.Pointer(&r), fixed); err != nil {
		return Cgroup{}, err
	}
	rest := raw[fixed:]
	if uint64(r.PathLength) > uint64(len(rest)) {
		return Cgroup{}, fmt.Errorf("decode cgroup record: path of %d bytes in %d", r.PathLength, len(rest))
	}
	return Cgroup{ID: r.CgroupID, Path: cString(rest[:r.PathLength])}, nil
}

// cString is the text up to the first NUL.
func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// Comm is the text of a kernel command name.
func Comm(name [16]byte) string { return valid(cString(name[:])) }

// DecodeScan decodes what the iterator over existing processes wrote.
func DecodeScan(raw []byte) ([]abi.Process, error) {
	size := int(unsafe.Sizeof(abi.Process{}))
	if len(raw)%size != 0 {
		return nil, fmt.Errorf("decode process scan: %d bytes are no multiple of %d", len(raw), size)
	}
	all := make([]abi.Process, len(raw)/size)
	for i := range all {
		if err := Decode(raw[i*size:], &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}
