/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Every place that can drop something, counted per kind of what it dropped. */
#pragma once

#include "config.h"

enum loss_place {
	LOSS_RING_FULL = 0,  /* no room in the ring: the record is gone */
	LOSS_TABLE_FULL = 1, /* no room in a kernel table: the record came, its owner may be unknown */
	LOSS_PLACES = 2,
};

#define LOSS_TYPES 32 /* EVENT_TYPES */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOSS_PLACES * LOSS_TYPES);
	__type(key, __u32);
	__type(value, __u64);
} loss SEC(".maps");

static __always_inline void count_loss(enum loss_place place, __u32 type)
{
	__u32 key = place * LOSS_TYPES + (type & (LOSS_TYPES - 1));
	__u64 *n = bpf_map_lookup_elem(&loss, &key);

	if (n)
		(*n)++;
}
