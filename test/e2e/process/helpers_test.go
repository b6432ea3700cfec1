// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// next is the environment for a helper process with the verb.
func next(verb ...string) []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, verbEnv+"=") {
			env = append(env, e)
		}
	}
	return append(env, verbEnv+"="+strings.Join(verb, "|"))
}

// execNext replaces itself with args[0] whose verb is the rest.
func execNext(args []string) error {
	return syscall.Exec(args[0], []string{args[0], "chained"}, next(args[1:]...))
}

// execFromThread does so from a thread that is not the leader.
func execFromThread(args []string) error {
	failed := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			failed <- errors.New("on the leader")
		}
		failed <- execNext(args)
	}()
	return <-failed
}

// waitInMemfd runs a copy of args[0] in a memfd, which waits.
func waitInMemfd(args []string) error { return execNameless(args[0], "memfd", "wait") }

// execDescriptor runs a copy of args[0] that has no path: "memfd" or "unlinked".
func execDescriptor(args []string) error { return execNameless(args[0], args[1], "truth") }

func execNameless(program, how, verb string) error {
	fd, err := nameless(how, program)
	if err != nil {
		return err
	}
	argv, err := syscall.SlicePtrFromStrings([]string{"nameless", "arg"})
	if err != nil {
		return err
	}
	env, err := syscall.SlicePtrFromStrings(next(verb))
	if err != nil {
		return err
	}
	empty, _ := syscall.BytePtrFromString("")
	_, _, errno := syscall.RawSyscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(empty)),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0])), unix.AT_EMPTY_PATH, 0)
	return errno
}

func nameless(how, program string) (int, error) {
	if how == "unlinked" {
		defer os.Remove(program)
		return unix.Open(program, unix.O_PATH, 0)
	}
	fd, err := unix.MemfdCreate("skep test", 0)
	if err != nil {
		return 0, err
	}
	data, err := os.ReadFile(program)
	if err != nil {
		return 0, err
	}
	_, err = os.NewFile(uintptr(fd), "memfd").Write(data)
	// A program that is open for writing cannot be run: open it anew.
	if err != nil {
		return 0, err
	}
	ro, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY, 0)
	if err != nil {
		return 0, err
	}
	return ro, unix.Close(fd)
}

// rawFork makes a process that exits with a code at once, without anything of Go's.
func rawFork(flags uintptr, code uintptr) (int, error) {
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, flags|uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	if pid == 0 {
		for {
			syscall.RawSyscall(syscall.SYS_EXIT_GROUP, code, 0, 0)
		}
	}
	return int(pid), nil
}

func reap(pid int) error {
	_, err := unix.Wait4(pid, nil, 0, nil)
	return err
}

// forkWithoutExec prints the pid of a child that ends with args[0].
func forkWithoutExec(args []string) error {
	code, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	pid, err := rawFork(0, uintptr(code))
	if err != nil {
		return err
	}
	fmt.Println(pid)
	return reap(pid)
}

// storm makes args[0] children, one after the other.
func storm(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for range n {
		pid, err := rawFork(0, 6)
		if err != nil {
			return err
		}
		if err := reap(pid); err != nil {
			return err
		}
	}
	return nil
}

// forkSibling makes a child of its own parent, which reaps it.
func forkSibling([]string) error {
	pid, err := rawFork(unix.CLONE_PARENT, 5)
	fmt.Println(pid)
	return err
}

// forkOrphan leaves a grandchild behind that outlives its parent and then says the truth.
func forkOrphan([]string) error {
	c := exec.Command("/proc/self/exe")
	c.Env, c.Stdin = next("wait"), os.Stdin
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	// Start returns before the exec is traced, which tells of the parent of that moment.
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return err
	}
	fmt.Println(c.Process.Pid)
	return nil
}

// startThreads runs args[0] threads at once.
func startThreads(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	hold, ids := make(chan struct{}), make(chan int)
	for range n {
		go func() {
			runtime.LockOSThread()
			ids <- unix.Gettid()
			<-hold
		}()
	}
	for range n {
		fmt.Println(<-ids)
	}
	return nil
}

