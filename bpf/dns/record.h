/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A DNS packet on its way out of this host's sockets or into them. */
#pragma once

#include "identity.h"

enum dns_flag {
	DNS_INCOMING = 1,
};

/*
 * EVENT_DNS: one datagram, or what one TCP segment carries. The first bytes of the
 * payload, as many as `captured`, follow the record; they are not looked at here.
 */
struct dns_record {
	struct event_header header;
	struct exec_id owner; /* of an outgoing packet; all 0 where it is not known */
	__u64 socket;         /* the kernel's cookie of the socket, unique per boot */
	__be32 local[4], remote[4]; /* IPv4 as ::ffff:a.b.c.d; remote as the process named it */
	__u16 local_port, remote_port;
	__u32 netns;    /* the socket's, of an outgoing packet; 0 where it is not known */
	__u32 sequence; /* TCP: number of the first byte of the payload */
	__u32 length;   /* of the whole payload */
	__u16 captured;
	__u8 protocol;
	__u8 flags;
	__u32 pad;
};
