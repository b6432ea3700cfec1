/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Paths and names, appended to a record's text. */
#pragma once

#include "watch.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FILE_SLOTS);
	__type(key, __u32);
	__type(value, struct walk);
} file_walks SEC(".maps");

#define WALKS file_walks
#include "walk.h"

/* The lengths lie in memory, where the verifier takes each for just a number. */
static __always_inline void append_walk(struct file_head *h, char *text, __u32 room, __u32 slot, int which,
					struct dentry *dentry, struct vfsmount *vfsmount)
{
	walk_up(slot, (__u64)dentry, (__u64)vfsmount);
	struct walk *w = bpf_map_lookup_elem(&file_walks, &slot);

	if (!w)
		return;
	h->walk_flags[which] = w->flags;

	__u32 at = h->end, n = w->length;

	if (n > sizeof(w->text) || at > room - sizeof(w->text))
		return;
	bpf_probe_read_kernel(text + at, n, w->text);
	h->walk_length[which] = n;
	h->end = at + n;
}

static __always_inline void append_name_of(struct file_record *r, int which, const char *name)
{
	__u32 at = r->end;
	long n;

	if (at > sizeof(r->text) - FILE_NAME_BYTES)
		return;
	n = bpf_probe_read_user_str(r->text + at, FILE_NAME_BYTES, name);
	if (n <= 0) {
		r->flags |= FILE_CUT;
		return;
	}
	r->name_length[which] = n;
	r->end = at + n;
}

static __always_inline void begin_head(struct file_head *h, __u16 operation)
{
	__builtin_memset(h, 0, sizeof(*h));
	event_header(&h->header, EVENT_FILE, 0);
	h->operation = operation;
}

static __always_inline void record_object(struct file_head *h, struct dentry *dentry)
{
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);

	h->device = BPF_CORE_READ(dentry, d_sb, s_dev);
	if (!inode)
		return;
	h->inode = BPF_CORE_READ(inode, i_ino);
	h->mode = BPF_CORE_READ(inode, i_mode);
}

/* The process's root is the agent's: then paths mean the same to both. */
static __always_inline void record_root(struct file_head *h)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct dentry *root = BPF_CORE_READ(task, fs, root.dentry);
	__u32 zero = 0;
	struct file_filter *f = bpf_map_lookup_elem(&file_filter, &zero);

	if (f && object_watched(f, BPF_CORE_READ(root, d_inode, i_ino), BPF_CORE_READ(root, d_sb, s_dev)) & WATCH_ROOT)
		h->flags |= FILE_HOST_ROOT;
}

static __always_inline void emit_file(struct file_head *h, __u32 head, __u32 max)
{
	__u64 length = BOUND(head + h->end, max);

	h->header.length = length;
	emit_telemetry(&h->header, length);
}
