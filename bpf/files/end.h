/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The end of a system call: here an operation and its result become a record. */
#pragma once

#include "call.h"

static __always_inline struct file_record *new_record(__u16 operation, struct task_struct *task)
{
	__u32 zero = 0;
	struct file_record *r = bpf_map_lookup_elem(&file_scratch, &zero);

	if (!r)
		return 0;
	begin_head((struct file_head *)r, operation);
	find_exec_id(&r->owner, task);
	return r;
}

static __always_inline void finish(struct file_record *r, const __u32 details[2], long result)
{
	r->details[0] = details[0];
	r->details[1] = details[1];
	r->flags |= FILE_DETAILS | FILE_HAS_RESULT;
	r->error = result < 0 ? -result : 0;
	record_root((struct file_head *)r);
	emit_file((struct file_head *)r, sizeof(*r) - sizeof(r->text), sizeof(*r));
}

/* A file that a descriptor stands for: no name can mislead. */
static __always_inline void end_with_file(__u16 operation, struct task_struct *task, struct file *file,
					  const __u32 details[2], long result)
{
	struct base at;

	base_of(&at, file);
	struct dentry *dentry = at.dentry;
	struct vfsmount *vfsmount = at.vfsmount;
	__u32 mode = PEEK(file, f_mode);

	if (operation == FILE_OPEN && !(mode & (FMODE_WRITE | FMODE_CREATED)) && !(details[0] & O_TRUNC))
		return; /* O_CREAT, and it was there */
	enum found found = watched(AT_END, dentry, vfsmount);

	if (found == NOT_WATCHED)
		return;
	struct file_record *r = new_record(operation, task);

	if (!r)
		return;
	r->flags = flags_of(found);
	if (operation == FILE_OPEN && mode & FMODE_CREATED)
		r->flags |= FILE_CREATED;
	record_object((struct file_head *)r, dentry);
	append_walk((struct file_head *)r, r->text, sizeof(r->text), AT_END, 0, dentry, vfsmount);
	finish(r, details, result);
}

struct named {
	struct base base;
	const char *name;
	bool there, absolute;
};

static __always_inline void read_named(struct named *n, volatile const struct file_call *call, int which, struct task_struct *task,
				       struct pt_regs *regs)
{
	char first = 0;

	n->there = false;
	if (!call->name[which])
		return;
	n->name = (const char *)argument(regs, call->name[which]);
	bpf_probe_read_user(&first, 1, n->name);
	n->absolute = first == '/';
	n->there = find_base(&n->base, task, n->absolute, call->directory[which], argument(regs, call->directory[which]));
}

static __always_inline enum found leads(struct named *n)
{
	return n->there ? name_leads((__u64)n->base.dentry, (__u64)n->base.vfsmount, (__u64)n->name, n->absolute) : NOT_WATCHED;
}

static __always_inline void append_named(struct file_record *r, int which, struct named *n)
{
	if (!n->there)
		return;
	if (!n->absolute)
		append_walk((struct file_head *)r, r->text, sizeof(r->text), AT_END, which, n->base.dentry, n->base.vfsmount);
	append_name_of(r, which, n->name);
}

/* What is left are names. Of an operation that was noted they are told, of others looked at. */
static __always_inline void end_with_names(volatile const struct file_call *call, __u16 operation, struct task_struct *task, struct pt_regs *regs,
					   struct file_note *note, const __u32 details[2], long result)
{
	struct named first = {}, second = {};
	__u16 flags = FILE_NAMED;

	read_named(&first, call, 0, task, regs);
	read_named(&second, call, 1, task, regs);
	bool text = operation == FILE_SYMLINK; /* then the second leads nowhere */

	if (!note) {
		enum found found = leads(&first);

		if (found != WATCHED && !text) {
			enum found other = leads(&second);

			if (other == WATCHED || found == NOT_WATCHED)
				found = other;
		}
		if (found == NOT_WATCHED)
			return;
		flags |= flags_of(found);
	}
	struct file_record *r = new_record(operation, task);

	if (!r)
		return;
	if (note) {
		flags |= note->flags;
		r->inode = note->inode;
		r->device = note->device;
		r->mode = note->mode;
	}
	r->flags = flags;
	append_named(r, 0, &first);
	if (text && second.there)
		append_name_of(r, 1, second.name);
	else
		append_named(r, 1, &second);
	finish(r, details, result);
}

static __always_inline void find_made(struct file_note *note)
{
	struct dentry *made = note->made;
	struct inode *inode;

	if (!made || BPF_CORE_READ(made, d_parent) != note->parent)
		return;
	inode = BPF_CORE_READ(made, d_inode);
	if (!inode)
		return;
	note->inode = BPF_CORE_READ(inode, i_ino);
	note->mode = BPF_CORE_READ(inode, i_mode);
}

/* A note that has the paths: with the call's details and a symlink's text it is the record. */
static __always_inline void end_with_note(volatile const struct file_call *call, __u16 operation, struct task_struct *task, struct pt_regs *regs,
					  struct file_note *note, const __u32 details[2], long result)
{
	struct file_record *r = new_record(operation, task);
	__u32 length = note->end;

	if (!r || length > sizeof(note->text))
		return;
	if (!result)
		find_made(note);
	__builtin_memcpy(r, note, sizeof(struct file_head));
	event_header(&r->header, EVENT_FILE, 0);
	find_exec_id(&r->owner, task);
	bpf_probe_read_kernel(r->text, length, note->text);
	if (operation == FILE_SYMLINK && call->name[1])
		append_name_of(r, 1, (const char *)argument(regs, call->name[1]));
	finish(r, details, result);
}

static __always_inline int on_end(struct pt_regs *regs, long result)
{
	__u32 number = call_number(regs);

	if (number >= FILE_CALLS)
		return 0;
	volatile const struct file_call *call = &cfg_calls[number];

	if (!call->operation)
		return 0;
	if (call->operation == FILE_MOUNT) {
		count_move();
		return 0;
	}
	__u32 details[2] = {};

	__u16 operation = read_details(details, call, regs);

	if (!operation)
		return 0;
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	if (compat_call(task))
		return 0;
	if (operation == FILE_RENAME || operation == FILE_RMDIR)
		count_move();
	bool open = operation == FILE_OPEN;
	__u64 thread = bpf_get_current_pid_tgid();
	struct file_note *note = open && !cfg_exact_open ? 0 : bpf_map_lookup_elem(&file_notes, &thread);
	struct file *file;

	if (note && note->operation != operation)
		note = 0; /* of a call that did not come to its end here */
	if (note && note->end) {
		end_with_note(call, operation, task, regs, note, details, result);
	} else if (!note && result >= 0 && (open ? cfg_exact_open : cfg_exact)) {
		return 0;
	} else if ((open && result >= 0) || !call->name[0]) {
		file = file_of(task, open ? result : argument(regs, call->directory[0]));
		if (file)
			end_with_file(operation, task, file, details, result);
	} else {
		end_with_names(call, operation, task, regs, note, details, result);
	}
	if (note)
		bpf_map_delete_elem(&file_notes, &thread);
	return 0;
}
