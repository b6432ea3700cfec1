// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * TCP connect, accept, close and listen.
 *
 * One tracepoint, inet_sock_set_state, tells the life of every socket, but most
 * of it in softirq, where the current task is anyone. So the owner is stamped
 * on the socket where its own process acts: at SYN_SENT and LISTEN, in accept(2),
 * and failing that at the first I/O or close.
 */
#include "emit.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* fexit programs give the errno of a connect that fails within connect(2). */
const volatile bool cfg_connect_exit = false;

/* How often `state_rescue` handled an event that `state` had missed. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} tcp_rescues SEC(".maps");

static __always_inline void on_syn_sent(struct tcp_socket *s, struct sock *sk)
{
	__u64 asked = s->flags & TCP_PENDING ? s->opened_ns : 0;

	begin(s, 0);
	if (asked)
		s->opened_ns = asked;
	set_owner(s, TCP_SOURCE_CONNECT);
	read_ends(s, sk);
}

static __always_inline void on_listen(struct tcp_socket *s, struct sock *sk)
{
	begin(s, TCP_LISTENER);
	set_owner(s, TCP_SOURCE_LISTEN);
	read_ends(s, sk);
	if (!cfg_socket_storage) {
		struct listener_key key = {s->ends.netns, s->ends.local_port};

		if (bpf_map_update_elem(&tcp_listeners, &key, &s->owner, BPF_ANY))
			count_loss(LOSS_TABLE_FULL, EVENT_LISTEN);
	}
	emit_open(EVENT_LISTEN, s, 0, sk->sk_max_ack_backlog);
}

/* A child of a listener: its addresses are not all there yet. */
static __always_inline void on_child(struct tcp_socket *s, struct sock *sk)
{
	if (!cfg_socket_storage) {
		struct listener_key key = {sk->__sk_common.skc_net.net->ns.inum, sk->__sk_common.skc_num};
		struct exec_id *owner = bpf_map_lookup_elem(&tcp_listeners, &key);

		if (owner)
			s->owner = *owner;
	}
	begin(s, TCP_PASSIVE);
	s->source = s->owner.tgid ? TCP_SOURCE_LISTENER : TCP_SOURCE_NONE;
}

static __always_inline void on_established(struct tcp_socket *s, struct sock *sk, int old)
{
	if (!s->id) /* began before the programs were attached */
		begin(s, TCP_PREEXISTING | (old == SYN_RECV ? TCP_PASSIVE : 0));
	read_ends(s, sk);
	s->established_ns = bpf_ktime_get_boot_ns();
	if (!(s->flags & TCP_PASSIVE)) {
		emit_open(EVENT_CONNECT, s, 0, 0);
		return;
	}
	emit_open(EVENT_ESTABLISHED, s, 0, 0);
	full_barrier(s);
	if (s->flags & TCP_ACCEPTED)
		emit_open(EVENT_ACCEPT, s, 0, 0);
}

/*
 * A child is in the listener's queue before its handshake is over, so this may run
 * beside on_established. Each stores its news before it looks for the other's: the
 * record comes at least once. User space drops a second one.
 */
static __always_inline void accepted(struct tcp_socket *s, enum tcp_source source)
{
	set_owner(s, source);
	s->flags |= TCP_ACCEPTED;
	full_barrier(s);
	if (s->established_ns)
		emit_open(EVENT_ACCEPT, s, 0, 0);
}

/* The current task acts on the socket: it is the owner of what nobody is known to own. */
static __always_inline void claim(struct tcp_socket *s, enum tcp_source source)
{
	if (waits(s))
		accepted(s, source);
	else if (!s->owner.tgid) /* older than the programs */
		set_owner(s, source);
}

/* A socket that has been accepted has a struct socket, one in the listener's queue has none. */
static __always_inline void on_local_close(struct tcp_socket *s, struct sock *sk)
{
	if (sk->sk_socket && in_process(sk))
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
		emit_close(s, sk, old, TCP_REASON_LOCAL);
		if (!cfg_socket_storage) {
			struct listener_key key = {s->ends.netns, s->ends.local_port};

			bpf_map_delete_elem(&tcp_listeners, &key);
		}
	} else if (s->established_ns || (s->flags & TCP_PREEXISTING)) {
		on_local_close(s, sk);
		if (waits(s) && sk->sk_socket) { /* reset before its acceptor did anything */
			s->flags |= TCP_ACCEPTED;
			emit_open(EVENT_ACCEPT, s, 0, 0);
		}
		emit_close(s, sk, old, close_reason(s, sk, old));
	} else if (!(s->flags & TCP_PASSIVE)) {
		on_connect_failed(s, sk);
	}
	forget_socket(sk);
}

