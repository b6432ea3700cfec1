// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
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
				{unix.SYS_OPEN, uintptr(unsafe.Pointer(path)), 0, 0},
				{unix.SYS_OPENAT, uintptr(cwd), uintptr(unsafe.Pointer(path)), 0},
				{unix.SYS_CREAT, uintptr(unsafe.Pointer(path)), 0o600, 0},
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
		{functions: "kprobe:try_to_wake_up", keep: ours + ` && ` + task + `->comm == "skepwoken"`, print: task + "->tgid", provoke: func(t *testing.T) []string {
			wake(t, 5)
			return times(5, "%d", os.Getpid())
		}},
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

// wake wakes a thread so often, each time when it sleeps.
func wake(t *testing.T, n int) {
	t.Helper()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], 0); err != nil {
		t.Error(err)
		return
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	id := make(chan int)
	var read atomic.Int32
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its name
		name, _ := unix.BytePtrFromString("skepwoken")
		done, _ := unix.BytePtrFromString("skepdone")
		id <- unix.Gettid()
		unix.RawSyscallNoError(unix.SYS_PRCTL, unix.PR_SET_NAME, uintptr(unsafe.Pointer(name)), 0)
		for range n {
			unix.RawSyscallNoError(unix.SYS_READ, uintptr(pipe[0]), uintptr(unsafe.Pointer(new(byte))), 1)
			read.Add(1)
		}
		// What wakes it from here on is no write.
		unix.RawSyscallNoError(unix.SYS_PRCTL, unix.PR_SET_NAME, uintptr(unsafe.Pointer(done)), 0)
		id <- 0
	}()
	tid := <-id
	for i := range n {
		for deadline := time.Now().Add(10 * time.Second); ; {
			stat, _ := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", tid))
			if strings.Contains(string(stat), "(skepwoken) S ") && int(read.Load()) == i {
				break
			}
			if time.Now().After(deadline) {
				t.Error("the thread does not sleep")
				return
			}
		}
		unix.Write(pipe[1], []byte{1})
	}
	<-id
}

// connected makes so many connections to a listener of its own, sends size bytes by each,
// and closes them. It returns the listener's port.
func connected(t *testing.T, address string, n, size int) (port int) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("needs %s: %v", address, err)
	}
	defer listener.Close()
	for range n {
		client, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Error(err)
			return 0
		}
		server, err := listener.Accept()
		if err != nil {
			t.Error(err)
			return 0
		}
		if size > 0 {
			client.Write(make([]byte, size))
			server.Read(make([]byte, 2*size))
		}
		client.Close()
		server.Read(make([]byte, 1)) // the end
		server.Close()
	}
	return listener.Addr().(*net.TCPAddr).Port
}

func swapped(port int) int { return port>>8 | port&0xff<<8 }

