/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* exit: the last thread of a process ends, and with it the exec id. */
#include "lib/identity.h"

/* As wait() shows it: the code of the whole group if there is one, else that of the leader. */
static __always_inline __s32 exit_code(struct task_struct *task)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	const __u32 group_exit = 0x4; /* SIGNAL_GROUP_EXIT, the same in 6.1 to 6.18 */

	if (BPF_CORE_READ(signal, flags) & group_exit)
		return BPF_CORE_READ(signal, group_exit_code);
	return BPF_CORE_READ(task, group_leader, exit_code);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(tip_exit, struct task_struct *task)
{
	const struct tip_settings *st = active_settings();
	struct tip_binding binding = {};
	struct tip_proc proc;
	struct tip_who who;
	struct {
		struct tip_hdr hdr;
		struct tip_ev_exit ev;
	} *rec;

	if (!st || task_is_kernel(task) || BPF_CORE_READ(task, signal, live.counter) != 0)
		return 0;
	who_find(&who, task);
	if (!who.proc)
		return 0;
	/* Copies: once they are deleted, the entries may become another process's. */
	proc = *who.proc;
	if (who.binding)
		binding = *who.binding;
	/* Two threads that end at once both see zero living: the one whose delete succeeds speaks.
	 */
	if (bpf_map_delete_elem(&procs, &who.key))
		return 0;
	bpf_map_delete_elem(&bindings, &proc.exec_id);
	bpf_map_delete_elem(&digests, &proc.exec_id);
	if (!(proc.flags & TIP_PROC_IN_SCOPE))
		return 0;
	who.proc = &proc;
	who.binding = &binding;
	rec = bpf_ringbuf_reserve(&lifecycle, sizeof(*rec), 0);
	if (!rec) {
		count(TIP_CTR_LIFECYCLE_DROPPED);
		return 0;
	}
	hdr_fill(&rec->hdr, TIP_EV_EXIT, sizeof(*rec), &who, task, 0);
	rec->ev.code = exit_code(task);
	rec->ev.zero = 0;
	lifecycle_submit(rec);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
