/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* An exec: what it runs, as whom, where. */
#pragma once

#include "turn.h"

#define WALKS walk_scratch
#include "walk.h"

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

/* PIDTYPE_SID in enum pid_type since 4.18. */
#define SESSION 3

/*
 * What of it typed loads can reach: a string byte by byte, and ids where the pid
 * namespace is the initial one. The array of upids is indexed by the namespace's
 * depth, which a typed load cannot do: deeper inside user space asks /proc.
 */
static __always_inline void record_session_typed(struct exec_record *r, struct task_struct *task,
						 struct signal_struct *signal, struct tty_struct *tty)
{
	struct pid *pid = LOAD(task, thread_pid);
	struct pid *session = LOAD(signal, pids[SESSION]);

	r->session = LOAD(session, numbers[0].nr);
	if (!LOAD(pid, level)) {
		struct pid_namespace *ns = LOAD(pid, numbers[0].ns);

		r->ns_pid = LOAD(task, tgid);
		r->namespaces.pid = LOAD(ns, ns.inum);
	}
	if (!tty)
		return;
#define TTY_BYTE(i) r->tty[i] = LOAD(tty, name[i])
	TTY_BYTE(0); TTY_BYTE(1); TTY_BYTE(2); TTY_BYTE(3);
	TTY_BYTE(4); TTY_BYTE(5); TTY_BYTE(6); TTY_BYTE(7);
	TTY_BYTE(8); TTY_BYTE(9); TTY_BYTE(10); TTY_BYTE(11);
	TTY_BYTE(12); TTY_BYTE(13); TTY_BYTE(14);
}

/* Ids as the process's own pid namespace sees them. */
static __always_inline void record_session(struct exec_record *r, struct task_struct *task)
{
	struct signal_struct *signal = LOAD(task, signal);
	struct tty_struct *tty = LOAD(signal, tty);

	r->ns_pid = 0;
	r->session = 0;
	r->namespaces.pid = 0;
	__builtin_memset(r->tty, 0, sizeof(r->tty));
	if (!cfg_probe_read) {
		record_session_typed(r, task, signal, tty);
		return;
	}
	/* By helper, so that to the verifier it is a number to which one may add. */
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);
	struct upid *own = (struct upid *)((char *)pid + bpf_core_field_offset(struct pid, numbers) +
					   (level & 31) * bpf_core_type_size(struct upid));

	r->ns_pid = BPF_CORE_READ(own, nr);
	r->namespaces.pid = BPF_CORE_READ(own, ns, ns.inum);
	r->session = BPF_CORE_READ(signal, pids[SESSION], numbers[0].nr);
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

/* Whether a mount shows other owners than its file system has (mount_setattr(2), MOUNT_ATTR_IDMAP). */
static __always_inline bool idmapped(struct vfsmount *m)
{
	struct user_namespace *user;

	if (bpf_core_field_exists(m->mnt_idmap)) {
		struct mnt_idmap *map = LOAD(m, mnt_idmap);

		if (bpf_core_field_exists(map->uid_map))
			return LOAD(map, uid_map.nr_extents);
		user = LOAD(map, owner);
	} else if (bpf_core_field_exists(m->mnt_userns)) {
		user = LOAD(m, mnt_userns);
	} else {
		return false;
	}
	return LOAD(user, level); /* without a translation it is the initial one */
}

static __always_inline void record_gains(struct exec_record *r, struct task_struct *task,
					 struct linux_binprm *bprm, struct inode *inode)
{
	struct file *file = LOAD(bprm, file);
	bool translated = idmapped(LOAD(file, f_path.mnt));
	const struct credentials *c = &r->credentials;
	const struct cred *cred = LOAD(task, cred);
	unsigned short mode = LOAD(inode, i_mode);
	__u32 root = root_of(LOAD(cred, user_ns));

