// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Fork, exec, exit and OOM kills, the cgroups they happen in, and the process
 * records that all other programs identify by. Two rungs share each handler:
 * tp_btf (typed loads) and raw_tp (probe reads), see cfg_typed.
 */
#include "record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * The kernel does not run a program on a CPU where it is already at work, and from 7.x
 * on a tracepoint's programs can be preempted by another task that comes by. So each
 * handler is there twice: the second one, the rescue, comes after the first at the same
 * tracepoint, and does the work if it sees that the first was left out.
 */
enum turn { FIRST, RESCUE };

/* What each rescue has handled, so that only the rest counts as missed. */
#define RESCUES(name)                                    \
	struct {                                         \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); \
		__uint(max_entries, 1);                  \
		__type(key, __u32);                      \
		__type(value, __u64);                    \
	} name SEC(".maps")

RESCUES(fork_rescues);
RESCUES(exec_rescues);
RESCUES(exit_rescues);

static __always_inline void count_rescue(void *rescues)
{
	__u32 zero = 0;
	__u64 *n = bpf_map_lookup_elem(rescues, &zero);

	if (n)
		(*n)++;
}

static __always_inline int on_fork(struct task_struct *child, enum turn turn)
{
	__u32 tgid = LOAD(child, tgid);

	if (LOAD(child, pid) != (int)tgid)
		return 0; /* a thread */

	struct fork_record r = {};
	struct process p = {};

	/* real_parent, not the caller: CLONE_PARENT makes the caller's parent the parent. */
	find_exec_id(&p.parent, LOAD(child, real_parent));
	task_id(&p.id, child);
	p.execs = exec_count(child);
	p.cgroup_id = cgroup_id(child);
	p.uid = effective_uid(child);
	if (turn == RESCUE) {
		/* Fails where the first has been, and where there is no room. */
		if (find_process(child) || bpf_map_update_elem(&processes, &tgid, &p, BPF_NOEXIST))
			return 0;
		count_rescue(&fork_rescues);
	} else if (bpf_map_update_elem(&processes, &tgid, &p, BPF_ANY)) {
		count_loss(LOSS_TABLE_FULL, EVENT_FORK);
	}
	event_header(&r.header, EVENT_FORK, sizeof(r));
	r.process = p;
	bpf_get_current_comm(r.comm, sizeof(r.comm));
	emit_critical(&r.header, sizeof(r));
	return 0;
}

/*
 * The parent may have exec'd, or died and left this to a reaper, since the fork. One
 * that is ending has no record any more while it still is the parent.
 */
static __always_inline void renew_parent(struct exec_id *id, struct task_struct *parent)
{
	struct process *p = find_process(parent);
	struct exec_id now;

	if (p) {
		*id = p->id;
		return;
	}
	task_id(&now, parent);
	if (now.tgid != id->tgid || now.start_ns != id->start_ns)
		*id = now;
}

static __always_inline void remember_exec(struct task_struct *task, struct exec_record *r)
{
	__u32 tgid = LOAD(task, tgid);
	struct process *p = find_process(task);

	if (!p) {
		struct process fresh = {};

		task_id(&fresh.id, task);
		find_exec_id(&fresh.parent, LOAD(task, real_parent));
		fresh.id.exec_ns = r->header.boot_ns;
		fresh.execs = exec_count(task);
		fresh.cgroup_id = cgroup_id(task);
		fresh.uid = effective_uid(task);
		if (bpf_map_update_elem(&processes, &tgid, &fresh, BPF_ANY))
			count_loss(LOSS_TABLE_FULL, EVENT_EXEC);
		r->process = fresh;
		return;
	}
	renew_parent(&p->parent, LOAD(task, real_parent));
	p->id.exec_ns = r->header.boot_ns;
	p->execs = exec_count(task);
	p->cgroup_id = cgroup_id(task);
	p->uid = effective_uid(task);
	r->process = *p;
}

static __always_inline bool exec_was_seen(struct task_struct *task)
{
	struct process *p = find_process(task);

	return !p || p->execs == exec_count(task);
}

static __always_inline int on_exec(struct task_struct *task, struct linux_binprm *bprm, enum turn turn)
{
	__u32 slot = turn;
	struct exec_record *r = bpf_map_lookup_elem(&exec_scratch, &slot);

	if (!r)
		return 0;
	if (turn == RESCUE) {
		if (exec_was_seen(task))
			return 0;
		count_rescue(&exec_rescues);
	}
	event_header(&r->header, EVENT_EXEC, 0);
	remember_exec(task, r);
	bpf_get_current_comm(r->comm, sizeof(r->comm));
	record_credentials(&r->credentials, task);
	record_namespaces(&r->namespaces, task);
	record_session(r, task);
	record_file(r, task, bprm);
	__u64 length = BOUND(record_strings(r, task, bprm, slot), sizeof(*r));

	r->header.length = length;
	emit_critical(&r->header, length);
	return 0;
}

