/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* System calls: their arguments and, at their end, what these name. */
#pragma once

#include "registers.h"
#include "text.h"

/* By number, on this architecture. */
const volatile struct file_call cfg_calls[FILE_CALLS];

/* A hook inside each operation notes what is watched: what succeeds without a note is not. */
const volatile bool cfg_exact = false;

/* So for opens too; else a new descriptor says what was opened. */
const volatile bool cfg_exact_open = false;

/* A process's registers can be found (5.15): a hook can tell by which system call it came. */
const volatile bool cfg_task_regs = true;

/* Operations that are going on, by thread: only those that are watched. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__type(key, __u64);
	__type(value, struct file_note);
} file_notes SEC(".maps");

/* What a note is before anything is known. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct file_note);
} file_blank SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct file_record);
} file_scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct file_prefix);
} file_prefix_key SEC(".maps");

static __always_inline bool compat_call(struct task_struct *task)
{
	return is_compat(PEEK(task, thread_info.status));
}

#define O_ACCMODE 3
#define O_CREAT 0100
#define O_TRUNC 01000
#define O_PATH 010000000
#define FMODE_WRITE 2
#define FMODE_CREATED 0x100000

#define AT_REMOVEDIR 0x200

/* Fills in the call's details and returns what it does; nothing for an open that can neither write nor make a file. */
static __always_inline __u16 read_details(__u32 details[2], volatile const struct file_call *call, struct pt_regs *regs)
{
	if (call->how) {
		__u64 how[2] = {}; /* struct open_how: flags, mode */

		bpf_probe_read_user(how, sizeof(how), (void *)argument(regs, call->how));
		details[0] = how[0];
		details[1] = how[1];
	} else {
		details[0] = argument(regs, call->details[0]);
		details[1] = argument(regs, call->details[1]);
		if (call->operation == FILE_OPEN && !call->details[0])
			details[0] = 1 | O_CREAT | O_TRUNC; /* creat(2) */
	}
	if (call->operation == FILE_UNLINK && details[0] & AT_REMOVEDIR)
		return FILE_RMDIR;
	if (call->operation != FILE_OPEN)
		return call->operation;
	return details[0] & (O_ACCMODE | O_CREAT | O_TRUNC) && !(details[0] & O_PATH) ? FILE_OPEN : FILE_NONE;
}

static __always_inline struct file *file_of(struct task_struct *task, __u32 descriptor)
{
	struct files_struct *files = PEEK(task, files);
	struct fdtable *table = PEEK(files, fdt);
	struct file *file = 0;

	if (descriptor >= PEEK(table, max_fds))
		return 0;
	bpf_probe_read_kernel(&file, sizeof(file), PEEK(table, fd) + descriptor);
	return file;
}

#define AT_FDCWD -100

/* Where a name begins; as struct path. */
struct base {
	struct vfsmount *vfsmount;
	struct dentry *dentry;
};

/* By helper: a typed pointer is no number, which a function of its own takes. Both lie together. */
static __always_inline void base_of(struct base *b, struct file *file)
{
	bpf_core_read(b, sizeof(*b), &file->f_path);
}

static __always_inline bool find_base(struct base *b, struct task_struct *task, bool absolute, bool has_descriptor, __s32 descriptor)
{
	if (absolute) {
		b->dentry = BPF_CORE_READ(task, fs, root.dentry);
		b->vfsmount = BPF_CORE_READ(task, fs, root.mnt);
		return true;
	}
	if (!has_descriptor || descriptor == AT_FDCWD) {
		b->dentry = BPF_CORE_READ(task, fs, pwd.dentry);
		b->vfsmount = BPF_CORE_READ(task, fs, pwd.mnt);
		return true;
	}
	struct file *file = file_of(task, descriptor);

	if (!file)
		return false;
	base_of(b, file);
	return true;
}

/* ODD: with parts that are no names ("..", "." or ""), so that letters do not say where it leads. */
enum shape { ONE_NAME, SEVERAL_NAMES, ODD };

/* 1 if two letters are the same, else 0. Each branch in a loop doubles the ways that the verifier goes: here is none. */
static __always_inline __u32 same(char a, char b)
{
	__u32 difference = (__u8)(a ^ b);

	asm volatile("" : "+r"(difference)); /* else the compiler sees what it is, and makes a branch */
	return (difference - 1) >> 31;
}

static __always_inline enum shape shape_of(struct file_prefix *p)
{
	__u32 begins = 1, later = 0, slashes = 0, odd = 0;
	char c = 0;

	_Pragma("clang loop unroll(disable)")
	for (int i = 0; i < WATCH_PREFIX_BYTES; i++) {
		c = p->path[i];
		if (!c)
			break;
		__u32 slash = same(c, '/');

		odd |= begins & (same(c, '.') | (slash & later));
		slashes |= slash;
		begins = slash;
		later = 1;
	}
	if (odd)
		return ODD;
	return c || slashes ? SEVERAL_NAMES : ONE_NAME;
}

/*
 * Whether a name of a system call may lead to what is watched. One name in a watched
 * directory does. Of others letters tell, as far as there is no symlink on the way: it is
 * for user space to look at them.
 */
GLOBAL_FUNCTION __u32 name_leads(__u64 dentry, __u64 vfsmount, __u64 name, __u32 absolute)
{
	__u32 zero = 0;
	struct file_prefix *p = bpf_map_lookup_elem(&file_prefix_key, &zero);
	__u32 base = find_watch(AT_END, dentry, vfsmount);
	__u32 first = base >> FIRST_SHIFT;
	enum found found = base & 3;

	if (!p)
		return NOT_WATCHED;
	__builtin_memset(p->path, 0, sizeof(p->path));
	p->bits = sizeof(p->path) * 8;
	bpf_probe_read_user_str(p->path, sizeof(p->path), (void *)name);
	enum shape shape = shape_of(p);

	if (found != NOT_WATCHED)
		return found == WATCHED && shape != ONE_NAME ? LIKELY : found;
	if (!absolute)
		return first & (WATCH_ABOVE | WATCH_NAMES) || shape == ODD ? LIKELY : NOT_WATCHED;
	if (!(first & WATCH_ROOT))
		return first & WATCH_ABOVE ? LIKELY : NOT_WATCHED;
	return bpf_map_lookup_elem(&file_prefixes, p) || shape == ODD ? LIKELY : NOT_WATCHED;
}
