// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

// maxArgs is how much of a command line is kept, as for an exec that was seen.
const maxArgs = 4096

// Existing adds the processes of a scan of the kernel's tasks that the table does not
// have, with what /proc says of them, and retires those that are no more. It is run
// after attaching, and again when records of fork, exec or exit were lost.
func (t *Table) Existing(scan []abi.Process, nowNS uint64) (added, retired int) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	there := make(map[uint32]uint64, len(scan))
	for i := range scan {
		p := &scan[i]
		there[p.ID.Tgid] = p.ID.StartNS
		if e := t.live[p.ID.Tgid]; e != nil && e.id == key(p.ID) {
			continue
		}
		e := t.add(p)
		body, comm := readProc(p.ID.Tgid)
		e.process.Comm = comm
		if body != nil {
			body.CgroupId, body.Cgroup = p.CgroupID, t.cgroups.Place(p.CgroupID).Cgroup
			e.exec, e.process.Exe = body, body.File.GetPath()
		}
		if id := e.process.GetContainer().GetId(); id != "" {
			t.started[id] = true
		}
		added++
	}
	for tgid, e := range t.live {
		if start, ok := there[tgid]; (!ok || start != e.id.StartNS) && e.id.StartNS < nowNS {
			t.retire(e, nowNS)
			retired++
		}
	}
	return added, retired
}

// readProc reconstructs the last exec of a process from /proc; nil for a kernel thread
// or one that has gone.
func readProc(pid uint32) (*skepv1.Exec, string) {
	dir := "/proc/" + strconv.Itoa(int(pid)) + "/"
	comm, err := os.ReadFile(dir + "comm")
	if err != nil {
		return nil, ""
	}
	name := valid(strings.TrimSuffix(string(comm), "\n"))
	exe, err := os.Readlink(dir + "exe")
	if err != nil {
		return nil, name
	}
	path, unlinked := strings.CutSuffix(exe, " (deleted)")
	body := &skepv1.Exec{
		File:     &skepv1.File{Path: valid(path), PathSource: "proc"},
		Unlinked: unlinked,
		Memfd:    unlinked && strings.HasPrefix(path, "/memfd:"),
	}
	var stat unix.Stat_t
	if unix.Stat(dir+"exe", &stat) == nil {
		body.File.Inode = stat.Ino
		body.File.Device = fmt.Sprintf("%d:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev))
	}
	if cwd, err := os.Readlink(dir + "cwd"); err == nil {
		body.Cwd = valid(cwd)
	}
	readArgs(dir, body)
	readStatus(dir, body)
	body.Namespaces = readNamespaces(dir)
	return body, name
}

// FillFromProc completes an exec whose names could not be read in the kernel, if the
// process still lives.
func FillFromProc(id abi.ExecID, body *skepv1.Exec) {
	found, _ := readProc(id.Tgid)
	if found == nil {
		return
	}
	if body.File == nil || body.File.Path == "" {
		body.File, body.Unlinked, body.Memfd = found.File, found.Unlinked, found.Memfd
	}
	if body.Cwd == "" {
		body.Cwd = found.Cwd
	}
	if len(body.Args) == 0 {
		body.Args, body.ArgsRaw, body.ArgsTruncated = found.Args, found.ArgsRaw, found.ArgsTruncated
	}
	if body.NsPid == 0 {
		body.NsPid, body.Session = found.NsPid, found.Session
	}
	if body.Namespaces.GetPid() == 0 {
		body.Namespaces = found.Namespaces
	}
}

func readArgs(dir string, body *skepv1.Exec) {
	line, err := os.ReadFile(dir + "cmdline")
	if err != nil || len(line) == 0 {
		return
	}
	if len(line) > maxArgs {
		line, body.ArgsTruncated = line[:maxArgs], true
	}
	line = bytes.TrimSuffix(line, []byte{0})
	if !utf8.Valid(line) {
		body.ArgsRaw = bytes.Clone(line)
	}
	body.Args = strings.Split(valid(string(line)), "\x00")
}

// readStatus takes credentials, capabilities and the pid in its own namespace from
// /proc/PID/status.
func readStatus(dir string, body *skepv1.Exec) {
	text, err := os.ReadFile(dir + "status")
	if err != nil {
		return
	}
	c, caps := &skepv1.Credentials{LoginUid: ^uint32(0)}, &skepv1.Capabilities{}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		switch name {
		case "Uid":
			numbers(fields, &c.Uid, &c.Euid, &c.Suid, &c.Fsuid)
		case "Gid":
			numbers(fields, &c.Gid, &c.Egid, &c.Sgid, &c.Fsgid)
		case "NSpid":
			numbers(fields[len(fields)-1:], &body.NsPid)
		case "NSsid":
			numbers(fields, &body.Session)
		case "CapInh":
			caps.Inheritable = fields[0]
		case "CapPrm":
			caps.Permitted = fields[0]
		case "CapEff":
			caps.Effective = fields[0]
		case "CapBnd":
			caps.Bounding = fields[0]
		case "CapAmb":
			caps.Ambient = fields[0]
		}
	}
	if login, err := os.ReadFile(dir + "loginuid"); err == nil {
		numbers([]string{strings.TrimSpace(string(login))}, &c.LoginUid)
	}
	body.Credentials, body.Capabilities = c, caps
}

func numbers(fields []string, to ...*uint32) {
	for i, p := range to {
		if i < len(fields) {
			n, _ := strconv.ParseUint(fields[i], 10, 32)
			*p = uint32(n)
		}
	}
}

func readNamespaces(dir string) *skepv1.Namespaces {
	inode := func(name string) uint32 {
		var stat unix.Stat_t
		if unix.Stat(dir+"ns/"+name, &stat) != nil {
			return 0
		}
		return uint32(stat.Ino)
	}
	return &skepv1.Namespaces{
		Cgroup: inode("cgroup"), Ipc: inode("ipc"), Mnt: inode("mnt"), Net: inode("net"),
		Pid: inode("pid"), Time: inode("time"), User: inode("user"), Uts: inode("uts"),
	}
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
