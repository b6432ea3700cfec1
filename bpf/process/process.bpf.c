// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Fork, exec, exit and OOM kills, the cgroups they happen in, and the process
 * records that all other programs identify by. Two rungs share each handler:
 * tp_btf (typed loads) and raw_tp (probe reads), see cfg_typed.
 */
#include "cgroup.h"
#include "exec.h"
#include "exit.h"
#include "oom.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline int on_fork(struct task_struct *child, enum turn turn)
{
	__u32 tgid = LOAD(child, tgid);

	if (LOAD(child, pid) != (int)tgid)
		return 0; /* a thread */

	struct fork_record r = {};
	struct process p = {};

	/* real_parent, not the caller: CLONE_PARENT makes the caller's parent the parent. */
	if (turn == RESCUE) {
		if (was_handled(AT_FORK, child) || find_process(child))
			return 0;
		count_rescue(&fork_rescues);
		child = PLAIN(child);
	} else {
		handles(AT_FORK, child);
	}
	describe(&p, child);
	p.id.exec_ns = p.id.start_ns;
	if (bpf_map_update_elem(&processes, &tgid, &p, BPF_ANY))
		count_loss(LOSS_TABLE_FULL, EVENT_FORK);
	event_header(&r.header, EVENT_FORK, sizeof(r));
	r.process = p;
	bpf_get_current_comm(r.comm, sizeof(r.comm));
	emit_critical(&r.header, sizeof(r));
	return 0;
}

SEC("tp_btf/sched_process_fork")
int fork_btf(__u64 *ctx)
{
	return on_fork((struct task_struct *)ctx[1], FIRST);
}

SEC("tp_btf/sched_process_fork")
int fork2_btf(__u64 *ctx)
{
	return on_fork((struct task_struct *)ctx[1], RESCUE);
}

SEC("raw_tp/sched_process_fork")
int fork_raw(__u64 *ctx)
{
	return on_fork((struct task_struct *)ctx[1], FIRST);
}

SEC("raw_tp/sched_process_fork")
int fork2_raw(__u64 *ctx)
{
	return on_fork((struct task_struct *)ctx[1], RESCUE);
}

SEC("tp_btf/sched_process_exec")
int exec_btf(__u64 *ctx)
{
	return on_exec((struct task_struct *)ctx[0], (struct linux_binprm *)ctx[2], FIRST);
}

SEC("tp_btf/sched_process_exec")
int exec2_btf(__u64 *ctx)
{
	return on_exec((struct task_struct *)ctx[0], (struct linux_binprm *)ctx[2], RESCUE);
}

SEC("raw_tp/sched_process_exec")
int exec_raw(__u64 *ctx)
{
	return on_exec((struct task_struct *)ctx[0], (struct linux_binprm *)ctx[2], FIRST);
}

SEC("raw_tp/sched_process_exec")
int exec2_raw(__u64 *ctx)
{
	return on_exec((struct task_struct *)ctx[0], (struct linux_binprm *)ctx[2], RESCUE);
}

SEC("tp_btf/sched_process_exit")
int exit_btf(__u64 *ctx)
{
	return on_exit(ctx, FIRST);
}

SEC("tp_btf/sched_process_exit")
int exit2_btf(__u64 *ctx)
{
	return on_exit(ctx, RESCUE);
}

SEC("raw_tp/sched_process_exit")
int exit_raw(__u64 *ctx)
{
	return on_exit(ctx, FIRST);
}

SEC("raw_tp/sched_process_exit")
int exit2_raw(__u64 *ctx)
{
	return on_exit(ctx, RESCUE);
}

SEC("tp_btf/cgroup_mkdir")
int mkdir_btf(__u64 *ctx)
{
	return on_cgroup(EVENT_CGROUP_MKDIR, (struct cgroup *)ctx[0], (const char *)ctx[1]);
}

SEC("raw_tp/cgroup_mkdir")
int mkdir_raw(__u64 *ctx)
{
	return on_cgroup(EVENT_CGROUP_MKDIR, (struct cgroup *)ctx[0], (const char *)ctx[1]);
}

