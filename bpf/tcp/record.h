/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the TCP sensor knows of a socket, and the records made from it. */
#pragma once

#include "identity.h"

/* How the owner of a socket was found. */
enum tcp_source {
	TCP_SOURCE_NONE = 0,
	TCP_SOURCE_CONNECT = 1,  /* the connector, in connect(2) */
	TCP_SOURCE_LISTEN = 2,   /* in listen(2) */
	TCP_SOURCE_LISTENER = 3, /* inherited: not accepted, or its acceptor has not shown itself */
	TCP_SOURCE_ACCEPT = 4,   /* the acceptor, in accept(2) */
	TCP_SOURCE_IO = 5,       /* the first to read, write, shut down or close it after accept(2) */
	TCP_SOURCE_SCAN = 6,     /* a holder of a descriptor when the agent started */
	TCP_SOURCES = 7,
};

/* Why a connection ended. */
enum tcp_reason {
	TCP_REASON_NONE = 0,
	TCP_REASON_LOCAL = 1,      /* this end closed first */
	TCP_REASON_PEER = 2,       /* the other end closed first */
	TCP_REASON_RESET = 3,      /* the other end sent RST */
	TCP_REASON_ABORT = 4,      /* this end sent RST: unread data, SO_LINGER 0, ss -K */
	TCP_REASON_TIMEOUT = 5,
	TCP_REASON_REFUSED = 6,
	TCP_REASON_ERROR = 7,
	TCP_REASON_UNACCEPTED = 8, /* its listener ended before it was taken from the queue */
	TCP_REASONS = 9,
};

enum tcp_flag {
	TCP_PASSIVE = 1,        /* made by a listener */
	TCP_LISTENER = 4,
	TCP_PENDING = 8,        /* connect(2) was called and no SYN has followed yet */
	TCP_CLOSED_LOCAL = 16,  /* this end sent its FIN before it had the other's */
	TCP_CLOSED_PEER = 32,
	TCP_PREEXISTING = 64,   /* was there before its first event */
	TCP_FAILED = 128,       /* this connect failed; error 0: why is not known */
	TCP_SUBFLOW = 256,      /* carries MPTCP, alone or with others */
	TCP_FLAGS = 512,
};

/* How far the accept of a passive end has come. */
enum tcp_accept {
	TCP_ACCEPT_NONE = 0,  /* it waits in the listener's queue, as far as is known */
	TCP_ACCEPT_TAKEN = 1, /* by a process that is known */
	TCP_ACCEPT_TOLD = 2,  /* and the record has been made */
};

/* Both ends of a socket; IPv4 as ::ffff:a.b.c.d, ports in host order. */
struct tcp_ends {
	__be32 local[4], remote[4];
	__u16 local_port, remote_port;
	__u32 netns;
};

struct tcp_socket {
	struct exec_id owner; /* all 0 where it is not known */
	__u64 id;             /* unique per boot */
	__u64 opened_ns;
	__u64 established_ns; /* 0: not established */
	/* Kept here: at CLOSE the kernel has already taken the port away. */
	struct tcp_ends ends;
	/*
	 * `flags` and `state` are changed by holders of the socket's lock only: no atomics are
	 * needed (5.10 has none that would do). accept(2) and the end of a send do not hold it.
	 * They store into `owner`, `source` and `accept`, and what they store rests on no load.
	 */
	__u16 flags;
	__u16 family; /* of the socket; an AF_INET6 socket may carry IPv4 */
	__u8 state;   /* the last that a program has handled */
	__u8 source;
	__u8 accept;
	__u8 pad;
};

/* What a socket has carried. Payload bytes: sent once, received in order. */
struct tcp_traffic {
	__u64 bytes_sent, bytes_received;
	__u32 segments_sent, segments_received;
	__u32 rtt_us, rtt_var_us;
	__u32 retransmits;
	__u32 pad;
};

/* What an open socket has carried so far; nothing for a listener. */
struct tcp_count {
	__u64 id; /* the socket's */
	struct tcp_traffic traffic;
};

/*
 * All but EVENT_CLOSE end before the traffic. ESTABLISHED tells of the passive end
 * before anybody has accepted it, and of a socket older than the programs at its first
 * I/O; UNLISTEN of the end of a listener. In rare races ACCEPT comes twice, or after CLOSE.
 */
struct tcp_record {
	struct event_header header;
	struct tcp_socket socket;
	__u16 error;   /* errno of a failed connect */
	__u16 reason;  /* of a close */
	__u32 backlog; /* of a listener */
	struct tcp_traffic traffic;
};

#define TCP_OPEN_BYTES __builtin_offsetof(struct tcp_record, traffic)
