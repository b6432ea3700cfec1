// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
	"unsafe"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

// Exec is a decoded EVENT_EXEC.
type Exec struct {
	BootNS  uint64
	Process abi.Process
	Comm    string
	// Body is the public record, but for what only user space knows (container, cgroup path).
	Body *skepv1.Exec
	// NoPaths: names could not be read in the kernel; /proc has them, if the process lives.
	NoPaths bool
}

// pathFlags of bpf/include/path.h.
const (
	pathComplete    = 1
	pathTruncated   = 2
	pathUnreachable = 4
	pathPseudo      = 8
)

// execFlags of bpf/process/record.h.
const (
	execSetuid        = 1
	execSetgid        = 2
	execFileCaps      = 4
	execUnlinked      = 8
	execScript        = 16
	execArgsTruncated = 32
	execNoPaths       = 64
)

// DecodeExec decodes EVENT_EXEC.
func DecodeExec(raw []byte) (*Exec, error) {
	var r abi.ExecHead
	if err := copyFixed(raw, unsafe.Pointer(&r), unsafe.Sizeof(r)); err != nil {
		return nil, err
	}
	texts, err := split(raw[unsafe.Sizeof(r):], r.ArgsLength, r.FilenameLength, r.ExeLength, r.CwdLength)
	if err != nil {
		return nil, err
	}
	body := &skepv1.Exec{
		ArgsTruncated: r.Flags&execArgsTruncated != 0,
		Filename:      valid(cString(texts[1])),
		Cwd:           joinPath(texts[3], r.CwdPathFlags),
		Setuid:        r.Flags&execSetuid != 0,
		Setgid:        r.Flags&execSetgid != 0,
		FileCaps:      r.Flags&execFileCaps != 0,
		Unlinked:      r.Flags&execUnlinked != 0,
		NsPid:         r.NSPid,
		Session:       r.Session,
		Tty:           terminal(r.TTY[:]),
		CgroupId:      r.Process.CgroupID,
		File:          file(&r, texts[2]),
		Credentials:   credentials(&r.Credentials),
		Capabilities:  capabilities(&r.Credentials),
		Namespaces:    namespaces(&r.Namespaces),
	}
	body.Args, body.ArgsRaw = arguments(texts[0])
	// The name alone proves nothing: anyone may call a file so.
	body.Memfd = r.ExePathFlags&pathPseudo != 0 && strings.HasPrefix(body.File.Path, "/memfd:")
	if r.Flags&execScript != 0 {
		body.Script = body.Filename
	}
	return &Exec{
		BootNS: r.Header.BootNS, Process: r.Process, Comm: valid(cString(r.Comm[:])),
		Body: body, NoPaths: r.Flags&execNoPaths != 0,
	}, nil
}

// split cuts the text into consecutive parts of the given lengths.
func split(text []byte, lengths ...uint16) ([4][]byte, error) {
	var parts [4][]byte
	for i, n := range lengths {
		if int(n) > len(text) {
			return parts, fmt.Errorf("decode exec record: part %d has %d bytes of %d", i, n, len(text))
		}
		parts[i], text = text[:n], text[n:]
	}
	return parts, nil
}

// arguments splits the NUL-terminated argument area. Protobuf strings are UTF-8: where an
// argument is not, the original bytes are returned too.
func arguments(area []byte) (args []string, raw []byte) {
	if len(area) == 0 {
		return nil, nil
	}
	ended := area[len(area)-1] == 0
	text := area
	if ended {
		text = area[:len(area)-1]
	}
	if !utf8.Valid(text) {
		raw = bytes.Clone(text)
	}
	all := valid(string(text))
	return strings.Split(all, "\x00"), raw
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// joinPath turns "leaf\0...\0top\0" into a path.
func joinPath(walk []byte, flags uint16) string {
	walk = bytes.TrimSuffix(walk, []byte{0})
	if len(walk) == 0 {
		if flags&pathComplete != 0 {
			return "/"
		}
		return ""
	}
	names := strings.Split(string(walk), "\x00")
	var b strings.Builder
	b.Grow(len(walk) + 1)
	for i := len(names) - 1; i >= 0; i-- {
		// A walk that was cut off has no front: it does not start at the root.
		if flags&pathTruncated == 0 || i < len(names)-1 {
			b.WriteByte('/')
		}
		b.WriteString(names[i])
	}
	return valid(b.String())
}

func file(r *abi.ExecHead, walk []byte) *skepv1.File {
	f := &skepv1.File{Device: Device(r.Device), Inode: r.Inode}
	if len(walk) > 0 {
		f.Path, f.PathSource = joinPath(walk, r.ExePathFlags), "kernel"
		f.PathTruncated = r.ExePathFlags&pathTruncated != 0
	}
	return f
}

// Device writes a kernel dev_t as major:minor.
func Device(dev uint32) string { return fmt.Sprintf("%d:%d", dev>>20, dev&(1<<20-1)) }

// terminal turns the kernel's name of a tty into that under /dev.
func terminal(name []byte) string {
	tty := valid(cString(name))
	if n, ok := strings.CutPrefix(tty, "pts"); ok && n != "" && n[0] != '/' {
		return "pts/" + n
	}
	return tty
}

func credentials(c *abi.Credentials) *skepv1.Credentials {
	return &skepv1.Credentials{
		Uid: c.UID, Gid: c.GID, Euid: c.Euid, Egid: c.Egid, Suid: c.Suid, Sgid: c.Sgid,
		Fsuid: c.Fsuid, Fsgid: c.Fsgid, LoginUid: c.LoginUID,
	}
}

func capabilities(c *abi.Credentials) *skepv1.Capabilities {
	return &skepv1.Capabilities{
		Inheritable: hex16(c.Inheritable), Permitted: hex16(c.Permitted), Effective: hex16(c.Effective),
		Bounding: hex16(c.Bounding), Ambient: hex16(c.Ambient),
	}
}

// hex16 writes a mask as /proc/PID/status does.
func hex16(mask uint64) string {
	switch mask {
	case 0:
		return "0000000000000000"
	case 0x1ffffffffff:
		return "000001ffffffffff"
	}
	return fmt.Sprintf("%016x", mask)
}

func namespaces(n *abi.Namespaces) *skepv1.Namespaces {
	return &skepv1.Namespaces{
		Cgroup: n.Cgroup, Ipc: n.Ipc, Mnt: n.Mnt, Net: n.Net, Pid: n.Pid, Time: n.Time, User: n.User, Uts: n.Uts,
	}
}
