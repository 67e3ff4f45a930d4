/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The exit of every system call. This is the one program that the whole node pays for: it looks at
 * the number and jumps to the handler, if there is one.
 */
#include "lib/syscall.h"

SEC("tp_btf/sys_exit")
int BPF_PROG(tip_sys_exit, struct pt_regs *regs, long ret)
{
	const struct tip_settings *st;
	__u32 zero = 0, nr = nr_of(bpf_get_current_task_btf(), regs);

	if (nr >= TIP_SYSCALLS)
		return 0;
	bpf_tail_call(ctx, &handlers, nr);
	/* It has none. */
	st = bpf_map_lookup_elem(&settings, &zero);
	if (st && call_wanted(st, nr))
		bpf_tail_call(ctx, &handlers, TIP_SYSCALLS);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
