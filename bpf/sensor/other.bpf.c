/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every system call that no other program tells of, where some rule names it. */
#include "sensor/other.h"

/* Jumped to from the dispatcher of the system calls. */
SEC("tp_btf/sys_exit")
int BPF_PROG(tip_sys_other, struct pt_regs *regs, long ret)
{
	return other_exit(regs, ret);
}

/* Attached by itself where the other acts are sensed in the kernel's functions. */
SEC("tp_btf/sys_exit")
int BPF_PROG(tip_calls, struct pt_regs *regs, long ret)
{
	return exit_settings(regs) ? other_exit(regs, ret) : 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
