// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Operations on files below watched directories. A hook inside the operation, where the
 * kernel lets us have one, notes what is operated on; the end of the system call has the
 * result and makes the record.
 */
#include "end.h"
#include "note.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/sys_exit")
int file_end(__u64 *ctx)
{
	return on_end((struct pt_regs *)ctx[0], ctx[1]);
}

/* The same at the tracepoints of the calls in question, where all others pass by. */
SEC("tracepoint/syscalls/sys_exit_*")
int file_end_call(struct syscall_end *ctx)
{
	return on_end(own_registers(), ctx->result);
}

/* Every way to change what a directory holds, or what an inode is, renews its time of change. */
SEC("tp_btf/inode_set_ctime_to_ts")
int file_ctime(__u64 *ctx)
{
	return on_ctime((struct inode *)ctx[0], AT_CTIME);
}

/* It has that time already. */
SEC("tp_btf/ctime_xchg_skip")
int file_ctime_same(__u64 *ctx)
{
	return on_ctime((struct inode *)ctx[0], AT_CTIME_SAME);
}

SEC("tp_btf/ctime_ns_xchg")
int file_ctime_fine(__u64 *ctx)
{
	return on_ctime((struct inode *)ctx[0], AT_CTIME_FINE);
}

SEC("fentry/security_file_open")
int file_open(__u64 *ctx)
{
	return on_file_open((struct file *)ctx[0]);
}

static __always_inline __u64 entry_argument(__u64 *ctx, int n)
{
	__u64 argument = 0;

	bpf_probe_read_kernel(&argument, sizeof(argument), ctx + n);
	return argument;
}

/* Where the kernel's text may not be patched, or not on this architecture, by kprobe. */
static __always_inline __u64 probe_argument(struct pt_regs *regs, int n)
{
	struct pt_regs___x86 *x86 = (void *)regs;
	struct pt_regs___arm64 *arm64 = (void *)regs;

	switch (n) {
	case 0:
		return cfg_arm64 ? BPF_CORE_READ(arm64, regs[0]) : BPF_CORE_READ(x86, di);
	case 1:
		return cfg_arm64 ? BPF_CORE_READ(arm64, regs[1]) : BPF_CORE_READ(x86, si);
	case 2:
		return cfg_arm64 ? BPF_CORE_READ(arm64, regs[2]) : BPF_CORE_READ(x86, dx);
	}
	return cfg_arm64 ? BPF_CORE_READ(arm64, regs[3]) : BPF_CORE_READ(x86, cx);
}

/* Not ctx[n]: that is a typed pointer, and these become numbers, which functions of their own take. */
#define ENTRY(n) (void *)entry_argument(ctx, n)
#define PROBE(n) (void *)probe_argument(ctx, n)

/* handle takes the way to an argument, by its number. */
#define HOOK(name, handle)                                                                   \
	SEC("fentry/security_path_" #name) int file_##name(__u64 *ctx) { return handle(ENTRY); } \
	SEC("kprobe/security_path_" #name) int file_##name##_k(struct pt_regs *ctx) { return handle(PROBE); }

#define MKDIR(A) on_dentry(FILE_MKDIR, AT_MKDIR, A(0), A(1))
#define MKNOD(A) on_dentry(FILE_MKNOD, AT_MKNOD, A(0), A(1))
#define RENAME(A) on_rename(A(0), A(1), A(2), A(3))
#define UNLINK(A) on_dentry(FILE_UNLINK, AT_UNLINK, A(0), A(1))
#define RMDIR(A) on_dentry(FILE_RMDIR, AT_RMDIR, A(0), A(1))
#define LINK(A) on_link(A(0), A(1), A(2))
#define SYMLINK(A) on_dentry(FILE_SYMLINK, AT_SYMLINK, A(0), A(1))
#define CHMOD(A) on_path(FILE_CHMOD, AT_CHMOD, A(0))
#define CHOWN(A) on_path(FILE_CHOWN, AT_CHOWN, A(0))

HOOK(mkdir, MKDIR)
HOOK(mknod, MKNOD)
HOOK(rename, RENAME)
HOOK(unlink, UNLINK)
HOOK(rmdir, RMDIR)
HOOK(link, LINK)
HOOK(symlink, SYMLINK)
HOOK(chmod, CHMOD)
HOOK(chown, CHOWN)
