/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Every place that can drop something, counted per kind of what it dropped. */
#pragma once

#include "config.h"

enum loss_place {
	LOSS_RING_FULL = 0,  /* no room in the ring: the record is gone */
	LOSS_TABLE_FULL = 1, /* no room in a kernel table: what a record says may lack its owner */
	LOSS_UNTRACKED = 2,  /* no room for a socket or an operation in the table of them: its record is gone */
	LOSS_PLACES = 3,
};

#define LOSS_TYPES 32 /* EVENT_TYPES */

struct loss_counts {
	__u64 n[LOSS_PLACES * LOSS_TYPES];
};

/* One entry, so that the agent reads all counters with one system call per pass. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct loss_counts);
} loss SEC(".maps");

static __always_inline void count_loss(enum loss_place place, __u32 type)
{
	__u32 zero = 0;
	struct loss_counts *counts = bpf_map_lookup_elem(&loss, &zero);

	/* Atomic: a softirq may interrupt a system call of this CPU just here. */
	if (counts)
		__sync_fetch_and_add(&counts->n[place * LOSS_TYPES + (type & (LOSS_TYPES - 1))], 1);
}
