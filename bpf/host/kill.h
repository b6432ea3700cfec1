/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Signals from one process to another. */
#pragma once

#include "record.h"

/* The system calls that can give a signal any code, and those that a signal comes by. */
const volatile __u32 cfg_queue_calls[3];

/* A process's registers can be found (5.15). */
const volatile bool cfg_task_regs = true;

#define SI_USER 0
#define SI_QUEUE -1
#define SI_TIMER -2
#define SI_MESGQ -3
#define SI_ASYNCIO -4
#define SI_SIGIO -5
#define SI_TKILL -6
#define SI_ASYNCNL -60

/* The kernel's own codes from below 0, which a process may claim: then it made such a call. */
static __always_inline bool claims(void)
{
	if (!cfg_task_regs)
		return false;
	__u32 number = call_number((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()));

	return number == cfg_queue_calls[0] || number == cfg_queue_calls[1] || number == cfg_queue_calls[2];
}

static __always_inline bool from_process(struct kernel_siginfo *info)
{
	if ((__u64)info <= 1)
		return false; /* SEND_SIG_NOINFO, SEND_SIG_PRIV: the kernel's own */
	int code = 0;

	/* Since 7.0 the verifier takes it for a number, as it is for the kernel's own. */
	if (cfg_probe_read)
		bpf_core_read(&code, sizeof(code), &info->si_code);
	else if (bpf_rdonly_cast)
		code = ((struct kernel_siginfo *)bpf_rdonly_cast(info, bpf_core_type_id_kernel(struct kernel_siginfo)))->si_code;
	else
		code = LOAD(info, si_code);

	switch (code) {
	case SI_TIMER:
	case SI_MESGQ:
	case SI_ASYNCIO:
	case SI_SIGIO:
	case SI_ASYNCNL:
		return claims();
	}
	return code <= SI_USER;
}

static __always_inline int on_signal(int signal, struct kernel_siginfo *info, struct task_struct *target, int became)
{
	struct task_struct *task = current_task();
	struct host_head h;

	if (!from_process(info) || LOAD(task, tgid) == LOAD(target, tgid))
		return 0;
	begin(&h, HOST_KILL);
	find_exec_id(&h.target, target);
	h.arguments[0] = signal;
	h.arguments[1] = became;
	set_result(&h, 0);
	emit_head(&h);
	return 0;
}

/* A signal of number 0 only asks whether it may. */
static __always_inline int on_permission(int signal, struct task_struct *target, int result)
{
	struct task_struct *task = current_task();
	struct host_head h;

	if (!result || !signal || LOAD(task, tgid) == LOAD(target, tgid))
		return 0;
	begin(&h, HOST_KILL);
	find_exec_id(&h.target, target);
	h.arguments[0] = signal;
	set_result(&h, result);
	emit_head(&h);
	return 0;
}
