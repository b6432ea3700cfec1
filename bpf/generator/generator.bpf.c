// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * A generator that can be counted: writes well-formed records into an agent's
 * rings by the same path as the sensors and counts what it has produced, so that
 * a benchmark can check received + lost = produced. Never loaded by the agent.
 */
#include "../process/record.h"
#include "../tcp/record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct produced {
	__u64 forks, exits, ooms, listens;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct produced);
} produced SEC(".maps");

/* How often one run repeats its four records. */
const volatile __u32 cfg_batch = 25;

/* Above every pid_max: no real process can be meant. */
#define FIRST_TGID (1U << 30)

static __always_inline void generate_process(struct produced *n)
{
	struct fork_record fork = {};
	struct exit_record exit = {};
	struct oom_record oom = {};

	event_header(&fork.header, EVENT_FORK, sizeof(fork));
	fork.process.id.start_ns = fork.process.id.exec_ns = fork.header.boot_ns;
	fork.process.id.tgid = FIRST_TGID + (__u32)(n->forks & 0xffff);
	emit_critical(&fork.header, sizeof(fork));
	n->forks++;

	event_header(&oom.header, EVENT_OOM, sizeof(oom));
	oom.id = fork.process.id;
	emit_critical(&oom.header, sizeof(oom));
	n->ooms++;

	event_header(&exit.header, EVENT_EXIT, sizeof(exit));
	exit.process = fork.process;
	emit_critical(&exit.header, sizeof(exit));
	n->exits++;
}

static __always_inline void generate_listen(struct produced *n)
{
	struct tcp_record r = {};

	event_header(&r.header, EVENT_LISTEN, TCP_OPEN_BYTES);
	r.socket.id = 1ULL << 62 | n->listens;
	r.socket.owner.tgid = FIRST_TGID;
	r.socket.opened_ns = r.header.boot_ns;
	r.socket.family = 2;
	r.socket.flags = TCP_LISTENER;
	r.socket.ends.local_port = n->listens;
	emit_telemetry(&r.header, TCP_OPEN_BYTES);
	n->listens++;
}

/*
 * Each turn is a process that forks, is named by the OOM killer and exits, and a
 * listen. An idle host has no OOM kills and no listens of its own, so these two can be
 * reconciled exactly. Run by BPF_PROG_TEST_RUN.
 */
SEC("raw_tp/skep_generator")
int generate(void *ctx)
{
	__u32 zero = 0;
	struct produced *n = bpf_map_lookup_elem(&produced, &zero);

	if (!n)
		return 0;
	_Pragma("clang loop unroll(disable)")
	for (__u32 i = 0; i < cfg_batch && i < 1000; i++) {
		generate_process(n);
		generate_listen(n);
	}
	return 0;
}
