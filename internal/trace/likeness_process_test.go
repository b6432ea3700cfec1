// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"os"
	"os/exec"
	"strconv"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func processLikenesses() []likeness {
	sleep := func(t *testing.T) {
		short := unix.NsecToTimespec(1000)
		inThread(func() {
			for range 3 {
				unix.Nanosleep(&short, nil)
			}
			for range 2 {
				unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &short, nil)
			}
		})
	}
	const task = "((struct task_struct *)arg0)"
	return []likeness{
		{functions: "kprobe:do_nanosleep kprobe:hrtimer_nanosleep", keep: ours + " && tid == TID", print: "1", provoke: func(t *testing.T) []string {
			sleep(t)
			return times(5, "1")
		}},
		{functions: "kretprobe:do_nanosleep kretprobe:hrtimer_nanosleep", keep: ours + " && tid == TID", print: "retval", provoke: func(t *testing.T) []string {
			sleep(t)
			return times(5, "0")
		}},
		{functions: "kprobe:do_exit", keep: "arg0 == 19712", print: "arg0", provoke: func(t *testing.T) []string {
			children(t, 3)
			return times(3, "19712")
		}},
		{functions: "kprobe:wake_up_new_task", keep: ours + " && " + task + "->tgid != pid", print: task + "->tgid", provoke: func(t *testing.T) []string { return children(t, 3) }},
		{functions: "kretprobe:copy_process", keep: ours + " && ((struct task_struct *)retval)->tgid != pid", print: "((struct task_struct *)retval)->tgid",
			provoke: func(t *testing.T) []string { return children(t, 3) }},
		{functions: "kprobe:__set_task_comm", keep: ours + ` && str(arg1) == "skep-named"`, print: task + "->tgid", provoke: func(t *testing.T) []string {
			name, _ := unix.BytePtrFromString("skep-named")
			inThread(func() {
				for range 3 {
					unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(name)), 0, 0, 0)
				}
			})
			return times(3, "%d", os.Getpid())
		}},
		{functions: "kprobe:cap_capable", keep: ours + " && arg2 == 18", print: "arg2", provoke: func(t *testing.T) []string {
			chroots(t)
			return times(3, "18")
		}},
		{functions: "kretprobe:cap_capable", keep: ours + " && tid == TID", print: "retval", provoke: func(t *testing.T) []string {
			chroots(t)
			return times(3, "0")
		}},
		{functions: "kprobe:__send_signal_locked kprobe:__send_signal", keep: ours + " && arg0 == 28", print: "arg0; ((struct task_struct *)arg2)->tgid", provoke: func(t *testing.T) []string {
			for range 3 {
				unix.Kill(os.Getpid(), unix.SIGWINCH)
			}
			return times(3, "28 %d", os.Getpid())
		}},
	}
}

func chroots(t *testing.T) {
	inThread(func() {
		for range 3 {
			if err := unix.Chroot("/"); err != nil { // as it is
				t.Error(err)
			}
		}
	})
}

// children runs processes that exit with 77, and returns their numbers.
func children(t *testing.T, n int) (pids []string) {
	t.Helper()
	for range n {
		cmd := exec.Command("/bin/sh", "-c", "exit 77")
		if err := cmd.Start(); err != nil {
			t.Error(err)
			return nil
		}
		pids = append(pids, strconv.Itoa(cmd.Process.Pid))
		cmd.Wait()
	}
	return pids
}
