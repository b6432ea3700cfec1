// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func deviceLikenesses() []likeness {
	const request = `((struct request *)arg0)->q->disk->disk_name == "LOOP"`
	const (
		started = request + " && ((struct request *)arg0)->__data_len == 8192"
		sector  = "((struct request *)arg0)->__sector"
		done    = "nsecs(monotonic) + 1000000000 - arg1 < 2000000000"
	)
	return []likeness{
		{functions: "kprobe:submit_bio", keep: ours + " && ((struct bio *)arg0)->bi_iter.bi_size == 8192", print: "((struct bio *)arg0)->bi_iter.bi_sector", provoke: blocks("0", "16", "32")},
		{functions: "kprobe:blk_mq_start_request kprobe:__blk_account_io_start", keep: started, print: sector, provoke: blocks("0", "16", "32")},
		{functions: "kprobe:blk_account_io_start", keep: started, print: sector, provoke: blocks("0", "16", "32"), apart: "some kernels have two of that name"},
		{functions: "kprobe:__blk_account_io_done", keep: request, print: done, provoke: blocks("1", "1", "1")},
		{functions: "kprobe:blk_account_io_done", keep: request, print: done, provoke: blocks("1", "1", "1"), apart: "some kernels have two of that name"},
		{functions: "kprobe:swap_readpage kprobe:swap_read_folio", keep: `comm == "skepswaps"`, print: "1", provoke: swapIn},
	}
}

// blocks reads three times 8 KiB of the disk that is named in the environment or, as root
// makes one, of a loop device.
func blocks(want ...string) func(t *testing.T) []string {
	return func(t *testing.T) []string {
		fd, err := unix.Open("/dev/"+loopName(t), unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		page, err := unix.Mmap(-1, 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Munmap(page)
		for i := range int64(3) {
			if n, err := unix.Pread(fd, page, i*8192); n != 8192 || err != nil {
				t.Errorf("read %d bytes: %v", n, err)
			}
		}
		return want
	}
}

var loopDevice string

// loopName is a loop device of its own, made once.
func loopName(t *testing.T) string {
	t.Helper()
	if loopDevice != "" {
		return loopDevice
	}
	control, err := unix.Open("/dev/loop-control", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("needs loop devices: %v", err)
	}
	defer unix.Close(control)
	number, err := unix.IoctlRetInt(control, unix.LOOP_CTL_GET_FREE)
	if err != nil {
		t.Skipf("needs loop devices: %v", err)
	}
	name := fmt.Sprintf("loop%d", number)
	device, err := unix.Open("/dev/"+name, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("needs loop devices: %v", err)
	}
	// It stays open until the test's process ends, and then the device is free again.
	file, err := os.CreateTemp("", "skep-loop")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	defer os.Remove(file.Name())
	if _, err := file.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetInt(device, unix.LOOP_SET_FD, int(file.Fd())); err != nil {
		t.Fatal(err)
	}
	unix.IoctlLoopSetStatus64(device, &unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR})
	loopDevice = name
	return name
}

// swapIn has a process read pages of its memory that were put out to a file of this test, and
// returns as many lines as the kernel counts pages.
func swapIn(t *testing.T) []string {
	const groups = "/sys/fs/cgroup/memory"
	if _, err := os.Stat(groups + "/memory.force_empty"); err != nil && !os.IsNotExist(err) {
		t.Skipf("needs a memory cgroup of v1: %v", err)
	}
	group := fmt.Sprintf("%s/skep-swap-%d", groups, os.Getpid())
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Skipf("needs a memory cgroup of v1: %v", err)
	}
	defer os.Remove(group)
	path := filepath.Join(t.TempDir(), "swap")
	if err := os.WriteFile(path, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkswap", path).CombinedOutput(); err != nil {
		t.Skipf("needs mkswap: %v: %s", err, out)
	}
	name, _ := syscall.BytePtrFromString(path)
	if _, _, errno := unix.Syscall(unix.SYS_SWAPON, uintptr(unsafe.Pointer(name)), 0, 0); errno != 0 {
		t.Skipf("needs a file to swap to: %v", errno)
	}
	defer unix.Syscall(unix.SYS_SWAPOFF, uintptr(unsafe.Pointer(name)), 0, 0)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestSwapsIn$", "-test.v")
	cmd.Env = append(os.Environ(), "SKEP_TEST_SWAPS="+group)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return times(numberAfter(t, string(out), "swapped in "), "1")
}

// TestSwapsIn is the process of swapIn.
func TestSwapsIn(t *testing.T) {
	group := os.Getenv("SKEP_TEST_SWAPS")
	if group == "" {
		return // it is run by another test
	}
	runtime.LockOSThread()
	if err := os.WriteFile(group+"/cgroup.procs", []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		t.Fatal(err)
	}
	const pages = 64
	size := os.Getpagesize()
	memory, err := unix.Mmap(-1, 0, pages*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	unix.Madvise(memory, unix.MADV_NOHUGEPAGE)
	for i := range pages {
		memory[i*size] = byte(i + 1)
	}
	if err := unix.Madvise(memory, unix.MADV_PAGEOUT); err != nil {
		t.Fatal(err)
	}
	name, _ := unix.BytePtrFromString("skepswaps")
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if err := os.WriteFile(group+"/memory.force_empty", []byte("0"), 0o600); err != nil {
			t.Fatal(err)
		}
		before := swappedIn(t)
		unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(name)), 0, 0, 0)
		for i := range pages {
			if memory[i*size] != byte(i+1) {
				t.Error("the memory has changed")
			}
		}
		if n := swappedIn(t) - before; n > 0 {
			fmt.Printf("swapped in %d\n", n)
			return
		}
		unix.Madvise(memory, unix.MADV_PAGEOUT) // it was not written yet
		time.Sleep(100 * time.Millisecond)
	}
	t.Error("the kernel does not swap")
}

// swappedIn is how many pages the kernel has read from swap.
func swappedIn(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "pswpin "); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(rest))
			return n
		}
	}
	return 0
}
