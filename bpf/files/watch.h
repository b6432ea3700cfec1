/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Whether a path is watched, by the objects on it: so names, namespaces, bind mounts,
 * chroot and symlinks make no difference. Most are not, and each open for writing asks.
 */
#pragma once

#include "record.h"

/* Any address may be read as a struct, for a move and a load (6.2); else by helper. */
const volatile bool cfg_cast = false;

/* As FETCH, but by the rung's choice: one reads by helper also where there are casts. */
#define PEEK(p, f) FETCH_IF(cfg_cast, p, f)

static __always_inline __u32 device_of(struct dentry *dentry)
{
	struct super_block *sb = PEEK(dentry, d_sb);

	return PEEK(sb, s_dev);
}

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct file_filter);
} file_filter SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct file_object);
	__type(value, __u32);
} file_objects SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__type(key, struct file_name);
	__type(value, __u32);
} file_names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 512);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct file_prefix);
	__type(value, __u32);
} file_prefixes SEC(".maps");

/* How often what lies where has changed: directories were moved or removed, or mounts. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} file_moves SEC(".maps");

#define VERDICTS 256

/*
 * What a search has found of a directory: that nothing in it, and nothing it is in, is
 * watched. Most operations are in the directory of one before. It stands until something
 * that could change it has happened, or for VERDICT_JIFFIES: what changes without a system
 * call of its own (a rename by the NFS server, a mount by a 32-bit program) is not counted.
 */
struct verdict {
	__u64 directory, parent, mount, inode;
	__u64 plan, moves, jiffies;
	__u32 device, pad;
};

#define VERDICT_JIFFIES 100 /* 0.1 to 1 s */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICTS);
	__type(key, __u32);
	__type(value, struct verdict);
} file_verdicts SEC(".maps");

/* One for each program that may run on a CPU: one may be interrupted by another. */
enum file_slot {
	AT_END, AT_OPEN, AT_MKDIR, AT_MKNOD, AT_RENAME, AT_UNLINK, AT_RMDIR, AT_LINK, AT_SYMLINK, AT_CHMOD, AT_CHOWN,
	AT_CTIME, AT_CTIME_SAME, AT_CTIME_FINE, FILE_SLOTS
};

#define SEARCH_DEPTH 64

/* In memory and not in registers for the reason that a walk is (walk.h). */
struct search {
	struct dentry *dentry, *below;
	struct vfsmount *vfsmount;
	__u32 device;
	__u32 first; /* what the object itself is: enum file_watch */
	struct verdict verdict; /* of the directory that the object is in; without one if it may not be kept */
	struct file_name key;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FILE_SLOTS);
	__type(key, __u32);
	__type(value, struct search);
} file_search SEC(".maps");

/* The same function is in internal/sensor/files. */
static __always_inline __u32 filter_hash(__u64 inode, __u32 device, __u32 more)
{
	__u64 h = (inode ^ (__u64)device << 32 ^ (__u64)more << 48) * 0x9e3779b97f4a7c15ULL;

	return h >> 32;
}

static __always_inline bool in_filter(struct file_filter *f, __u32 hash)
{
	return f->bits[(hash / 64) & (FILTER_BITS / 64 - 1)] >> (hash & 63) & 1;
}

/* Length and first letter of a name tell most names apart. */
static __always_inline __u32 name_mark(__u32 length, char first)
{
	return (length & 255) << 8 | (__u8)first;
}

enum found { NOT_WATCHED, WATCHED, TOO_DEEP, LIKELY };

/* Values of file_names: what is watched has this name, or it is a part on the way there. */
#define NAME_EXACT 1
#define NAME_PART 2

static __always_inline enum found name_watched(struct search *s, struct file_filter *f, struct dentry *below, __u64 inode)
{
	const unsigned char *name = BPF_CORE_READ(below, d_name.name);
	__u32 length = BPF_CORE_READ(below, d_name.len);
	char first = 0;

	bpf_probe_read_kernel(&first, 1, name);
	if (!in_filter(f, filter_hash(inode, s->device, name_mark(length, first))))
		return NOT_WATCHED;
	__builtin_memset(&s->key, 0, sizeof(s->key));
	s->key.directory.inode = inode;
	s->key.directory.device = s->device;
	bpf_probe_read_kernel_str(s->key.name, sizeof(s->key.name), name);
	__u32 *value = bpf_map_lookup_elem(&file_names, &s->key);

	if (!value)
		return NOT_WATCHED;
	return *value == NAME_EXACT ? WATCHED : LIKELY;
}

static __always_inline __u32 object_watched(struct file_filter *f, __u64 inode, __u32 device)
{
	if (!in_filter(f, filter_hash(inode, device, 0)))
		return 0;
	struct file_object key = {.inode = inode, .device = device};
	__u32 *watch = bpf_map_lookup_elem(&file_objects, &key);

	return watch ? *watch : 0;
}

/* What the object itself is, in what a search returns. */
#define FIRST_SHIFT 8

static __always_inline bool cross_to_parent(struct search *s)
{
	struct mount *m = real_mount(s->vfsmount);
	struct mount *parent = PEEK(m, mnt_parent);

	if (!s->vfsmount || parent == m)
		return false;
	struct dentry *at = PEEK(m, mnt_mountpoint);

	s->dentry = at;
	s->below = 0;
	s->device = device_of(at);
	s->vfsmount = (struct vfsmount *)((char *)parent + bpf_core_field_offset(struct mount, mnt));
	return true;
}

