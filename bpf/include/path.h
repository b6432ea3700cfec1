/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Paths, leaf first. The walk (walk.h) writes "name\0" for each component from the leaf
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

/* Of a walk: where it is, where it ends, and what it has written. */
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
