/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Records on the rings. Each starts with type, version and length, so that a
 * reader of another version can at least count what it cannot decode.
 */
#pragma once

#include "config.h"
#include "loss.h"

#define EVENT_VERSION 1

/* Kinds on the rings. A number, once used, is never given another meaning. */
enum event_type {
	EVENT_NONE = 0,
	EVENT_FORK = 1,
	EVENT_EXEC = 2,
	EVENT_EXIT = 3,
	EVENT_OOM = 4,
	EVENT_CGROUP_MKDIR = 5,
	EVENT_CGROUP_RMDIR = 6,
	EVENT_CGROUP_ATTACH = 7,
	EVENT_HOST = 8,
	EVENT_CONNECT = 16,
	EVENT_ACCEPT = 17,
	EVENT_CLOSE = 18,
	EVENT_LISTEN = 19,
	EVENT_ESTABLISHED = 20,
	EVENT_UNLISTEN = 21,
	EVENT_DNS = 24,
	EVENT_UDP = 25,
	EVENT_FILE = 26,
	EVENT_UNIX = 27,
	EVENT_TYPES = 32,
};

struct event_header {
	__u16 type;
	__u16 version;
	__u32 length; /* of the whole record in bytes, this header included */
	__u64 boot_ns;
};

/*
 * Process lifecycle (and later policy hits) travels in `critical`, everything
 * else in `telemetry`: no amount of connections can crowd out an exec. Sizes
 * are set by the loader.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} critical SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} telemetry SEC(".maps");

/*
 * Waking the reader for each record costs 15 to 20 times the record itself, so
 * the reader comes by on a timer and is woken early only when the ring fills.
 */
static __always_inline __u64 wakeup_flags(void *ring, __u64 threshold)
{
	return bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) > threshold ?
		       BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

static __always_inline void event_header(struct event_header *h, __u16 type, __u32 length)
{
	h->type = type;
	h->version = EVENT_VERSION;
	h->length = length;
	h->boot_ns = bpf_ktime_get_boot_ns();
}

/*
 * emit copies a finished record of `length` bytes into a ring, or counts it as
 * lost. The length is a parameter beside the header's because the verifier
 * must see its bound.
 */
static __always_inline void emit(void *ring, __u64 threshold, struct event_header *h, __u64 length)
{
	if (bpf_ringbuf_output(ring, h, length, wakeup_flags(ring, threshold)))
		count_loss(LOSS_RING_FULL, h->type);
}

/*
 * BOUND checks a computed length against what its buffer holds. The barrier keeps the
 * compiler from comparing one copy of the value and passing another: verifiers before
 * 6.12 lose the bound then.
 */
#define BOUND(length, max)                                                     \
	({                                                                     \
		__u64 __length = (length);                                     \
		asm volatile("" : "+r"(__length));                             \
		__length <= (max) ? __length : 0;                              \
	})

#define emit_critical(h, length) emit(&critical, cfg_critical_wakeup, h, length)
#define emit_telemetry(h, length) emit(&telemetry, cfg_telemetry_wakeup, h, length)
