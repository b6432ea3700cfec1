// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * TCP connect, accept, close and listen.
 *
 * One tracepoint, inet_sock_set_state, tells the life of every socket, but most
 * of it in softirq, where the current task is anyone. So the owner is stamped
 * on the socket where its own process acts: at SYN_SENT and LISTEN, in accept(2),
 * and failing that at the first I/O or close.
 */
#include "iterate.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* How often `state_rescue` handled an event that `state` had missed. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} tcp_rescues SEC(".maps");

/* Which record a transition makes, or keeps from being made: an accept comes some time after ESTABLISHED. */
static __always_inline __u32 event_of(int old, int new)
{
	switch (new) {
	case LISTEN:
		return EVENT_LISTEN;
	case ESTABLISHED:
		return old == SYN_SENT ? EVENT_CONNECT : EVENT_ACCEPT;
	case CLOSE:
		return old == LISTEN ? EVENT_UNLISTEN : old == SYN_SENT ? EVENT_CONNECT : old == SYN_RECV ? EVENT_NONE : EVENT_CLOSE;
	}
	return EVENT_NONE;
}

static __always_inline void count_rescue(void)
{
	__u32 zero = 0;
	__u64 *n = bpf_map_lookup_elem(&tcp_rescues, &zero);

	if (n)
		(*n)++;
}

static __always_inline int on_state(struct sock *sk, int old, int new, bool rescue)
{
	if (sk->sk_protocol != IPPROTO_TCP || old == new)
		return 0;
	struct tcp_socket *s = find_socket(sk);

	/* `state` has handled it; at CLOSE the hash has no entry any more. */
	if (rescue && (s ? s->state == new : new == CLOSE))
		return 0;
	if (!s) {
		struct tcp_socket fresh = {};

		struct tcp_socket *scanned = entry_of_first(sk);

		if (scanned)
			fresh = *scanned;
		else if (new != SYN_SENT && new != LISTEN && new != SYN_RECV && new != ESTABLISHED)
			meet(&fresh, sk);
		s = add_socket(sk, &fresh);
		if (!s) {
			/* Where `state` could not make it either, that has counted the loss and this is no rescue. */
			__u32 event = event_of(old, new);

			if (!rescue && event != EVENT_NONE)
				count_loss(LOSS_UNTRACKED, event);
			return 0;
		}
	}
	if (rescue)
		count_rescue();
	on_new_state(s, sk, old, new);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int state(__u64 *ctx)
{
	return on_state((struct sock *)ctx[0], ctx[1], ctx[2], false);
}

/*
 * A softirq that interrupts `state` cannot run it again on the same CPU. Attached
 * after it, this one then runs and finds the new state not taken down. While
 * this one is interrupted, `state` runs.
 */
SEC("tp_btf/inet_sock_set_state")
int state_rescue(__u64 *ctx)
{
	return on_state((struct sock *)ctx[0], ctx[1], ctx[2], true);
}

/* End of a recv(2) that took data. Some callers are softirqs: they do not hold the lock. */
SEC("tp_btf/tcp_rcv_space_adjust")
int received(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];

	if (!in_process(sk) || !is_tcp(sk))
		return 0;
	struct tcp_socket *s = find_socket(sk);

	if (s) {
		claim(s, TCP_SOURCE_IO);
		return 0;
	}
	if (sk->__sk_common.skc_state == CLOSE)
		return 0;
	struct tcp_socket fresh = {};

	meet(&fresh, sk);
	set_owner(&fresh, TCP_SOURCE_IO);
	s = add_socket(sk, &fresh);
	if (s)
		emit_open(EVENT_ESTABLISHED, s, 0, 0);
	else
		count_loss(LOSS_TABLE_FULL, EVENT_ESTABLISHED);
	return 0;
}

/*
 * End of a send(2): a server may speak first. It does not hold the lock. Since 6.3. The
 * kernel sends too, such as what a sockmap redirects: it has accepted nothing.
 */
SEC("tp_btf/sock_send_length")
int sent(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];

	if ((!is_tcp(sk) && !is_mptcp(sk)) || kernel_thread(current_task()))
		return 0;
	struct tcp_socket *s = find_socket(sk);

	if (s)
		claim(s, TCP_SOURCE_IO);
	return 0;
}

