/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Kernel modules that come and go. */
#pragma once

#include "descriptor.h"

/* The name is one field of the struct, loaded as words: no helper is needed. */
static __always_inline int on_module(enum host_call call, struct module *module)
{
	struct host_record *r = begin_texts(call);

	if (!r)
		return 0;
	_Pragma("unroll")
	for (int i = 0; i < (int)sizeof(module->name); i += 8)
		*(__u64 *)(r->text + i) = *(__u64 *)&module->name[i];
	r->text[sizeof(module->name) - 1] = 0;
	r->length[0] = r->end = sizeof(module->name);
	set_result((struct host_head *)r, 0);
	emit_texts(r);
	return 0;
}

static __always_inline int on_module_call(enum host_call call, int descriptor, __u64 name, long result)
{
	if (cfg_failures_only && result >= 0)
		return 0;
	struct host_record *r = begin_texts(call);

	if (!r)
		return 0;
	if (name)
		append_text(r, 0, name);
	else if (descriptor >= 0)
		append_file_name(r, descriptor);
	set_result((struct host_head *)r, result);
	emit_texts(r);
	return 0;
}

/* Of what was tried in vain: no module tells its name. That of a file is that of the one it was to come from. */
FUNCTION int on_init_module(struct pt_regs *regs, long result)
{
	return on_module_call(HOST_MODULE_LOAD, -1, 0, result);
}

FUNCTION int on_finit_module(struct pt_regs *regs, long result)
{
	return on_module_call(HOST_MODULE_LOAD, argument(regs, 1), 0, result);
}

FUNCTION int on_delete_module(struct pt_regs *regs, long result)
{
	return on_module_call(HOST_MODULE_UNLOAD, -1, argument(regs, 1), result);
}