static __always_inline void on_new_state(struct tcp_socket *s, struct sock *sk, int old, int new)
{
	s->state = new;
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

/* Which record a transition leads to, for the count of what a full table cost. */
static __always_inline __u32 event_of(int new)
{
	return new == SYN_SENT ? EVENT_CONNECT : new == LISTEN ? EVENT_LISTEN : new == CLOSE ? EVENT_CLOSE : EVENT_ACCEPT;
}

/* A socket whose first event this is, and that is not new: what can still be known of it. */
static __always_inline void meet(struct tcp_socket *s, struct sock *sk)
{
	begin(s, TCP_PREEXISTING);
	read_ends(s, sk);
	if (!s->ends.local_port)
		s->ends.local_port = bound_port(sk);
}

static __always_inline int on_state(struct sock *sk, int old, int new, bool rescue)
{
	if (sk->sk_protocol != IPPROTO_TCP || old == new)
		return 0;
	struct tcp_socket *s = find_socket(sk);

	if (rescue) {
		__u32 zero = 0;

		/* `state` has handled it; at CLOSE the hash has no entry any more. */
		if (s ? s->state == new : new == CLOSE)
			return 0;
		__u64 *n = bpf_map_lookup_elem(&tcp_rescues, &zero);

		if (n)
			(*n)++;
	}
	if (!s) {
		s = make_socket(sk, event_of(new));
		if (!s)
			return 0;
		if (new != SYN_SENT && new != LISTEN && new != SYN_RECV && new != ESTABLISHED)
			meet(s, sk);
	}
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

/* A read or a write. */
static __always_inline int on_io(struct sock *sk)
{
	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	struct tcp_socket *s = find_socket(sk);

	if (s) {
		claim(s, TCP_SOURCE_IO);
		return 0;
	}
	if (sk->__sk_common.skc_state == CLOSE)
		return 0;
	s = make_socket(sk, EVENT_ESTABLISHED);
	if (!s)
		return 0;
	meet(s, sk);
	s->state = sk->__sk_common.skc_state;
	set_owner(s, TCP_SOURCE_IO);
	emit_open(EVENT_ESTABLISHED, s, 0, 0);
	return 0;
}

/* End of a recv(2) that took data. Some callers are softirqs: they do not hold the lock. */
SEC("tp_btf/tcp_rcv_space_adjust")
int received(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];

	return in_process(sk) ? on_io(sk) : 0;
}

/* End of a send(2): a server may speak first. Since 6.3. */
SEC("tp_btf/sock_send_length")
int sent(__u64 *ctx)
{
	return on_io((struct sock *)ctx[0]);
}

/* accept(2) with an address, and getpeername(2). Never refuses. */
static __always_inline int on_getpeername(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	if (!sk || ctx->protocol != IPPROTO_TCP)
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
		claim(s, TCP_SOURCE_ACCEPT);
	return 0;
}

static __always_inline __u32 current_netns(void)
{
	struct task_struct *task = current_task();
	struct nsproxy *proxy = LOAD(task, nsproxy);
	struct net *net = LOAD(proxy, net_ns);

	return LOAD(net, ns.inum);
}

/*
 * connect(2), before anything is looked up. SYN_SENT follows; where it does not,
 * this is all there is of the attempt.
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
	s->ends.netns = current_netns();
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

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
} CO_RE;

struct bpf_iter_meta {
	struct seq_file *seq;
} CO_RE;

/*
 * One pass over all descriptors. A socket that is not known belongs to the first
 * holder met, that with the lowest pid; every socket is written out, also those
 * that an earlier agent's programs have stamped.
 */
SEC("iter/task_file")
int existing_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;

	if (!task || !file)
		return 0;
	struct socket *socket = bpf_sock_from_file(file);

	if (!socket)
		return 0;
	struct sock *sk = socket->sk;

	if (!sk || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	__u16 family = sk->__sk_common.skc_family;
	__u8 now = sk->__sk_common.skc_state;

	if ((family != AF_INET && family != AF_INET6) || now == CLOSE)
		return 0;
	struct tcp_record r = {};
	struct tcp_socket *s = make_socket(sk, EVENT_ESTABLISHED);

	if (!s)
		return 0;
	if (!s->id) {
		meet(s, sk);
		s->state = now;
		s->flags |= now == LISTEN ? TCP_LISTENER : TCP_ACCEPTED;
		find_exec_id(&s->owner, task);
		s->source = TCP_SOURCE_SCAN;
	}
	event_header(&r.header, now == LISTEN ? EVENT_LISTEN : now == SYN_SENT ? EVENT_CONNECT : EVENT_ESTABLISHED, TCP_OPEN_BYTES);
	r.socket = *s;
	r.backlog = now == LISTEN ? sk->sk_max_ack_backlog : 0;
	bpf_seq_write(ctx->meta->seq, &r, TCP_OPEN_BYTES);
	return 0;
}
