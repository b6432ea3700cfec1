/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Where the sensor keeps what it knows of a socket. */
#pragma once

#include "packet.h"
#include "record.h"

/* Socket storage, freed by the kernel with the socket; else (5.10) the hash below. */
const volatile bool cfg_socket_storage = true;

/* The processor lets later loads pass atomic additions. */
const volatile bool cfg_weak_order = false;

#define SOCK_STREAM 1

/* States and errors are the kernel's own numbers, part of its ABI. */
enum tcp_state {
	ESTABLISHED = 1,
	SYN_SENT = 2,
	SYN_RECV = 3,
	FIN_WAIT1 = 4,
	FIN_WAIT2 = 5,
	CLOSE = 7,
	CLOSE_WAIT = 8,
	LAST_ACK = 9,
	LISTEN = 10,
	CLOSING = 11,
};

/* Cloned with a listener, so that a child starts as a copy of it. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct tcp_socket);
} tcp_sockets SEC(".maps");

/*
 * By the socket's address, from its first event to CLOSE: of all sockets where there
 * is no storage, else of those whose storage the kernel refuses. It is charged to the
 * socket (net.core.optmem_max), and the socket's process may have used that up. Of MPTCP
 * sockets always: see mptcp.h.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct tcp_socket);
} tcp_sockets_hash SEC(".maps");

/* Who listens on a port: a child is not a copy of a listener that is in the hash. */
struct listener_key {
	__u32 netns;
	__u32 port;
};

/* The last of them, if there are several. */
struct listener {
	struct exec_id owner;
	__u64 id; /* the socket's */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, struct listener_key);
	__type(value, struct listener);
} tcp_listeners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} tcp_address SEC(".maps");

/* Both ends have agreed on a connection. */
static __always_inline bool synchronized(int state)
{
	return state == ESTABLISHED || (state >= FIN_WAIT1 && state <= LAST_ACK && state != CLOSE) || state == CLOSING;
}

/*
 * The verifier lets a pointer become a number on its way through memory only. A
 * softirq in between may use the same memory: then once more.
 */
static __always_inline __u64 address(void *sk)
{
	__u32 zero = 0;
	volatile __u64 *slot = bpf_map_lookup_elem(&tcp_address, &zero);

	if (!slot)
		return 0;
	_Pragma("clang loop unroll(full)")
	for (int i = 0; i < 4; i++) {
		*slot = (__u64)sk;
		__u64 number = *slot;

		if (number == (__u64)sk)
			return number;
	}
	return 0;
}

static __always_inline bool has_storage(void *sk)
{
	return cfg_socket_storage && bpf_sk_storage_get(&tcp_sockets, sk, 0, 0);
}

static __always_inline struct tcp_socket *find_socket(void *sk)
{
	if (cfg_socket_storage) {
		struct tcp_socket *s = bpf_sk_storage_get(&tcp_sockets, sk, 0, 0);

		if (s)
			return s;
	}
	__u64 key = address(sk);

	return bpf_map_lookup_elem(&tcp_sockets_hash, &key);
}

static __always_inline struct tcp_socket *add_hashed(__u64 key, const struct tcp_socket *initial)
{
	bpf_map_update_elem(&tcp_sockets_hash, &key, initial, BPF_NOEXIST);
	return bpf_map_lookup_elem(&tcp_sockets_hash, &key);
}

/*
 * Makes the entry of a socket that has none. It is there as a whole or not at all, and
 * where another CPU was faster the entry is that one's.
 */
static __always_inline struct tcp_socket *add_socket(void *sk, const struct tcp_socket *initial)
{
	if (cfg_socket_storage) {
		struct tcp_socket *s = bpf_sk_storage_get(&tcp_sockets, sk, (void *)initial, BPF_SK_STORAGE_GET_F_CREATE);

		if (s)
			return s;
	}
	return add_hashed(address(sk), initial);
}

static const struct tcp_socket empty;

/* Finds the socket's entry, or makes one that is all zero. */
static __always_inline struct tcp_socket *make_socket(void *sk, __u32 event)
{
	struct tcp_socket *s = find_socket(sk);

	if (!s)
		s = add_socket(sk, &empty);
	if (!s)
		count_loss(LOSS_TABLE_FULL, event);
	return s;
}

/* Storage goes with the socket. */
static __always_inline void forget_socket(void *sk)
{
	if (has_storage(sk))
		return;
	__u64 key = address(sk);

	bpf_map_delete_elem(&tcp_sockets_hash, &key);
}

