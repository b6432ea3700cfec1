// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stranger is the user as whom some children run, of whom there are no other processes.
const stranger = 4242

var byStranger = []string{"--uid", fmt.Sprint(stranger)}

// helpers are what this program does as a child of a generator.
var helpers = map[string]func() int{
	"exit": func() int { return 0 },
	"code": func() int { return len(os.Args) },
	"wait": func() int { time.Sleep(time.Hour); return 0 }, // not select {}, which Go may find to be a deadlock
	"eat":  eat,
}

var processTrials = []trial{
	{name: "execsnoop", all: true, flags: byStranger, generate: func(g *generator) {
		for i := range 5 {
			path := fmt.Sprintf("%s/skep-exec-%d", g.Dir, i)
			g.check(os.Symlink("/proc/self/exe", path))
			c := child("exit", path, fmt.Sprint("alpha", i), "beta")
			g.check(c.Run())
			g.Texts["run"] = append(g.Texts["run"], fmt.Sprintf("%d %d %s alpha%d beta", c.Process.Pid, os.Getpid(), path, i))
		}
	}, check: func(t *testing.T, o *outcome) {
		same(t, "programs", texts(o.records, "pid", "ppid", "path", "arg1", "arg2"), o.Texts["run"])
	}},
	{name: "exitsnoop", all: true, flags: byStranger, generate: func(g *generator) {
		for i := range 4 {
			c := child("code", "/proc/self/exe", make([]string, i)...)
			g.check(ignoreStatus(c.Run()))
			g.Texts["ended"] = append(g.Texts["ended"], fmt.Sprintf("%d %d %d 0", c.Process.Pid, os.Getpid(), i+1))
		}
		c := child("wait", "/proc/self/exe")
		g.check(c.Start())
		time.Sleep(50 * time.Millisecond)
		g.check(c.Process.Kill())
		g.check(ignoreStatus(c.Wait()))
		g.Texts["ended"] = append(g.Texts["ended"], fmt.Sprintf("%d %d 0 9", c.Process.Pid, os.Getpid()))
	}, check: func(t *testing.T, o *outcome) {
		same(t, "ends", texts(o.records, "pid", "ppid", "code", "signal"), o.Texts["ended"])
		for _, r := range o.records {
			least := int64(0)
			if r.number("signal") == 9 {
				least = 50
			}
			within(t, "age", r.number("age"), least, o.took.Milliseconds()+1)
		}
	}},
	{name: "killsnoop", generate: sendSignals, check: func(t *testing.T, o *outcome) {
		same(t, "signals", texts(o.where(func(r row) bool { return r.text("signal_name") != "SIGURG" }), "signal_name", "target", "errno_name"), o.Texts["sent"])
	}},
	{name: "sigsnoop", generate: sendSignals, check: func(t *testing.T, o *outcome) {
		var want []string
		for _, s := range o.Texts["sent"] {
			if signal, rest, _ := strings.Cut(s, " "); strings.HasSuffix(rest, "<nil>") {
				want = append(want, signal+" "+strings.TrimSuffix(rest, " <nil>"))
			}
		}
		same(t, "signals", texts(o.where(func(r row) bool { return strings.HasPrefix(r.text("signal_name"), "SIGUSR") }), "signal_name", "target"), want)
	}},
	{name: "setuids", flags: []string{"--uid", "0"}, generate: func(g *generator) {
		named("skep-setuids", func() {
			call := func(number, a, b, c uintptr) string {
				_, _, errno := unix.RawSyscall(number, a, b, c)
				return map[bool]string{true: "<nil>", false: unix.ErrnoName(errno)}[errno == 0]
			}
			keep := ^uintptr(0)
			g.Texts["changed"] = append(g.Texts["changed"], "0 33 setresuid "+call(unix.SYS_SETRESUID, keep, 33, keep))
			// An effective user who is not root may not become another one; the real one is still root.
			g.Texts["changed"] = append(g.Texts["changed"], "0 5 setuid "+call(unix.SYS_SETUID, 5, 0, 0))
			g.Texts["changed"] = append(g.Texts["changed"], "0 0 setresuid "+call(unix.SYS_SETRESUID, keep, 0, keep))
			g.Texts["changed"] = append(g.Texts["changed"], "0 7 setgid "+call(unix.SYS_SETGID, 7, 0, 0))
			g.Texts["changed"] = append(g.Texts["changed"], "0 34 setreuid "+call(unix.SYS_SETREUID, 34, 34, 0))
		})
	}, check: func(t *testing.T, o *outcome) {
		is(t, "what the generator knows", int64(len(o.Texts["changed"])), 5)
		same(t, "changes", texts(o.records, "from", "to", "call", "errno_name"), o.Texts["changed"])
	}},
	{name: "capable", generate: func(g *generator) {
		named("skep-capable", func() {
			for range 5 {
				g.check(unix.Chroot("/"))
			}
			_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 4242, 4242, 4242)
			if errno != 0 {
				panic(errno)
			}
			for range 3 {
				if err := unix.Chroot("/"); err != unix.EPERM {
					panic(err)
				}
			}
		})
	}, check: func(t *testing.T, o *outcome) {
		want := strings.Split(strings.Repeat("true 0 skep-capable,", 5)+strings.Repeat("false 4242 skep-capable,", 3), ",")
		same(t, "checks", texts(o.where(func(r row) bool { return r.text("capability_name") == "SYS_CHROOT" }), "granted", "uid", "comm"), want[:8])
	}},
	{name: "mountsnoop", generate: func(g *generator) {
		named("skep-mount", func() {
			g.check(unix.Unshare(unix.CLONE_NEWNS))
			g.check(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
			for i := range 3 {
				source := fmt.Sprint("skep-source-", i)
				g.check(unix.Mount(source, g.Dir, "tmpfs", 0, ""))
				g.Texts["mounted"] = append(g.Texts["mounted"], "mount tmpfs "+source+" "+g.Dir+" <nil>")
				g.check(unix.Unmount(g.Dir, 0))
				g.Texts["mounted"] = append(g.Texts["mounted"], "umount   "+g.Dir+" <nil>")
			}
			err := unix.Mount("skep-source", g.Dir, "nofs", 0, "")
			g.Texts["mounted"] = append(g.Texts["mounted"], "mount nofs skep-source "+g.Dir+" "+name(err))
		})
	}, check: func(t *testing.T, o *outcome) {
		same(t, "mounts", texts(o.where(func(r row) bool { return r.text("target") == o.Dir }), "call", "fs", "source", "target", "errno_name"), o.Texts["mounted"])
	}},
	{name: "syscount", generate: func(g *generator) {
		for range 1234 {
			unix.RawSyscall(unix.SYS_GETPRIORITY, 0, 0, 0)
		}
		for range 77 {
			unix.RawSyscall(unix.SYS_GETPGID, 0, 0, 0)
		}
	}, check: func(t *testing.T, o *outcome) {
		of := func(n int64) func(row) bool { return func(r row) bool { return r.number("syscall") == n } }
		is(t, "getpriority", o.sum("@calls", of(unix.SYS_GETPRIORITY)), 1234)
		named := func(r row) bool { return r.text("syscall_name") == "getpriority" }
		is(t, "getpriority by its name", o.sum("@calls", named), 1234)
		is(t, "getpgid", o.sum("@calls", of(unix.SYS_GETPGID)), 77)
		within(t, "time in getpriority", o.sum("@ns", of(unix.SYS_GETPRIORITY)), 1234, int64(o.took))
	}},
	{name: "oomkill", all: true, generate: starve, check: func(t *testing.T, o *outcome) {
		found := o.where(func(r row) bool { return r.number("victim") == o.Numbers["victim"] })
		is(t, "kills of the victim", int64(len(found)), 1)
		for _, r := range found {
			within(t, "anon_rss in KiB", r.number("anon_rss"), eaten/2>>10, (eaten+8<<20)>>10) // some it had before it was in the cgroup
		}
	}},
}