SEC("tp_btf/cgroup_rmdir")
int rmdir_btf(__u64 *ctx)
{
	return on_cgroup(EVENT_CGROUP_RMDIR, (struct cgroup *)ctx[0], (const char *)ctx[1]);
}

SEC("raw_tp/cgroup_rmdir")
int rmdir_raw(__u64 *ctx)
{
	return on_cgroup(EVENT_CGROUP_RMDIR, (struct cgroup *)ctx[0], (const char *)ctx[1]);
}

SEC("tp_btf/cgroup_attach_task")
int attach_btf(__u64 *ctx)
{
	return on_attach((struct cgroup *)ctx[0], (struct task_struct *)ctx[2]);
}

SEC("raw_tp/cgroup_attach_task")
int attach_raw(__u64 *ctx)
{
	return on_attach((struct cgroup *)ctx[0], (struct task_struct *)ctx[2]);
}

/* The victim is a task since 6.10, a bare pid before: two programs, two rungs. */
SEC("tp_btf/mark_victim")
int oom_task(__u64 *ctx)
{
	struct task_struct *victim = (struct task_struct *)ctx[0];
	struct task_struct *task = PLAIN(victim);
	struct oom_record r = {};

	find_exec_id(&r.id, task);
	record_oom(&r, task);
	event_header(&r.header, EVENT_OOM, sizeof(r));
	emit_critical(&r.header, sizeof(r));
	return 0;
}

struct trace_event_raw_mark_victim {
	unsigned long total_vm; /* came with the task, in 6.10 */
} CO_RE;

SEC("tp_btf/mark_victim")
int oom_pid(__u64 *ctx)
{
	/* A task's address would pass for a pid: this call makes the verifier refuse the program. */
	if (bpf_core_field_exists(struct trace_event_raw_mark_victim, total_vm))
		return bpf_map_delete_elem(0, 0);

	__u32 tgid = (__u32)ctx[0];
	struct process *p = bpf_map_lookup_elem(&processes, &tgid);
	struct oom_record r = {};

	if (p) {
		r.id = p->id;
		r.cgroup_id = p->cgroup_id;
		asm volatile("" : : : "memory");
		if (p->id.tgid != tgid) { /* another's by now: see is_of */
			__builtin_memset(&r.id, 0, sizeof(r.id));
			r.cgroup_id = 0;
		}
	}
	r.id.tgid = tgid;
	event_header(&r.header, EVENT_OOM, sizeof(r));
	emit_critical(&r.header, sizeof(r));
	return 0;
}

struct bpf_iter_meta {
	struct seq_file *seq;
} CO_RE;

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} CO_RE;

/*
 * add_existing records a process that was there first. A record that tracing has
 * written meanwhile is newer: it stays, and p becomes it; its exit deletes it. A
 * process that is ending is not added behind the back of its exit, which deletes the
 * record after live has become 0.
 */
static __always_inline bool add_existing(struct process *p, struct task_struct *task)
{
	__u32 tgid = task->tgid;
	bool ours = true;

	if (bpf_map_update_elem(&processes, &tgid, p, BPF_NOEXIST)) {
		struct process known;

		ours = !copy_process(&known, task);
		if (!ours)
			*p = known;
		/* Where a record is, but of an earlier process, its exit was not seen. */
		else
			bpf_map_update_elem(&processes, &tgid, p, BPF_EXIST);
		/* Without room nothing is lost here: user space has the process from this scan. */
	}
	if (task->signal->live.counter)
		return true;
	if (ours)
		bpf_map_delete_elem(&processes, &tgid);
	return false;
}

/* One pass over the tasks that were there first. */
SEC("iter/task")
int existing(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (!task)
		return 0;
	task = PLAIN(task);
	if (task->pid != task->tgid)
		return 0;
	if (!task->signal->live.counter)
		return 0; /* a zombie: its exit is over */

	struct process p = {};

	describe(&p, task);
	p.flags = PROCESS_PREEXISTING;
	if (add_existing(&p, task))
		bpf_seq_write(ctx->meta->seq, &p, sizeof(p));
	return 0;
}
