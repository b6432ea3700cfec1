// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * A generator that can be counted: writes well-formed records into an agent's
 * rings by the same path as the sensors and counts what it has produced, so that
 * a benchmark can check received + lost = produced. Never loaded by the agent.
 */
#include "../process/record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct produced {
	__u64 forks, exits;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct produced);
} produced SEC(".maps");

/* Records of each kind that one run produces. */
const volatile __u32 cfg_batch = 25;

/* Above every pid_max: no real process can be meant. */
#define FIRST_TGID (1U << 30)

/* One process that forks and exits: two records. Run by BPF_PROG_TEST_RUN. */
SEC("raw_tp/skep_generator")
int generate(void *ctx)
{
	__u32 zero = 0;
	struct produced *n = bpf_map_lookup_elem(&produced, &zero);

	if (!n)
		return 0;
	_Pragma("clang loop unroll(disable)")
	for (__u32 i = 0; i < cfg_batch && i < 1000; i++) {
		struct fork_record fork = {};
		struct exit_record exit = {};

		event_header(&fork.header, EVENT_FORK, sizeof(fork));
		fork.process.id.start_ns = fork.process.id.exec_ns = fork.header.boot_ns;
		fork.process.id.tgid = FIRST_TGID + (__u32)(n->forks & 0xffff);
		emit_critical(&fork.header, sizeof(fork));
		n->forks++;

		event_header(&exit.header, EVENT_EXIT, sizeof(exit));
		exit.process = fork.process;
		emit_critical(&exit.header, sizeof(exit));
		n->exits++;
	}
	return 0;
}
