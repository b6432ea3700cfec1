/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The process sensor's records and how they are filled in. */
#pragma once

#include "identity.h"
#include "path.h"

#define ARGS_BYTES 4096
#define CGROUP_PATH_BYTES 1024
#define FILENAME_BYTES 1024

struct fork_record {
	struct event_header header;
	struct process process;
	char comm[16];
};

struct credentials {
	__u32 uid, gid, euid, egid, suid, sgid, fsuid, fsgid;
	__u32 login_uid;
	__u32 pad;
	__u64 inheritable, permitted, effective, bounding, ambient;
};

struct namespaces {
	__u32 cgroup, ipc, mnt, net, pid, time, user, uts;
};

#define EXEC_SETUID 1
#define EXEC_SETGID 2
#define EXEC_FILE_CAPS 4
#define EXEC_UNLINKED 8
#define EXEC_SCRIPT 16
#define EXEC_ARGS_TRUNCATED 32
#define EXEC_NO_PATHS 64 /* names could not be read here: see /proc */

/* The fixed part of an exec record. */
struct exec_head {
	struct event_header header;
	struct process process;
	char comm[16];
	char tty[16];
	struct credentials credentials;
	struct namespaces namespaces;
	__u64 inode;
	__u32 device; /* kernel dev_t: major << 20 | minor */
	__u32 flags;
	__u32 ns_pid;
	__u32 session;
	/* The strings follow one another in text, in this order. */
	__u16 args_length;
	__u16 filename_length;
	__u16 exe_length;
	__u16 cwd_length;
	__u16 exe_path_flags;
	__u16 cwd_path_flags;
	__u32 end; /* sum of the lengths */
};

struct exec_record {
	struct exec_head; /* anonymous: its fields are the record's (-fms-extensions) */
	char text[ARGS_BYTES + FILENAME_BYTES + 2 * (PATH_MAX_BYTES + NAME_MAX_BYTES)];
};

struct exit_record {
	struct event_header header;
	struct process process;
	char comm[16];
	__u32 status; /* as wait(2) gives it */
	__u32 pad;
	__u64 max_rss_pages;
	__u64 user_ns, system_ns; /* tick-based: only their proportion is good */
	__u64 runtime_ns;         /* sum of both, good to a tick for what runs right now */
};

struct oom_record {
	struct event_header header;
	struct exec_id id;
	__u64 cgroup_id;
	__u64 limit_pages, usage_pages;
	__u64 victim_pages;
};

struct cgroup_record {
	struct event_header header;
	__u64 cgroup_id;
	__u32 path_length; /* with its NUL; 0 where it could not be read */
	__u32 pad;
	char path[CGROUP_PATH_BYTES];
};

struct attach_record {
	struct event_header header;
	struct exec_id id;
	__u64 cgroup_id;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2); /* one for each turn */
	__type(key, __u32);
	__type(value, struct exec_record);
} exec_scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2); /* one for each turn */
	__type(key, __u32);
	__type(value, struct walk);
} walk_scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cgroup_record);
} cgroup_scratch SEC(".maps");

struct bpf_iter_meta {
	struct seq_file *seq;
} CO_RE;

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} CO_RE;

/* Since 6.3 a capability set is one 64-bit word. */
#define CAPS(cred, set)                                                                   \
	(bpf_core_field_exists(struct kernel_cap_struct___old, cap) ?                     \
		 (__u64)LOAD((struct cred_old *)(cred), set.cap[0]) |                     \
			 (__u64)LOAD((struct cred_old *)(cred), set.cap[1]) << 32 :       \
		 LOAD(cred, set.val))

struct cred___old {
	struct kernel_cap_struct___old cap_inheritable, cap_permitted, cap_effective, cap_bset, cap_ambient;
} CO_RE;
#define cred_old cred___old

static __always_inline void record_credentials(struct credentials *c, struct task_struct *task)
{
	const struct cred *cred = LOAD(task, cred);

	c->uid = LOAD(cred, uid.val);
	c->gid = LOAD(cred, gid.val);
	c->euid = LOAD(cred, euid.val);
	c->egid = LOAD(cred, egid.val);
	c->suid = LOAD(cred, suid.val);
	c->sgid = LOAD(cred, sgid.val);
	c->fsuid = LOAD(cred, fsuid.val);
	c->fsgid = LOAD(cred, fsgid.val);
	/* Absent without CONFIG_AUDIT. */
	c->login_uid = bpf_core_field_exists(task->loginuid) ? LOAD(task, loginuid.val) : ~0U;
	c->inheritable = CAPS(cred, cap_inheritable);
	c->permitted = CAPS(cred, cap_permitted);
	c->effective = CAPS(cred, cap_effective);
	c->bounding = CAPS(cred, cap_bset);
	c->ambient = CAPS(cred, cap_ambient);
}

