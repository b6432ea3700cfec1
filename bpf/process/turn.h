/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The kernel does not run a program on a CPU where it is already at work, and from 7.x
 * on a tracepoint's programs can be preempted by another task that comes by. So each
 * handler is there twice: the second one, the rescue, comes after the first at the same
 * tracepoint, and does the work if it sees that the first was left out.
 */
#pragma once

#include "record.h"

enum turn { FIRST, RESCUE };

/* What each rescue has handled, so that only the rest counts as missed. */
#define RESCUES(name)                                    \
	struct {                                         \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); \
		__uint(max_entries, 1);                  \
		__type(key, __u32);                      \
		__type(value, __u64);                    \
	} name SEC(".maps")

RESCUES(fork_rescues);
RESCUES(exec_rescues);
RESCUES(exit_rescues);

static __always_inline void count_rescue(void *rescues)
{
	__u32 zero = 0;
	__u64 *n = bpf_map_lookup_elem(rescues, &zero);

	if (n)
		(*n)++;
}

/*
 * Whose event the first program has handled on this CPU: its mark for the rescue, which
 * runs next. The process's record alone does not tell: there is none where a fork was
 * missed or had no room, and none after an exit. A task that preempts between the two
 * programs leaves its own mark, or none; so no mark means "look at the record".
 */
enum tracepoint { AT_FORK, AT_EXEC, AT_EXIT, TRACEPOINTS };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TRACEPOINTS);
	__type(key, __u32);
	__type(value, __u64);
} turn_marks SEC(".maps");

static __always_inline void handles(__u32 at, struct task_struct *task)
{
	__u64 *mark = bpf_map_lookup_elem(&turn_marks, &at);

	if (mark)
		*mark = (__u64)task;
}

/* Takes the mark away: the address may be another task's next time. */
static __always_inline bool was_handled(__u32 at, struct task_struct *task)
{
	__u64 *mark = bpf_map_lookup_elem(&turn_marks, &at);

	if (!mark || *mark != (__u64)task)
		return false;
	*mark = 0;
	return true;
}
