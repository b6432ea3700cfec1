// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Calls that change the host or another process. Where the kernel lets us follow a function
 * of its own, that costs other calls nothing. Else the end of all system calls is
 * followed, while any of them is wanted.
 */
#include "capability.h"
#include "code.h"
#include "module.h"
#include "mount.h"
#include "process.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* What a probed function returns. */
static __always_inline long returned(struct pt_regs *ctx)
{
	struct pt_regs___x86 *x86 = (void *)ctx;
	struct pt_regs___arm64 *arm64 = (void *)ctx;

	return cfg_arm64 ? BPF_CORE_READ(arm64, regs[0]) : BPF_CORE_READ(x86, ax);
}

/*
 * Where a function of the kernel is followed to its end, its result stands behind its
 * arguments. An older BTF has those twice that a kernel may be built without, or
 * without arguments: they are probed.
 */
#define FOLLOW(prefix, arch, name, function, handle)                                                   \
	SEC("fexit/__" #arch "_sys_" #function) int prefix##_##name(__u64 *ctx)                        \
	{                                                                                              \
		return handle((struct pt_regs *)ctx[0], ctx[1]);                                       \
	}                                                                                              \
	SEC("kretprobe/__" #arch "_sys_" #function) int prefix##k_##name(struct pt_regs *ctx)          \
	{                                                                                              \
		return handle(own_registers(), returned(ctx));                                         \
	}

/*
 * Else there is a tracepoint for each system call. While any is in use all calls make the
 * detour on which tracepoints lie, and a bit says that nothing is wanted of this one.
 */
#define TRACE(name, function, handle)                                                                  \
	SEC("tracepoint/syscalls/sys_exit_" #function) int hostt_##name(struct syscall_end *ctx)       \
	{                                                                                              \
		return handle(own_registers(), ctx->result);                                           \
	}

#define FOLLOWED(name, function, handle)                                                               \
	FOLLOW(host, x64, name, function, handle)                                                      \
	FOLLOW(hosta, arm64, name, function, handle)

#define CALL(name, function, handle)                                                                   \
	FOLLOWED(name, function, handle)                                                               \
	TRACE(name, function, handle)

#define IDS(name, call)                                                                            \
	FUNCTION int on_##name(struct pt_regs * regs, long result)                       \
	{                                                                                              \
		return on_ids(call, regs, result);                                                     \
	}

IDS(setuid, HOST_SETUID)
IDS(setreuid, HOST_SETREUID)
IDS(setresuid, HOST_SETRESUID)
IDS(setfsuid, HOST_SETFSUID)
IDS(setgid, HOST_SETGID)
IDS(setregid, HOST_SETREGID)
IDS(setresgid, HOST_SETRESGID)
IDS(setfsgid, HOST_SETFSGID)

CALL(ptrace, ptrace, on_ptrace)
CALL(mount, mount, on_mount)
CALL(umount, umount, on_umount)
CALL(move, move_mount, on_move_mount)
CALL(pivot, pivot_root, on_pivot_root)
CALL(setns, setns, on_setns)
CALL(unshare, unshare, on_unshare)
FOLLOWED(init, init_module, on_init_module)
FOLLOWED(finit, finit_module, on_finit_module)
FOLLOWED(delete, delete_module, on_delete_module)
CALL(bpf, bpf, on_bpf)
CALL(memfd, memfd_create, on_memfd_create)
CALL(uid, setuid, on_setuid)
CALL(reuid, setreuid, on_setreuid)
CALL(resuid, setresuid, on_setresuid)
CALL(gid, setgid, on_setgid)
CALL(regid, setregid, on_setregid)
CALL(resgid, setresgid, on_setresgid)
TRACE(fsuid, setfsuid, on_setfsuid)
TRACE(fsgid, setfsgid, on_setfsgid)

/* What the ids were: the end does not tell any more. */
#define BEFORE(name, function, group)                                                                  \
	SEC("tracepoint/syscalls/sys_enter_" #function) int hostb_##name(void *ctx) { return on_ids_begin(group); }

BEFORE(uid, setuid, false)
BEFORE(reuid, setreuid, false)
BEFORE(resuid, setresuid, false)
BEFORE(fsuid, setfsuid, false)
BEFORE(gid, setgid, true)
BEFORE(regid, setregid, true)
BEFORE(resgid, setresgid, true)
BEFORE(fsgid, setfsgid, true)

SEC("fexit/security_task_fix_setuid")
int host_fix_uid(__u64 *ctx)
{
	return on_fix(HOST_SETUID, (struct cred *)ctx[0], (const struct cred *)ctx[1], ctx[2], ctx[3]);
}

SEC("fexit/security_task_fix_setgid")
int host_fix_gid(__u64 *ctx)
{
	return on_fix(HOST_SETGID, (struct cred *)ctx[0], (const struct cred *)ctx[1], ctx[2], ctx[3]);
}

#define SYSTEM_CALLS 512

/* By number on this architecture: an enum host_system_call. */
const volatile __u8 cfg_calls[SYSTEM_CALLS];

/* Those that are told, by bit. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} host_wanted SEC(".maps");

/* 32-bit system calls have other numbers. */
static __always_inline enum host_system_call wanted_call(__u32 number)
{
	if (number >= SYSTEM_CALLS)
		return CALL_NONE;
	__u8 call = cfg_calls[number];
	__u32 zero = 0;
	__u64 *wanted;

	if (!call)
		return CALL_NONE;
	wanted = bpf_map_lookup_elem(&host_wanted, &zero);
	if (!wanted || !(*wanted & 1ULL << (call & 63)))
		return CALL_NONE;
	struct task_struct *task = current_task();

	return is_compat(LOAD(task, thread_info.status)) ? CALL_NONE : call;
}

/* One program for all: each further one at this tracepoint would cost every system call as much again. */
SEC("tp_btf/sys_exit")
int host_end(__u64 *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx[0];
	enum host_system_call call = wanted_call(call_number(regs));
	long result = ctx[1];

	switch (call) {
	case CALL_PTRACE:
		return on_ptrace(regs, result);
	case CALL_MOUNT:
		return on_mount(regs, result);
	case CALL_UMOUNT:
		return on_umount(regs, result);
	case CALL_MOVE_MOUNT:
		return on_move_mount(regs, result);
	case CALL_PIVOT_ROOT:
		return on_pivot_root(regs, result);
	case CALL_SETNS:
		return on_setns(regs, result);
	case CALL_UNSHARE:
		return on_unshare(regs, result);
	case CALL_BPF:
		return on_bpf(regs, result);
	case CALL_MEMFD_CREATE:
		return on_memfd_create(regs, result);
	case CALL_NONE:
	case CALLS:
		return 0;
	default:
		return on_ids(HOST_SETUID + call - CALL_SETUID, regs, result);
	}
}

SEC("tp_btf/sys_enter")
int host_ids_begin(__u64 *ctx)
{
	enum host_system_call call = wanted_call(ctx[1]);

	return call >= CALL_SETUID && call <= CALL_SETFSGID ? on_ids_begin(call >= CALL_SETGID) : 0;
}

SEC("tp_btf/module_load")
int host_module_load(__u64 *ctx)
{
	return on_module(HOST_MODULE_LOAD, (struct module *)ctx[0]);
}

SEC("tp_btf/module_free")
int host_module_go(__u64 *ctx)
{
	return on_module(HOST_MODULE_UNLOAD, (struct module *)ctx[0]);
}

SEC("tp_btf/signal_generate")
int host_signal(__u64 *ctx)
{
	return on_signal(ctx[0], (struct kernel_siginfo *)ctx[1], (struct task_struct *)ctx[2], ctx[4]);
}

SEC("fexit/check_kill_permission")
int host_may_signal(__u64 *ctx)
{
	return on_permission(ctx[0], (struct task_struct *)ctx[2], ctx[3]);
}

#define CAP_OPT_NOAUDIT 2 /* only asked for, by no use of the process's own */

SEC("fexit/cap_capable")
int host_capable(__u64 *ctx)
{
	int capability = ctx[2];

	if (ctx[3] & CAP_OPT_NOAUDIT || (int)ctx[4])
		return 0;
	return on_capability((const struct cred *)ctx[0], (const struct user_namespace *)ctx[1], capability);
}

SEC("tp_btf/cap_capable")
int host_capable_t(__u64 *ctx)
{
	int capability = ctx[3];

	if ((int)ctx[4] || for_memory(capability))
		return 0;
	return on_capability((const struct cred *)ctx[0], (const struct user_namespace *)ctx[1], capability);
}
