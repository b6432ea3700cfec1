// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"slices"
	"strings"
)

// Substitutes is the table of what probes on functions of the kernel run on where the kernel
// cannot probe functions, by what they are about. Several rows of one function stand for it
// together. docs/kprobes.md is made of it.
//
// A row belongs here if a test can compare the two: that of internal/trace does so with every
// row, event by event where the kernel has both.
func Substitutes() []Substitute {
	return slices.Concat(fileSubstitutes(), mountSubstitutes(), processSubstitutes(), connectionSubstitutes(), packetSubstitutes(), blockSubstitutes())
}

// rows makes a row of each of several places that stand for a function.
func rows(kind ProbeKind, functions, differs string, on ...string) []Substitute {
	var out []Substitute
	for function := range strings.FieldsSeq(functions) {
		for _, one := range on {
			out = append(out, Substitute{Kind: kind, Function: function, On: one, Differs: differs})
		}
	}
	return out
}

// Expressions of the language that several rows need: whether a system call's argument fd is
// open, and the struct file and struct sock behind it or behind what the call returned.
const (
	fdIsOpen  = `args.fd < curtask->files->fdt->max_fds && curtask->files->fdt->fd[args.fd] != 0`
	fileOfFD  = `curtask->files->fdt->fd[args.fd]`
	fileOfRet = `curtask->files->fdt->fd[args.ret]`
	sockOfRet = `((struct socket *)` + fileOfRet + `->private_data)->sk`
	sockOfFD  = `((struct socket *)` + fileOfFD + `->private_data)`
)

func fileSubstitutes() []Substitute {
	const (
		ofCalls = "only calls by these system calls (not the kernel's own, nor io_uring's)"
		badFile = ofCalls + "; none that fails with EBADF"
		opened  = "only files that were opened, when the system call returns; not those that exec and the kernel open"
	)
	return slices.Concat(
		rows(Kprobe, "vfs_read", ofCalls+"; arg3 (the position) is not known",
			`tracepoint:syscalls:sys_enter_read /`+fdIsOpen+`/ { $arg0 = `+fileOfFD+`; $arg1 = args.buf; $arg2 = args.count }`,
			`tracepoint:syscalls:sys_enter_pread64 /`+fdIsOpen+`/ { $arg0 = `+fileOfFD+`; $arg1 = args.buf; $arg2 = args.count }`),
		rows(Kretprobe, "vfs_read", badFile,
			`tracepoint:syscalls:sys_exit_read /args.ret != -9/ { $retval = args.ret }`,
			`tracepoint:syscalls:sys_exit_pread64 /args.ret != -9/ { $retval = args.ret }`),
		rows(Kprobe, "vfs_write", ofCalls+"; arg3 (the position) is not known",
			`tracepoint:syscalls:sys_enter_write /`+fdIsOpen+`/ { $arg0 = `+fileOfFD+`; $arg1 = args.buf; $arg2 = args.count }`,
			`tracepoint:syscalls:sys_enter_pwrite64 /`+fdIsOpen+`/ { $arg0 = `+fileOfFD+`; $arg1 = args.buf; $arg2 = args.count }`),
		rows(Kretprobe, "vfs_write", badFile,
			`tracepoint:syscalls:sys_exit_write /args.ret != -9/ { $retval = args.ret }`,
			`tracepoint:syscalls:sys_exit_pwrite64 /args.ret != -9/ { $retval = args.ret }`),
		rows(Kprobe, "vfs_fsync", ofCalls,
			`tracepoint:syscalls:sys_enter_fsync /`+fdIsOpen+`/ { $arg0 = `+fileOfFD+`; $arg1 = 0 }`,
			`tracepoint:syscalls:sys_enter_fdatasync /`+fdIsOpen+`/ { $arg0 = `+fileOfFD+`; $arg1 = 1 }`),
		rows(Kprobe, "vfs_fsync_range", ofCalls+"; nor writes to files that are open for O_SYNC, nor msync",
			`tracepoint:syscalls:sys_enter_fsync /`+fdIsOpen+`/ { $arg0 = `+fileOfFD+`; $arg1 = 0; $arg2 = 9223372036854775807; $arg3 = 0 }`,
			`tracepoint:syscalls:sys_enter_fdatasync /`+fdIsOpen+`/ { $arg0 = `+fileOfFD+`; $arg1 = 0; $arg2 = 9223372036854775807; $arg3 = 1 }`),
		rows(Kprobe, "vfs_open", opened,
			openedBy("open"), openedBy("openat"), openedBy("openat2"), openedBy("creat")),
		rows(Kprobe, "do_sys_open do_sys_openat2", "only calls by these system calls; of do_sys_openat2 arg2 is the flags and not how to open",
			`tracepoint:syscalls:sys_enter_open { $arg0 = -100; $arg1 = args.filename; $arg2 = args.flags; $arg3 = args.mode }`,
			`tracepoint:syscalls:sys_enter_creat { $arg0 = -100; $arg1 = args.pathname; $arg2 = 577; $arg3 = args.mode }`,
			`tracepoint:syscalls:sys_enter_openat { $arg0 = args.dfd; $arg1 = args.filename; $arg2 = args.flags; $arg3 = args.mode }`),
		rows(Kretprobe, "do_sys_open do_sys_openat2", "only calls by these system calls",
			`tracepoint:syscalls:sys_exit_open { $retval = args.ret }`,
			`tracepoint:syscalls:sys_exit_creat { $retval = args.ret }`,
			`tracepoint:syscalls:sys_exit_openat { $retval = args.ret }`),
		rows(Kprobe, "do_sys_openat2", "only calls by these system calls; arg2 is not known",
			`tracepoint:syscalls:sys_enter_openat2 { $arg0 = args.dfd; $arg1 = args.filename }`),
		rows(Kretprobe, "do_sys_openat2", "only calls by these system calls",
			`tracepoint:syscalls:sys_exit_openat2 { $retval = args.ret }`),
	)
}

