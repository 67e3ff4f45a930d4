/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A process was moved to another cgroup: its identity has to be asked for again. */
#include "lib/identity.h"

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(tip_cgroup, struct cgroup *dst, const char *path, struct task_struct *task,
	     bool threadgroup)
{
	const struct tip_settings *st = active_settings();
	struct tip_who who;

	/*
	 * Moves in a v1 hierarchy come by here too and change nothing in cgroup2: the state is
	 * compared, so they cost a look. The process lives where its leader does; a thread moved
	 * alone (threaded cgroups) stays in the same resource domain.
	 */
	if (!st || task_is_kernel(task))
		return 0;
	who_find(&who, task);
	proc_sync_cgroup(&who, task, st);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
