/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every connect(), and every datagram that is sent to an address: quarantine first, then traffic
 * policies. The hooks follow the cgroup that the socket was made in, so they are attached high up
 * and decide by the calling task: its process's identity, or the last one of its lineage.
 */
#include "enforce/denied.h"
#include "enforce/quarantine.h"
#include "intercept/redirect.h"

/* 1: go on, 0: refused, with EPERM unless another errno was set. */
static __always_inline int judge(struct bpf_sock_addr *ctx, bool v6)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct tip_settings *st = active_settings();
	struct tip_who who;

	if (!st || !(st->enforce || traffic_concerns(ctx, st)) || task_is_kernel(task))
		return 1;
	who_find(&who, task);
	if (st->enforce && who_quarantined(&who))
		return deny(ctx, v6, &who, task, TIP_DENY_QUARANTINE, 0);
	if (!tip_lsm && rule_refuses(ctx, v6, TIP_JUDGED_CONNECT, st, &who, task))
		return 0;
	return traffic_judge(ctx, v6, st, &who, task);
}

SEC("cgroup/connect4")
int tip_connect4(struct bpf_sock_addr *ctx)
{
	return judge(ctx, false);
}

SEC("cgroup/connect6")
int tip_connect6(struct bpf_sock_addr *ctx)
{
	return judge(ctx, true);
}

SEC("cgroup/sendmsg4")
int tip_sendmsg4(struct bpf_sock_addr *ctx)
{
	return judge(ctx, false);
}

SEC("cgroup/sendmsg6")
int tip_sendmsg6(struct bpf_sock_addr *ctx)
{
	return judge(ctx, true);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
