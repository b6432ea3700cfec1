/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Passes over what is there: sockets that are older than the programs, and what open ones have carried. */
#pragma once

#include "life.h"

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
} CO_RE;

struct bpf_iter_meta {
	struct seq_file *seq;
} CO_RE;

/* The TCP or MPTCP socket behind a file. */
static __always_inline struct sock *socket_of(struct file *file)
{
	struct socket *socket = file ? bpf_sock_from_file(file) : 0;
	struct sock *sk = socket ? socket->sk : 0;

	return sk && (is_tcp(sk) || is_mptcp(sk)) ? sk : 0;
}

/*
 * Makes the entry of an MPTCP socket that a scan has met: its ends and state are those of
 * its first subflow, which takes the entry over at its next state.
 */
static __always_inline struct tcp_socket *add_mptcp(struct sock *sk, struct tcp_socket *initial)
{
	__u64 mptcp = address(sk);

	initial->flags |= TCP_SUBFLOW;
	initial->ends.netns = sk->__sk_common.skc_net.net->ns.inum;
	if (initial->flags & TCP_LISTENER)
		note_listener(initial);
	return add_hashed(mptcp, initial);
}

/*
 * One pass over all descriptors. A socket that is not known belongs to the first
 * holder met, that with the lowest pid; every socket is written out, also those
 * that an earlier agent's programs have stamped.
 */
SEC("iter/task_file")
int existing_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct sock *sk = socket_of(ctx->file);

	if (!task || !sk)
		return 0;
	__u8 now = sk->__sk_common.skc_state;

	if (now == CLOSE)
		return 0;
	struct tcp_record r = {};
	struct tcp_socket *s = find_socket(sk);

	if (!s) {
		if (is_mptcp(sk) && !first_of(address(sk))) /* that has ended, and was told */
			return 0;
		meet(&r.socket, sk);
		if (now == LISTEN)
			r.socket.flags |= TCP_LISTENER;
		find_exec_id(&r.socket.owner, task);
		r.socket.source = TCP_SOURCE_SCAN;
		s = is_mptcp(sk) ? add_mptcp(sk, &r.socket) : add_socket(sk, &r.socket);
		if (!s) {
			count_loss(LOSS_TABLE_FULL, EVENT_ESTABLISHED);
			return 0;
		}
	}
	if (!s->id) /* a program is just making it: its record comes */
		return 0;
	event_header(&r.header, now == LISTEN ? EVENT_LISTEN : now == SYN_SENT ? EVENT_CONNECT : EVENT_ESTABLISHED, TCP_OPEN_BYTES);
	r.socket = *s;
	if (now == LISTEN)
		r.backlog = is_mptcp(sk) ? READ(false, (struct sock *)first_of(address(sk)), sk_max_ack_backlog) : sk->sk_max_ack_backlog;
	bpf_seq_write(ctx->meta->seq, &r, TCP_OPEN_BYTES);
	return 0;
}

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct sock *sk;
	void *value;
} CO_RE;

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	void *key, *value;
} CO_RE;

static __always_inline void write_count(struct seq_file *out, struct tcp_view v, const struct tcp_socket *s, struct sock *sk, struct tcp_sock *tp)
{
	struct tcp_count c = {.id = s->id};

	if (!c.id || v.state == CLOSE)
		return;
	if (v.state != LISTEN)
		count_traffic(&c.traffic, v, sk, tp, s->flags);
	bpf_seq_write(out, &c, sizeof(c));
}

/*
 * What each open socket has carried so far, of those with storage: in all network
 * namespaces, and also those that no descriptor leads to. Not locked: see tcp_view.
 */
SEC("iter/bpf_sk_storage_map")
int count_stored(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct tcp_socket *s = ctx->value;

	if (!sk || !s)
		return 0;
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct tcp_view v = {.typed = true, .moving = true, .state = sk->__sk_common.skc_state};

	if (tp)
		write_count(ctx->meta->seq, v, s, sk, tp);
	return 0;
}

/* The same of a socket that is known by its address; an MPTCP socket's counts are those of its first subflow. */
static __always_inline void write_count_at(struct seq_file *out, const struct tcp_socket *s, struct sock *sk)
{
	if (READ(false, sk, sk_protocol) == IPPROTO_MPTCP)
		sk = (struct sock *)first_of((__u64)sk);
	struct tcp_view v = {.moving = true, .state = READ(false, sk, __sk_common.skc_state)};

	if (READ(false, sk, __sk_common.skc_dport) != bpf_htons(s->ends.remote_port))
		return;
	if (v.state != LISTEN && READ(false, sk, __sk_common.skc_num) != s->ends.local_port)
		return;
	write_count(out, v, s, sk, (struct tcp_sock *)sk);
}

/*
 * The same of those in the hash. The entry's key is all that leads to the socket, which
 * may be gone (its memory stays that of a socket for as long as this runs) and its
 * place taken: that shows in the ends. A listener's port may have been chosen late.
 */
SEC("iter/bpf_map_elem")
int count_hashed(struct bpf_iter__bpf_map_elem *ctx)
{
	__u64 *key = ctx->key;
	struct tcp_socket *s = ctx->value;

	if (key && s)
		write_count_at(ctx->meta->seq, s, (struct sock *)*key);
	return 0;
}

/* The same of those that a descriptor leads to, for kernels that refuse iterators over maps. */
SEC("iter/task_file")
int count_files(struct bpf_iter__task_file *ctx)
{
	struct sock *sk = socket_of(ctx->file);

	if (!sk)
		return 0;
	struct tcp_socket *s = find_socket(sk);
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct tcp_view v = {.typed = true, .moving = true, .state = sk->__sk_common.skc_state};

	if (s && tp)
		write_count(ctx->meta->seq, v, s, sk, tp);
	else if (s && cfg_probe_read)
		write_count_at(ctx->meta->seq, s, (struct sock *)address(sk));
	return 0;
}
