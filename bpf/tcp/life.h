/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What each transition of a socket means. */
#pragma once

#include "emit.h"

/* fexit programs give the errno of a connect that fails within connect(2). */
const volatile bool cfg_connect_exit = false;

static __always_inline void on_syn_sent(struct tcp_socket *s, struct sock *sk)
{
	__u64 asked = s->flags & TCP_PENDING ? s->opened_ns : 0;

	begin(s, 0);
	if (asked)
		s->opened_ns = asked;
	set_owner(s, TCP_SOURCE_CONNECT);
	read_ends(s, sk);
	tie(s, sk);
}

/* Children look for the listener here if they are not copies of it. */
static __always_inline void note_listener(const struct tcp_socket *s)
{
	struct listener_key key = {s->ends.netns, s->ends.local_port};
	struct listener last = {s->owner, s->id};

	if (bpf_map_update_elem(&tcp_listeners, &key, &last, BPF_ANY))
		count_loss(LOSS_TABLE_FULL, EVENT_LISTEN);
}

static __always_inline void on_listen(struct tcp_socket *s, struct sock *sk)
{
	begin(s, TCP_LISTENER);
	set_owner(s, TCP_SOURCE_LISTEN);
	read_ends(s, sk);
	if (!has_storage(sk))
		note_listener(s);
	tie(s, sk);
	emit_open(EVENT_LISTEN, s, 0, sk->sk_max_ack_backlog);
}

/* A child of a listener: its addresses are not all there yet. */
static __always_inline void on_child(struct tcp_socket *s, struct sock *sk)
{
	if (!cfg_socket_storage || !s->owner.tgid) {
		struct listener_key key = {netns(sk), sk->__sk_common.skc_num};
		struct listener *last = bpf_map_lookup_elem(&tcp_listeners, &key);

		if (last)
			s->owner = last->owner;
	}
	begin(s, TCP_PASSIVE);
	s->source = s->owner.tgid ? TCP_SOURCE_LISTENER : TCP_SOURCE_NONE;
}

/* A passive end whose accept record has not been made. */
static __always_inline bool untold(struct tcp_socket *s)
{
	return s->flags & TCP_PASSIVE && s->accept != TCP_ACCEPT_TOLD;
}

static __always_inline void tell_accept(struct tcp_socket *s)
{
	s->accept = TCP_ACCEPT_TOLD;
	emit_open(EVENT_ACCEPT, s, 0, 0);
}

static __always_inline void on_established(struct tcp_socket *s, struct sock *sk, int old)
{
	if (old == SYN_RECV && !(s->flags & TCP_PASSIVE) && s->source != TCP_SOURCE_CONNECT)
		on_child(s, sk); /* was missed */
	else if (!s->id)
		begin(s, TCP_PREEXISTING);
	s->flags &= ~TCP_PENDING;
	read_ends(s, sk);
	s->established_ns = bpf_ktime_get_boot_ns();
	if (!(s->flags & TCP_PASSIVE)) {
		tie(s, sk);
		emit_open(EVENT_CONNECT, s, 0, 0);
		return;
	}
	emit_open(EVENT_ESTABLISHED, s, 0, 0);
	full_barrier(s);
	if (s->accept == TCP_ACCEPT_TAKEN)
		tell_accept(s);
	tie(s, sk);
}

/*
 * The current task acts on the socket: it is the owner of what nobody is known to own.
 *
 * A child is in the listener's queue before its handshake is over, so this may run
 * beside on_established. Each stores its news before it looks for the other's, so that
 * one of them at least makes the record; user space drops a second one. Should both
 * have missed the other's after all, the next that claims the socket, or its close,
 * finds the record untold and makes it.
 */
static __always_inline void claim(struct tcp_socket *s, enum tcp_source source)
{
	if (!untold(s)) {
		if (!s->owner.tgid) /* older than the programs */
			set_owner(s, source);
		return;
	}
	if (s->accept == TCP_ACCEPT_NONE) {
		set_owner(s, source);
		if (cfg_weak_order) /* who sees it taken must see by whom */
			full_barrier(s);
		s->accept = TCP_ACCEPT_TAKEN;
		full_barrier(s);
	}
	if (s->established_ns)
		tell_accept(s);
}

static __always_inline void on_local_close(struct tcp_socket *s, struct sock *sk)
{
	if (has_file(sk) && in_process(sk))
		claim(s, TCP_SOURCE_IO);
}

static __always_inline void connect_failed(struct tcp_socket *s, __u32 error)
{
	s->flags = (s->flags & ~TCP_PENDING) | TCP_FAILED;
	emit_open(EVENT_CONNECT, s, error, 0);
}

#define SHUTDOWN_MASK 3

static __always_inline void on_connect_failed(struct tcp_socket *s, struct sock *sk)
{
	__u32 error = sk->sk_err;

	s->ends.local_port = bound_port(sk); /* chosen after SYN_SENT */
	if (!error && sk->sk_shutdown == SHUTDOWN_MASK) {
		error = ECANCELED; /* closed by its own process */
	} else if (!error && cfg_connect_exit) {
		s->flags |= TCP_PENDING;
		return;
	} else if (!error && !s->ends.local_port) {
		error = EADDRNOTAVAIL; /* no port was free */
	}
	connect_failed(s, error);
}

static __always_inline void on_close(struct tcp_socket *s, struct sock *sk, int old)
{
	if (old == LISTEN) {
		s->flags |= TCP_LISTENER;
		emit_open(EVENT_UNLISTEN, s, 0, 0);
		struct listener_key key = {s->ends.netns, s->ends.local_port};
		struct listener *last = bpf_map_lookup_elem(&tcp_listeners, &key);

		if (last && last->id == s->id)
			bpf_map_delete_elem(&tcp_listeners, &key);
	} else if (s->established_ns || (s->flags & TCP_PREEXISTING && old != SYN_SENT)) {
		take_claim(s, sk);
		on_local_close(s, sk);
		/* Reset before its acceptor did anything, if that is known by its struct socket only. */
		if (untold(s) && (s->accept == TCP_ACCEPT_TAKEN || has_file(sk) || (s->flags & TCP_SUBFLOW && shut(old))))
			tell_accept(s);
		emit_close(s, sk, old, close_reason(s, sk, old));
	} else if (!(s->flags & TCP_PASSIVE)) {
		on_connect_failed(s, sk);
	}
	untie(s, sk);
	if (!(s->flags & TCP_PENDING)) /* else the end of connect(2) tells more */
		forget_socket(sk);
}

static __always_inline void on_new_state(struct tcp_socket *s, struct sock *sk, int old, int new)
{
	s->state = new;
	/* Preemption may nest deeper than there are programs: then a state is missed and made up for. */
	if (!s->established_ns && !(s->flags & TCP_PREEXISTING) && synchronized(old))
		on_established(s, sk, s->flags & TCP_LISTENER ? SYN_RECV : old);
	switch (new) {
	case SYN_SENT:
		on_syn_sent(s, sk);
		break;
	case LISTEN:
		on_listen(s, sk);
		break;
	case SYN_RECV:
		if (old == LISTEN)
			on_child(s, sk);
		break;
	case ESTABLISHED:
		on_established(s, sk, old);
		break;
	case FIN_WAIT1:
	case LAST_ACK:
		if (!(s->flags & TCP_CLOSED_PEER))
			s->flags |= TCP_CLOSED_LOCAL;
		on_local_close(s, sk);
		break;
	case CLOSE_WAIT:
		s->flags |= TCP_CLOSED_PEER;
		break;
	case CLOSE:
		on_close(s, sk, old);
		break;
	}
}