/* accept(2) with an address, and getpeername(2). Never refuses. */
static __always_inline int on_getpeername(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	if (!sk || (ctx->protocol != IPPROTO_TCP && ctx->protocol != IPPROTO_MPTCP))
		return 1;
	struct tcp_socket *s = find_socket(sk);

	if (s)
		claim(s, TCP_SOURCE_ACCEPT);
	return 1;
}

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr *ctx)
{
	return on_getpeername(ctx);
}

SEC("cgroup/getpeername6")
int getpeername6(struct bpf_sock_addr *ctx)
{
	return on_getpeername(ctx);
}

/* Argument n of a program, in a way that the compiler cannot turn into arithmetic on ctx. */
#define ARGUMENT(ctx, n)                                                                              \
	({                                                                                            \
		void *__value;                                                                        \
		asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(__value) : "r"(ctx), "i"((n) * 8));      \
		__value;                                                                              \
	})

/* The new socket has no struct socket yet: sock_graft comes after. */
SEC("fexit/inet_csk_accept")
int accept_exit(__u64 *ctx)
{
	struct sock *sk;

	/* The result follows the arguments, of which there were four before 6.10. */
	if (bpf_core_type_exists(struct proto_accept_arg))
		sk = ARGUMENT(ctx, 2);
	else
		sk = ARGUMENT(ctx, 4);
	if (!sk)
		return 0;
	struct tcp_socket *s = find_socket(sk);

	if (s)
		claim(entry_of_claim(s, sk), TCP_SOURCE_ACCEPT);
	return 0;
}

/*
 * connect(2), before a route is looked up. Programs of the process's own cgroup have run
 * by now and may have rewritten the address. SYN_SENT follows; where it does not, this is
 * all there is of the attempt.
 */
static __always_inline struct tcp_socket *asked(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	if (!sk || ctx->protocol != IPPROTO_TCP)
		return 0;
	struct tcp_socket *s = make_socket(sk, EVENT_CONNECT);

	if (!s)
		return 0;
	if (s->flags & TCP_PENDING)
		connect_failed(s, 0);
	begin(s, TCP_PENDING);
	set_owner(s, TCP_SOURCE_CONNECT);
	s->state = CLOSE;
	s->ends.local_port = 0;
	s->ends.remote_port = bpf_ntohs(ctx->user_port);
	s->ends.netns = netns(sk);
	return s;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	struct tcp_socket *s = asked(ctx);

	if (s) {
		s->family = AF_INET;
		map_v4(s->ends.local, 0);
		map_v4(s->ends.remote, ctx->user_ip4);
	}
	return 1;
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	struct tcp_socket *s = asked(ctx);

	if (s) {
		s->family = AF_INET6;
		__builtin_memset(s->ends.local, 0, sizeof(s->ends.local));
		s->ends.remote[0] = ctx->user_ip6[0];
		s->ends.remote[1] = ctx->user_ip6[1];
		s->ends.remote[2] = ctx->user_ip6[2];
		s->ends.remote[3] = ctx->user_ip6[3];
	}
	return 1;
}

/* close(2) of any internet socket: the last word on an attempt that sent nothing. */
SEC("cgroup/sock_release")
int released(struct bpf_sock *sk)
{
	if (sk->protocol != IPPROTO_TCP)
		return 1;
	struct tcp_socket *s = find_socket(sk);

	if (s && (s->flags & TCP_PENDING)) {
		connect_failed(s, 0);
		forget_socket(sk);
	}
	return 1;
}

static __always_inline int on_connect_exit(struct sock *sk, int error)
{
	if (!error)
		return 0;
	struct tcp_socket *s = find_socket(sk);

	if (s && (s->flags & TCP_PENDING)) {
		connect_failed(s, -error);
		forget_socket(sk);
	}
	return 0;
}

SEC("fexit/tcp_v4_connect")
int connect4_exit(__u64 *ctx)
{
	return on_connect_exit((struct sock *)ctx[0], ctx[3]);
}

SEC("fexit/tcp_v6_connect")
int connect6_exit(__u64 *ctx)
{
	return on_connect_exit((struct sock *)ctx[0], ctx[3]);
}
