// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * DNS packets of this host's clients: queries as they leave a socket and answers as
 * they reach it, whatever network namespace or cgroup that is in.
 *
 * Every packet of the host passes here. A connected socket says by itself whom it
 * talks to, so that nearly all of them are let go after two loads and no look into the
 * packet. That also finds queries whose destination is rewritten on the way, as
 * Docker's and Kubernetes' are: the socket keeps what its process asked for.
 */
#include "record.h"
#include "packet.h"
#include "skb.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Ports of servers. 0: none. */
const volatile __u16 cfg_dns_ports[4] = {53};

/*
 * What is known of a socket: for TCP its owner, for UDP whom an unconnected send asks, and
 * which thread that is. A send may fail on its way, and another thread may be sending too.
 */
struct dns_socket {
	struct bpf_spin_lock lock; /* of what follows, but for the owner */
	__u16 asked_port;
	__be32 asked[4];
	__u64 asker; /* its task's address; 0: what it asked has left, or there was none */
	struct exec_id owner;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct dns_socket);
} dns_sockets SEC(".maps");

static __always_inline bool serves_dns(__u16 port)
{
	return port && (port == cfg_dns_ports[0] || port == cfg_dns_ports[1] ||
			port == cfg_dns_ports[2] || port == cfg_dns_ports[3]);
}

/* A packet that may be DNS, as far as it is read. */
struct packet {
	__be32 source[4], destination[4];
	__u16 source_port, destination_port;
	__u32 sequence;
	__u32 payload; /* where it begins */
	__u8 protocol;
};

static __always_inline bool read_ip4(struct __sk_buff *skb, struct packet *p)
{
	struct ip4_header *ip = (void *)(long)skb->data;

	if ((void *)(ip + 1) > (void *)(long)skb->data_end)
		return false;
	if (ip->fragment & bpf_htons(IP4_FRAGMENT_OFFSET))
		return false; /* sockets get whole packets: this one was sent as a fragment */
	map_v4(p->source, ip->source);
	map_v4(p->destination, ip->destination);
	p->protocol = ip->protocol;
	p->payload = (ip->version_words & 15) * 4;
	return true;
}

static __always_inline bool read_ip6(struct __sk_buff *skb, struct packet *p)
{
	struct ip6_header *ip = (void *)(long)skb->data;

	if ((void *)(ip + 1) > (void *)(long)skb->data_end)
		return false;
	__builtin_memcpy(p->source, ip->source, sizeof(p->source));
	__builtin_memcpy(p->destination, ip->destination, sizeof(p->destination));
	p->protocol = ip->next;
	p->payload = sizeof(*ip);
	return true;
}

static __always_inline bool read_ports(struct __sk_buff *skb, struct packet *p)
{
	struct udp_header *udp = (void *)(long)skb->data + (p->payload & 63);

	if ((void *)(udp + 1) > (void *)(long)skb->data_end)
		return false;
	p->source_port = bpf_ntohs(udp->source);
	p->destination_port = bpf_ntohs(udp->destination);
	if (p->protocol == IPPROTO_UDP) {
		p->payload += sizeof(*udp);
		return true;
	}
	struct tcp_header *tcp = (void *)udp;

	if (p->protocol != IPPROTO_TCP || (void *)(tcp + 1) > (void *)(long)skb->data_end)
		return false;
	p->sequence = bpf_ntohl(tcp->sequence);
	p->payload += (tcp->words >> 4) * 4;
	return true;
}

static __always_inline bool read_packet(struct __sk_buff *skb, struct packet *p)
{
	bool known = skb->protocol == bpf_htons(ETH_P_IP) ? read_ip4(skb, p) :
		     skb->protocol == bpf_htons(ETH_P_IPV6) ? read_ip6(skb, p) : false;

	return known && read_ports(skb, p);
}

static __always_inline struct dns_socket *storage(struct __sk_buff *skb, __u64 flags)
{
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	return sk ? bpf_sk_storage_get(&dns_sockets, sk, 0, flags) : 0;
}

