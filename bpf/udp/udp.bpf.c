// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * UDP flows: what each socket and each of its peers send each other, counted where
 * datagrams leave a socket and where they reach it, in whatever network namespace.
 *
 * Every packet of the host passes here. What is not UDP is let go after its protocol
 * number. What is, is counted in a map: no datagram makes a record. User space looks
 * into the map, and takes out what has ended.
 */
#include "record.h"
#include "packet.h"
#include "skb.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct udp_key);
	__type(value, struct udp_flow);
} udp_flows SEC(".maps");

/* Who uses a socket, as far as is known before it sends: a datagram arrives in softirq. */
struct udp_socket {
	struct exec_id owner;
	__u8 source;
	__u8 flags;
	__u8 has_flows;
	__u8 pad[5];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct udp_socket);
} udp_sockets SEC(".maps");

/* A datagram, as far as it is read. */
struct datagram {
	struct udp_key key;
	__be32 local[4];
	__u32 bytes, packets;
};

static __always_inline void copy_address(__be32 to[4], const __be32 from[4])
{
	__builtin_memcpy(to, from, 4 * sizeof(*to));
}

/*
 * Reads the headers, `out` for a datagram on its way out; false if it is none. A packet
 * that is a fragment was sent as one: sockets send and get datagrams whole.
 */
static __always_inline bool read_datagram(struct __sk_buff *skb, struct datagram *d, bool out)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ip4_header *ip4 = data;
	struct udp_header *udp;

	if ((void *)(ip4 + 1) > end)
		return false;
	if (ip4->version_words >> 4 == 4) {
		if (ip4->protocol != IPPROTO_UDP || ip4->fragment & bpf_htons(IP4_FRAGMENT_OFFSET))
			return false;
		udp = data + (ip4->version_words & 15) * 4;
		map_v4(d->local, out ? ip4->source : ip4->destination);
		map_v4(d->key.remote, out ? ip4->destination : ip4->source);
	} else {
		struct ip6_header *ip6 = data;

		if ((void *)(ip6 + 1) > end || ip6->next != IPPROTO_UDP)
			return false;
		udp = (void *)(ip6 + 1);
		copy_address(d->local, out ? ip6->source : ip6->destination);
		copy_address(d->key.remote, out ? ip6->destination : ip6->source);
	}
	if ((void *)(udp + 1) > end)
		return false;
	d->key.remote_port = bpf_ntohs(out ? udp->destination : udp->source);
	d->bytes = skb->len - ((void *)(udp + 1) - data);
	d->packets = skb->gso_segs ?: 1;
	return true;
}

/* The ends as a connected socket's process knows them: the packet has the translated ones. */
static __always_inline void use_socket_ends(struct __sk_buff *skb, struct datagram *d)
{
	__u16 port = connected_port(skb);

	if (!port)
		return;
	d->key.remote_port = port;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		map_v4(d->local, WORD(skb, local_ip4, 0));
		map_v4(d->key.remote, WORD(skb, remote_ip4, 0));
		return;
	}
	d->local[0] = WORD(skb, local_ip6, 0);
	d->local[1] = WORD(skb, local_ip6, 1);
	d->local[2] = WORD(skb, local_ip6, 2);
	d->local[3] = WORD(skb, local_ip6, 3);
	d->key.remote[0] = WORD(skb, remote_ip6, 0);
	d->key.remote[1] = WORD(skb, remote_ip6, 1);
	d->key.remote[2] = WORD(skb, remote_ip6, 2);
	d->key.remote[3] = WORD(skb, remote_ip6, 3);
}

static __always_inline __u64 now(void)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_ktime_get_coarse_ns))
		return bpf_ktime_get_coarse_ns();
	return bpf_ktime_get_ns();
}

/* What is known of a packet's socket; it is made if need be. */
static __always_inline struct udp_socket *socket_of(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	return sk ? bpf_sk_storage_get(&udp_sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE) : 0;
}

/*
 * A datagram leaves in its sender's system call, or is the kernel's own. Who sends first is also
 * taken for the owner of flows that peers begin on the socket.
 */
static __always_inline void claim(struct udp_flow *f, struct __sk_buff *skb)
{
	if (kernel_thread(current_task())) /* with each datagram anew: a tunnel's never get an owner */
		return;
	struct udp_socket *s = socket_of(skb);

	find_exec_id(&f->owner, current_task());
	f->source = UDP_SOURCE_SEND;
	if (s && s->source < UDP_SOURCE_SEND) {
		s->owner = f->owner;
		s->source = f->source;
	}
}

/*
 * Adds a flow to the map. Where it does not fit, its datagrams are counted as lost; where
 * another CPU was faster, the entry is that one's.
 */
static __always_inline struct udp_flow *begin(struct __sk_buff *skb, struct datagram *d, bool out)
{
	struct udp_flow fresh = {.first_ns = bpf_ktime_get_boot_ns(), .flags = out ? 0 : UDP_INBOUND};
	struct udp_socket *s = socket_of(skb);

	copy_address(fresh.local, d->local);
	fresh.local_port = skb->local_port;
	fresh.family = skb->family;
	fresh.netns = socket_netns(skb);
	if (s) {
		fresh.owner = s->owner;
		fresh.source = s->source;
		if (out) /* who sends on it is still to be seen */
			fresh.source = UDP_SOURCE_NONE;
		fresh.flags |= s->flags;
		s->has_flows = 1;
	} else {
		count_loss(LOSS_TABLE_FULL, EVENT_UDP); /* its end shows when it is idle only */
	}
	bpf_map_update_elem(&udp_flows, &d->key, &fresh, BPF_NOEXIST);
	struct udp_flow *f = bpf_map_lookup_elem(&udp_flows, &d->key);

	if (!f)
		count_loss(LOSS_UNTRACKED, EVENT_UDP);
	return f;
}

