/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The exit of every system call. This is the one program that the whole node pays for: it looks at
 * the number and jumps to the handler, if there is one.
 */
#include "lib/syscall.h"

SEC("tp_btf/sys_exit")
int BPF_PROG(tip_sys_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 nr = (__u32)regs->orig_ax & ~X32_BIT;

	if (task->thread_info.status & TS_COMPAT)
		nr = nr_from_ia32(regs);
	if (nr < NR_TABLE_SIZE)
		bpf_tail_call(ctx, &handlers, nr);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