func openedBy(call string) string {
	return `tracepoint:syscalls:sys_exit_` + call + ` /args.ret >= 0/ { $arg0 = (uint64)` + fileOfRet + ` + offsetof(struct file, f_path); $arg1 = ` + fileOfRet + ` }`
}

func mountSubstitutes() []Substitute {
	const early = "also calls that fail because an argument cannot be read or there is no such path; texts are the process's and not the kernel's copies"
	return slices.Concat(
		rows(Kprobe, "path_mount", early+"; arg1 is not known",
			`tracepoint:syscalls:sys_enter_mount { $arg0 = args.dev_name; $arg2 = args.type; $arg3 = args.flags; $arg4 = args.data }`),
		rows(Kretprobe, "path_mount", early,
			`tracepoint:syscalls:sys_exit_mount { $retval = args.ret }`),
		rows(Kprobe, "path_umount", early+"; arg0 is not known",
			`tracepoint:syscalls:sys_enter_umount { $arg1 = args.flags }`),
	)
}

func processSubstitutes() []Substitute {
	const sleeps = "also calls whose arguments are wrong; arg0 and arg1 are not known"
	return slices.Concat(
		rows(Kprobe, "do_nanosleep hrtimer_nanosleep", sleeps,
			`tracepoint:syscalls:sys_enter_nanosleep { }`, `tracepoint:syscalls:sys_enter_clock_nanosleep { }`),
		rows(Kretprobe, "do_nanosleep hrtimer_nanosleep", "also calls whose arguments are wrong",
			`tracepoint:syscalls:sys_exit_nanosleep { $retval = args.ret }`, `tracepoint:syscalls:sys_exit_clock_nanosleep { $retval = args.ret }`),
		rows(Kprobe, "do_exit", "a little later, when the thread has given up some of what it had",
			`rawtracepoint:sched_process_exit { $arg0 = args.p->exit_code }`),
		rows(Kprobe, "wake_up_new_task", "a little later, when the task is in its run queue",
			`rawtracepoint:sched_wakeup_new { $arg0 = args.p }`),
		rows(Kretprobe, "copy_process", "only where a task was made",
			`rawtracepoint:sched_process_fork { $retval = args.child }`),
		rows(Kprobe, "__set_task_comm", "",
			`rawtracepoint:task_rename { $arg0 = args.task; $arg1 = args.comm }`),
		rows(Kprobe, "cap_capable", "needs Linux 6.14; when the function returns; arg3 (the options) is not known",
			`rawtracepoint:cap_capable { $arg0 = args.cred; $arg1 = args.target_ns; $arg2 = args.cap }`),
		rows(Kretprobe, "cap_capable", "needs Linux 6.14",
			`rawtracepoint:cap_capable { $retval = args.ret }`),
		rows(Kprobe, "__send_signal_locked __send_signal", "when the signal is filed, or dropped; arg3 and arg4 are not known",
			`rawtracepoint:signal_generate { $arg0 = args.sig; $arg1 = args.info; $arg2 = args.task }`),
	)
}

