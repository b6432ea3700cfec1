/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Paths, leaf first. The walk writes "name\0" for each component from the leaf
 * up to the process's root, crossing mounts; the reader reverses them. That
 * keeps the write offset growing, which the verifier can follow, and copies
 * each byte once.
 */
#pragma once

#include "config.h"

#define PATH_MAX_BYTES 2048
#define PATH_MAX_DEPTH 64
#define NAME_MAX_BYTES 256

/* How a path ends. */
enum path_flag {
	PATH_COMPLETE = 1,    /* the walk met the process's root */
	PATH_TRUNCATED = 2,   /* deeper or longer than the limits: the front is missing */
	PATH_UNREACHABLE = 4, /* the walk met the end of a mount tree that is not the process's root */
	PATH_PSEUDO = 8,      /* the file has a name and no tree, as a memfd has */
};

/*
 * The walk's whole state lives in this map value, not in registers: what is
 * loaded from memory is just "a number" to the verifier, so that each of the
 * iterations costs it one visit instead of one for each path through the ones
 * before (23,000 instructions for the whole exec program; over a million else).
 */
struct walk {
	struct dentry *dentry;
	struct vfsmount *vfsmount;
	struct dentry *root;
	struct vfsmount *root_mount;
	__u32 length;
	__u32 flags;
	char text[PATH_MAX_BYTES + NAME_MAX_BYTES];
};

static __always_inline struct mount *real_mount(struct vfsmount *m)
{
	return (struct mount *)((char *)m - bpf_core_field_offset(struct mount, mnt));
}

/* At the top of a mounted tree: go on from where it is mounted. */
static __always_inline bool cross_mount(struct walk *w)
{
	struct mount *m = real_mount(w->vfsmount);
	struct mount *parent = BPF_CORE_READ(m, mnt_parent);

	if (parent == m)
		return false;
	w->dentry = BPF_CORE_READ(m, mnt_mountpoint);
	w->vfsmount = (struct vfsmount *)((char *)parent + bpf_core_field_offset(struct mount, mnt));
	return true;
}

static __always_inline bool append_name(struct walk *w)
{
	__u32 at = w->length;

	if (at >= PATH_MAX_BYTES)
		return false;
	/* Not w->dentry inside the macro: it would relocate struct walk as well. */
	struct dentry *dentry = w->dentry;
	const unsigned char *name = BPF_CORE_READ(dentry, d_name.name);
	long n = bpf_probe_read_kernel_str(w->text + at, NAME_MAX_BYTES, name);

	if (n <= 0)
		return false;
	w->length = at + n;
	return true;
}

/*
 * Not typed: the mount that holds a vfsmount lies at a negative offset and a
 * name is a plain pointer, so both need bpf_probe_read_kernel. The caller
 * checks cfg_probe_read; without it user space reads /proc.
 */
static __always_inline void walk_from(struct walk *w, struct dentry *from, struct vfsmount *mount, struct fs_struct *fs)
{
	w->dentry = from;
	w->vfsmount = mount;
	w->root = BPF_CORE_READ(fs, root.dentry);
	w->root_mount = BPF_CORE_READ(fs, root.mnt);
	w->length = 0;
	w->flags = PATH_TRUNCATED;
	_Pragma("clang loop unroll(disable)")
	for (int i = 0; i < PATH_MAX_DEPTH; i++) {
		struct dentry *dentry = w->dentry;
		struct vfsmount *vfsmount = w->vfsmount;

		if (dentry == w->root && vfsmount == w->root_mount) {
			w->flags = PATH_COMPLETE;
			return;
		}
		if (dentry == BPF_CORE_READ(vfsmount, mnt_root)) {
			if (cross_mount(w))
				continue;
			w->flags = PATH_UNREACHABLE;
			return;
		}
		struct dentry *up = BPF_CORE_READ(dentry, d_parent);

		if (!append_name(w))
			return;
		if (up == dentry) {
			w->flags = i ? PATH_UNREACHABLE : PATH_UNREACHABLE | PATH_PSEUDO;
			return;
		}
		w->dentry = up;
	}
}

static __always_inline void walk_path(struct walk *w, struct path *p, struct fs_struct *fs)
{
	walk_from(w, BPF_CORE_READ(p, dentry), BPF_CORE_READ(p, mnt), fs);
}