/* Since 6.16 the tracepoint says whether this is the last thread. */
struct trace_event_raw_sched_process_exit {
	bool group_dead;
} CO_RE;

/* Each thread comes by. Before 6.16 two last ones may both find live at 0. */
static __always_inline bool last_thread(__u64 *ctx, struct signal_struct *signal)
{
	if (bpf_core_field_exists(struct trace_event_raw_sched_process_exit, group_dead))
		return ctx[1] & 1;
	return !LOAD(signal, live.counter);
}

static __always_inline int on_exit(__u64 *ctx, enum turn turn)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	struct signal_struct *signal = LOAD(task, signal);

	if (!last_thread(ctx, signal))
		return 0;

	struct exit_record r = {};
	struct process *p = find_process(task);
	__u32 tgid = LOAD(task, tgid);

	if (turn == RESCUE) {
		if (!p)
			return 0;
		count_rescue(&exit_rescues);
	}
	if (p)
		r.process = *p;
	else
		task_id(&r.process.id, task);
	/* Only one of two last threads can delete the record; without one user space tells them apart. */
	if (bpf_map_delete_elem(&processes, &tgid) == -ENOENT && p)
		return 0;
	event_header(&r.header, EVENT_EXIT, sizeof(r));
	record_end(&r, task, signal);
	bpf_get_current_comm(r.comm, sizeof(r.comm));
	emit_critical(&r.header, sizeof(r));
	return 0;
}

static __always_inline int on_cgroup(__u16 type, struct cgroup *cgroup, const char *path)
{
	struct cgroup_root *root = LOAD(cgroup, root);

	if (LOAD(root, hierarchy_id) != cfg_cgroup_hierarchy)
		return 0;

	__u32 zero = 0;
	struct cgroup_record *r = bpf_map_lookup_elem(&cgroup_scratch, &zero);

	if (!r)
		return 0;
	struct kernfs_node *kn = LOAD(cgroup, kn);
	long n = 0;

	r->cgroup_id = LOAD(kn, id);
	r->pad = 0;
	if (cfg_probe_read)
		n = bpf_probe_read_kernel_str(r->path, sizeof(r->path), path);
	r->path_length = n > 0 ? n : 0;
	__u64 length = BOUND(sizeof(*r) - sizeof(r->path) + r->path_length, sizeof(*r));

	event_header(&r->header, type, length);
	emit_critical(&r->header, length);
	return 0;
}

static __always_inline int on_attach(struct cgroup *cgroup, struct task_struct *task)
{
	struct cgroup_root *root = LOAD(cgroup, root);

	if (LOAD(root, hierarchy_id) != cfg_cgroup_hierarchy)
		return 0;
	/* v1 moves single threads too: a process is where its leader is. */
	if (LOAD(task, pid) != LOAD(task, tgid))
		return 0;

	struct attach_record r = {};
	struct process *p = find_process(task);
	struct kernfs_node *kn = LOAD(cgroup, kn);

	r.cgroup_id = LOAD(kn, id);
	if (p) {
		p->cgroup_id = r.cgroup_id;
		r.id = p->id;
	} else {
		task_id(&r.id, task);
	}
	event_header(&r.header, EVENT_CGROUP_ATTACH, sizeof(r));
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
	struct task_struct *task = (struct task_struct *)ctx[0];
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
	}
	r.id.tgid = tgid;
	event_header(&r.header, EVENT_OOM, sizeof(r));
	emit_critical(&r.header, sizeof(r));
	return 0;
}

/*
 * add_existing records a process that was there first. A record that tracing has
 * written meanwhile is newer: it stays, and p becomes it. A process that is ending
 * is not added behind the back of its exit, which deletes the record after live
 * has become 0.
 */
static __always_inline bool add_existing(struct process *p, struct task_struct *task)
{
	__u32 tgid = task->tgid;
	struct process *known;

	if (bpf_map_update_elem(&processes, &tgid, p, BPF_NOEXIST)) {
		known = find_process(task);
		if (known)
			*p = *known;
		/* Where a record is, but of an earlier process, its exit was not seen. */
		else
			bpf_map_update_elem(&processes, &tgid, p, BPF_EXIST);
		/* Without room nothing is lost here: user space has the process from this scan. */
	}
	if (task->signal->live.counter)
		return true;
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
	if (task->pid != task->tgid)
		return 0;
	if (!task->signal->live.counter)
		return 0; /* a zombie: its exit is over */

	struct process p = {};

	task_id(&p.id, task);
	find_exec_id(&p.parent, task->real_parent);
	p.execs = exec_count(task);
	p.cgroup_id = cgroup_id(task);
	p.uid = effective_uid(task);
	p.flags = PROCESS_PREEXISTING;
	if (add_existing(&p, task))
		bpf_seq_write(ctx->meta->seq, &p, sizeof(p));
	return 0;
}
