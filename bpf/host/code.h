/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Code that comes by another way than a file: BPF programs, and files in memory. */
#pragma once

#include "record.h"

#define BPF_PROG_LOAD_COMMAND 5
#define BPF_NAME_BYTES 16

FUNCTION int on_bpf(struct pt_regs *regs, long result)
{
	union bpf_attr *attr = (void *)argument(regs, 2);
	struct host_record *r;
	__u32 type = 0;

	if ((__u32)argument(regs, 1) != BPF_PROG_LOAD_COMMAND)
		return 0;
	r = begin_texts(HOST_BPF_LOAD);
	if (!r)
		return 0;
	if (bpf_probe_read_user(&type, sizeof(type), &attr->prog_type))
		r->flags |= HOST_CUT;
	r->arguments[0] = type;
	if (argument(regs, 3) >= __builtin_offsetof(union bpf_attr, prog_name) + BPF_NAME_BYTES &&
	    !bpf_probe_read_user(r->text, BPF_NAME_BYTES, attr->prog_name)) {
		r->text[BPF_NAME_BYTES - 1] = 0;
		r->length[0] = r->end = BPF_NAME_BYTES;
	}
	set_result((struct host_head *)r, result);
	emit_texts(r);
	return 0;
}

FUNCTION int on_memfd_create(struct pt_regs *regs, long result)
{
	struct host_record *r = begin_texts(HOST_MEMFD_CREATE);

	if (!r)
		return 0;
	r->arguments[0] = argument(regs, 2);
	append_text(r, 0, argument(regs, 1));
	set_result((struct host_head *)r, result);
	emit_texts(r);
	return 0;
}
