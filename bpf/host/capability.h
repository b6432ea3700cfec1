/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Capabilities that a process makes use of for the first time since its exec. */
#pragma once

#include "kill.h"
#include "record.h"

/* System calls by which the kernel asks for CAP_SYS_ADMIN whenever a process wants memory. */
#define MEMORY_CALLS 12
const volatile __u32 cfg_memory_calls[MEMORY_CALLS];

struct host_used {
	__u64 start_ns;
	__u64 capabilities; /* those that were told */
	__u32 execs;
	__u32 pad;
};

/* By tgid. What it forgets is told again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct host_used);
} host_used SEC(".maps");

#define CAP_SYS_ADMIN 21
#define NO_CALL 0xffffffff

/*
 * Whoever maps memory is asked for CAP_SYS_ADMIN: it may have the last of it. That is no
 * use of it. Where the hook does not say so, the system call does; a page fault has none.
 */
static __always_inline bool for_memory(int capability)
{
	if (capability != CAP_SYS_ADMIN || !cfg_task_regs)
		return false;
	__u32 number = call_number((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()));

	for (int i = 0; i < MEMORY_CALLS; i++)
		if (number == cfg_memory_calls[i])
			return true;
	return number == NO_CALL;
}

/* The first look is at what was told: most of the host's checks end there. */
static __always_inline bool told(struct task_struct *task, int capability)
{
	struct task_struct *leader = LOAD(task, group_leader);
	struct host_used now = { .start_ns = LOAD(leader, start_boottime), .execs = LOAD(task, self_exec_id) };
	__u64 bit = 1ULL << (capability & 63);
	__u32 tgid = LOAD(task, tgid);
	struct host_used *used = bpf_map_lookup_elem(&host_used, &tgid);

	if (used && used->start_ns == now.start_ns && used->execs == now.execs) {
		if (used->capabilities & bit)
			return true;
		used->capabilities |= bit; /* what another thread undoes is told again */
		return false;
	}
	now.capabilities = bit;
	if (bpf_map_update_elem(&host_used, &tgid, &now, BPF_ANY))
		count_loss(LOSS_TABLE_FULL, EVENT_HOST);
	return false;
}

static __always_inline int on_capability(const struct cred *cred, const struct user_namespace *ns, int capability)
{
	struct task_struct *task = current_task();
	struct host_head h;

	if (LOAD(task, cred) != cred || kernel_thread(task))
		return 0; /* of another task; of nobody */
	if (told(task, capability))
		return 0;
	begin(&h, HOST_CAPABILITY);
	h.arguments[0] = capability;
	h.arguments[1] = LOAD(ns, ns.inum);
	set_result(&h, 0);
	emit_head(&h);
	return 0;
}
