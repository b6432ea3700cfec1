// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func likenesses() []likeness {
	return slices.Concat(fileLikenesses(), processLikenesses(), socketLikenesses(), packetLikenesses(), deviceLikenesses())
}

// times says the same so often.
func times(n int, format string, args ...any) []string {
	return slices.Repeat([]string{fmt.Sprintf(format, args...)}, n)
}

// ours keeps what this process does.
var ours = fmt.Sprintf("pid == %d", os.Getpid())

// temporary is a file of so many bytes, and its inode.
func temporary(t *testing.T, size int) (*os.File, uint64) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "file"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	return f, stat.Ino
}

func fileLikenesses() []likeness {
	const inode = "((struct file *)arg0)->f_inode->i_ino"
	// calls makes five calls of so many bytes, two with a position, and one with a descriptor that is none.
	calls := func(call func(fd int, p []byte) (int, error), at func(fd int, p []byte, offset int64) (int, error), size int) func(t *testing.T) (uint64, int) {
		return func(t *testing.T) (uint64, int) {
			f, ino := temporary(t, 10*size)
			fd := int(f.Fd())
			unix.Seek(fd, 0, 0)
			for range 3 {
				call(fd, make([]byte, size))
			}
			for range 2 {
				at(fd, make([]byte, size), 7)
			}
			call(9999, make([]byte, size))
			return ino, 5
		}
	}
	reads, writes := calls(unix.Read, unix.Pread, 4321), calls(unix.Write, unix.Pwrite, 4323)
	return []likeness{
		{functions: "kprobe:vfs_read", keep: ours + " && arg2 == 4321", print: inode + "; arg2", provoke: func(t *testing.T) []string {
			ino, n := reads(t)
			return times(n, "%d 4321", ino)
		}},
		{functions: "kretprobe:vfs_read", keep: ours + " && retval == 4321", print: "retval", provoke: func(t *testing.T) []string {
			_, n := reads(t)
			return times(n, "4321")
		}},
		{functions: "kprobe:vfs_write", keep: ours + " && arg2 == 4323", print: inode + "; arg2", provoke: func(t *testing.T) []string {
			ino, n := writes(t)
			return times(n, "%d 4323", ino)
		}},
		{functions: "kretprobe:vfs_write", keep: ours + " && retval == 4323", print: "retval", provoke: func(t *testing.T) []string {
			_, n := writes(t)
			return times(n, "4323")
		}},
		{functions: "kprobe:vfs_fsync", keep: ours, print: inode + "; arg1", provoke: syncs, apart: "the compiler inlines it"},
		{functions: "kprobe:vfs_fsync_range", keep: ours, print: inode + "; arg3", provoke: syncs},
		{functions: "kprobe:vfs_open", keep: ours + " && tid == " + "TID", print: "((struct path *)arg0)->dentry->d_inode->i_ino", provoke: openings(func(ino uint64) []string { return times(4, "%d", ino) })},
		{functions: "kprobe:do_sys_open", keep: ours + " && tid == TID", print: "(int32)arg0; arg2 & 577; arg3", apart: "the compiler inlines it",
			provoke: openings(func(uint64) []string { return []string{"-100 0 0", "-100 0 0", "-100 577 384", "-100 0 0"} })},
		{functions: "kprobe:do_sys_openat2", keep: ours + " && tid == TID", print: "(int32)arg0",
			provoke: openings(func(uint64) []string { return times(5, "-100") })},
		{functions: "kretprobe:do_sys_openat2", keep: ours + " && tid == TID", print: "retval < 0 ? retval : 1",
			provoke: openings(func(uint64) []string { return append(times(4, "1"), "-2") })},
		{functions: "kretprobe:do_sys_open", keep: ours + " && tid == TID", print: "retval < 0 ? retval : 1", apart: "the compiler inlines it",
			provoke: openings(func(uint64) []string { return append(times(3, "1"), "-2") })},
		{functions: "kprobe:path_mount", keep: ours, print: "arg3", provoke: mounts("33554433")},
		{functions: "kretprobe:path_mount", keep: ours, print: "(int32)retval", provoke: mounts("-19")},
		{functions: "kprobe:path_umount", keep: ours, print: "arg1", provoke: func(t *testing.T) []string {
			dir := t.TempDir()
			for range 3 {
				if err := unix.Unmount(dir, unix.MNT_EXPIRE); err != unix.EINVAL {
					t.Errorf("unmount: %v", err)
				}
			}
			return times(3, "4")
		}},
	}
}

func syncs(t *testing.T) []string {
	f, ino := temporary(t, 1)
	for range 3 {
		unix.Fsync(int(f.Fd()))
	}
	unix.Fdatasync(int(f.Fd()))
	unix.Fsync(9999)
	return append(times(3, "%d 0", ino), times(1, "%d 1", ino)...)
}

// openings opens a file by open, openat, creat and openat2, and one that is not there by openat.
func openings(want func(ino uint64) []string) func(t *testing.T) []string {
	return func(t *testing.T) []string {
		f, ino := temporary(t, 1)
		path, err := unix.BytePtrFromString(f.Name())
		none, errNone := unix.BytePtrFromString(f.Name() + "none")
		if err != nil || errNone != nil {
			t.Fatal(err, errNone)
		}
		how := unix.OpenHow{}
		cwd := unix.AT_FDCWD
		inThread(func() {
			for _, call := range [][4]uintptr{
				{sysOpen, uintptr(unsafe.Pointer(path)), 0, 0},
				{unix.SYS_OPENAT, uintptr(cwd), uintptr(unsafe.Pointer(path)), 0},
				{sysCreat, uintptr(unsafe.Pointer(path)), 0o600, 0},
				{unix.SYS_OPENAT, uintptr(cwd), uintptr(unsafe.Pointer(none)), 0},
			} {
				if fd, _, errno := unix.RawSyscall6(call[0], call[1], call[2], call[3], 0, 0, 0); errno == 0 {
					unix.Close(int(fd))
				}
			}
			if fd, _, errno := unix.RawSyscall6(unix.SYS_OPENAT2, uintptr(cwd), uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how), 0, 0); errno == 0 {
				unix.Close(int(fd))
			}
		})
		return want(ino)
	}
}

// thread runs functions one after the other, in a thread that does nothing else.
var thread = make(chan func())

var threadID = func() int {
	id := make(chan int)
	go func() {
		runtime.LockOSThread()
		id <- unix.Gettid()
		for f := range thread {
			f()
		}
	}()
	return <-id
}()

func inThread(f func()) {
	done := make(chan struct{})
	thread <- func() { f(); close(done) }
	<-done
}

func mounts(want string) func(t *testing.T) []string {
	return func(t *testing.T) []string {
		dir := t.TempDir()
		for range 3 {
			if err := unix.Mount("skep", dir, "skep-no-such", 1<<25|unix.MS_RDONLY, ""); err != unix.ENODEV {
				t.Errorf("mount: %v", err)
			}
		}
		return times(3, "%s", want)
	}
}