func socketLikenesses() []likeness {
	const (
		dport = "((struct sock *)arg0)->__sk_common.skc_dport"
		num   = "((struct sock *)arg0)->__sk_common.skc_num"
	)
	connects := func(address string) func(t *testing.T) []string {
		return func(t *testing.T) []string { return times(3, "%d", swapped(connected(t, address, 3, 0))) }
	}
	ports := func(address string) func(t *testing.T) []string {
		return func(t *testing.T) []string { return times(3, "%d", connected(t, address, 3, 0)) }
	}
	results := func(size int, do func(t *testing.T)) func(t *testing.T) []string {
		return func(t *testing.T) []string {
			do(t)
			return times(3, "%d", size)
		}
	}
	tcp := func(t *testing.T) { connected(t, "127.0.0.1:0", 3, 1357) }
	udp := func(t *testing.T) { datagrams(t, 3, 1359) }
	return []likeness{
		{functions: "kprobe:tcp_connect", keep: ours, print: dport, provoke: connects("127.0.0.1:0")},
		{functions: "kprobe:tcp_v4_connect kprobe:tcp_v6_connect", keep: ours, print: "1", provoke: func(t *testing.T) []string {
			connected(t, map[string]string{"v4": "127.0.0.1:0", "v6": "[::1]:0"}[t.Name()[strings.Index(t.Name(), "tcp_v")+4:][:2]], 3, 0)
			return times(3, "1")
		}},
		{functions: "kprobe:tcp_set_state", keep: ours + " && arg1 == 2", print: "arg1", provoke: func(t *testing.T) []string {
			connected(t, "127.0.0.1:0", 3, 0)
			return times(3, "2")
		}},
		{functions: "kretprobe:inet_csk_accept", keep: ours + " && retval != 0", print: "((struct sock *)retval)->__sk_common.skc_num", provoke: ports("127.0.0.1:0")},
		{functions: "kprobe:tcp_v4_syn_recv_sock", keep: num + " == SYNPORT", print: "((struct sock *)arg0)->sk_max_ack_backlog", provoke: func(t *testing.T) []string {
			fd := listening(t, unix.AF_INET, 19)
			defer unix.Close(fd)
			return dialed(t, "127.0.0.1")
		}},
		{functions: "kprobe:tcp_v6_syn_recv_sock", keep: num + " == SYNPORT", print: "((struct sock *)arg0)->sk_max_ack_backlog", provoke: func(t *testing.T) []string {
			fd := listening(t, unix.AF_INET6, 19)
			defer unix.Close(fd)
			return dialed(t, "::1")
		}},
		{functions: "kprobe:tcp_v4_destroy_sock", keep: dport + " == SWAPPEDPORT", print: "1", provoke: func(t *testing.T) []string {
			connected(t, fmt.Sprintf("127.0.0.1:%d", knownPort), 3, 0)
			return times(3, "1")
		}},
		{functions: "kprobe:tcp_rcv_space_adjust", keep: ours + " && " + num + " == SYNPORT", print: "1", provoke: func(t *testing.T) []string {
			connected(t, fmt.Sprintf("127.0.0.1:%d", knownPort), 3, 1357)
			return times(3, "1")
		}},
		{functions: "kprobe:tcp_reset", keep: dport + " == SWAPPEDPORT", print: "1", provoke: func(t *testing.T) []string {
			for range 3 {
				if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", knownPort)); err == nil {
					c.Close()
					t.Error("connected to nobody")
				}
			}
			return times(3, "1")
		}},
		{functions: "kprobe:inet_listen", keep: ours + " && arg1 == 19", print: "((struct socket *)arg0)->sk->__sk_common.skc_family", provoke: func(t *testing.T) []string {
			for range 3 {
				unix.Close(listening(t, unix.AF_INET, 19))
			}
			return times(3, "2")
		}},
		{functions: "kretprobe:tcp_sendmsg", keep: ours + " && retval == 1357", print: "retval", provoke: results(1357, tcp)},
		{functions: "kretprobe:tcp_recvmsg", keep: ours + " && retval == 1357", print: "retval", provoke: results(1357, tcp)},
		{functions: "kretprobe:udp_sendmsg", keep: ours + " && retval == 1359", print: "retval", provoke: results(1359, udp)},
		{functions: "kretprobe:udp_recvmsg", keep: ours + " && retval == 1359", print: "retval", provoke: results(1359, udp)},
	}
}

// knownPort is that of listeners which a predicate names.
var knownPort = func() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 19191
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}()

// listening is a socket that listens at the known port.
func listening(t *testing.T, family, backlog int) int {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skipf("needs sockets: %v", err)
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	var address unix.Sockaddr = &unix.SockaddrInet4{Port: knownPort, Addr: [4]byte{127, 0, 0, 1}}
	if family == unix.AF_INET6 {
		address = &unix.SockaddrInet6{Port: knownPort, Addr: [16]byte{15: 1}}
	}
	if err := unix.Bind(fd, address); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		t.Fatal(err)
	}
	return fd
}