// leaveLeader ends the first thread with 3 and, a while later, the process from another with 9.
func leaveLeader([]string) error {
	go func() {
		runtime.LockOSThread()
		time.Sleep(100 * time.Millisecond)
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 9, 0, 0)
	}()
	time.Sleep(10 * time.Millisecond)
	if unix.Gettid() != unix.Getpid() {
		return errors.New("not on the leader")
	}
	syscall.RawSyscall(syscall.SYS_EXIT, 3, 0, 0)
	return errors.New("still here")
}

// raceThreads has many threads that all end in the same moment.
func raceThreads([]string) error {
	hold := make(chan struct{})
	for range 8 {
		go func() {
			runtime.LockOSThread()
			<-hold
			syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 4, 0, 0)
		}()
	}
	time.Sleep(time.Millisecond)
	close(hold)
	time.Sleep(time.Second)
	return errors.New("still here")
}

func exitWith(args []string) error {
	code, err := strconv.Atoi(args[0])
	if err == nil {
		os.Exit(code)
	}
	return err
}

// killSelf dies of a signal's default action; Go's own handlers go with an exec of sh.
func killSelf(args []string) error {
	limit := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &limit)
	return syscall.Exec("/bin/sh", []string{"sh", "-c", "kill -" + args[0] + " $$"}, os.Environ())
}

// burn uses so many ms of CPU time in user space, then as many in the kernel, and so many MiB.
func burn(args []string) error {
	ms, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	mib, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	touch(mib)
	for until := cpuTime() + time.Duration(ms)*time.Millisecond; cpuTime() < until; {
		for i := range 1 << 16 {
			_ = i * i
		}
	}
	for until := cpuTime() + time.Duration(ms)*time.Millisecond; cpuTime() < until; {
		for range 100 {
			syscall.Getppid()
		}
	}
	return nil
}

func cpuTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}

func touch(mib int) []byte {
	memory, err := unix.Mmap(-1, 0, mib<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil
	}
	for i := 0; i < len(memory); i += 4096 {
		memory[i] = 1
	}
	return memory
}

// eat joins the cgroup args[0] (its cgroup.procs) and takes args[1] MiB of memory.
func eat(args []string) error {
	mib, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(args[0], "cgroup.procs"), []byte("0"), 0); err != nil {
		return err
	}
	touch(mib)
	return errors.New("not killed")
}

// waitForInput says the truth once its input ends.
func waitForInput([]string) error {
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, bufio.NewReader(os.Stdin))
	return errors.Join(err, printTruth(nil))
}

// failExec tries what cannot be executed, then goes on.
func failExec(args []string) error {
	for _, program := range args {
		if err := syscall.Exec(program, []string{"never"}, nil); err == nil {
			return errors.New("exec of " + program + " returned")
		}
	}
	return nil
}

// noNewPrivs forgoes privileges, then runs args.
func noNewPrivs(args []string) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return execNext(args)
}

// reusePid makes children until one has the pid of an earlier one, and prints that pid
// and the two exit codes.
func reusePid([]string) error {
	for range 200 {
		first, err := rawFork(0, 11)
		if err != nil {
			return err
		}
		if err := reap(first); err != nil {
			return err
		}
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(first-1)), 0); err != nil {
			return err
		}
		second, err := rawFork(0, 12)
		if err != nil {
			return err
		}
		if err := reap(second); err != nil {
			return err
		}
		if first == second {
			fmt.Println(first)
			return nil
		}
	}
	return errors.New("no pid came again in 200 tries")
}

// crowd keeps args[0] processes that do nothing until its input ends.
func crowd(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	var pids []int
	for range n {
		pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			return errno
		}
		if pid == 0 {
			syscall.RawSyscall6(syscall.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
			for {
				syscall.RawSyscall6(syscall.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
			}
		}
		pids = append(pids, int(pid))
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	for _, pid := range pids {
		err = errors.Join(err, unix.Kill(pid, unix.SIGKILL), reap(pid))
	}
	return err
}

// spawn starts a child as posix_spawn does (CLONE_VM|CLONE_VFORK), which os/exec uses.
func spawn([]string) error {
	c := exec.Command("/proc/self/exe")
	c.Env = next("truth")
	said, err := c.Output()
	fmt.Printf("%d\n%s", c.Process.Pid, said)
	return err
}
