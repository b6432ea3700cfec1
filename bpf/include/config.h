/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Constants that the loader sets before the verifier runs. Branches on them
 * cost nothing: the verifier sees a known value and removes the other side.
 */
#pragma once

#include "kernel.h"

/*
 * The program's arguments are BTF-typed pointers (tp_btf, fentry). Typed loads
 * need no helper, so they also work under lockdown=confidentiality; false in
 * the raw_tp rung, where every load is a bpf_probe_read_kernel.
 */
const volatile bool cfg_typed = true;

/* bpf_probe_read_kernel is allowed: file names and command strings can be read. */
const volatile bool cfg_probe_read = true;

/* Index of the v1 controller whose hierarchy identifies containers, or -1 for v2. */
const volatile __s32 cfg_cgroup_subsys = -1;

/* Id of that hierarchy (cgroup_root.hierarchy_id). */
const volatile __s32 cfg_cgroup_hierarchy = 0;

/* A ring wakes its reader early once so many bytes wait in it. */
const volatile __u64 cfg_critical_wakeup = 1 << 20;
const volatile __u64 cfg_telemetry_wakeup = 1 << 20;

/* READ reads field f of kernel struct p: a load if the verifier knows p by its type. */
#define READ(typed, p, f) \
	({ \
		__typeof_unqual__((p)->f) __value; \
		if (typed) \
			__value = (p)->f; \
		else \
			bpf_core_read(&__value, sizeof(__value), &(p)->f); \
		__value; \
	})

extern void *bpf_rdonly_cast(const void *address, __u32 type) __ksym __weak;

/*
 * PLAIN is p, of which the verifier no longer knows that it is trusted: for each pointer that it
 * sees read from a trusted one (since 6.3), on each path, it searches all of the kernel's types by
 * name, which took a fifth of the time of a start.
 */
#define PLAIN(p) \
	(cfg_typed && bpf_rdonly_cast ? \
		 (__typeof__(p))bpf_rdonly_cast(p, bpf_core_type_id_kernel(*(p))) : (p))

/* FETCH_IF reads field f of what lies at any address: where the kernel has casts (6.2) for a move and a load, else by helper. */
#define FETCH_IF(cast, p, f) \
	({ \
		__typeof_unqual__((p)->f) __fetched; \
		if (cast) \
			__fetched = ((__typeof__(p))bpf_rdonly_cast(p, bpf_core_type_id_kernel(*(p))))->f; \
		else \
			bpf_core_read(&__fetched, sizeof(__fetched), &(p)->f); \
		__fetched; \
	})

/* FETCH finds out by itself. */
#define FETCH(p, f) FETCH_IF(bpf_rdonly_cast, p, f)

/* LOAD does so where the rung has typed pointers. */
#define LOAD(p, f) READ(cfg_typed, p, f)

/*
 * A global function, which the verifier looks at once and not for each way that leads there.
 * It takes numbers only, addresses too (memory since 5.12).
 */
#define GLOBAL_FUNCTION __attribute__((noinline))
