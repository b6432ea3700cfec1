/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The walk of path.h. WALKS is the includer's map of them, an element for each program that
 * may be on its way at once.
 *
 * The walk's whole state lies in this map, not in registers, and a step is a function of its
 * own, which the verifier looks at once: not in each iteration, nor for each path through the
 * ones before (over a million instructions for the exec program; 23,000 with the state in the
 * map alone).
 */
#pragma once

#include "path.h"

/* At the top of a mounted tree: go on from where it is mounted. */
static __always_inline bool cross_mount(struct walk *w)
{
	struct mount *m = real_mount(w->vfsmount);
	struct mount *parent = FETCH(m, mnt_parent);

	if (parent == m)
		return false;
	w->dentry = FETCH(m, mnt_mountpoint);
	w->vfsmount = (struct vfsmount *)((char *)parent + bpf_core_field_offset(struct mount, mnt));
	return true;
}

static __always_inline bool append_name(struct walk *w, struct dentry *dentry)
{
	__u32 at = w->length;

	if (at >= PATH_MAX_BYTES)
		return false;
	const unsigned char *name = FETCH(dentry, d_name.name);
	long n = bpf_probe_read_kernel_str(w->text + at, NAME_MAX_BYTES, name);

	if (n <= 0)
		return false;
	w->length = at + n;
	return true;
}

/* Whether the walk goes on. */
GLOBAL_FUNCTION bool walk_step(__u32 slot, __u32 depth)
{
	struct walk *w = bpf_map_lookup_elem(&WALKS, &slot);

	if (!w || !cfg_probe_read)
		return false;
	struct dentry *dentry = w->dentry;
	struct vfsmount *vfsmount = w->vfsmount;

	if (dentry == w->root && vfsmount == w->root_mount) {
		w->flags = PATH_COMPLETE;
		return false;
	}
	if (dentry == FETCH(vfsmount, mnt_root)) {
		if (cross_mount(w))
			return true;
		w->flags = PATH_UNREACHABLE;
		return false;
	}
	struct dentry *up = FETCH(dentry, d_parent);

	if (!append_name(w, dentry))
		return false;
	if (up == dentry) {
		w->flags = depth ? PATH_UNREACHABLE : PATH_UNREACHABLE | PATH_PSEUDO;
		return false;
	}
	w->dentry = up;
	return true;
}

/*
 * Walks from a dentry in a mount to the root of the current process, and leaves the walk in
 * WALKS. Not typed: the mount that holds a vfsmount lies at a negative offset and a
 * name is a plain pointer, so both need bpf_probe_read_kernel, before 6.2 and for the name.
 * Without cfg_probe_read user space reads /proc: then the functions end at once, since the
 * verifier looks at them all the same before 6.8.
 */
GLOBAL_FUNCTION int walk_up(__u32 slot, __u64 dentry, __u64 vfsmount)
{
	struct walk *w = bpf_map_lookup_elem(&WALKS, &slot);
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	if (!w || !cfg_probe_read)
		return 0;
	struct fs_struct *fs = FETCH(task, fs);

	w->dentry = (struct dentry *)dentry;
	w->vfsmount = (struct vfsmount *)vfsmount;
	w->root = FETCH(fs, root.dentry);
	w->root_mount = FETCH(fs, root.mnt);
	w->length = 0;
	w->flags = PATH_TRUNCATED;
	_Pragma("clang loop unroll(disable)")
	for (__u32 depth = 0; depth < PATH_MAX_DEPTH && walk_step(slot, depth); depth++)
		;
	return 0;
}