/* A datagram leaves in its sender's system call. */
static __always_inline void find_sender(struct dns_record *r, struct __sk_buff *skb)
{
	r->netns = socket_netns(skb);
	if (!kernel_thread(current_task()))
		find_exec_id(&r->owner, current_task());
}

/*
 * A segment may leave in softirq too, where the current task is anyone. The lock's owner
 * is a process; a softirq that meets it leaves its work to that process. So the last
 * process that acted on the socket is remembered, beginning with connect(2) and its SYN.
 */
static __always_inline void find_writer(struct dns_record *r, struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct tcp_sock *tp = sk ? bpf_skc_to_tcp_sock(sk) : 0;

	if (!tp)
		return;
	struct sock *tcp = &tp->inet_conn.icsk_inet.sk;
	bool acting = tcp->sk_lock.owned && !kernel_thread(current_task());
	struct dns_socket *s = storage(skb, acting ? BPF_SK_STORAGE_GET_F_CREATE : 0);

	r->netns = tcp->__sk_common.skc_net.net->ns.inum;
	if (acting) {
		find_exec_id(&r->owner, current_task());
		if (s)
			s->owner = r->owner;
		else
			count_loss(LOSS_TABLE_FULL, EVENT_DNS);
	} else if (s) {
		r->owner = s->owner;
	}
}

/* Room for a payload, powers of two. A record takes the smallest that it fits into. */
#define ROOM_SMALL 128
#define ROOM_MEDIUM 512
#define ROOM_LARGE 4096

static __always_inline void emit_packet(struct __sk_buff *skb, const struct dns_record *head, __u32 offset, __u32 room)
{
	struct dns_record *r = bpf_ringbuf_reserve(&telemetry, sizeof(*r) + room, 0);

	if (!r) {
		count_loss(LOSS_RING_FULL, EVENT_DNS);
		return;
	}
	__u64 last = (head->length < room ? head->length : room) - 1;

	asm volatile("" : "+r"(last));
	/* Changes nothing, and lets verifiers before 6.8 know that it is from 1 to room. */
	__u64 length = (last & (room - 1)) + 1;

	*r = *head;
	r->header.length = sizeof(*r) + room;
	r->captured = length;
	if (bpf_skb_load_bytes(skb, offset, r + 1, length))
		r->captured = 0;
	/* Differs for each room, so that the compiler does not make one of the calls above. */
	asm volatile("// room %0" : : "i"(room));
	bpf_ringbuf_submit(r, wakeup_flags(&telemetry, cfg_telemetry_wakeup));
}

static __always_inline void emit_dns(struct __sk_buff *skb, struct dns_record *r, struct packet *p)
{
	if (skb->len <= p->payload)
		return; /* a segment without payload, of which most handshakes and closes are made */
	r->length = skb->len - p->payload;
	r->protocol = p->protocol;
	r->sequence = p->sequence;
	r->socket = bpf_get_socket_cookie(skb);
	event_header(&r->header, EVENT_DNS, sizeof(*r));
	if (r->length <= ROOM_SMALL)
		emit_packet(skb, r, p->payload, ROOM_SMALL);
	else if (r->length <= ROOM_MEDIUM)
		emit_packet(skb, r, p->payload, ROOM_MEDIUM);
	else
		emit_packet(skb, r, p->payload, ROOM_LARGE);
}

/* Its ends as its process knows them: the packet has the translated ones. */
static __always_inline void connected_ends(struct dns_record *r, struct __sk_buff *skb)
{
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		map_v4(r->local, WORD(skb, local_ip4, 0));
		map_v4(r->remote, WORD(skb, remote_ip4, 0));
		return;
	}
	r->local[0] = WORD(skb, local_ip6, 0);
	r->local[1] = WORD(skb, local_ip6, 1);
	r->local[2] = WORD(skb, local_ip6, 2);
	r->local[3] = WORD(skb, local_ip6, 3);
	r->remote[0] = WORD(skb, remote_ip6, 0);
	r->remote[1] = WORD(skb, remote_ip6, 1);
	r->remote[2] = WORD(skb, remote_ip6, 2);
	r->remote[3] = WORD(skb, remote_ip6, 3);
}

