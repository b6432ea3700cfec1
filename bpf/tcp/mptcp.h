/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * MPTCP: a process has an MPTCP socket, and TCP sockets that it never sees carry it, its
 * subflows. States and packets are those of the subflows; accept(2), I/O and files show the
 * MPTCP socket. The verifier knows no way from one to the other: there is only the address,
 * and that only where memory may be read. So the first subflow, which is the connection
 * that was asked for, leaves a copy of its entry under the MPTCP socket's address. Whoever
 * meets that socket claims the copy, and the subflow takes the claim from there.
 */
#pragma once

#include "socket.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* An MPTCP socket, where something can be made of it. */
static __always_inline bool is_mptcp(struct sock *sk) { return cfg_probe_read && is_inet(sk, IPPROTO_MPTCP); }

static __always_inline bool is_subflow(struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	return tp && bpf_core_field_exists(tp->is_mptcp) && tp->is_mptcp;
}

/* The address of a subflow's MPTCP socket. */
static __always_inline __u64 mptcp_of(struct sock *sk)
{
	if (!cfg_probe_read || !is_subflow(sk))
		return 0;
	struct mptcp_subflow_context *context = READ(false, (struct inet_connection_sock *)sk, icsk_ulp_data);

	return (__u64)READ(false, context, conn);
}

/* The address of an MPTCP socket's first subflow; 0 once that has ended. */
static __always_inline __u64 first_of(__u64 mptcp)
{
	if (!bpf_core_type_exists(struct mptcp_sock)) /* a kernel without CONFIG_MPTCP */
		return 0;
	return (__u64)READ(false, (struct mptcp_sock *)mptcp, first);
}

/* What is known of a subflow by its MPTCP socket alone: a scan has found that. */
static __always_inline struct tcp_socket *entry_of_first(struct sock *sk)
{
	__u64 mptcp = mptcp_of(sk);

	return mptcp && first_of(mptcp) == address(sk) ? bpf_map_lookup_elem(&tcp_sockets_hash, &mptcp) : 0;
}

/* Where the accept of a socket is noted. */
static __always_inline struct tcp_socket *entry_of_claim(struct tcp_socket *s, struct sock *sk)
{
	__u64 mptcp = mptcp_of(sk);
	struct tcp_socket *m = mptcp ? bpf_map_lookup_elem(&tcp_sockets_hash, &mptcp) : 0;

	return m && m->id == s->id ? m : s;
}

/*
 * Ties a socket to its MPTCP socket, if it has one. An additional subflow is nobody's to
 * accept, and the kernel connects it: it belongs to whom the first does.
 */
static __always_inline void tie(struct tcp_socket *s, struct sock *sk)
{
	if (!is_subflow(sk))
		return;
	s->flags |= TCP_SUBFLOW;
	__u64 mptcp = mptcp_of(sk);

	if (!mptcp)
		return;
	__u64 first = first_of(mptcp);

	if (!first || first == address(sk)) { /* before 6.3 a passive one is made the first by accept(2) */
		if (bpf_map_update_elem(&tcp_sockets_hash, &mptcp, s, BPF_ANY))
			count_loss(LOSS_TABLE_FULL, EVENT_ACCEPT);
		return;
	}
	struct tcp_socket *m = bpf_map_lookup_elem(&tcp_sockets_hash, &mptcp);

	s->accept = TCP_ACCEPT_TOLD;
	if (m) {
		s->owner = m->owner;
		s->source = m->source;
	}
}

/* The acceptor of the MPTCP socket is that of its first subflow. */
static __always_inline void take_claim(struct tcp_socket *s, struct sock *sk)
{
	struct tcp_socket *m = entry_of_claim(s, sk);

	if (m == s || m->accept <= s->accept)
		return;
	s->owner = m->owner;
	s->source = m->source;
	s->accept = m->accept;
}

/* The first subflow has ended, whatever becomes of the MPTCP socket. */
static __always_inline void untie(struct tcp_socket *s, struct sock *sk)
{
	__u64 mptcp = mptcp_of(sk);
	struct tcp_socket *m = mptcp ? bpf_map_lookup_elem(&tcp_sockets_hash, &mptcp) : 0;

	if (m && m->id == s->id)
		bpf_map_delete_elem(&tcp_sockets_hash, &mptcp);
}

/* This end has sent its FIN. What ends in a listener's queue is reset. */
static __always_inline bool shut(int state)
{
	return synchronized(state) && state != ESTABLISHED && state != CLOSE_WAIT;
}
