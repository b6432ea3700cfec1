// SPDX-License-Identifier: Apache-2.0

package process

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/kern"
)

// execsOf are the execs of one program.
type execsOf struct {
	path string
	seen []*skepv1.Exec
}

func (e *execsOf) Critical(raw []byte) {
	if abi.EventType(binary.NativeEndian.Uint16(raw)) != abi.EventExec {
		return
	}
	if r, err := DecodeExec(raw, nil); err == nil && r.Body.Filename == e.path {
		e.seen = append(e.seen, r.Body)
	}
}

func (e *execsOf) Telemetry([]byte) {}
func (e *execsOf) Flush()           {}

// TestIdmappedSetuid: on a mount that translates ids the owner that a program gets is not
// the one that its file has on disk.
func TestIdmappedSetuid(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: loads BPF programs")
	}
	const onDisk, shown, caller = 3000, 4000, 65534
	dir := idmapped(t, onDisk, shown)
	program := filepath.Join(dir, "program")
	sensor := kern.Sensor{Name: "process", Ladders: []kern.Ladder{turnLadder("exec", turns["both"])}}
	reader := attached(t, sensor)
	child := exec.Command(program, "-test.run=^$")
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: caller, Gid: caller}}
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	execs := &execsOf{path: program}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && len(execs.seen) == 0; {
		reader.Pass(execs)
	}
	if len(execs.seen) != 1 {
		t.Fatalf("%d execs, want 1", len(execs.seen))
	}
	e := execs.seen[0]
	if c := e.Credentials; c.Uid != caller || c.Euid != shown || c.Egid != shown {
		t.Fatalf("credentials %v: the mount does not translate", c)
	}
	if !e.Setuid || !e.Setgid {
		t.Errorf("set-user-ID %t, set-group-ID %t", e.Setuid, e.Setgid)
	}
}

// idmapped mounts a directory with this test as a set-user-ID and set-group-ID program of
// onDisk, which the mount shows as that of shown.
func idmapped(t *testing.T, onDisk, shown int) string {
	t.Helper()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	dir, err := os.MkdirTemp("", "idmapped")
	must("make", err)
	t.Cleanup(func() { _ = os.Remove(dir) })
	must("mount", unix.Mount("none", dir, "tmpfs", 0, "mode=755"))
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	self, err := os.ReadFile("/proc/self/exe")
	must("read", err)
	program := filepath.Join(dir, "program")
	must("write", os.WriteFile(program, self, 0o755))
	must("chown", os.Chown(program, onDisk, onDisk))
	must("chmod", unix.Chmod(program, 0o6755))

	holder := exec.Command("sleep", "1000")
	mapping := []syscall.SysProcIDMap{{ContainerID: onDisk, HostID: shown, Size: 1}}
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: mapping, GidMappings: mapping}
	must("user namespace", holder.Start())
	defer func() { _ = holder.Process.Kill(); _ = holder.Wait() }()
	namespace, err := unix.Open(fmt.Sprintf("/proc/%d/ns/user", holder.Process.Pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must("open", err)
	defer unix.Close(namespace)
	tree, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	must("open_tree", err)
	defer unix.Close(tree)
	err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(namespace)})
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) {
		t.Skipf("needs idmapped mounts of tmpfs (6.3): %v", err)
	}
	must("mount_setattr", err)
	// Over the first: its parent stays reachable by others.
	must("move_mount", unix.MoveMount(tree, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH))
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}
