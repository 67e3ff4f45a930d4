/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The exit of every system call. This is the one program that the whole node pays for: of a call
 * that nobody asks for it looks at nothing but the number.
 */
#include "lib/syscall.h"

SEC("tp_btf/sys_exit")
int BPF_PROG(tip_sys_exit, struct pt_regs *regs, long ret)
{
	const struct tip_settings *st = exit_settings(regs);
	__u32 nr, handler;

	if (!st)
		return 0;
	nr = nr_of(bpf_get_current_task_btf(), regs);
	if (nr >= TIP_SYSCALLS)
		return 0;
	opaque(nr);
	handler = st->handlers[nr & (TIP_SYSCALLS - 1)] & ~TIP_HANDLER_IA32;
	/* A jump that is written into the program; the other one goes through a retpoline. */
	if (handler == TIP_HANDLER_OPEN)
		bpf_tail_call_static(ctx, &handlers, TIP_HANDLER_OPEN);
	else
		bpf_tail_call(ctx, &handlers, handler);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
