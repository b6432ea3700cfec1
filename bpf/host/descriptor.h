/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What a descriptor stands for. By helper: the table of them is no typed pointer's. */
#pragma once

#include "record.h"

/* Another program tells of what succeeds. */
const volatile bool cfg_failures_only = false;

#define NSFS_MAGIC 0x6e736673

static __always_inline struct file *file_at(__u32 descriptor)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **slots = BPF_CORE_READ(table, fd);
	struct file *file = 0;

	if (descriptor < BPF_CORE_READ(table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), slots + descriptor);
	return file;
}

static __always_inline void append_file_name(struct host_record *r, __u32 descriptor)
{
	if (!cfg_probe_read)
		return;
	struct file *file = file_at(descriptor);
	const unsigned char *name = BPF_CORE_READ(file, f_path.dentry, d_name.name);
	long n = bpf_probe_read_kernel_str(r->text, NAME_MAX_BYTES, name);

	if (n > 0)
		r->length[0] = r->end = n;
}

/* The namespace that a descriptor stands for: its kind, as a flag of clone(2), and its inode number. */
static __always_inline __u32 namespace_at(__u32 descriptor, __u64 *inum)
{
	struct file *file = file_at(descriptor);
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct ns_common *ns;

	if (BPF_CORE_READ(inode, i_sb, s_magic) != NSFS_MAGIC)
		return 0;
	ns = BPF_CORE_READ(inode, i_private);
	*inum = BPF_CORE_READ(ns, inum);
	if (bpf_core_field_exists(ns->ns_type))
		return BPF_CORE_READ(ns, ns_type);
	return BPF_CORE_READ(ns, ops, type);
}
