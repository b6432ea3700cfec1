/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A unix socket's connect. */
#pragma once

#include "identity.h"

#define UNIX_NAME_BYTES 108 /* sizeof(sun_path), part of the kernel's ABI */
#define UNIX_NAME_ROOM 128  /* a power of two, by which older verifiers see a bound */

enum unix_flag {
	UNIX_RESULT = 1,      /* error is how it ended; else it is seen only that it was made */
	UNIX_LISTENER = 2,    /* the name is that of the listener, as it was bound; else what was asked for */
	UNIX_PEER_GONE = 4,   /* who called listen(2) has ended: others hold its socket */
	UNIX_NAME_UNREAD = 8, /* no name could be read */
};

/* EVENT_UNIX: a connect to a stream or seqpacket socket. */
struct unix_record {
	struct event_header header;
	struct exec_id owner; /* who connects */
	struct exec_id peer;  /* who called listen(2): all 0 where it failed; start_ns 0 where only the pid is known */
	__u32 peer_uid;
	__u32 netns; /* of the listener; 0 where it failed */
	__u16 error; /* errno */
	__u16 type;  /* of the socket, as in socket(2) */
	__u8 flags;
	__u8 length; /* of the name; an abstract one begins with 0 */
	__u16 pad;
	char name[UNIX_NAME_ROOM];
	__u32 pad2;
};
