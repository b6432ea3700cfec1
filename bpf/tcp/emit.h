/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Records of sockets: what is counted at their end, and the way into the ring. */
#pragma once

#include "mptcp.h"

/* Errors as in asm-generic/errno.h, the same on x86 and arm64. */
#define EPIPE 32
#define EADDRNOTAVAIL 99
#define ECONNABORTED 103
#define ECONNRESET 104
#define ETIMEDOUT 110
#define ECONNREFUSED 111
#define ECANCELED 125

/* Bits of sk_flags (enum sock_flags, unchanged since 2.6). */
#define SOCK_DEAD 1 /* its process has let go of it */
#define SOCK_DONE 2 /* the other end's FIN was received; set by tcp_fin alone */

static __always_inline void *reserve(__u16 type, __u32 length)
{
	struct tcp_record *r = bpf_ringbuf_reserve(&telemetry, length, 0);

	if (!r)
		count_loss(LOSS_RING_FULL, type);
	else
		event_header(&r->header, type, length);
	return r;
}

static __always_inline void submit(void *record)
{
	bpf_ringbuf_submit(record, wakeup_flags(&telemetry, cfg_telemetry_wakeup));
}

static __always_inline void emit_open(__u16 type, struct tcp_socket *s, __u32 error, __u32 backlog)
{
	struct tcp_record *r = reserve(type, TCP_OPEN_BYTES);

	if (!r)
		return;
	r->socket = *s;
	r->error = error;
	r->reason = TCP_REASON_NONE;
	r->backlog = backlog;
	submit(r);
}

/*
 * `sk_err` is set before the state on all paths that end a connection for a reason:
 * RST, timers, tcp_abort. Without one, what tells is the state it ended in.
 */
static __always_inline enum tcp_reason close_reason(struct tcp_socket *s, struct sock *sk, int old)
{
	unsigned long flags = sk->__sk_common.skc_flags;

	switch (sk->sk_err) {
	case 0:
		break;
	case ECONNRESET:
	case EPIPE: /* RST after FIN */
		return TCP_REASON_RESET;
	case ECONNABORTED:
		return TCP_REASON_ABORT;
	case ETIMEDOUT:
		return TCP_REASON_TIMEOUT;
	case ECONNREFUSED:
		return TCP_REASON_REFUSED;
	default:
		return TCP_REASON_ERROR;
	}
	/*
	 * Its listener has ended. Nothing else does that to a connection in its queue without an
	 * error, but MPTCP; and not every rung sees it taken from there.
	 */
	if (waits(s) && !(s->flags & TCP_SUBFLOW))
		return TCP_REASON_UNACCEPTED;
	/* Straight to CLOSE, with RST: close(2) over unread data, SO_LINGER 0, disconnect. */
	if (old == ESTABLISHED || old == CLOSE_WAIT || old == FIN_WAIT1)
		return TCP_REASON_ABORT;
	/* A regular end either has the other's FIN or leaves the waiting for it to TIME_WAIT. */
	if (old == FIN_WAIT2 && !(flags & (SOCK_DEAD | SOCK_DONE)))
		return TCP_REASON_ABORT;
	return s->flags & TCP_CLOSED_PEER ? TCP_REASON_PEER : TCP_REASON_LOCAL;
}

/* How a socket is looked at; all are constants to the compiler but the state. */
struct tcp_view {
	bool typed;  /* it is known by its type, not just by its address */
	bool moving; /* it is open, and not locked */
	int state;
};

/*
 * Payload that was sent at least once, by sequence numbers: bytes_sent less
 * bytes_retrans counts again what the local queueing discipline has dropped. SYN and
 * FIN take a number each. Whether a socket that is older than the programs has sent
 * the SYN that bytes_acked counts (a passive end has not) shows in that other count,
 * which is never too small. So does an acknowledgement that comes while these are read.
 */
static __always_inline __u64 payload_sent(struct tcp_view v, struct tcp_sock *tp, __u32 flags)
{
	__u32 next = READ(v.typed, tp, snd_nxt);
	__u64 n = READ(v.typed, tp, bytes_acked) + (__u32)(next - READ(v.typed, tp, snd_una));
	bool closing = v.state == FIN_WAIT1 || v.state == FIN_WAIT2 || v.state == CLOSING || v.state == LAST_ACK;

	if (closing && next == READ(v.typed, tp, write_seq))
		n--; /* the FIN, last in the queue */
	if (!(flags & (TCP_PASSIVE | TCP_PREEXISTING)))
		n--;
	if (v.moving || flags & TCP_PREEXISTING) {
		__u64 other = READ(v.typed, tp, bytes_sent) - READ(v.typed, tp, bytes_retrans);

		return other < n ? other : n;
	}
	return n;
}

static __always_inline void count_traffic(struct tcp_traffic *t, struct tcp_view v, struct sock *sk, struct tcp_sock *tp, __u32 flags)
{
	__u64 fin = READ(v.typed, sk, __sk_common.skc_flags) & SOCK_DONE ? 1 : 0;

	t->bytes_sent = payload_sent(v, tp, flags);
	/* The FIN takes a sequence number and is counted as a byte. */
	t->bytes_received = READ(v.typed, tp, bytes_received) - fin;
	t->segments_sent = READ(v.typed, tp, segs_out);
	t->segments_received = READ(v.typed, tp, segs_in);
	t->rtt_us = READ(v.typed, tp, srtt_us) >> 3;     /* kept in eighths, */
	t->rtt_var_us = READ(v.typed, tp, mdev_us) >> 2; /* and in quarters */
	t->retransmits = READ(v.typed, tp, total_retrans);
}

static __always_inline void emit_close(struct tcp_socket *s, struct sock *sk, int old, enum tcp_reason reason)
{
	struct tcp_record *r = reserve(EVENT_CLOSE, sizeof(*r));

	if (!r)
		return;
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct tcp_view v = {.typed = true, .state = old};

	r->socket = *s;
	r->error = sk->sk_err;
	r->backlog = 0;
	r->reason = reason;
	__builtin_memset(&r->traffic, 0, sizeof(r->traffic));
	if (tp)
		count_traffic(&r->traffic, v, sk, tp, s->flags);
	submit(r);
}