func connectionSubstitutes() []Substitute {
	const (
		connects   = "when the state becomes SYN_SENT: the local port is not chosen yet if the program did not choose it; also where no local port is free"
		attempts   = "when the address is known to be reachable and the state becomes SYN_SENT; arg1 and arg2 are not known"
		synBacklog = "when the new socket is a copy of the listener's, which arg0 is (its backlog is the listener's); none for those that are refused because the backlog is full; the rest is not known"
	)
	return slices.Concat(
		rows(Kprobe, "tcp_connect", connects,
			`rawtracepoint:inet_sock_set_state /args.oldstate == TCP_CLOSE && args.newstate == TCP_SYN_SENT && args.sk->sk_protocol == 6/ { $arg0 = args.sk }`),
		rows(Kprobe, "tcp_v4_connect", attempts,
			`rawtracepoint:inet_sock_set_state /args.oldstate == TCP_CLOSE && args.newstate == TCP_SYN_SENT && args.sk->sk_protocol == 6 && args.sk->__sk_common.skc_family == 2/ { $arg0 = args.sk }`),
		rows(Kprobe, "tcp_v6_connect", attempts,
			`rawtracepoint:inet_sock_set_state /args.oldstate == TCP_CLOSE && args.newstate == TCP_SYN_SENT && args.sk->sk_protocol == 6 && args.sk->__sk_common.skc_family == 10/ { $arg0 = args.sk }`),
		rows(Kprobe, "tcp_set_state", "when the function is nearly done: skc_num, the local port, is 0 at TCP_CLOSE if the program did not choose it (inet_sport still has it)",
			`rawtracepoint:inet_sock_set_state /args.sk->sk_protocol == 6 && args.newstate != TCP_LISTEN && args.newstate != TCP_SYN_RECV/ { $arg0 = args.sk; $arg1 = args.newstate }`),
		rows(Kretprobe, "inet_csk_accept", "only connections that were accepted, when the system call returns; not io_uring's",
			`tracepoint:syscalls:sys_exit_accept /args.ret >= 0 && `+sockOfRet+`->sk_protocol == 6/ { $retval = `+sockOfRet+` }`,
			`tracepoint:syscalls:sys_exit_accept4 /args.ret >= 0 && `+sockOfRet+`->sk_protocol == 6/ { $retval = `+sockOfRet+` }`),
		rows(Kprobe, "tcp_v4_syn_recv_sock", synBacklog,
			`rawtracepoint:inet_sock_set_state /args.oldstate == TCP_LISTEN && args.newstate == TCP_SYN_RECV && args.sk->sk_protocol == 6 && args.sk->__sk_common.skc_family == 2/ { $arg0 = args.sk }`),
		rows(Kprobe, "tcp_v6_syn_recv_sock", synBacklog,
			`rawtracepoint:inet_sock_set_state /args.oldstate == TCP_LISTEN && args.newstate == TCP_SYN_RECV && args.sk->sk_protocol == 6 && args.sk->__sk_common.skc_family == 10/ { $arg0 = args.sk }`),
		rows(Kprobe, "tcp_v4_destroy_sock", "",
			`rawtracepoint:tcp_destroy_sock { $arg0 = args.sk }`),
		rows(Kprobe, "tcp_rcv_space_adjust", "",
			`rawtracepoint:tcp_rcv_space_adjust { $arg0 = args.sk }`),
		rows(Kprobe, "tcp_reset", "arg1 is not known",
			`rawtracepoint:tcp_receive_reset { $arg0 = args.sk }`),
		rows(Kprobe, "inet_listen", "also where the call is refused; arg1 is before it is cut to net.core.somaxconn",
			`tracepoint:syscalls:sys_enter_listen /`+fdIsOpen+` && `+sockOfFD+`->ops->family == 2/ { $arg0 = `+sockOfFD+`; $arg1 = args.backlog }`),
		rows(Kretprobe, "tcp_sendmsg", "needs Linux 6.3; only calls by way of a socket (not io_uring's with fixed buffers, nor the kernel's own)",
			`rawtracepoint:sock_send_length /args.sk->sk_protocol == 6/ { $retval = args.ret }`),
		rows(Kretprobe, "tcp_recvmsg", "needs Linux 6.3; only calls by way of a socket",
			`rawtracepoint:sock_recv_length /args.sk->sk_protocol == 6/ { $retval = args.ret }`),
		rows(Kretprobe, "udp_sendmsg", "needs Linux 6.3; only calls by way of a socket; also of IPv6",
			`rawtracepoint:sock_send_length /args.sk->sk_protocol == 17/ { $retval = args.ret }`),
		rows(Kretprobe, "udp_recvmsg", "needs Linux 6.3; only calls by way of a socket; also of IPv6",
			`rawtracepoint:sock_recv_length /args.sk->sk_protocol == 17/ { $retval = args.ret }`),
	)
}

