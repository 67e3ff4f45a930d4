/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* kill, ptrace, mount, modules and executable memory at the exit of the system calls. */
#include "sensor/call.h"

SEC("tp_btf/sys_exit")
int BPF_PROG(tip_sys_call, struct pt_regs *regs, long ret)
{
	struct tip_scratch *s = scratch_get(TIP_SCRATCH_SYSCALL);
	const struct tip_settings *st = active_settings();
	struct tip_who who;
	struct tip_call c;

	if (!st || !s)
		return 0;
	call_init(&c, regs, ret);
	if (!called_begin(&c, st, &s->called))
		return 0;
	called_args(&c, &s->called);
	if (s->called.type == TIP_EV_MMAP && !(s->called.args[2] & PROT_EXEC))
		return 0;
	called_more(&c, &s->called);
	s->set = TIP_SCRATCH_SYSCALL;
	if (called_needless(st, s))
		return 0;
	who_find(&who, c.task);
	if (!who_acts_in_scope(&who)) {
		count(TIP_CTR_FILTERED);
		return 0;
	}
	called_tell(s, &who, c.task);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
