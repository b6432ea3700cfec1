// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/identity"
	"github.com/skep-io/skep/internal/redact"
	"github.com/skep-io/skep/internal/walk"
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

// DecodeExec decodes EVENT_EXEC. Secrets are taken out of the arguments here, so that
// nothing behind it has them.
func DecodeExec(raw []byte, secrets *redact.Redactor) (Exec, error) {
	var r abi.ExecHead
	if err := copyFixed(raw, unsafe.Pointer(&r), unsafe.Sizeof(r)); err != nil {
		return Exec{}, err
	}
	texts, err := split(raw[unsafe.Sizeof(r):], r.ArgsLength, r.FilenameLength, r.ExeLength, r.CwdLength)
	if err != nil {
		return Exec{}, err
	}
	// One allocation for what lives and dies together: an exec is the costliest record.
	all := &struct {
		body         skepv1.Exec
		file         skepv1.File
		credentials  skepv1.Credentials
		capabilities skepv1.Capabilities
		namespaces   skepv1.Namespaces
	}{}
	body := &all.body
	body.File, body.Credentials, body.Capabilities, body.Namespaces = &all.file, &all.credentials, &all.capabilities, &all.namespaces
	setFile(body.File, &r, texts[2])
	setCredentials(body.Credentials, &r.Credentials)
	setCapabilities(body.Capabilities, &r.Credentials)
	setNamespaces(body.Namespaces, &r.Namespaces)
	flags := abi.ExecFlag(r.Flags)
	setFlags(body, flags)
	body.Filename = valid(cString(texts[1]))
	body.Cwd, body.CwdTruncated = walk.Join(texts[3], r.CwdPathFlags), r.CwdPathFlags&walk.Truncated != 0
	body.NsPid, body.Session, body.Tty = r.NSPid, r.Session, terminal(r.TTY[:])
	body.CgroupId = r.Process.CgroupID
	clean, redacted := secrets.Args(texts[0])
	var cut bool
	body.Args, body.ArgsRaw, cut = arguments(clean)
	body.ArgsTruncated, body.ArgsRedacted = body.ArgsTruncated || cut, uint32(redacted)
	// The name alone proves nothing: anyone may call a file so.
	body.Memfd = r.ExePathFlags&walk.Pseudo != 0 && strings.HasPrefix(body.File.Path, "/memfd:")
	if flags&abi.ExecScript != 0 {
		body.Script = body.Filename
	}
	return Exec{
		BootNS: r.Header.BootNS, Process: r.Process, Comm: Comm(r.Comm), Body: body, NoPaths: flags&abi.ExecNoPaths != 0,
	}, nil
}

func setFlags(body *skepv1.Exec, flags abi.ExecFlag) {
	body.ArgsTruncated = flags&abi.ExecArgsTruncated != 0
	body.Setuid = flags&abi.ExecSetuid != 0
	body.Setgid = flags&abi.ExecSetgid != 0
	body.FileCaps = flags&abi.ExecFileCaps != 0
	body.Unlinked = flags&abi.ExecUnlinked != 0
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

// arguments splits the NUL-terminated argument area. Of more than identity.MaxArgCount the
// rest is left out, and cut is set. Protobuf strings are UTF-8: where an argument is not, the
// original bytes of those that are recorded are returned too.
func arguments(area []byte) (args []string, raw []byte, cut bool) {
	if len(area) == 0 {
		return nil, nil, false
	}
	ended := area[len(area)-1] == 0
	text := area
	if ended {
		text = area[:len(area)-1]
	}
	text, cut = identity.FirstArgs(text)
	if !utf8.Valid(text) {
		raw = bytes.Clone(text)
	}
	all := valid(string(text))
	return strings.Split(all, "\x00"), raw, cut
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func setFile(f *skepv1.File, r *abi.ExecHead, exe []byte) {
	f.Device, f.Inode = Device(r.Device), r.Inode
	if len(exe) > 0 {
		f.Path, f.PathSource = walk.Join(exe, r.ExePathFlags), "kernel"
		f.PathTruncated = r.ExePathFlags&walk.Truncated != 0
	}
}

// Device writes a kernel dev_t as major:minor.
func Device(dev uint32) string {
	b := strconv.AppendUint(make([]byte, 0, 16), uint64(dev>>20), 10)
	return string(strconv.AppendUint(append(b, ':'), uint64(dev&(1<<20-1)), 10))
}

// terminal turns the kernel's name of a tty into that under /dev.
func terminal(name []byte) string {
	tty := valid(cString(name))
	if n, ok := strings.CutPrefix(tty, "pts"); ok && n != "" && n[0] != '/' {
		return "pts/" + n
	}
	return tty
}

func setCredentials(to *skepv1.Credentials, c *abi.Credentials) {
	to.Uid, to.Euid, to.Suid, to.Fsuid = c.UID, c.Euid, c.Suid, c.Fsuid
	to.Gid, to.Egid, to.Sgid, to.Fsgid = c.GID, c.Egid, c.Sgid, c.Fsgid
	to.LoginUid = c.LoginUID
}

func setCapabilities(to *skepv1.Capabilities, c *abi.Credentials) {
	to.Inheritable, to.Ambient, to.Bounding = hex16(c.Inheritable), hex16(c.Ambient), hex16(c.Bounding)
	// Root has all three alike, others the last two: one text does for them.
	to.Permitted = to.Bounding
	if c.Permitted != c.Bounding {
		to.Permitted = hex16(c.Permitted)
	}
	to.Effective = to.Permitted
	if c.Effective != c.Permitted {
		to.Effective = hex16(c.Effective)
	}
}

// hex16 writes a mask as /proc/PID/status does.
func hex16(mask uint64) string {
	const digits = "0123456789abcdef"
	if mask == 0 {
		return "0000000000000000"
	}
	var text [16]byte
	for i := range text {
		text[i] = digits[mask>>(60-4*i)&15]
	}
	return string(text[:])
}

func setNamespaces(to *skepv1.Namespaces, n *abi.Namespaces) {
	to.Cgroup, to.Ipc, to.Mnt, to.Net = n.Cgroup, n.Ipc, n.Mnt, n.Net
	to.Pid, to.Time, to.User, to.Uts = n.Pid, n.Time, n.User, n.Uts
}
