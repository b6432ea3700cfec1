/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The one kernel-side identity: a process record by tgid, written at fork,
 * exec and exit, which every other program looks up or stamps on a socket.
 */
#pragma once

#include "event.h"

/* Names one image of one process for ever: tgid, boot start time, time of this exec. */
struct exec_id {
	__u64 start_ns; /* boot time at which the process started */
	__u64 exec_ns;  /* boot time of this exec; start_ns: it has not exec'd since its fork; 0: not known */
	__u32 tgid;
	__u32 pad;
};

enum process_flag {
	PROCESS_PREEXISTING = 1, /* was there before the programs were attached */
};

struct process {
	struct exec_id id;
	struct exec_id parent;
	__u64 cgroup_id; /* in the chosen hierarchy */
	__u32 uid;       /* effective */
	__u16 flags;
	__u16 execs; /* low bits of the task's count of execs: tells which one was seen last */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, struct process);
} processes SEC(".maps");

static __always_inline __u64 cgroup_id(struct task_struct *task)
{
	struct css_set *set = LOAD(task, cgroups);

	if (cfg_cgroup_subsys < 0) {
		struct cgroup *cgroup = LOAD(set, dfl_cgrp);
		struct kernfs_node *kn = LOAD(cgroup, kn);

		return LOAD(kn, id);
	}
	/* The index is a constant to the verifier, which a typed array load needs. */
	struct cgroup_subsys_state *css = LOAD(set, subsys[cfg_cgroup_subsys & 15]);
	struct cgroup *cgroup = LOAD(css, cgroup);
	struct kernfs_node *kn = LOAD(cgroup, kn);

	return LOAD(kn, id);
}

static __always_inline __u16 exec_count(struct task_struct *task)
{
	return LOAD(task, self_exec_id);
}

static __always_inline __u32 effective_uid(struct task_struct *task)
{
	const struct cred *cred = LOAD(task, cred);

	return LOAD(cred, euid.val);
}

/* The id of a task whose record is missing: the time of its last exec is not known (any more). */
static __always_inline void task_id(struct exec_id *id, struct task_struct *task)
{
	struct task_struct *leader = LOAD(task, group_leader);

	id->start_ns = LOAD(leader, start_boottime);
	id->exec_ns = 0;
	id->tgid = LOAD(task, tgid);
	id->pad = 0;
}

/*
 * Whether a record is that of a task's process, now. The start time guards against a
 * tgid that was reused after an exit that no program saw; both guard against an element
 * of the table that was: one that is deleted is given to another process at once, under
 * the eyes of whoever has looked it up.
 */
static __always_inline bool is_of(struct process *p, struct task_struct *task)
{
	struct task_struct *leader = LOAD(task, group_leader);

	asm volatile("" : : : "memory"); /* not what was read of it before */
	return p->id.start_ns == LOAD(leader, start_boottime) && p->id.tgid == (__u32)LOAD(task, tgid);
}

/* The record of a task's process. See is_of about what is read of it, or written to it. */
static __always_inline struct process *find_process(struct task_struct *task)
{
	__u32 tgid = LOAD(task, tgid);
	struct process *p = bpf_map_lookup_elem(&processes, &tgid);

	return p && is_of(p, task) ? p : 0;
}

/*
 * The id is the first of an element that its next process writes: if it is still this
 * one's after the copy, so is the copy.
 */
static __always_inline bool copy_process(struct process *to, struct task_struct *task)
{
	struct process *p = find_process(task);

	if (!p)
		return false;
	*to = *p;
	return is_of(p, task);
}

static __always_inline void find_exec_id(struct exec_id *id, struct task_struct *task)
{
	struct process *p = find_process(task);

	if (p) {
		*id = p->id;
		if (is_of(p, task))
			return;
	}
	task_id(id, task);
}

/* All that is known of a process without its record, as of now. */
static __always_inline void describe(struct process *p, struct task_struct *task)
{
	task_id(&p->id, task);
	/* real_parent, not the caller: CLONE_PARENT makes the caller's parent the parent. */
	find_exec_id(&p->parent, LOAD(task, real_parent));
	p->flags = 0;
	p->execs = exec_count(task);
	p->cgroup_id = cgroup_id(task);
	p->uid = effective_uid(task);
}

#define PF_KTHREAD 0x00200000

/* Typed where the helper for it exists (5.11). */
static __always_inline struct task_struct *current_task(void)
{
	if (!cfg_typed)
		return (struct task_struct *)bpf_get_current_task();
	struct task_struct *task = bpf_get_current_task_btf();

	return PLAIN(task);
}

static __always_inline bool kernel_thread(struct task_struct *task)
{
	return LOAD(task, flags) & PF_KTHREAD;
}
