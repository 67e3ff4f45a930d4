/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "lib/store.h"

/*
 * Does the current process's cgroup lie in scope? A function of its own for the verifier, which
 * looks at it once: the search stands behind many branches of the programs that ask, and Linux 6.1
 * would follow it from each of them.
 */
__noinline int tip_cgroup_in_scope(void)
{
	const struct tip_settings *st = active_settings();

	return st && cgroup_in_scope(task_cgroup(bpf_get_current_task_btf()), st);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