/* Reads the inode number of the namespace that `field` of the nsproxy points to. */
#define NS_INUM(nsproxy, field, type)                                          \
	({                                                                     \
		struct type *__ns = LOAD(nsproxy, field);                      \
		__ns ? LOAD(__ns, ns.inum) : 0;                                \
	})

static __always_inline void record_namespaces(struct namespaces *n, struct task_struct *task)
{
	struct nsproxy *proxy = LOAD(task, nsproxy);
	const struct cred *cred = LOAD(task, cred);
	struct user_namespace *user = LOAD(cred, user_ns);

	n->user = LOAD(user, ns.inum);
	if (!proxy)
		return;
	n->cgroup = NS_INUM(proxy, cgroup_ns, cgroup_namespace);
	n->ipc = NS_INUM(proxy, ipc_ns, ipc_namespace);
	n->mnt = NS_INUM(proxy, mnt_ns, mnt_namespace);
	n->net = NS_INUM(proxy, net_ns, net);
	n->time = NS_INUM(proxy, time_ns, time_namespace);
	n->uts = NS_INUM(proxy, uts_ns, uts_namespace);
}

/*
 * Ids as the process's own pid namespace sees them. The array of upids is
 * indexed by the namespace's depth, which a typed load cannot do.
 */
static __always_inline void record_session(struct exec_record *r, struct task_struct *task)
{
	struct signal_struct *signal = LOAD(task, signal);
	struct tty_struct *tty = LOAD(signal, tty);

	r->ns_pid = 0;
	r->session = 0;
	r->namespaces.pid = 0;
	__builtin_memset(r->tty, 0, sizeof(r->tty));
	if (!cfg_probe_read)
		return;
	/* By helper, so that to the verifier it is a number to which one may add. */
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);
	struct upid *own = (struct upid *)((char *)pid + bpf_core_field_offset(struct pid, numbers) +
					   (level & 31) * bpf_core_type_size(struct upid));

	r->ns_pid = BPF_CORE_READ(own, nr);
	r->namespaces.pid = BPF_CORE_READ(own, ns, ns.inum);
	/* PIDTYPE_SID is 3 in enum pid_type since 4.18. */
	r->session = BPF_CORE_READ(signal, pids[3], numbers[0].nr);
	if (tty)
		bpf_probe_read_kernel_str(r->tty, sizeof(r->tty), &tty->name);
}

/* The user id that root of a user namespace has outside it; ~0 where it has none. */
static __always_inline __u32 root_of(struct user_namespace *user)
{
#define ROOT_EXTENT(i) \
	if (!LOAD(user, uid_map.extent[i].first) && LOAD(user, uid_map.extent[i].count)) \
		return LOAD(user, uid_map.extent[i].lower_first)
	ROOT_EXTENT(0);
	if (LOAD(user, uid_map.nr_extents) > 5)
		return ~0U;
	ROOT_EXTENT(1);
	ROOT_EXTENT(2);
	ROOT_EXTENT(3);
	ROOT_EXTENT(4);
	return ~0U;
}

static __always_inline void record_gains(struct exec_record *r, struct task_struct *task,
					 struct linux_binprm *bprm, struct inode *inode)
{
	const struct credentials *c = &r->credentials;
	const struct cred *cred = LOAD(task, cred);
	unsigned short mode = LOAD(inode, i_mode);
	__u32 root = root_of(LOAD(cred, user_ns));

	/*
	 * The personality bits to clear are set by an exec that honours S_ISUID or S_ISGID:
	 * not on a nosuid mount, nor under no_new_privs (fs/exec.c, bprm_fill_uid).
	 */
	if (LOAD(bprm, per_clear)) {
		if ((mode & 04000) && c->euid != c->uid && c->euid == LOAD(inode, i_uid.val))
			r->flags |= EXEC_SETUID;
		if ((mode & 02010) == 02010 && c->egid != c->gid && c->egid == LOAD(inode, i_gid.val))
			r->flags |= EXEC_SETGID;
	}
	/*
	 * capabilities(7): without root, P' = (F(permitted) & bounding) | (F(inheritable) &
	 * inheritable) | ambient, so what is not ambient came from the file.
	 */
	if (c->uid != root && c->euid != root && (c->permitted & ~c->ambient))
		r->flags |= EXEC_FILE_CAPS;
}

