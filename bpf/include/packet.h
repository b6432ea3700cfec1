/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Headers as they stand in a packet. */
#pragma once

#include "kernel.h"

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17

struct ip4_header {
	__u8 version_words; /* version, and the length of this header in words */
	__u8 tos;
	__be16 total_length, id, fragment;
	__u8 ttl, protocol;
	__be16 checksum;
	__be32 source, destination;
};

struct ip6_header {
	__be32 flow;
	__be16 payload_length;
	__u8 next, hop_limit;
	__be32 source[4], destination[4];
};

struct udp_header {
	__be16 source, destination, length, checksum;
};

struct tcp_header {
	__be16 source, destination;
	__be32 sequence, acknowledgement;
	__u8 words; /* length of this header in words, in the upper half */
	__u8 flags;
	__be16 window, checksum, urgent;
};

#define IP4_FRAGMENT_OFFSET 0x1fff

static __always_inline void map_v4(__be32 to[4], __be32 address)
{
	to[0] = 0;
	to[1] = 0;
	to[2] = bpf_htonl(0xffff);
	to[3] = address;
}
