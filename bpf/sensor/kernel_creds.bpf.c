/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* New credentials, by whichever call; those of an exec come with the exec. */
#include "lib/syscall.h"
#include "lib/identity.h"

/* execve and execveat of the three tables. */
static __always_inline bool in_exec(struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	__u32 nr = regs->orig_ax;

	if (task->thread_info.status & TS_COMPAT)
		return nr == 11 || nr == 358;
	nr &= ~X32_BIT;
	return nr == 59 || nr == 322 || nr == 520 || nr == 545;
}

SEC("fexit/commit_creds")
int BPF_PROG(tip_new_creds, struct cred *cred, int ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct tip_who who;

	if (!active_settings() || in_exec(task))
		return 0;
	who_find(&who, task);
	proc_sync_creds(&who, task);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
