/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A call that changes the host, or another process. */
#pragma once

#include "identity.h"
#include "path.h"
#include "registers.h"

/* By what was called: one number may stand for several system calls that do the same. */
enum host_call {
	HOST_NONE = 0,
	HOST_MOUNT = 1,
	HOST_UMOUNT = 2,
	HOST_MOVE_MOUNT = 3,
	HOST_PIVOT_ROOT = 4,
	HOST_MODULE_LOAD = 5,
	HOST_MODULE_UNLOAD = 6,
	HOST_BPF_LOAD = 7,
	HOST_MEMFD_CREATE = 8,
	HOST_SETUID = 9,
	HOST_SETREUID = 10,
	HOST_SETRESUID = 11,
	HOST_SETFSUID = 12,
	HOST_SETGID = 13,
	HOST_SETREGID = 14,
	HOST_SETRESGID = 15,
	HOST_SETFSGID = 16,
	HOST_PTRACE = 17,
	HOST_SETNS = 18,
	HOST_UNSHARE = 19,
	HOST_KILL = 20,
	HOST_CAPABILITY = 21,
	HOST_CALLS = 22,
};

#define HOST_TEXT_CALLS HOST_SETUID /* those before it have texts */

/* The system calls behind them. */
enum host_system_call {
	CALL_NONE,
	CALL_PTRACE,
	CALL_MOUNT,
	CALL_UMOUNT,
	CALL_MOVE_MOUNT,
	CALL_PIVOT_ROOT,
	CALL_SETNS,
	CALL_UNSHARE,
	CALL_BPF,
	CALL_SETUID,
	CALL_SETREUID,
	CALL_SETRESUID,
	CALL_SETFSUID,
	CALL_SETGID,
	CALL_SETREGID,
	CALL_SETRESGID,
	CALL_SETFSGID,
	CALL_MEMFD_CREATE,
	CALLS,
};

enum host_flag {
	HOST_HAS_RESULT = 1, /* result is what the call returned */
	HOST_HAS_BEFORE = 2, /* so are the ids from before it */
	HOST_CUT = 4,        /* a text did not fit, or could not be read */
	HOST_NESTED = 8,     /* numbers of processes are those of a pid namespace within */
	HOST_REQUESTED = 16, /* of setuid and its like: arguments are those of the call */
};

/* User ids or, of setgid and its like, group ids. */
struct host_ids {
	__u32 real, effective, saved, filesystem;
};

#define HOST_TEXTS 3
#define HOST_TEXT_BYTES 1024

/*
 * EVENT_HOST. What the arguments are:
 * ptrace: request, pid; mount: -, -, -, flags; umount: flags; move_mount: flags;
 * setns: flags, inode number of the namespace; unshare: flags; bpf_load: program type;
 * setuid and its like: those of the call; kill: signal, what became of it;
 * memfd_create: flags; capability: number, inode number of the user namespace.
 * Texts follow one another: source, target and type of a mount; both ends of a move_mount;
 * the new and the old root of a pivot_root; else a name.
 */
struct host_head {
	struct event_header header;
	struct exec_id owner;
	struct exec_id target; /* the other process; tgid 0 where there is none, or it is not known */
	__s64 result;
	__u64 arguments[4];
	struct host_ids before, after;
	__u16 call, flags;
	__u16 length[HOST_TEXTS]; /* of the texts, with their NULs */
	__u16 end;                /* sum of the lengths */
	__u32 pad;
};

struct host_record {
	struct host_head;
	char text[HOST_TEXTS * HOST_TEXT_BYTES];
};

/* One for each call with texts, whose programs do not meet: another program may preempt this one. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HOST_TEXT_CALLS);
	__type(key, __u32);
	__type(value, struct host_record);
} host_scratch SEC(".maps");

/*
 * A function of its own, for all programs that end in it: several hooks share each handler.
 * Static, so that the verifier follows a pointer's type into it.
 */
#define FUNCTION static __attribute__((noinline))

/* All of a head is written here: what is left of another record never leaves. */
static __always_inline void begin(struct host_head *h, enum host_call call)
{
	__builtin_memset(h, 0, sizeof(*h));
	h->call = call;
	find_exec_id(&h->owner, current_task());
}

static __always_inline struct host_record *begin_texts(enum host_call call)
{
	__u32 key = call;
	struct host_record *r = bpf_map_lookup_elem(&host_scratch, &key);

	if (r)
		begin((struct host_head *)r, call);
	return r;
}

static __always_inline void set_result(struct host_head *h, long result)
{
	h->result = result;
	h->flags |= HOST_HAS_RESULT;
}

/* What a process has in its memory at the end of the call. */
static __always_inline void append_text(struct host_record *r, int which, __u64 address)
{
	__u32 at = r->end;
	long n;

	if (!address || at > sizeof(r->text) - HOST_TEXT_BYTES)
		return;
	n = bpf_probe_read_user_str(r->text + at, HOST_TEXT_BYTES, (void *)address);
	if (n < 0 || n >= HOST_TEXT_BYTES)
		r->flags |= HOST_CUT;
	if (n <= 0)
		return; /* 0: an empty text, before 6.2 */
	r->length[which] = n;
	r->end = at + n;
}

static __always_inline void emit_head(struct host_head *h)
{
	event_header(&h->header, EVENT_HOST, sizeof(*h));
	emit_telemetry(&h->header, sizeof(*h));
}

static __always_inline void emit_texts(struct host_record *r)
{
	__u64 length = BOUND(sizeof(struct host_head) + r->end, sizeof(*r));

	event_header(&r->header, EVENT_HOST, length);
	emit_telemetry(&r->header, length);
}
