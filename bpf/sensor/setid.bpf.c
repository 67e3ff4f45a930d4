/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The set*uid and set*gid family. setfsuid, setfsgid and setgroups change nothing that a
 * selector looks at; credentials that exec changes come with the exec. What rules name is told as
 * any other call.
 */
#include "lib/syscall.h"
#include "lib/identity.h"

SEC("tp_btf/sys_exit")
int BPF_PROG(tip_sys_setid, struct pt_regs *regs, long ret)
{
	const struct tip_settings *st = active_settings();
	struct task_struct *task = bpf_get_current_task_btf();
	struct tip_who who;

	if (!st)
		return 0;
	if (ret >= 0) {
		who_find(&who, task);
		proc_sync_creds(&who, task);
	}
	if ((st->event_mask & 1ull << TIP_EV_CALL) && call_wanted(st, nr_of(task, regs)))
		bpf_tail_call_static(ctx, &handlers, TIP_HANDLER_OTHER);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