static __always_inline void record_file(struct exec_record *r, struct task_struct *task,
					struct linux_binprm *bprm)
{
	struct file *file = LOAD(bprm, file);
	struct inode *inode = LOAD(file, f_inode);
	struct super_block *sb = LOAD(inode, i_sb);

	r->flags = 0;
	r->inode = LOAD(inode, i_ino);
	r->device = LOAD(sb, s_dev);
	if (!LOAD(inode, i_nlink))
		r->flags |= EXEC_UNLINKED;
	/* A script's interpreter differs from the file that was named. */
	if (LOAD(bprm, interp) != LOAD(bprm, filename))
		r->flags |= EXEC_SCRIPT;
	record_gains(r, task, bprm, inode);
}

/*
 * append_path walks to `p` from the root of `fs` and appends the result at r->end,
 * which lies in memory for the same reason as struct walk does.
 */
static __always_inline void append_path(struct exec_record *r, struct path *p,
					struct fs_struct *fs, __u16 *length, __u16 *flags, __u32 slot)
{
	struct walk *w = bpf_map_lookup_elem(&walk_scratch, &slot);

	if (!w)
		return;
	walk_path(w, p, fs);
	*flags = w->flags;

	__u32 at = r->end, n = w->length;

	if (n > sizeof(w->text) || at > sizeof(r->text) - sizeof(w->text))
		return;
	bpf_probe_read_kernel(r->text + at, n, w->text);
	*length = n;
	r->end = at + n;
}

static __always_inline void record_args(struct exec_record *r, struct task_struct *task)
{
	struct mm_struct *mm = LOAD(task, mm);
	unsigned long start = LOAD(mm, arg_start);
	__u64 n = LOAD(mm, arg_end) - start;

	if (n > ARGS_BYTES) {
		n = ARGS_BYTES;
		r->flags |= EXEC_ARGS_TRUNCATED;
	}
	/* execve has just written these pages: the read does not fault. */
	if (bpf_probe_read_user(r->text, n, (void *)start)) {
		r->flags |= EXEC_NO_PATHS;
		return;
	}
	r->args_length = n;
	r->end = n;
}

static __always_inline void record_filename(struct exec_record *r, const char *filename)
{
	__u32 at = r->end;
	long n;

	if (at > ARGS_BYTES)
		return;
	n = bpf_probe_read_kernel_str(r->text + at, FILENAME_BYTES, filename);
	if (n <= 0)
		return;
	r->filename_length = n;
	r->end = at + n;
}

/* record_strings fills in the text and returns the length of the whole record. */
static __always_inline __u32 record_strings(struct exec_record *r, struct task_struct *task,
					    struct linux_binprm *bprm, __u32 slot)
{
	r->args_length = r->filename_length = r->exe_length = r->cwd_length = 0;
	r->exe_path_flags = r->cwd_path_flags = 0;
	r->end = 0;
	record_args(r, task);
	if (cfg_probe_read) {
		struct fs_struct *fs = LOAD(task, fs);
		struct file *file = LOAD(bprm, file);

		record_filename(r, LOAD(bprm, filename));
		append_path(r, &file->f_path, fs, &r->exe_length, &r->exe_path_flags, slot);
		append_path(r, &fs->pwd, fs, &r->cwd_length, &r->cwd_path_flags, slot);
	} else {
		r->flags |= EXEC_NO_PATHS;
	}
	return sizeof(*r) - sizeof(r->text) + r->end;
}

#define SIGNAL_GROUP_EXIT 4

/* The status that the parent's wait(2) sees: a group exit's, else the leader's own. */
static __always_inline __u32 wait_status(struct task_struct *task, struct signal_struct *signal)
{
	struct task_struct *leader = LOAD(task, group_leader);

	if (LOAD(signal, flags) & SIGNAL_GROUP_EXIT)
		return LOAD(signal, group_exit_code);
	return LOAD(leader, exit_code);
}

#define THREADS_MAX 256

static __always_inline void add_times(struct exit_record *r, struct task_struct *task)
{
	r->user_ns += LOAD(task, utime);
	r->system_ns += LOAD(task, stime);
	r->runtime_ns += LOAD(task, se.sum_exec_runtime);
}

