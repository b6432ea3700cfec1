/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A process's registers at its system call. */
#pragma once

#include "config.h"

const volatile bool cfg_arm64 = false;

static __always_inline __u32 call_number(struct pt_regs *regs)
{
	if (cfg_arm64)
		return ((struct pt_regs___arm64 *)regs)->syscallno;
	return ((struct pt_regs___x86 *)regs)->orig_ax;
}

/* Argument n, counted from 1. Registers keep them through the call, but arm64's first. */
static __always_inline __u64 argument(struct pt_regs *regs, __u8 n)
{
	struct pt_regs___x86 *x86 = (void *)regs;
	struct pt_regs___arm64 *arm64 = (void *)regs;

	switch (n) {
	case 1:
		return cfg_arm64 ? arm64->orig_x0 : x86->di;
	case 2:
		return cfg_arm64 ? arm64->regs[1] : x86->si;
	case 3:
		return cfg_arm64 ? arm64->regs[2] : x86->dx;
	case 4:
		return cfg_arm64 ? arm64->regs[3] : x86->r10;
	case 5:
		return cfg_arm64 ? arm64->regs[4] : x86->r8;
	}
	return 0;
}

/* The call that is going on. Only where the registers of a process can be found (5.15). */
static __always_inline struct pt_regs *own_registers(void)
{
	return (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
}

/* What a program at the end of one system call is given: /sys/kernel/tracing/events/syscalls. */
struct syscall_end {
	__u64 common;
	__s64 number;
	__s64 result;
};

#define TS_COMPAT 2 /* arch/x86/include/asm/thread_info.h */

/* 32-bit system calls have other numbers. */
static __always_inline bool is_compat(__u32 thread_status)
{
	return !cfg_arm64 && thread_status & TS_COMPAT;
}
