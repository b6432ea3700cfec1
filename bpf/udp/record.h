/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the UDP sensor knows of a flow: what one socket and one peer send each other. */
#pragma once

#include "identity.h"

/* How the owner of a flow was found, from the weakest to the strongest. */
enum udp_source {
	UDP_SOURCE_NONE = 0,
	UDP_SOURCE_SCAN = 1,    /* a holder of a descriptor when the agent started */
	UDP_SOURCE_BIND = 2,    /* in bind(2) */
	UDP_SOURCE_RECEIVE = 3, /* the first to ask in recvfrom(2) who has sent */
	UDP_SOURCE_SEND = 4,    /* the first to send */
	UDP_SOURCES = 5,
};

enum udp_flag {
	UDP_INBOUND = 1, /* the peer sent first, as far as was seen */
	UDP_PREEXISTING = 2, /* its socket was there before the programs */
};

struct udp_key {
	__u64 socket;     /* the kernel's cookie of the socket, unique per boot */
	__be32 remote[4]; /* IPv4 as ::ffff:a.b.c.d; as the process named it, where that is known */
	__u16 remote_port;
	__u16 pad[3];
};

/* Bytes are payload. Of GSO and GRO each datagram of a train counts. */
struct udp_flow {
	struct exec_id owner; /* all 0 where it is not known */
	__u64 first_ns;       /* boot time */
	__u64 last_ns;        /* CLOCK_MONOTONIC, as coarse as the kernel has it */
	__u64 bytes_sent, bytes_received;
	__u64 packets_sent, packets_received;
	__be32 local[4]; /* of the first datagram */
	__u16 local_port;
	__u16 family; /* of the socket; an AF_INET6 socket may carry IPv4 */
	__u32 netns;  /* 0 where it is not known */
	__u8 source;
	__u8 flags;
	__u16 pad[3];
};

/* EVENT_UDP: a socket that has flows was closed. They are in the map still. */
struct udp_closed {
	struct event_header header;
	__u64 socket;
};
