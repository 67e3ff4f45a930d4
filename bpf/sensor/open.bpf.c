/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* open, openat, openat2, creat, open_by_handle_at: what was asked for, and what was opened. */
#include "sensor/open.h"

SEC("tp_btf/sys_exit")
int BPF_PROG(tip_sys_open, struct pt_regs *regs, long ret)
{
	const struct tip_settings *st = active_settings();
	struct tip_scratch *s = scratch_get(TIP_SCRATCH_SYSCALL);
	struct tip_open_rec *rec;
	struct tip_who who;
	struct tip_call c;

	if (!st || !s)
		return 0;
	call_init(&c, regs, ret);
	if (!open_wanted(st) && !open_judged(st, c.ret)) {
		count(TIP_CTR_FILTERED);
		return 0;
	}
	/*
	 * The arguments come before the process: in this order the verifier forgets which call it
	 * was before the cases of the rest begin, and has a tenth of the work.
	 */
	rec = (void *)s->rec;
	s->set = TIP_SCRATCH_SYSCALL;
	s->opened.name = (unsigned long)open_args(&c, NULL, &rec->ev);
	s->opened.name_user = 1;
	s->opened.ret = c.ret;
	s->opened.flags = call_flags(&c);
	if (!open_filter(s, st) && !open_judged(st, c.ret)) {
		count(TIP_CTR_PREFILTERED);
		return 0;
	}
	s->opened.file = c.ret >= 0 ? (unsigned long)task_file(c.task, c.ret) : 0;
	who_find(&who, c.task);
	if (!who_acts_in_scope(&who)) {
		count(TIP_CTR_FILTERED);
		return 0;
	}
	open_enforce(s, st, &who);
	open_tell(s, st, &who, c.task);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