/* Never given to another mount; before 6.8 an address, which is. */
static __always_inline __u64 mount_id(struct vfsmount *vfsmount)
{
	struct mount *m = real_mount(vfsmount);

	if (!vfsmount || !bpf_core_field_exists(m->mnt_id_unique))
		return (__u64)vfsmount;
	return PEEK(m, mnt_id_unique);
}

static __always_inline void count_move(void)
{
	__u32 zero = 0;
	__u64 *moves = bpf_map_lookup_elem(&file_moves, &zero);

	if (moves)
		__sync_fetch_and_add(moves, 1);
}

static __always_inline struct verdict *verdict_on(struct verdict *v)
{
	__u32 place = (v->directory >> 6 ^ v->mount) % VERDICTS;

	return bpf_map_lookup_elem(&file_verdicts, &place);
}

/* A program that was interrupted while it wrote may leave parts of two: they differ in directory and inode. */
static __always_inline bool holds(struct verdict *known, struct verdict *v)
{
	return known->directory == v->directory && known->inode == v->inode && known->parent == v->parent &&
	       known->mount == v->mount && known->device == v->device && known->plan == v->plan && known->moves == v->moves &&
	       v->jiffies - known->jiffies < VERDICT_JIFFIES;
}

/* Says a step of the search, where it has found nothing yet, beside enum found. */
#define GO_ON 4

/*
 * Looks at what the search has come to, and goes up: the filesystem's own tree, past where a
 * mount begins, and at its top on to where it is mounted.
 */
static __always_inline __u32 look_and_go_up(struct search *s, struct file_filter *f, __u32 depth)
{
	__u32 zero = 0;
	struct dentry *here = s->dentry;
	struct inode *inode = PEEK(here, d_inode);
	struct dentry *up = PEEK(here, d_parent);

	if (inode) {
		__u64 number = PEEK(inode, i_ino);

		if (depth == 1) {
			struct verdict *v = &s->verdict;
			__u64 *moves = bpf_map_lookup_elem(&file_moves, &zero);

			if (!moves)
				return NOT_WATCHED;
			v->plan = *(volatile __u64 *)&f->plan; /* before the directory is looked at */
			v->moves = *(volatile __u64 *)moves;
			v->directory = (__u64)here;
			v->parent = (__u64)up;
			v->mount = mount_id(s->vfsmount);
			v->inode = number;
			v->device = s->device;
			v->jiffies = bpf_jiffies64();
			struct verdict *known = verdict_on(v);

			if (known && holds(known, v))
				return NOT_WATCHED;
		}
		__u32 watch = object_watched(f, number, s->device);

		if (!depth)
			s->first = watch << FIRST_SHIFT;
		if (watch & WATCH_TREE)
			return WATCHED;
		if (watch & WATCH_NAMES && s->below) {
			enum found found = name_watched(s, f, s->below, number);

			if (found != NOT_WATCHED)
				return found;
		}
		if (depth == 1 && watch & WATCH_NAMES)
			s->verdict.directory = 0; /* another name may be watched */
	}
	if (up != here) {
		s->below = here;
		s->dentry = up;
	} else if (!cross_to_parent(s)) {
		struct verdict *known = s->verdict.directory ? verdict_on(&s->verdict) : 0;

		if (known)
			*known = s->verdict;
		return NOT_WATCHED;
	}
	return GO_ON;
}

/*
 * A further step: a function of its own, for the verifier. In the loop it took half of the
 * time in which all sensors start.
 */
GLOBAL_FUNCTION __u32 search_step(__u32 slot)
{
	struct search *s = bpf_map_lookup_elem(&file_search, &slot);
	__u32 zero = 0;
	struct file_filter *f = bpf_map_lookup_elem(&file_filter, &zero);

	return s && f ? look_and_go_up(s, f, 2) : NOT_WATCHED;
}

/*
 * So both an alias by a bind mount and what is mounted below a watched directory are found.
 * Without a mount only the filesystem is searched.
 *
 * It returns enum found, and what the object itself is (enum file_watch) above FIRST_SHIFT.
 */
GLOBAL_FUNCTION __u32 find_watch(__u32 slot, __u64 dentry, __u64 vfsmount)
{
	struct search *s = bpf_map_lookup_elem(&file_search, &slot);
	__u32 zero = 0;
	struct file_filter *f = bpf_map_lookup_elem(&file_filter, &zero);

	if (!s || !f)
		return NOT_WATCHED;
	s->verdict.directory = 0;
	struct dentry *object = (struct dentry *)dentry;

	s->dentry = object;
	s->below = 0;
	s->vfsmount = (struct vfsmount *)vfsmount;
	s->device = device_of(object);
	s->first = 0;
	/* The object and its directory, where most searches end. */
	__u32 found = look_and_go_up(s, f, 0);

	if (found == GO_ON)
		found = look_and_go_up(s, f, 1);
	_Pragma("clang loop unroll(disable)")
	for (__u32 depth = 2; found == GO_ON && depth < SEARCH_DEPTH; depth++)
		found = search_step(slot);
	return s->first | (found == GO_ON ? TOO_DEEP : found);
}

static __always_inline __u16 flags_of(enum found found)
{
	return found == TOO_DEEP ? FILE_DEEP : found == LIKELY ? FILE_UNPROVEN : 0;
}

static __always_inline enum found watched(__u32 slot, struct dentry *dentry, struct vfsmount *vfsmount)
{
	return find_watch(slot, (__u64)dentry, (__u64)vfsmount) & 3;
}