// dialed connects three times to the known port, and returns the backlog as often.
func dialed(t *testing.T, host string) []string {
	t.Helper()
	for range 3 {
		c, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(knownPort)))
		if err != nil {
			t.Error(err)
			continue
		}
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	return times(3, "19")
}

// datagrams sends so many to a socket of its own that reads them.
func datagrams(t *testing.T, n, size int) {
	t.Helper()
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Error(err)
		return
	}
	defer server.Close()
	client, err := net.DialUDP("udp4", nil, server.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	for range n {
		client.Write(make([]byte, size))
		server.Read(make([]byte, size))
	}
}

func packetLikenesses() []likeness {
	unread := func(t *testing.T) []string { // to a port where nobody listens
		client, err := net.Dial("udp4", fmt.Sprintf("127.0.0.1:%d", knownPort))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		for range 3 {
			client.Write(make([]byte, 1361))
			client.(*net.UDPConn).SetReadDeadline(time.Now().Add(5 * time.Second))
			client.Read(make([]byte, 1)) // that it was refused
		}
		return times(3, "1369")
	}
	return []likeness{
		{functions: "kprobe:tcp_retransmit_skb", keep: "((struct sock *)arg0)->__sk_common.skc_dport == SWAPPEDPORT", print: "1", provoke: func(t *testing.T) []string {
			fd := listening(t, unix.AF_INET, 0)
			defer unix.Close(fd)
			for range 2 { // one fills the queue; the second is not answered, and tries again after a second
				c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer unix.Close(c)
				unix.Connect(c, &unix.SockaddrInet4{Port: knownPort, Addr: [4]byte{127, 0, 0, 1}})
			}
			time.Sleep(2 * time.Second) // after one second, and after three
			return times(1, "1")
		}},
		{functions: "kprobe:kfree_skb_reason kprobe:sk_skb_reason_drop", keep: "((struct sk_buff *)PACKET)->len == 1369", print: "((struct sk_buff *)PACKET)->len", provoke: unread},
		{functions: "kprobe:__dev_queue_xmit", keep: "((struct sk_buff *)arg0)->len == 1373", print: "((struct sk_buff *)arg0)->len", provoke: func(t *testing.T) []string {
			datagrams(t, 3, 1373-42)
			return times(3, "1373")
		}},
		{functions: "kprobe:skb_copy_datagram_iter", keep: ours + " && arg3 == 1363", print: "((struct sk_buff *)arg0)->len; arg3", provoke: streams},
		{functions: "kprobe:unix_stream_read_actor", keep: ours + " && arg2 == 1363", print: "((struct sk_buff *)arg0)->len; arg2", provoke: streams},
	}
}

// streams reads from local sockets what it has written.
func streams(t *testing.T) []string {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	for range 3 {
		unix.Write(pair[0], make([]byte, 1363))
		unix.Read(pair[1], make([]byte, 1363))
	}
	return times(3, "1363 1363")
}

func deviceLikenesses() []likeness {
	const request = `((struct request *)arg0)->q->disk->disk_name == "LOOP"`
	return []likeness{
		{functions: "kprobe:submit_bio", keep: ours + " && ((struct bio *)arg0)->bi_iter.bi_size == 8192", print: "((struct bio *)arg0)->bi_iter.bi_sector", provoke: blocks("0", "16", "32")},
		{functions: "kprobe:blk_mq_start_request kprobe:blk_account_io_start kprobe:__blk_account_io_start", keep: request + " && ((struct request *)arg0)->__data_len == 8192",
			print: "((struct request *)arg0)->__sector", provoke: blocks("0", "16", "32")},
		{functions: "kprobe:blk_account_io_done kprobe:__blk_account_io_done", keep: request, print: "nsecs(monotonic) + 1000000000 - arg1 < 2000000000", provoke: blocks("1", "1", "1")},
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
