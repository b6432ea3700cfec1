/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Mounts and namespaces. */
#pragma once

#include "descriptor.h"

/* Which arguments are texts, and which one the flags: counted from 1, 0 for none. */
static __always_inline int on_mounts(enum host_call call, struct pt_regs *regs, long result, int first, int second, int third, int flags)
{
	struct host_record *r = begin_texts(call);

	if (!r)
		return 0;
	if (flags)
		r->arguments[3] = argument(regs, flags);
	if (first)
		append_text(r, 0, argument(regs, first));
	if (second)
		append_text(r, 1, argument(regs, second));
	if (third)
		append_text(r, 2, argument(regs, third));
	set_result((struct host_head *)r, result);
	emit_texts(r);
	return 0;
}

FUNCTION int on_mount(struct pt_regs *regs, long result)
{
	return on_mounts(HOST_MOUNT, regs, result, 1, 2, 3, 4);
}

FUNCTION int on_umount(struct pt_regs *regs, long result)
{
	return on_mounts(HOST_UMOUNT, regs, result, 0, 1, 0, 2);
}

FUNCTION int on_move_mount(struct pt_regs *regs, long result)
{
	return on_mounts(HOST_MOVE_MOUNT, regs, result, 2, 4, 0, 5);
}

FUNCTION int on_pivot_root(struct pt_regs *regs, long result)
{
	return on_mounts(HOST_PIVOT_ROOT, regs, result, 2, 1, 0, 0);
}

FUNCTION int on_setns(struct pt_regs *regs, long result)
{
	struct host_head h;

	begin(&h, HOST_SETNS);
	h.arguments[0] = argument(regs, 2);
	if (cfg_probe_read) {
		__u64 inum = 0;
		__u32 kind = namespace_at(argument(regs, 1), &inum);

		h.arguments[0] |= kind;
		h.arguments[1] = inum;
	}
	set_result(&h, result);
	emit_head(&h);
	return 0;
}

/* CLONE_NEW*: others make nothing that others can see. */
#define NAMESPACES 0x7e020080

FUNCTION int on_unshare(struct pt_regs *regs, long result)
{
	__u64 flags = argument(regs, 1);
	struct host_head h;

	if (!(flags & NAMESPACES))
		return 0;
	begin(&h, HOST_UNSHARE);
	h.arguments[0] = flags;
	set_result(&h, result);
	emit_head(&h);
	return 0;
}
