/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* ptrace, and new user and group ids. */
#pragma once

#include "descriptor.h"
#include "kill.h"

#define PTRACE_TRACEME 0
#define PTRACE_ATTACH 16
#define PTRACE_SEIZE 0x4206

/* The last process that the caller has begun to trace stands first in its list. */
static __always_inline void find_traced(struct exec_id *id)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct list_head *first = BPF_CORE_READ(task, ptraced.next);
	struct task_struct *child = (void *)((char *)first - bpf_core_field_offset(struct task_struct, ptrace_entry));
	__u32 tgid = BPF_CORE_READ(child, tgid);
	__u64 start_ns = BPF_CORE_READ(child, group_leader, start_boottime);
	struct process *p = bpf_map_lookup_elem(&processes, &tgid);

	id->tgid = tgid;
	id->start_ns = start_ns;
	if (!p)
		return;
	__u64 exec_ns = p->id.exec_ns;

	asm volatile("" : : : "memory"); /* see is_of */
	if (p->id.start_ns == start_ns && p->id.tgid == tgid)
		id->exec_ns = exec_ns;
}

static __always_inline void find_by_number(struct exec_id *id, __u32 number)
{
	struct process *p = bpf_map_lookup_elem(&processes, &number);

	if (!p)
		return; /* a thread, or none */
	*id = p->id;
	asm volatile("" : : : "memory"); /* see is_of */
	if (p->id.tgid != number)
		__builtin_memset(id, 0, sizeof(*id));
}

static __always_inline bool nested(struct task_struct *task)
{
	struct pid *pid = LOAD(task, thread_pid);

	return LOAD(pid, level);
}

FUNCTION int on_ptrace(struct pt_regs *regs, long result)
{
	__u64 request = argument(regs, 1);
	struct task_struct *task = current_task();
	struct host_head h;

	if (request != PTRACE_TRACEME && request != PTRACE_ATTACH && request != PTRACE_SEIZE)
		return 0;
	begin(&h, HOST_PTRACE);
	h.arguments[0] = request;
	if (nested(task))
		h.flags |= HOST_NESTED;
	if (request == PTRACE_TRACEME) {
		find_exec_id(&h.target, LOAD(task, real_parent));
	} else {
		h.arguments[1] = argument(regs, 2);
		if (!result && cfg_probe_read)
			find_traced(&h.target);
		else if (!(h.flags & HOST_NESTED))
			find_by_number(&h.target, h.arguments[1]);
	}
	set_result(&h, result);
	emit_head(&h);
	return 0;
}

static __always_inline bool of_group(enum host_call call)
{
	return call >= HOST_SETGID;
}

static __always_inline void read_ids(struct host_ids *ids, const struct cred *cred, bool group)
{
	ids->real = group ? LOAD(cred, gid.val) : LOAD(cred, uid.val);
	ids->effective = group ? LOAD(cred, egid.val) : LOAD(cred, euid.val);
	ids->saved = group ? LOAD(cred, sgid.val) : LOAD(cred, suid.val);
	ids->filesystem = group ? LOAD(cred, fsgid.val) : LOAD(cred, fsuid.val);
}

/* What was there before a call that is going on, by thread. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__type(key, __u64);
	__type(value, struct host_ids);
} host_before SEC(".maps");

static __always_inline int on_ids_begin(bool group)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct host_ids ids;

	read_ids(&ids, LOAD(current_task(), cred), group);
	if (bpf_map_update_elem(&host_before, &thread, &ids, BPF_ANY))
		count_loss(LOSS_TABLE_FULL, EVENT_HOST);
	return 0;
}

static __always_inline void request_ids(struct host_head *h, struct pt_regs *regs)
{
	for (int i = 0; i < 3; i++)
		h->arguments[i] = argument(regs, i + 1);
	h->flags |= HOST_REQUESTED;
}

static __always_inline int on_ids(enum host_call call, struct pt_regs *regs, long result)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct host_ids *before;
	struct host_head h;

	if (cfg_failures_only && result >= 0)
		return 0;
	begin(&h, call);
	request_ids(&h, regs);
	read_ids(&h.after, LOAD(current_task(), cred), of_group(call));
	before = bpf_map_lookup_elem(&host_before, &thread);
	if (before || result < 0) {
		h.before = before ? *before : h.after; /* a failure changes nothing */
		h.flags |= HOST_HAS_BEFORE;
	}
	bpf_map_delete_elem(&host_before, &thread);
	set_result(&h, result);
	emit_head(&h);
	return 0;
}

/* security_task_fix_setuid and its like have both; `how` says for which call: 1 setuid, 2 setreuid, 4 setresuid, 8 setfsuid. */
static __always_inline int on_fix(enum host_call first, struct cred *new, const struct cred *old, int how, long result)
{
	struct host_head h;
	enum host_call call = how == 1 ? first : how == 2 ? first + 1 : how == 4 ? first + 2 : first + 3;

	if (result)
		return 0; /* the call fails then */
	begin(&h, call);
	if (cfg_task_regs)
		request_ids(&h, (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()));
	read_ids(&h.before, old, of_group(call));
	read_ids(&h.after, new, of_group(call));
	h.flags |= HOST_HAS_BEFORE;
	set_result(&h, 0);
	emit_head(&h);
	return 0;
}