func packetSubstitutes() []Substitute {
	return slices.Concat(
		rows(Kprobe, "tcp_retransmit_skb", "when the packet has been sent; also of tail loss probes; arg2 is not known",
			`rawtracepoint:tcp_retransmit_skb { $arg0 = args.sk; $arg1 = args.skb }`),
		rows(Kprobe, "kfree_skb_reason", "only where nobody else holds the packet",
			`rawtracepoint:kfree_skb { $arg0 = args.skb; $arg1 = args.reason }`),
		rows(Kprobe, "sk_skb_reason_drop", "only where nobody else holds the packet; arg0 is not known",
			`rawtracepoint:kfree_skb { $arg1 = args.skb; $arg2 = args.reason }`),
		rows(Kprobe, "__dev_queue_xmit", "arg1 is not known",
			`rawtracepoint:net_dev_queue { $arg0 = args.skb }`),
		rows(Kprobe, "skb_copy_datagram_iter", "arg1 and arg2 are not known",
			`rawtracepoint:skb_copy_datagram_iovec { $arg0 = args.skb; $arg3 = args.len }`),
		rows(Kprobe, "unix_stream_read_actor", "arg1 and arg3 are not known",
			`rawtracepoint:skb_copy_datagram_iovec /args.skb->sk->__sk_common.skc_family == 1 && args.skb->sk->sk_type == 1/ { $arg0 = args.skb; $arg2 = args.len }`),
	)
}

func blockSubstitutes() []Substitute {
	return slices.Concat(
		rows(Kprobe, "swap_readpage swap_read_folio", "needs Linux 6.15 or so; only of memory that a memory cgroup accounts for, and not from zswap; the arguments are not known",
			`rawtracepoint:count_memcg_events /args.item == PSWPIN/ { }`),
		rows(Kprobe, "blk_account_io_start __blk_account_io_start", "needs Linux 6.5; also of requests that are not accounted for",
			`rawtracepoint:block_io_start { $arg0 = args.rq }`),
		rows(Kprobe, "blk_account_io_done __blk_account_io_done", "needs Linux 6.5; also of requests that are not accounted for",
			`rawtracepoint:block_io_done { $arg0 = args.rq; $arg1 = nsecs(monotonic) }`),
		rows(Kprobe, "blk_mq_start_request", "",
			`rawtracepoint:block_rq_issue { $arg0 = args.rq }`),
		rows(Kprobe, "submit_bio", "also of what stacked drivers pass on",
			`rawtracepoint:block_bio_queue { $arg0 = args.bio }`),
	)
}