/* The threads that have ended, but are not yet released; the leader never is before its parent waits. */
static __always_inline void add_threads(struct exit_record *r, struct signal_struct *signal)
{
	struct list_head *head = (void *)((char *)signal + bpf_core_field_offset(struct signal_struct, thread_head));
	struct list_head *node = BPF_CORE_READ(head, next);

	_Pragma("clang loop unroll(disable)")
	for (int i = 0; i < THREADS_MAX && node != head; i++) {
		struct task_struct *thread = (void *)((char *)node - bpf_core_field_offset(struct task_struct, thread_node));

		r->user_ns += BPF_CORE_READ(thread, utime);
		r->system_ns += BPF_CORE_READ(thread, stime);
		r->runtime_ns += BPF_CORE_READ(thread, se.sum_exec_runtime);
		node = BPF_CORE_READ(node, next);
	}
}

/*
 * sum_times adds up the CPU times of a process: signal holds those of the threads that
 * were released. What runs right now is counted up to the last tick only. It returns
 * false if a thread was released meanwhile.
 */
static __always_inline bool sum_times(struct exit_record *r, struct task_struct *task,
				      struct signal_struct *signal)
{
	__u64 released = LOAD(signal, sum_sched_runtime);
	struct task_struct *leader = LOAD(task, group_leader);

	r->user_ns = LOAD(signal, utime);
	r->system_ns = LOAD(signal, stime);
	r->runtime_ns = released;
	if (cfg_probe_read && LOAD(signal, nr_threads) > 1) {
		add_threads(r, signal);
	} else {
		add_times(r, task);
		if (leader != task)
			add_times(r, leader);
	}
	return released == LOAD(signal, sum_sched_runtime);
}

static __always_inline void record_end(struct exit_record *r, struct task_struct *task,
				       struct signal_struct *signal)
{
	r->status = wait_status(task, signal);
	r->max_rss_pages = LOAD(signal, maxrss);
	/* Twice: a thread that is released meanwhile would be missed in one of the two places. */
	if (!sum_times(r, task, signal))
		sum_times(r, task, signal);
}

#define OOM_SLACK 512 /* pages that may have been freed since the charge failed */
#define CGROUP_DEPTH 32

/* MM_FILEPAGES, MM_ANONPAGES and MM_SHMEMPAGES; 2 is swap. */
static __always_inline __u64 resident_pages(struct task_struct *task)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	__s64 file, anon, shmem;

	if (!mm)
		return 0;
	if (bpf_core_type_exists(struct mm_rss_stat)) {
		struct mm_struct___plain *old = (void *)mm;

		file = BPF_CORE_READ(old, rss_stat.count[0].counter);
		anon = BPF_CORE_READ(old, rss_stat.count[1].counter);
		shmem = BPF_CORE_READ(old, rss_stat.count[3].counter);
	} else {
		struct mm_struct___percpu *now = (void *)mm;

		file = BPF_CORE_READ(now, rss_stat[0].count);
		anon = BPF_CORE_READ(now, rss_stat[1].count);
		shmem = BPF_CORE_READ(now, rss_stat[3].count);
	}
	/* What a CPU has not yet added to the sum may leave a counter below 0. */
	return (file > 0 ? file : 0) + (anon > 0 ? anon : 0) + (shmem > 0 ? shmem : 0);
}

/*
 * The tracepoint does not say whose limit was hit: it is the nearest memory cgroup
 * above the victim that is full, or none where the whole host was short. Not typed:
 * the way from a css to its mem_cgroup is a cast.
 */
static __always_inline void record_oom(struct oom_record *r, struct task_struct *task)
{
	if (!cfg_probe_read || !bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id)) {
		r->cgroup_id = cgroup_id(task);
		return;
	}
	r->victim_pages = resident_pages(task);
	struct css_set *set = LOAD(task, cgroups);
	int index = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	struct cgroup_subsys_state *css = BPF_CORE_READ(set, subsys[index & 15]);

	for (int i = 0; i < CGROUP_DEPTH && css; i++) {
		struct mem_cgroup *memcg = (void *)((char *)css - bpf_core_field_offset(struct mem_cgroup, css));
		unsigned long limit = BPF_CORE_READ(memcg, memory.max);
		unsigned long usage = BPF_CORE_READ(memcg, memory.usage.counter);

		if (usage + OOM_SLACK >= limit) {
			r->cgroup_id = BPF_CORE_READ(css, cgroup, kn, id);
			r->limit_pages = limit;
			r->usage_pages = usage;
			return;
		}
		css = BPF_CORE_READ(css, parent);
	}
}
