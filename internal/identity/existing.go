// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/redact"
)

// maxArgs is how many bytes are kept of a command line: as of an exec that was seen.
const maxArgs = 4096

// maxProcFile bounds what is read of any other file of /proc.
const maxProcFile = 64 << 10

// Existing adds the processes of a scan of the kernel's tasks that the table does not
// have, by the names that /proc has for them, retires those that are no more, and takes
// over the cgroups of those that were moved. It is run after attaching, and again when
// records of fork, exec, exit or a move were lost. The scan has begun at nowNS (boot time).
// Fill, to be called next, reads the rest: there may be thousands, and events need the
// names only.
func (t *Table) Existing(scan []abi.Process, nowNS uint64) (added, retired int) {
	names := t.gather(scan)
	t.mutex.Lock()
	defer t.mutex.Unlock()
	there := make(map[uint32]uint64, len(scan))
	for i := range scan {
		p := &scan[i]
		there[p.ID.Tgid] = p.ID.StartNS
		// The ring may have told of it while /proc was read.
		if seen, ok := names[key(p.ID)]; ok && !t.known(key(p.ID)) {
			t.addExisting(p, seen)
			added++
		}
		t.correct(p, nowNS)
	}
	for e := range t.allLive {
		if start, ok := there[e.id.Tgid]; (!ok || start != e.id.StartNS) && e.id.StartNS < nowNS {
			e.vanished = true
			t.retire(e, nowNS)
			retired++
		}
	}
	if added > 0 && t.filling == nil {
		t.filling = make(chan struct{})
	}
	return added, retired
}

// LeftOut returns the parents that a scan names and does not have, as far as they live:
// there are kernels whose iterator leaves out pid 1. Their cgroups are not known.
func LeftOut(scan []abi.Process) (parents []abi.Process) {
	there := make(map[uint32]struct{}, len(scan))
	for i := range scan {
		there[scan[i].ID.Tgid] = struct{}{}
	}
	for i := range scan {
		id := processKey(scan[i].Parent)
		if _, ok := there[id.Tgid]; ok || id.Tgid == 0 {
			continue
		}
		there[id.Tgid] = struct{}{}
		if startedAt(procDir(id.Tgid), id.StartNS) {
			parents = append(parents, abi.Process{ID: id, Flags: uint16(abi.ProcessPreexisting)})
		}
	}
	return parents
}

// gather reads the names of the processes of a scan that the table does not have. The
// table is not locked meanwhile.
func (t *Table) gather(scan []abi.Process) map[abi.ExecID]sight {
	ids := t.unknown(scan)
	seen := make([]sight, len(ids))
	each(len(ids), func(i int) { seen[i] = readName(ids[i]) })
	found := make(map[abi.ExecID]sight, len(ids))
	for i, id := range ids {
		found[id] = seen[i]
	}
	return found
}