func ignoreStatus(err error) error {
	if _, ok := err.(*exec.ExitError); ok {
		return nil
	}
	return err
}

// child is this program again, under another path and as another user.
func child(do, path string, args ...string) *exec.Cmd {
	c := &exec.Cmd{Path: path, Args: append([]string{path}, args...), Env: []string{doEnv + "=" + do, "GOMAXPROCS=1"}, Stderr: os.Stderr}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger, NoSetGroups: true}, Pdeathsig: syscall.SIGKILL}
	return c
}

func sendSignals(g *generator) {
	signal.Ignore(syscall.SIGUSR1, syscall.SIGUSR2)
	pid := os.Getpid()
	send := func(signal unix.Signal, to int, err error) {
		g.Texts["sent"] = append(g.Texts["sent"], fmt.Sprintf("%s %d %s", unix.SignalName(signal), to, name(err)))
	}
	for range 3 {
		send(unix.SIGUSR1, pid, unix.Kill(pid, unix.SIGUSR1))
	}
	for range 2 {
		send(unix.SIGUSR2, pid, unix.Tgkill(pid, pid, unix.SIGUSR2))
	}
	const nobody = 1 << 22 // the largest number is one less
	send(unix.SIGUSR1, nobody, unix.Kill(nobody, unix.SIGUSR1))
}

// eaten is the memory of a cgroup whose process wants more.
const eaten = 32 << 20

// starve makes the kernel end a child for want of memory in its cgroup.
func starve(g *generator) {
	group, limit := "/sys/fs/cgroup/memory/skep-tools-oom", "memory.limit_in_bytes"
	if _, err := os.Stat("/sys/fs/cgroup/memory"); err != nil {
		group, limit = "/sys/fs/cgroup/skep-tools-oom", "memory.max"
		os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte("+memory"), 0)
	}
	g.check(os.MkdirAll(group, 0o755))
	defer os.Remove(group)
	g.check(os.WriteFile(group+"/"+limit, fmt.Append(nil, eaten), 0))
	c := child("eat", "/proc/self/exe")
	in, err := c.StdinPipe()
	g.check(err)
	g.check(c.Start())
	g.Numbers["victim"] = int64(c.Process.Pid)
	g.check(os.WriteFile(group+"/cgroup.procs", fmt.Append(nil, c.Process.Pid), 0))
	fmt.Fprintln(in, "go")
	g.check(ignoreStatus(c.Wait()))
	if status := c.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
		panic(fmt.Sprint("the child that eats memory ended by itself: ", c.ProcessState))
	}
}

// eat uses more memory than its cgroup has.
func eat() int {
	os.Stdin.Read(make([]byte, 1))
	memory, err := unix.Mmap(-1, 0, 2*eaten, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return 1
	}
	unix.Syscall(unix.SYS_MLOCK, uintptr(unsafe.Pointer(&memory[0])), uintptr(len(memory)), 0) // no swap
	for i := 0; i < len(memory); i += 4096 {
		memory[i] = 1
	}
	return 0
}
