// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// callsEnv holds the calls that this test's binary makes as a process of its own; held makes
// none and lives.
const (
	callsEnv = "SKEP_HOST_CALLS"
	held     = "none"
)

// hostile is a name that a terminal or a log would trip over.
const hostile = "a\n\x1b[31mb"

// done is what came of a call: the name of its error, "" for none, and the number of
// whatever it was done to.
type done struct {
	Error  string
	Number int
}

// act makes the calls, all in one thread, and prints what came of them.
func act(calls string) {
	runtime.LockOSThread()
	var all []done
	for call := range strings.SplitSeq(calls, ",") {
		number, err := made[call]()
		d := done{Number: number}
		if err != nil {
			d.Error = unix.ErrnoName(err.(unix.Errno))
		}
		all = append(all, d)
	}
	if err := json.NewEncoder(os.Stdout).Encode(all); err != nil {
		panic(err)
	}
}

// play has a process make calls and returns its pid and what came of them.
func play(t *testing.T, dir string, calls ...string) (int, []done) {
	t.Helper()
	c := exec.Command("/proc/self/exe")
	c.Dir = dir
	// Without the runtime's signals, which make the kernel's verifier give up with EAGAIN.
	c.Env = append(os.Environ(), callsEnv+"="+strings.Join(calls, ","), "GODEBUG=asyncpreemptoff=1")
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("make the calls %q: %v", calls, err)
	}
	var all []done
	if err := json.Unmarshal(out, &all); err != nil || len(all) != len(calls) {
		t.Fatalf("make the calls %q: %v: %q", calls, err, out)
	}
	return c.Process.Pid, all
}

// made are the calls by name.
var made = map[string]func() (int, error){
	"attach": func() (int, error) { return other(attach) },
	"attach none": func() (int, error) {
		return 1 << 29, unix.PtraceAttach(1 << 29)
	},
	"attach self": func() (int, error) { return os.Getpid(), unix.PtraceAttach(os.Getpid()) },
	"private":     func() (int, error) { return 0, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
	"mount":       func() (int, error) { return 0, unix.Mount(hostile, "m", "tmpfs", unix.MS_NOSUID, "size=64k") },
	"mount none":  func() (int, error) { return 0, unix.Mount("x", "none", "tmpfs", 0, "") },
	"mount long":  func() (int, error) { return 0, unix.Mount(strings.Repeat("x", 2000), "none", "tmpfs", 0, "") },
	"umount":      func() (int, error) { return 0, unix.Unmount("m", unix.MNT_DETACH) },
	"pivot_root":  func() (int, error) { return 0, unix.PivotRoot("none", "old") },
	"move_mount": func() (int, error) {
		return 0, unix.MoveMount(unix.AT_FDCWD, "none", unix.AT_FDCWD, "m", unix.MOVE_MOUNT_T_SYMLINKS)
	},
	"unshare":    func() (int, error) { return 0, unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWUTS) },
	"unshare fs": func() (int, error) { return 0, unix.Unshare(unix.CLONE_FS) },
	"setns":      enter,
	"setns none": func() (int, error) { return 0, unix.Setns(99, unix.CLONE_NEWNET) },
	"memfd":      memfd(hostile),
	"memfd long": memfd(strings.Repeat("x", 300)),
	"memfds": func() (int, error) {
		for range storm {
			if _, err := memfd("storm")(); err != nil {
				return 0, err
			}
		}
		return 0, nil
	},
	"bpf":           func() (int, error) { return 0, loadProgram(0x00000000000000b7, 0x95) }, // r0 = 0; exit
	"bpf bad":       func() (int, error) { return 0, loadProgram(0x95) },                     // exit without r0
	"init_module":   func() (int, error) { return 0, unix.InitModule([]byte("no module"), "") },
	"delete_module": func() (int, error) { return 0, unix.DeleteModule("no-\x1bmodule", 0) },
	"nobody groups": ids(unix.SYS_SETRESGID, 65534, keep, 65534),
	"nobody":        ids(unix.SYS_SETRESUID, 65534, 65534, 65534),
	"setuid":        ids(unix.SYS_SETUID, 0),
	"setreuid":      ids(unix.SYS_SETREUID, keep, 5),
	"setfsuid":      ids(unix.SYS_SETFSUID, 7),
	"setgid":        ids(unix.SYS_SETGID, 9),
	"setregid":      ids(unix.SYS_SETREGID, keep, 8),
	"setfsgid":      ids(unix.SYS_SETFSGID, 7),
	"setgroups":     ids(unix.SYS_SETGROUPS, 0),
	"kill":          func() (int, error) { return other(func(pid int) error { return unix.Kill(pid, unix.SIGWINCH) }) },
	"kill forged":   func() (int, error) { return other(queueAsTimer) },
	"kill nothing":  func() (int, error) { return 0, unix.Kill(os.Getppid(), 0) },
	"kill self":     func() (int, error) { return 0, unix.Kill(os.Getpid(), unix.SIGWINCH) },
	"kill parent":   func() (int, error) { return os.Getppid(), unix.Kill(os.Getppid(), unix.SIGWINCH) },
	"chroot":        func() (int, error) { return 0, unix.Chroot("/") },
	"map": func() (int, error) {
		memory, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		memory[1<<19] = 1
		return 0, err
	},
}