static __always_inline struct udp_flow *flow_of(struct __sk_buff *skb, struct datagram *d, bool out)
{
	d->key.socket = bpf_get_socket_cookie(skb);
	struct udp_flow *f = bpf_map_lookup_elem(&udp_flows, &d->key);

	return f ?: begin(skb, d, out);
}

SEC("cgroup_skb/egress")
int udp_egress(struct __sk_buff *skb)
{
	struct datagram d = {};

	if (!read_datagram(skb, &d, true))
		return 1;
	use_socket_ends(skb, &d);
	struct udp_flow *f = flow_of(skb, &d, true);

	if (!f)
		return 1;
	if (f->source != UDP_SOURCE_SEND)
		claim(f, skb);
	__sync_fetch_and_add(&f->bytes_sent, d.bytes);
	__sync_fetch_and_add(&f->packets_sent, d.packets);
	f->last_ns = now();
	return 1;
}

SEC("cgroup_skb/ingress")
int udp_ingress(struct __sk_buff *skb)
{
	struct datagram d = {};

	if (!read_datagram(skb, &d, false))
		return 1;
	struct udp_flow *f = flow_of(skb, &d, false);

	if (!f)
		return 1;
	__sync_fetch_and_add(&f->bytes_received, d.bytes);
	__sync_fetch_and_add(&f->packets_received, d.packets);
	f->last_ns = now();
	return 1;
}

/* bind(2): the owner of what only receives, until somebody shows that it is another's. */
static __always_inline int on_bind(struct bpf_sock *sk)
{
	if (sk->protocol != IPPROTO_UDP)
		return 1;
	struct udp_socket *s = bpf_sk_storage_get(&udp_sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!s)
		return 1; /* begin counts it, should a datagram come */
	find_exec_id(&s->owner, current_task());
	s->source = UDP_SOURCE_BIND;
	return 1;
}

SEC("cgroup/post_bind4")
int udp_bind4(struct bpf_sock *sk)
{
	return on_bind(sk);
}

SEC("cgroup/post_bind6")
int udp_bind6(struct bpf_sock *sk)
{
	return on_bind(sk);
}

/*
 * recvfrom(2) that asks who has sent: who reads a socket that it has not bound, such as one
 * it was started with. Told once for each new reader.
 */
static __always_inline int on_receive(struct bpf_sock_addr *ctx, struct udp_key *key)
{
	struct bpf_sock *sk = ctx->sk;

	if (!sk)
		return 1;
	struct udp_socket *s = bpf_sk_storage_get(&udp_sockets, sk, 0, 0);

	if (!s || (s->source >= UDP_SOURCE_RECEIVE && s->owner.tgid == bpf_get_current_pid_tgid() >> 32))
		return 1;
	find_exec_id(&s->owner, current_task());
	s->source = UDP_SOURCE_RECEIVE;
	key->socket = bpf_get_socket_cookie(ctx);
	key->remote_port = bpf_ntohs(ctx->user_port);
	struct udp_flow *f = bpf_map_lookup_elem(&udp_flows, key);

	if (f && f->source < UDP_SOURCE_RECEIVE) {
		f->owner = s->owner;
		f->source = UDP_SOURCE_RECEIVE;
	}
	return 1;
}

SEC("cgroup/recvmsg4")
int udp_recvmsg4(struct bpf_sock_addr *ctx)
{
	struct udp_key key = {};

	map_v4(key.remote, ctx->user_ip4);
	return on_receive(ctx, &key);
}

SEC("cgroup/recvmsg6")
int udp_recvmsg6(struct bpf_sock_addr *ctx)
{
	struct udp_key key = {.remote = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]}};

	return on_receive(ctx, &key);
}

/* close(2). Should the record not fit into its ring, the flows end when they are idle. */
SEC("cgroup/sock_release")
int udp_released(struct bpf_sock *sk)
{
	if (sk->protocol != IPPROTO_UDP)
		return 1;
	struct udp_socket *s = bpf_sk_storage_get(&udp_sockets, sk, 0, 0);

	if (!s || !s->has_flows)
		return 1;
	struct udp_closed r = {.socket = bpf_get_socket_cookie(sk)};

	event_header(&r.header, EVENT_UDP, sizeof(r));
	bpf_ringbuf_output(&telemetry, &r, sizeof(r), wakeup_flags(&telemetry, cfg_telemetry_wakeup));
	return 1;
}

struct bpf_iter__task_file {
	struct task_struct *task;
	struct file *file;
} CO_RE;

/* Sockets that were there first belong to the first holder met, that with the lowest pid. */
SEC("iter/task_file")
int existing_udp(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket = file ? bpf_sock_from_file(file) : 0;
	struct sock *sk = socket ? socket->sk : 0;

	if (!task || !sk || sk->sk_protocol != IPPROTO_UDP)
		return 0;
	if (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6)
		return 0;
	struct udp_socket *s = bpf_sk_storage_get(&udp_sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!s || s->source != UDP_SOURCE_NONE)
		return 0;
	find_exec_id(&s->owner, task);
	s->source = UDP_SOURCE_SCAN;
	s->flags = UDP_PREEXISTING;
	return 0;
}
