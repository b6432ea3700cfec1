// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Who connects to which unix socket (stream and seqpacket), and who listens there.
 *
 * The kernel itself keeps who called listen(2), for SO_PEERCRED. At the end of a connect
 * the connecting socket has a copy. Where a program cannot be attached there, the wake-up
 * of the listener tells as much, in the same system call, of connects that succeed.
 */
#include "record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define AF_UNIX 1
#define TCP_LISTEN 10 /* unix sockets use TCP's states */

/* The reader never sees it: the system call is made again. */
#define ERESTARTSYS 512

/* enum pid_type, since 4.19 */
#define PIDTYPE_TGID 1

struct sockaddr_un {
	__u16 sun_family;
	char sun_path[UNIX_NAME_BYTES];
} CO_RE;

struct unix_address {
	int len; /* of the whole sockaddr_un */
	struct sockaddr_un name[1];
} CO_RE;

struct unix_sock {
	struct sock sk;
	struct unix_address *addr;
	struct sock *peer;
} CO_RE;

/* Zeroed, for its padding crosses to user space. */
static __always_inline void begin(struct unix_record *r)
{
	__builtin_memset(r, 0, sizeof(*r));
	event_header(&r->header, EVENT_UNIX, sizeof(*r));
	find_exec_id(&r->owner, current_task());
}

/* `bytes` of an address, its family included. Its name need not end with 0. */
static __always_inline void read_name(struct unix_record *r, const void *path, int bytes)
{
	__u64 length = BOUND((__u64)bytes - sizeof(__u16), UNIX_NAME_BYTES);

	asm volatile("" : "+r"(length));
	length &= UNIX_NAME_ROOM - 1;
	if (length && cfg_probe_read && !bpf_probe_read_kernel(r->name, length, path))
		r->length = length;
	else
		r->flags |= UNIX_NAME_UNREAD;
}

static __always_inline void read_bound_name(struct unix_record *r, struct sock *listening)
{
	r->flags |= UNIX_LISTENER;
	if (!cfg_probe_read) {
		r->flags |= UNIX_NAME_UNREAD;
		return;
	}
	struct unix_address *address = BPF_CORE_READ((struct unix_sock *)listening, addr);

	read_name(r, &address->name[0].sun_path, BPF_CORE_READ(address, len));
}

/* The number of a process that has ended may be another's by now: it is then told as it was. */
static __always_inline void read_peer(struct unix_record *r, struct sock *sk)
{
	struct pid *pid = sk->sk_peer_pid;
	const struct cred *cred = sk->sk_peer_cred;

	r->netns = sk->__sk_common.skc_net.net->ns.inum;
	if (cred)
		r->peer_uid = cred->euid.val;
	if (!pid)
		return;
	__u32 tgid = pid->numbers[0].nr;
	struct process *p = bpf_map_lookup_elem(&processes, &tgid);

	if (!pid->tasks[PIDTYPE_TGID].first)
		r->flags |= UNIX_PEER_GONE;
	else if (p)
		r->peer = p->id;
	if (r->peer.tgid != tgid) {
		__builtin_memset(&r->peer, 0, sizeof(r->peer));
		r->peer.tgid = tgid;
	}
}

/* int unix_stream_connect(struct socket *, struct sockaddr *, int, int), for seqpacket too. */
SEC("fexit/unix_stream_connect")
int connect_exit(__u64 *ctx)
{
	struct socket *socket = (struct socket *)ctx[0];
	int error = -(int)ctx[4];
	struct sock *sk = socket->sk;
	struct unix_record r;

	if (!sk || error >= ERESTARTSYS)
		return 0;
	begin(&r);
	r.type = socket->type;
	r.flags = UNIX_RESULT;
	r.error = error;
	if (error) {
		struct sockaddr_un *asked = (struct sockaddr_un *)ctx[1];

		read_name(&r, &asked->sun_path, (int)ctx[2]);
	} else {
		read_peer(&r, sk);
		/* The accepting end has the listener's address, and lives as long as this one. */
		read_bound_name(&r, cfg_probe_read ? BPF_CORE_READ((struct unix_sock *)sk, peer) : 0);
	}
	emit_telemetry(&r.header, sizeof(r));
	return 0;
}

/* A listening unix socket wakes its process for one reason: somebody connects. */
SEC("tp_btf/sk_data_ready")
int data_ready(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];

	if (sk->__sk_common.skc_state != TCP_LISTEN || sk->__sk_common.skc_family != AF_UNIX)
		return 0;
	/* Not the trusted argument: for each load by way of that the verifier searches all types by name. */
	struct unix_sock *u = bpf_skc_to_unix_sock(sk);
	struct unix_record r;

	if (!u)
		return 0;
	sk = &u->sk;
	begin(&r);
	r.type = sk->sk_type;
	r.flags = UNIX_RESULT;
	read_peer(&r, sk);
	read_bound_name(&r, sk);
	emit_telemetry(&r.header, sizeof(r));
	return 0;
}
