/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The end of a process: its last thread's. */
#pragma once

#include "turn.h"

#define SIGNAL_GROUP_EXIT 4

/* The status that the parent's wait(2) sees: a group exit's, else the leader's own. */
static __always_inline __u32 wait_status(struct task_struct *task, struct signal_struct *signal)
{
	struct task_struct *leader = LOAD(task, group_leader);

	if (LOAD(signal, flags) & SIGNAL_GROUP_EXIT)
		return LOAD(signal, group_exit_code);
	return LOAD(leader, exit_code);
}

#define THREADS_MAX 256

static __always_inline void add_times(struct exit_record *r, struct task_struct *task)
{
	r->user_ns += LOAD(task, utime);
	r->system_ns += LOAD(task, stime);
	r->runtime_ns += LOAD(task, se.sum_exec_runtime);
}

/* The threads that have ended, but are not yet released; the leader never is before its parent waits. */
static __always_inline void add_threads(struct exit_record *r, struct signal_struct *signal)
{
	struct list_head *head = (void *)((char *)signal + bpf_core_field_offset(struct signal_struct, thread_head));
	struct list_head *node = BPF_CORE_READ(head, next);

	_Pragma("clang loop unroll(disable)")
	for (int i = 0; i < THREADS_MAX && node != head; i++) {
		struct task_struct *thread = (void *)((char *)node - bpf_core_field_offset(struct task_struct, thread_node));

		r->user_ns += BPF_CORE_READ(thread, utime);
		r->system_ns += BPF_CORE_READ(thread, stime);
		r->runtime_ns += BPF_CORE_READ(thread, se.sum_exec_runtime);
		node = BPF_CORE_READ(node, next);
	}
}

/*
 * sum_times adds up the CPU times of a process: signal holds those of the threads that
 * were released. What runs right now is counted up to the last tick only. It returns
 * false if a thread was released meanwhile.
 */
static __always_inline bool sum_times(struct exit_record *r, struct task_struct *task,
				      struct signal_struct *signal)
{
	__u64 released = LOAD(signal, sum_sched_runtime);
	struct task_struct *leader = LOAD(task, group_leader);

	r->user_ns = LOAD(signal, utime);
	r->system_ns = LOAD(signal, stime);
	r->runtime_ns = released;
	if (cfg_probe_read && LOAD(signal, nr_threads) > 1) {
		add_threads(r, signal);
	} else {
		add_times(r, task);
		if (leader != task)
			add_times(r, leader);
	}
	return released == LOAD(signal, sum_sched_runtime);
}

static __always_inline void record_end(struct exit_record *r, struct task_struct *task,
				       struct signal_struct *signal)
{
	r->status = wait_status(task, signal);
	r->max_rss_pages = LOAD(signal, maxrss);
	/* Twice: a thread that is released meanwhile would be missed in one of the two places. */
	if (!sum_times(r, task, signal))
		sum_times(r, task, signal);
}

/* Since 6.16 the tracepoint says whether this is the last thread. */
struct trace_event_raw_sched_process_exit {
	bool group_dead;
} CO_RE;

/* Each thread comes by. Before 6.16 two last ones may both find live at 0. */
static __always_inline bool last_thread(__u64 *ctx, struct signal_struct *signal)
{
	if (bpf_core_field_exists(struct trace_event_raw_sched_process_exit, group_dead))
		return ctx[1] & 1;
	return !LOAD(signal, live.counter);
}

static __always_inline int on_exit(__u64 *ctx, enum turn turn)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	struct signal_struct *signal = LOAD(task, signal);

	if (!last_thread(ctx, signal))
		return 0;

	struct exit_record r = {};
	bool known = copy_process(&r.process, task);
	__u32 tgid = LOAD(task, tgid);

	if (turn == RESCUE) {
		if (was_handled(AT_EXIT, task))
			return 0;
		/* Without a record the first may have been here all the same: user space drops a second exit. */
		if (known)
			count_rescue(&exit_rescues);
	} else {
		handles(AT_EXIT, task);
	}
	if (!known)
		describe(&r.process, task); /* its fork was missed, or had no room */
	/*
	 * Whoever else has deleted the record meanwhile, the exit is told: of two last threads each
	 * may tell it (user space drops the second), and a scan or a sweep tells nothing.
	 */
	bpf_map_delete_elem(&processes, &tgid);
	event_header(&r.header, EVENT_EXIT, sizeof(r));
	record_end(&r, task, signal);
	bpf_get_current_comm(r.comm, sizeof(r.comm));
	emit_critical(&r.header, sizeof(r));
	return 0;
}
