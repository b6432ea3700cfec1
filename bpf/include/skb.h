/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What a program at a packet knows of the packet's socket. */
#pragma once

#include "config.h"

/* The kernel's own view of a program's context, since 6.2. */
extern void *bpf_cast_to_kern_ctx(void *context) __ksym __weak;

/*
 * The network namespace of the packet's socket, which its process may have opened in
 * another one than its own. 0 where no load leads there: before 6.2, without reads.
 */
static __always_inline __u32 socket_netns(struct __sk_buff *skb)
{
	if (cfg_typed && bpf_cast_to_kern_ctx) {
		struct sk_buff *packet = bpf_cast_to_kern_ctx(skb);
		struct sock *sk = packet->sk;

		return sk ? sk->__sk_common.skc_net.net->ns.inum : 0;
	}
	struct bpf_sock *sk = skb->sk;
	__u64 front[16]; /* nothing may be added to the socket's own pointer */
	__u32 at = bpf_core_field_offset(struct sock, __sk_common.skc_net.net);

	if (!cfg_probe_read || !sk || at > sizeof(front) - sizeof(void *) || bpf_probe_read_kernel(front, sizeof(front), sk))
		return 0;
	struct net *net = *(struct net **)((char *)front + at);

	return BPF_CORE_READ(net, ns.inum);
}

/* The port that a connected socket talks to, 0 for others. */
static __always_inline __u16 connected_port(struct __sk_buff *skb)
{
	return bpf_ntohl(skb->remote_port);
}

/* Word n of a field, in a way that the compiler cannot turn into arithmetic on skb. */
#define WORD(skb, field, n)                                              \
	({                                                               \
		__be32 __value;                                          \
		asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(__value)    \
			     : "r"(skb), "i"(__builtin_offsetof(struct __sk_buff, field) + 4 * (n))); \
		__value;                                                 \
	})