/* Other families have protocols of the same number. */
static __always_inline bool is_inet(struct sock *sk, __u16 protocol)
{
	__u16 family = sk->__sk_common.skc_family;

	return (family == AF_INET || family == AF_INET6) && sk->sk_protocol == protocol;
}

static __always_inline bool is_tcp(struct sock *sk) { return is_inet(sk, IPPROTO_TCP); }

/*
 * The lock's owner is a process; a softirq that meets it leaves its work to
 * that process. So this tells whether the current task acts on the socket.
 */
static __always_inline bool in_process(struct sock *sk)
{
	return sk->sk_lock.owned && !kernel_thread(current_task());
}

static __always_inline void set_owner(struct tcp_socket *s, enum tcp_source source)
{
	find_exec_id(&s->owner, current_task());
	s->source = source;
}

/* A number that no other socket of this boot gets: time and CPU. */
static __always_inline void begin(struct tcp_socket *s, __u32 flags)
{
	s->opened_ns = bpf_ktime_get_boot_ns();
	s->id = s->opened_ns << 8 | (bpf_get_smp_processor_id() & 255);
	s->established_ns = 0;
	s->accept = TCP_ACCEPT_NONE;
	s->flags = flags;
}

/*
 * No later load passes an earlier store. Kernels before 5.12 have one atomic operation, an
 * addition that returns nothing. On x86 that is enough. On arm64 it orders nothing; there
 * the xchg that ends a reservation does, which the kernel promises to order fully. (If
 * the ring is full there is none: see claim.)
 */
static __always_inline void full_barrier(struct tcp_socket *s)
{
	if (cfg_weak_order) {
		void *r = bpf_ringbuf_reserve(&telemetry, 8, 0);

		if (r)
			bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
		return;
	}
	asm volatile("lock *(u32 *)(%0 + 0) += %1" : : "r"(&s->owner.pad), "r"(0) : "memory");
}

/* In a listener's queue, as far as is known. */
static __always_inline bool waits(struct tcp_socket *s)
{
	return s->flags & TCP_PASSIVE && s->accept == TCP_ACCEPT_NONE;
}

static __always_inline void copy_v6(__be32 to[4], const struct in6_addr *from)
{
	to[0] = from->in6_u.u6_addr32[0];
	to[1] = from->in6_u.u6_addr32[1];
	to[2] = from->in6_u.u6_addr32[2];
	to[3] = from->in6_u.u6_addr32[3];
}

/* Still there when CLOSE has already cleared skc_num. */
static __always_inline __u16 bound_port(struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	return tp ? bpf_ntohs(tp->inet_conn.icsk_inet.inet_sport) : 0;
}

/*
 * The same socket by way of a pointer that the verifier does not call trusted: for each
 * pointer that it sees read from one that it does, on each path, it searches all of the
 * kernel's types by name, which took most of the time of a load.
 */
static __always_inline struct sock *plain(void *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	return tp ? &tp->inet_conn.icsk_inet.sk : 0;
}

/* That of the socket may be another than its process's. */
static __always_inline __u32 netns(void *sk)
{
	struct sock *same = plain(sk);

	return same ? same->__sk_common.skc_net.net->ns.inum : 0;
}

/* Whether it has a struct socket: one that waits in its listener's queue has none. */
static __always_inline bool has_file(struct sock *sk)
{
	struct sock *same = plain(sk);

	return same && same->sk_socket;
}

static __always_inline void read_ends(struct tcp_socket *s, struct sock *sk)
{
	struct sock_common *c = &sk->__sk_common;

	s->family = c->skc_family;
	s->ends.local_port = c->skc_num ?: bound_port(sk);
	s->ends.remote_port = bpf_ntohs(c->skc_dport);
	s->ends.netns = netns(sk);
	if (s->family == AF_INET6 && bpf_core_field_exists(c->skc_v6_daddr)) {
		copy_v6(s->ends.local, &c->skc_v6_rcv_saddr);
		copy_v6(s->ends.remote, &c->skc_v6_daddr);
		return;
	}
	map_v4(s->ends.local, c->skc_rcv_saddr);
	map_v4(s->ends.remote, c->skc_daddr);
}

/* A socket whose first event this is, and that is not new: what can still be known of it. */
static __always_inline void meet(struct tcp_socket *s, struct sock *sk)
{
	begin(s, TCP_PREEXISTING);
	read_ends(s, sk);
	s->state = sk->__sk_common.skc_state;
}
