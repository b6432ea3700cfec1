/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Hooks inside operations. */
#pragma once

#include "call.h"

#define PF_IO_WORKER 0x00000010
#define S_IFMT 0170000
#define S_IFDIR 0040000

enum caller {
	OWN_CALL,     /* a system call for just this: its end will come by */
	LARGER_CALL,  /* a part of an open, which has a hook of its own */
	ANOTHER_CALL, /* io_uring, a 32-bit system call, the kernel itself */
};

static __always_inline enum caller caller_of(__u16 operation)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	if (!cfg_task_regs)
		return BPF_CORE_READ(task, flags) & (PF_KTHREAD | PF_IO_WORKER) ? ANOTHER_CALL : OWN_CALL;
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	__u32 number = call_number(regs);

	if (number >= FILE_CALLS || compat_call(task))
		return ANOTHER_CALL;
	__u8 call = cfg_calls[number].operation;

	if (call == operation || (call == FILE_UNLINK && operation == FILE_RMDIR))
		return OWN_CALL;
	return call == FILE_OPEN ? LARGER_CALL : ANOTHER_CALL;
}

static __always_inline struct file_note *new_note(__u16 operation)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u32 zero = 0;
	struct file_note *note = bpf_map_lookup_elem(&file_blank, &zero);

	if (!note)
		return 0;
	if (bpf_map_update_elem(&file_notes, &thread, note, BPF_ANY)) {
		count_loss(LOSS_UNTRACKED, EVENT_FILE);
		return 0;
	}
	note = bpf_map_lookup_elem(&file_notes, &thread);
	if (!note)
		return 0;
	begin_head((struct file_head *)note, operation);
	note->made = note->parent = 0;
	return note;
}

/* Without a system call of its own an operation is told at once, and its result is not known. */
static __always_inline void tell_at_once(struct file_note *note)
{
	__u64 thread = bpf_get_current_pid_tgid();

	find_exec_id(&note->owner, (struct task_struct *)bpf_get_current_task());
	record_root((struct file_head *)note);
	emit_file((struct file_head *)note, sizeof(struct file_head), sizeof(*note));
	bpf_map_delete_elem(&file_notes, &thread);
}

/* The object and, if there is one, the second path, of which the first may be in another directory. */
static __always_inline int on_operation(__u16 operation, __u16 flags, __u32 slot, struct vfsmount *vfsmount, struct dentry *dentry,
					struct vfsmount *vfsmount2, struct dentry *dentry2)
{
	enum found found = watched(slot, dentry, vfsmount);

	if (found == NOT_WATCHED && dentry2)
		found = watched(slot, dentry2, vfsmount2);
	if (found == NOT_WATCHED)
		return 0;
	enum caller caller = caller_of(operation);

	if (caller == LARGER_CALL && operation != FILE_OPEN)
		return 0;
	struct file_note *note = new_note(operation);

	if (!note)
		return 0;
	note->flags = flags | flags_of(found);
	record_object((struct file_head *)note, dentry);
	if (!note->inode) {
		note->made = dentry;
		note->parent = BPF_CORE_READ(dentry, d_parent);
	}
	append_walk((struct file_head *)note, note->text, sizeof(note->text), slot, 0, dentry, vfsmount);
	if (dentry2)
		append_walk((struct file_head *)note, note->text, sizeof(note->text), slot, 1, dentry2, vfsmount2);
	if (caller == ANOTHER_CALL)
		tell_at_once(note);
	return 0;
}

static __always_inline int on_dentry(__u16 operation, __u32 slot, struct path *directory, struct dentry *dentry)
{
	return on_operation(operation, 0, slot, BPF_CORE_READ(directory, mnt), dentry, 0, 0);
}

static __always_inline int on_path(__u16 operation, __u32 slot, struct path *path)
{
	return on_operation(operation, 0, slot, BPF_CORE_READ(path, mnt), BPF_CORE_READ(path, dentry), 0, 0);
}

static __always_inline int on_rename(struct path *from, struct dentry *dentry, struct path *to, struct dentry *dentry2)
{
	return on_operation(FILE_RENAME, 0, AT_RENAME, BPF_CORE_READ(from, mnt), dentry, BPF_CORE_READ(to, mnt), dentry2);
}

static __always_inline int on_link(struct dentry *dentry, struct path *to, struct dentry *dentry2)
{
	struct vfsmount *vfsmount = BPF_CORE_READ(to, mnt); /* a link never leaves its mount */

	return on_operation(FILE_LINK, 0, AT_LINK, vfsmount, dentry, vfsmount, dentry2);
}

static __always_inline int on_file_open(struct file *file)
{
	if (!(file->f_mode & (FMODE_WRITE | FMODE_CREATED)) && !(file->f_flags & O_TRUNC))
		return 0;
	return on_operation(FILE_OPEN, file->f_mode & FMODE_CREATED ? FILE_CREATED : 0, AT_OPEN, BPF_CORE_READ(file, f_path.mnt),
			    BPF_CORE_READ(file, f_path.dentry), 0, 0);
}

/* A directory has one dentry, and of a file with several names one is as good as another. */
static __always_inline struct dentry *alias_of(struct inode *inode)
{
	struct hlist_node *node = BPF_CORE_READ(inode, i_dentry.first);

	if (!node)
		return 0;
	if (bpf_core_field_exists(struct dentry___unnamed, d_alias))
		return (struct dentry *)((char *)node - bpf_core_field_offset(struct dentry___unnamed, d_alias));
	return (struct dentry *)((char *)node - bpf_core_field_offset(struct dentry, d_u.d_alias));
}

/*
 * All that is known here is an inode: that what changes is watched. The names are those of
 * the system call.
 */
static __always_inline int on_ctime(struct inode *inode, __u32 slot)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	__u32 number = call_number(regs);

	if (number >= FILE_CALLS)
		return 0;
	__u16 operation = cfg_calls[number].operation;

	if (operation <= FILE_OPEN || compat_call((struct task_struct *)bpf_get_current_task()))
		return 0;
	struct dentry *alias = alias_of(inode);

	if (!alias)
		return 0;
	enum found found = watched(slot, alias, 0);

	if (found == NOT_WATCHED)
		return 0;
	__u64 thread = bpf_get_current_pid_tgid();
	struct file_note *note = bpf_map_lookup_elem(&file_notes, &thread);

	if (operation == FILE_UNLINK && argument(regs, 3) & AT_REMOVEDIR && cfg_calls[number].details[0])
		operation = FILE_RMDIR;
	if (!note || note->operation != operation)
		note = new_note(operation);
	if (!note)
		return 0;
	note->flags |= flags_of(found);
	bool directory = (inode->i_mode & S_IFMT) == S_IFDIR;

	/* Of a directory that changes it is not known whether it is the object or has it. */
	if (!directory || operation == FILE_CHMOD || operation == FILE_CHOWN)
		record_object((struct file_head *)note, alias);
	return 0;
}
