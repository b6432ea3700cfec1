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

/* What the threads of a process have used, up to the next of them. */
struct threads {
	struct list_head *next;
	__u64 user_ns, system_ns, runtime_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2); /* one for each turn */
	__type(key, __u32);
	__type(value, struct threads);
} exit_threads SEC(".maps");

/* Adds the next thread; false if there is none. */
GLOBAL_FUNCTION bool add_thread(__u32 turn, __u64 head)
{
	struct threads *t = bpf_map_lookup_elem(&exit_threads, &turn);

	if (!t || !cfg_probe_read || t->next == (void *)head)
		return false;
	struct list_head *node = t->next;
	struct task_struct *thread = (void *)((char *)node - bpf_core_field_offset(struct task_struct, thread_node));

	t->user_ns += BPF_CORE_READ(thread, utime);
	t->system_ns += BPF_CORE_READ(thread, stime);
	t->runtime_ns += BPF_CORE_READ(thread, se.sum_exec_runtime);
	t->next = BPF_CORE_READ(node, next);
	return true;
}

/* Adds up the threads of the current process. */
GLOBAL_FUNCTION int sum_threads(__u32 turn)
{
	struct threads *t = bpf_map_lookup_elem(&exit_threads, &turn);
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	if (!t || !cfg_probe_read) /* before 6.8 the verifier looks at a function that is not called, too */
		return 0;
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	struct list_head *head = (void *)((char *)signal + bpf_core_field_offset(struct signal_struct, thread_head));

	t->user_ns = t->system_ns = t->runtime_ns = 0;
	t->next = BPF_CORE_READ(head, next);
	_Pragma("clang loop unroll(disable)")
	for (int i = 0; i < THREADS_MAX && add_thread(turn, (__u64)head); i++)
		;
	return 0;
}

/* The threads that have ended, but are not yet released; the leader never is before its parent waits. */
static __always_inline void add_threads(struct exit_record *r, __u32 turn)
{
	sum_threads(turn);
	struct threads *t = bpf_map_lookup_elem(&exit_threads, &turn);

	if (!t)
		return;
	r->user_ns += t->user_ns;
	r->system_ns += t->system_ns;
	r->runtime_ns += t->runtime_ns;
}

/*
 * sum_times adds up the CPU times of a process: signal holds those of the threads that
 * were released. What runs right now is counted up to the last tick only. It returns
 * false if a thread was released meanwhile.
 */
static __always_inline bool sum_times(struct exit_record *r, struct task_struct *task,
				      struct signal_struct *signal, enum turn turn)
{
	__u64 released = LOAD(signal, sum_sched_runtime);
	struct task_struct *leader = LOAD(task, group_leader);

	r->user_ns = LOAD(signal, utime);
	r->system_ns = LOAD(signal, stime);
	r->runtime_ns = released;
	if (cfg_probe_read && LOAD(signal, nr_threads) > 1) {
		add_threads(r, turn);
	} else {
		add_times(r, task);
		if (leader != task)
			add_times(r, leader);
	}
	return released == LOAD(signal, sum_sched_runtime);
}

static __always_inline void record_end(struct exit_record *r, struct task_struct *task,
				       struct signal_struct *signal, enum turn turn)
{
	r->status = wait_status(task, signal);
	r->max_rss_pages = LOAD(signal, maxrss);
	/* Twice: a thread that is released meanwhile would be missed in one of the two places. */
	if (!sum_times(r, task, signal, turn))
		sum_times(r, task, signal, turn);
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
		task = PLAIN(task);
		signal = PLAIN(signal);
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
	record_end(&r, task, signal, turn);
	bpf_get_current_comm(r.comm, sizeof(r.comm));
	emit_critical(&r.header, sizeof(r));
	return 0;
}