func (t *Table) unknown(scan []abi.Process) (ids []abi.ExecID) {
	t.mutex.RLock()
	defer t.mutex.RUnlock()
	for i := range scan {
		if id := key(scan[i].ID); !t.known(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// known tells whether the table has what a scan saw, or something later: the ring may
// have told of the next exec, or of the exit, since.
func (t *Table) known(id abi.ExecID) bool {
	if e := t.live(id.Tgid); e != nil && sameProcess(e.id, id) && e.id.ExecNS >= id.ExecNS {
		return true
	}
	e := t.image(id)
	return e != nil && e.dead && !e.vanished || t.ended(id)
}

func (t *Table) addExisting(p *abi.Process, seen sight) {
	e, _ := t.add(p)
	e.process.Comm, e.process.Exe = seen.comm, seen.exe
	e.bare = seen.exe != "" // a kernel thread has no more than its name
	e.inside = e.bornInside()
	id := e.containerID()
	if id == "" {
		return
	}
	if first, ok := t.started[id]; !ok || e.id.StartNS < first.StartNS {
		t.started[id] = e.id
	}
}

// readProc reconstructs the last exec of a process from /proc; nil for a kernel thread
// or one that has gone.
func readProc(id abi.ExecID, secrets *redact.Redactor) (*skepv1.Exec, string) {
	dir := procDir(id.Tgid)
	comm, err := readBounded(dir+"comm", maxProcFile)
	if err != nil {
		return nil, ""
	}
	name := valid(strings.TrimSuffix(string(comm), "\n"))
	body := readImage(dir, secrets)
	// Last: if it is still the same process now, all of the above was about it.
	if !startedAt(dir, id.StartNS) {
		return nil, ""
	}
	return body, name
}

// procDir is the directory of a process, with a slash behind it.
func procDir(pid uint32) string { return "/proc/" + strconv.Itoa(int(pid)) + "/" }

// readBounded reads the front of a file: a process decides how long its command line
// is (PR_SET_MM), up to all of its memory. It is not os.ReadFile, which takes twice the
// time for a small file of /proc.
func readBounded(path string, limit int) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	text := make([]byte, 0, min(limit, 512))
	for len(text) < limit {
		text = slices.Grow(text, 1)
		n, err := unix.Read(fd, text[len(text):min(cap(text), limit)])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return text, err
		}
		text = text[:len(text)+n]
	}
	return text, nil
}

// userHZ is the unit of /proc/PID/stat's times, fixed in the kernel's user ABI.
const userHZ = 100

// startedAt tells whether the process of a /proc directory is the one that started then.
func startedAt(dir string, startNS uint64) bool {
	stat, ok := readStat(dir)
	return ok && stat.ticks == startNS/(1e9/userHZ)
}

// stat is what is read of /proc/PID/stat.
type stat struct {
	comm  string
	flags uint64
	ticks uint64 // when it started
}

// kernelThread is among the flags of one: PF_KTHREAD of linux/sched.h, 2.6.37 to this day.
const kernelThread = 0x00200000

func readStat(dir string) (s stat, ok bool) {
	text, err := readBounded(dir+"stat", maxProcFile)
	begin, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if err != nil || begin < 0 || end < begin {
		return s, false
	}
	// The name may hold anything, ")" too. State is field 3, flags are 9, start time is 22.
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 20 {
		return s, false
	}
	s.comm = valid(string(text[begin+1 : end]))
	var wrong error
	s.flags, wrong = strconv.ParseUint(fields[6], 10, 64)
	s.ticks, err = strconv.ParseUint(fields[19], 10, 64)
	return s, err == nil && wrong == nil
}

func readImage(dir string, secrets *redact.Redactor) *skepv1.Exec {
	body := readNames(dir)
	if body == nil {
		return nil
	}
	readArgs(dir, body, secrets)
	readStatus(dir, body)
	body.Namespaces = readNamespaces(dir)
	return body
}

// readNames reads what no lock of the process's memory is taken for: its executable and
// its working directory.
func readNames(dir string) *skepv1.Exec {
	path := readExe(dir)
	if path == "" {
		return nil
	}
	body := &skepv1.Exec{File: &skepv1.File{PathSource: "proc"}}
	var stat unix.Statx_t
	// What the kernel has cached: the server of a network file system may be dead.
	if unix.Statx(unix.AT_FDCWD, dir+"exe", unix.AT_STATX_DONT_SYNC, unix.STATX_INO|unix.STATX_NLINK, &stat) == nil {
		body.File.Inode = stat.Ino
		body.File.Device = fmt.Sprintf("%d:%d", stat.Dev_major, stat.Dev_minor)
		// Not by the path: a name may end in " (deleted)".
		body.Unlinked = stat.Mask&unix.STATX_NLINK != 0 && stat.Nlink == 0
	}
	if body.Unlinked {
		path = strings.TrimSuffix(path, " (deleted)")
	}
	body.File.Path = valid(path)
	body.Memfd = body.Unlinked && strings.HasPrefix(path, "/memfd:")
	if cwd, err := os.Readlink(dir + "cwd"); err == nil {
		body.Cwd = valid(cwd)
	}
	return body
}

// FillFromProc completes an exec whose names could not be read in the kernel, if the
// process still lives and still is that image: by its inode, as /proc does not count execs.
// It is called per exec, on the goroutine that empties the rings, so it reads nothing that
// the process can make it wait for: not its command line, which the kernel has told anyway.
func FillFromProc(id abi.ExecID, body *skepv1.Exec) {
	dir := procDir(id.Tgid)
	found := readNames(dir)
	if found == nil || found.File.Inode != body.File.GetInode() {
		return
	}
	if body.NsPid == 0 { // in a pid namespace below the initial one
		readStatus(dir, found)
		found.Namespaces = readNamespaces(dir)
	}
	if !startedAt(dir, id.StartNS) { // last: else all of the above was about another process
		return
	}
	if body.File.Path == "" {
		body.File.Path, body.File.PathSource, body.Memfd = found.File.Path, found.File.PathSource, found.Memfd
	}
	if body.Cwd == "" {
		body.Cwd, body.CwdTruncated = found.Cwd, found.CwdTruncated
	}
	if body.NsPid == 0 {
		body.NsPid, body.Namespaces.Pid = found.NsPid, found.Namespaces.GetPid()
	}
}

// readArgs takes the arguments from /proc/PID/cmdline. Of more than maxArgs bytes or
// MaxArgCount arguments the rest is left out, and ArgsTruncated set.
func readArgs(dir string, body *skepv1.Exec, secrets *redact.Redactor) {
	line, err := readBounded(dir+"cmdline", maxArgs+1)
	if err != nil || len(line) == 0 {
		return
	}
	if len(line) > maxArgs {
		line, body.ArgsTruncated = line[:maxArgs], true
	}
	line = bytes.TrimSuffix(line, []byte{0})
	if front, cut := FirstArgs(line); cut {
		line, body.ArgsTruncated = front, true
	}
	line, redacted := secrets.Args(line)
	body.ArgsRedacted = uint32(redacted)
	if !utf8.Valid(line) {
		body.ArgsRaw = bytes.Clone(line)
	}
	body.Args = strings.Split(valid(string(line)), "\x00")
}

// readStatus takes credentials, capabilities and the pid in its own namespace from
// /proc/PID/status.
func readStatus(dir string, body *skepv1.Exec) {
	text, err := readBounded(dir+"status", maxProcFile)
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
	if login, err := readBounded(dir+"loginuid", maxProcFile); err == nil {
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
