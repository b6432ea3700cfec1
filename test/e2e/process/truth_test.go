// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// truth is what a process says of itself, from its own /proc/self and stat.
type truth struct {
	Cmdline    []byte
	Cwd, Exe   string
	Device     string
	Inode      uint64
	Links      uint64
	Status     map[string][]string
	Namespaces map[string]uint32
	Session    int
	TTY        string
	LoginUID   string
	Comm       string
}

func printTruth([]string) error {
	t, err := ownTruth()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(t)
}

func ownTruth() (*truth, error) {
	t := &truth{Status: map[string][]string{}, Namespaces: map[string]uint32{}}
	var err error
	if t.Cmdline, err = os.ReadFile("/proc/self/cmdline"); err != nil {
		return nil, err
	}
	if t.Cwd, err = os.Readlink("/proc/self/cwd"); err != nil {
		return nil, err
	}
	if t.Exe, err = os.Readlink("/proc/self/exe"); err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/exe", &st); err != nil {
		return nil, err
	}
	t.Device, t.Inode, t.Links = fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)), st.Ino, uint64(st.Nlink)
	if err := t.readStatus(); err != nil {
		return nil, err
	}
	for _, name := range []string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"} {
		if err := unix.Stat("/proc/self/ns/"+name, &st); err == nil {
			t.Namespaces[name] = uint32(st.Ino)
		}
	}
	login, _ := os.ReadFile("/proc/self/loginuid") // absent without CONFIG_AUDIT
	t.LoginUID = strings.TrimSpace(string(login))
	comm, err := os.ReadFile("/proc/self/comm")
	t.Comm = strings.TrimSuffix(string(comm), "\n")
	return t, err
}

func (t *truth) readStatus() error {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		t.Status[name] = strings.Fields(value)
	}
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	t.Session, _ = strconv.Atoi(t.Status["NSsid"][0])
	if tty, _ := strconv.Atoi(fields[4]); tty != 0 {
		t.TTY = ttyName(uint32(tty))
	}
	return nil
}

// ttyName knows the majors of Documentation/admin-guide/devices.txt that tests meet.
func ttyName(device uint32) string {
	major, minor := device>>8&0xfff, device&0xff|device>>12&0xfff00
	if major >= 136 && major <= 143 {
		return fmt.Sprintf("pts/%d", (major-136)*256+minor)
	}
	return fmt.Sprintf("%d:%d", major, minor)
}

// check compares an exec record with what the process said.
func (t *truth) check(tb testing.TB, r *skepv1.Record) {
	tb.Helper()
	e := r.GetExec()
	equal(tb, "args", join(e), t.args())
	t.checkNames(tb, r)
	equal(tb, "comm", r.Process.Comm, t.Comm)
	equal(tb, "device", e.File.Device, t.Device)
	equal(tb, "inode", e.File.Inode, t.Inode)
	equal(tb, "unlinked", e.Unlinked, t.Links == 0)
	t.checkCredentials(tb, r)
	t.checkNamespaces(tb, e)
	if session := t.Session; session != 0 { // 0: its session is not in its pid namespace
		equal(tb, "session", e.Session, uint32(session))
	}
	equal(tb, "tty", e.Tty, t.TTY)
}

// checkNames: under lockdown=confidentiality they come from /proc, or not at all if the
// process was gone by then.
func (t *truth) checkNames(tb testing.TB, r *skepv1.Record) {
	tb.Helper()
	e, source := r.GetExec(), "kernel"
	equal(tb, "process.exe", r.Process.Exe, e.File.Path)
	if confidential {
		if source = "proc"; e.File.Path == "" {
			return
		}
	}
	equal(tb, "path source", e.File.PathSource, source)
	equal(tb, "cwd", e.Cwd, t.Cwd)
	equal(tb, "exe", e.File.Path, strings.TrimSuffix(t.Exe, " (deleted)"))
}

func (t *truth) args() string { return strings.TrimSuffix(string(t.Cmdline), "\x00") }

// join is the original argument area, as /proc/PID/cmdline shows it but for the last NUL.
func join(e *skepv1.Exec) string {
	if len(e.ArgsRaw) > 0 {
		return string(e.ArgsRaw)
	}
	return strings.Join(e.Args, "\x00")
}

func (t *truth) checkCredentials(tb testing.TB, r *skepv1.Record) {
	tb.Helper()
	c, caps := r.GetExec().Credentials, r.GetExec().Capabilities
	if t.userNamespaceIsInitial() { // else its ids are another namespace's
		equal(tb, "uids", fmt.Sprint(c.Uid, c.Euid, c.Suid, c.Fsuid), strings.Join(t.Status["Uid"], " "))
		equal(tb, "gids", fmt.Sprint(c.Gid, c.Egid, c.Sgid, c.Fsgid), strings.Join(t.Status["Gid"], " "))
		if t.LoginUID != "" {
			equal(tb, "login uid", fmt.Sprint(c.LoginUid), t.LoginUID)
		}
	}
	equal(tb, "process.uid", r.Process.Uid, c.Euid)
	equal(tb, "capabilities",
		fmt.Sprint(caps.Inheritable, caps.Permitted, caps.Effective, caps.Bounding, caps.Ambient),
		strings.Join([]string{t.Status["CapInh"][0], t.Status["CapPrm"][0], t.Status["CapEff"][0],
			t.Status["CapBnd"][0], t.Status["CapAmb"][0]}, ""))
}

// userNamespaceIsInitial: that one's inode number is fixed (PROC_USER_INIT_INO).
func (t *truth) userNamespaceIsInitial() bool { return t.Namespaces["user"] == 0xEFFFFFFD }

func (t *truth) checkNamespaces(tb testing.TB, e *skepv1.Exec) {
	tb.Helper()
	n := e.Namespaces
	got := map[string]uint32{"cgroup": n.Cgroup, "ipc": n.Ipc, "mnt": n.Mnt, "net": n.Net, "pid": n.Pid, "time": n.Time, "user": n.User, "uts": n.Uts}
	for name, want := range t.Namespaces {
		equal(tb, "namespace "+name, got[name], want)
	}
	inner := t.Status["NSpid"]
	equal(tb, "ns_pid", fmt.Sprint(e.NsPid), inner[len(inner)-1])
}

func equal[T comparable](tb testing.TB, what string, got, want T) {
	tb.Helper()
	if got != want {
		tb.Errorf("%s is %v, want %v", what, any(short(got)), any(short(want)))
	}
}

// short keeps messages readable.
func short(v any) string {
	text := fmt.Sprintf("%#v", v)
	if len(text) > 300 {
		return fmt.Sprintf("%s... (%d bytes)", text[:300], len(text))
	}
	return text
}
