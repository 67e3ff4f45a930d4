/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every bind() of a socket in scope. Rules on a kernel without BPF LSM; and the worker's port
 * belongs to the worker: its listener may not be there yet, or no longer: who
 * took its place would be handed every redirected connection.
 */
#include "enforce/judge_net.h"

static __always_inline int may_bind(struct bpf_sock_addr *ctx, bool v6)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct tip_settings *st = active_settings();
	struct tip_who who;

	if (!st || task_is_kernel(task))
		return 1;
	if (!tip_lsm && st->rule_count) {
		who_find(&who, task);
		if (rule_refuses(ctx, v6, TIP_JUDGED_BIND, st, &who, task))
			return 0;
	}
	if (!st->worker_port || bpf_ntohs(ctx->user_port) != st->worker_port ||
	    ctx->type != SOCK_STREAM)
		return 1;
	return bpf_sk_storage_get(&ours, ctx->sk, NULL, 0) ? 1 : 0;
}

SEC("cgroup/bind4")
int tip_bind4(struct bpf_sock_addr *ctx)
{
	return may_bind(ctx, false);
}

SEC("cgroup/bind6")
int tip_bind6(struct bpf_sock_addr *ctx)
{
	return may_bind(ctx, true);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