/* The ends of a datagram from a socket that is not connected; false if it is not DNS. */
static __always_inline bool datagram_ends(struct dns_record *r, struct __sk_buff *skb, struct packet *p)
{
	struct dns_socket *s = p->protocol == IPPROTO_UDP ? storage(skb, 0) : 0;

	__builtin_memcpy(r->local, p->source, sizeof(r->local));
	__builtin_memcpy(r->remote, p->destination, sizeof(r->remote));
	r->remote_port = p->destination_port;
	if (s) {
		__u64 me = (__u64)current_task();

		bpf_spin_lock(&s->lock);
		if (s->asker == me) {
			__builtin_memcpy(r->remote, s->asked, sizeof(r->remote));
			r->remote_port = s->asked_port;
			s->asker = 0; /* the next datagram may go elsewhere */
		}
		bpf_spin_unlock(&s->lock);
	}
	return serves_dns(r->remote_port);
}

SEC("cgroup_skb/egress")
int dns_egress(struct __sk_buff *skb)
{
	__u16 port = connected_port(skb);

	if (port && !serves_dns(port))
		return 1;
	struct packet p = {};

	if (!read_packet(skb, &p))
		return 1;
	struct dns_record r = {};

	if (port) {
		connected_ends(&r, skb);
		r.remote_port = port;
	} else if (!datagram_ends(&r, skb, &p)) {
		return 1;
	}
	r.local_port = skb->local_port;
	if (p.protocol == IPPROTO_UDP)
		find_sender(&r, skb);
	else
		find_writer(&r, skb);
	emit_dns(skb, &r, &p);
	return 1;
}

SEC("cgroup_skb/ingress")
int dns_ingress(struct __sk_buff *skb)
{
	__u16 port = connected_port(skb);

	if (port && !serves_dns(port))
		return 1;
	struct packet p = {};

	if (!read_packet(skb, &p) || !serves_dns(p.source_port))
		return 1;
	/* Anybody may send from that port to any socket: to be DNS, the socket has asked before. */
	if (!port && !storage(skb, 0))
		return 1;
	struct dns_record r = {};

	__builtin_memcpy(r.remote, p.source, sizeof(r.remote));
	__builtin_memcpy(r.local, p.destination, sizeof(r.local));
	r.remote_port = p.source_port;
	r.local_port = skb->local_port;
	r.flags = DNS_INCOMING;
	emit_dns(skb, &r, &p);
	return 1;
}

/*
 * sendto(2) on a socket that is not connected: whom it names, before netfilter rewrites
 * that. Programs of the sender's own cgroup have run by now, and may have done so.
 */
static __always_inline int on_sendmsg(struct bpf_sock_addr *ctx, const __be32 address[4])
{
	struct bpf_sock *sk = ctx->sk;
	__u16 port = bpf_ntohs(ctx->user_port);
	bool asks = serves_dns(port);

	if (!sk)
		return 1;
	struct dns_socket *s = bpf_sk_storage_get(&dns_sockets, sk, 0, asks ? BPF_SK_STORAGE_GET_F_CREATE : 0);

	if (!s) {
		if (asks)
			count_loss(LOSS_TABLE_FULL, EVENT_DNS); /* its answer will not be recognised */
		return 1;
	}
	__u64 me = (__u64)current_task();

	bpf_spin_lock(&s->lock);
	if (asks) {
		__builtin_memcpy(s->asked, address, sizeof(s->asked));
		s->asked_port = port;
		s->asker = me;
	} else if (s->asker == me) {
		s->asker = 0; /* its question did not leave */
	}
	bpf_spin_unlock(&s->lock);
	return 1;
}

SEC("cgroup/sendmsg4")
int dns_sendmsg4(struct bpf_sock_addr *ctx)
{
	__be32 address[4];

	map_v4(address, ctx->user_ip4);
	return on_sendmsg(ctx, address);
}

SEC("cgroup/sendmsg6")
int dns_sendmsg6(struct bpf_sock_addr *ctx)
{
	__be32 address[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]};

	return on_sendmsg(ctx, address);
}