const storm = 20_000

// keep is an id that stays.
const keep = ^uintptr(0)

// ids makes a call for this thread only: Go's own make them for all threads.
func ids(call uintptr, a ...uintptr) func() (int, error) {
	a = append(a, 0, 0)
	return func() (int, error) {
		if _, _, err := unix.RawSyscall(call, a[0], a[1], a[2]); err != 0 && call != unix.SYS_SETFSUID && call != unix.SYS_SETFSGID {
			return 0, err
		}
		return 0, nil
	}
}

// other does something to a process, and ends it.
func other(do func(pid int) error) (int, error) {
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), callsEnv+"="+held)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if _, err := c.StdinPipe(); err != nil {
		panic(err)
	}
	if err := c.Start(); err != nil {
		panic(err)
	}
	err := do(c.Process.Pid)
	_ = unix.Kill(c.Process.Pid, unix.SIGKILL)
	_ = c.Wait()
	return c.Process.Pid, err
}

func attach(pid int) error {
	if err := unix.PtraceAttach(pid); err != nil {
		return err
	}
	_, err := unix.Wait4(pid, nil, unix.WALL, nil)
	if err != nil {
		return err
	}
	return unix.PtraceDetach(pid)
}

// queueAsTimer sends a signal with the code that the kernel gives to those of timers.
func queueAsTimer(pid int) error {
	info := [32]int32{0: int32(unix.SIGWINCH), 2: -2}
	_, _, err := unix.RawSyscall(unix.SYS_RT_SIGQUEUEINFO, uintptr(pid), uintptr(unix.SIGWINCH), uintptr(unsafe.Pointer(&info)))
	if err != 0 {
		return err
	}
	return nil
}

// enter returns the inode of the namespace.
func enter() (int, error) {
	fd, err := unix.Open("/proc/self/ns/uts", unix.O_RDONLY, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return 0, err
	}
	return int(stat.Ino), unix.Setns(fd, 0)
}

func memfd(name string) func() (int, error) {
	return func() (int, error) {
		fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
		if err != nil {
			return 0, err
		}
		return 0, unix.Close(fd)
	}
}

// loadProgram loads a socket filter of these instructions.
func loadProgram(instructions ...uint64) error {
	license := []byte("GPL\x00")
	attr := struct {
		kind, count                       uint32
		instructions, license             uintptr
		logLevel, logSize                 uint32
		logBuffer                         uint64
		kernelVersion, flags              uint32
		name                              [16]byte
		index, attachType, btf, infoBytes uint32
	}{kind: unix.BPF_PROG_TYPE_SOCKET_FILTER, count: uint32(len(instructions))}
	attr.instructions, attr.license = uintptr(unsafe.Pointer(&instructions[0])), uintptr(unsafe.Pointer(&license[0]))
	copy(attr.name[:], "skep_test")
	fd, _, err := unix.RawSyscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(instructions)
	runtime.KeepAlive(license)
	if err != 0 {
		return err
	}
	return unix.Close(int(fd))
}
