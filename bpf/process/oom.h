/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A kill by the out-of-memory killer. */
#pragma once

#include "record.h"

#define OOM_SLACK 512 /* pages that may have been freed since the charge failed */
#define CGROUP_DEPTH 32

/* MM_FILEPAGES, MM_ANONPAGES and MM_SHMEMPAGES; 2 is swap. */
static __always_inline __u64 resident_pages(struct task_struct *task)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	__s64 file, anon, shmem;

	if (!mm)
		return 0;
	if (bpf_core_type_exists(struct mm_rss_stat)) {
		struct mm_struct___plain *old = (void *)mm;

		file = BPF_CORE_READ(old, rss_stat.count[0].counter);
		anon = BPF_CORE_READ(old, rss_stat.count[1].counter);
		shmem = BPF_CORE_READ(old, rss_stat.count[3].counter);
	} else {
		struct mm_struct___percpu *now = (void *)mm;

		file = BPF_CORE_READ(now, rss_stat[0].count);
		anon = BPF_CORE_READ(now, rss_stat[1].count);
		shmem = BPF_CORE_READ(now, rss_stat[3].count);
	}
	/* What a CPU has not yet added to the sum may leave a counter below 0. */
	return (file > 0 ? file : 0) + (anon > 0 ? anon : 0) + (shmem > 0 ? shmem : 0);
}

/*
 * The tracepoint does not say whose limit was hit: it is the nearest memory cgroup
 * above the victim that is full, or none where the whole host was short. Not typed:
 * the way from a css to its mem_cgroup is a cast.
 */
static __always_inline void record_oom(struct oom_record *r, struct task_struct *task)
{
	if (!cfg_probe_read || !bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id)) {
		r->cgroup_id = cgroup_id(task);
		return;
	}
	r->victim_pages = resident_pages(task);
	struct css_set *set = LOAD(task, cgroups);
	int index = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	struct cgroup_subsys_state *css = BPF_CORE_READ(set, subsys[index & 15]);

	for (int i = 0; i < CGROUP_DEPTH && css; i++) {
		struct mem_cgroup *memcg = (void *)((char *)css - bpf_core_field_offset(struct mem_cgroup, css));
		unsigned long limit = BPF_CORE_READ(memcg, memory.max);
		unsigned long usage = BPF_CORE_READ(memcg, memory.usage.counter);

		if (usage + OOM_SLACK >= limit) {
			r->cgroup_id = BPF_CORE_READ(css, cgroup, kn, id);
			r->limit_pages = limit;
			r->usage_pages = usage;
			return;
		}
		css = BPF_CORE_READ(css, parent);
	}
}