	/*
	 * The personality bits to clear are set by an exec that honours S_ISUID or S_ISGID:
	 * not on a nosuid mount, nor under no_new_privs (fs/exec.c, bprm_fill_uid). Whose id that
	 * is, an idmapped mount has translated.
	 */
	if (LOAD(bprm, per_clear)) {
		if ((mode & 04000) && c->euid != c->uid && (translated || c->euid == LOAD(inode, i_uid.val)))
			r->flags |= EXEC_SETUID;
		if ((mode & 02010) == 02010 && c->egid != c->gid && (translated || c->egid == LOAD(inode, i_gid.val)))
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
 * append_path walks to `p` from the process's root and appends the result at r->end,
 * which lies in memory for the same reason as a walk does (walk.h).
 */
static __always_inline void append_path(struct exec_record *r, struct path *p, __u16 *length, __u16 *flags, __u32 slot)
{
	walk_up(slot, (__u64)BPF_CORE_READ(p, dentry), (__u64)BPF_CORE_READ(p, mnt));
	struct walk *w = bpf_map_lookup_elem(&walk_scratch, &slot);

	if (!w)
		return;
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
		r->flags |= EXEC_ARGS_TRUNCATED;
		return;
	}
	r->args_length = n;
	r->end = n;
}

static __always_inline void record_filename(struct exec_record *r, struct task_struct *task, const char *filename)
{
	__u32 at = r->end;
	long n;

	if (at > ARGS_BYTES)
		return;
	if (cfg_probe_read) {
		n = bpf_probe_read_kernel_str(r->text + at, FILENAME_BYTES, filename);
	} else {
		/* execve has put a copy on the new stack, behind the environment (AT_EXECFN). */
		struct mm_struct *mm = LOAD(task, mm);

		n = bpf_probe_read_user_str(r->text + at, FILENAME_BYTES, (void *)LOAD(mm, env_end));
	}
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
	record_filename(r, task, LOAD(bprm, filename));
	if (cfg_probe_read) {
		struct fs_struct *fs = LOAD(task, fs);
		struct file *file = LOAD(bprm, file);

		append_path(r, &file->f_path, &r->exe_length, &r->exe_path_flags, slot);
		append_path(r, &fs->pwd, &r->cwd_length, &r->cwd_path_flags, slot);
	} else {
		r->flags |= EXEC_NO_PATHS;
	}
	return sizeof(*r) - sizeof(r->text) + r->end;
}

/*
 * The parent may have exec'd, or died and left this to a reaper, since the fork. One
 * that is ending has no record any more while it still is the parent.
 */
static __always_inline void renew_parent(struct exec_id *id, struct task_struct *parent)
{
	struct exec_id now;

	find_exec_id(&now, parent);
	if (now.exec_ns || now.tgid != id->tgid || now.start_ns != id->start_ns)
		*id = now;
}

/* Written as a whole and by its key: the record that was found may be another process's by now. */
static __always_inline void remember_exec(struct task_struct *task, struct exec_record *r)
{
	__u32 tgid = LOAD(task, tgid);
	struct process p = {};

	if (copy_process(&p, task)) {
		renew_parent(&p.parent, LOAD(task, real_parent));
		p.execs = exec_count(task);
		p.cgroup_id = cgroup_id(task);
		p.uid = effective_uid(task);
	} else {
		describe(&p, task);
	}
	p.id.exec_ns = r->header.boot_ns;
	if (bpf_map_update_elem(&processes, &tgid, &p, BPF_ANY))
		count_loss(LOSS_TABLE_FULL, EVENT_EXEC);
	r->process = p;
}

/* Also where the mark is gone: then the record tells, if there is one. */
static __always_inline bool exec_was_seen(struct task_struct *task)
{
	if (was_handled(AT_EXEC, task))
		return true;
	struct process *p = find_process(task);

	return p && p->execs == exec_count(task);
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
		task = PLAIN(task);
		bprm = PLAIN(bprm);
	} else {
		handles(AT_EXEC, task);
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
