/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_DENIED_H
#define TIP_BPF_DENIED_H

/* A connect() that a cgroup hook refuses with EPERM. */

#include "enforce/judge_net.h"

/* Tells of a connect() that gets `err`. `reason` is TIP_DENY_*. */
static __always_inline void tell_refused(struct bpf_sock_addr *ctx, bool v6,
					 const struct tip_who *who, struct task_struct *task,
					 __u32 reason, __u32 policy, __s64 err)
{
	struct tip_end_socket sock = {
		.netns_cookie = bpf_get_netns_cookie(ctx),
		.netns = task_netns(task),
		.type = ctx->type,
		.protocol = ctx->protocol,
	};
	struct tip_end e = {};
	__u32 *word = (__u32 *)e.addr.bytes;

	/* As it was dialled, and not as the IPv4 address that it may stand for. */
	e.family = ctx->family;
	e.port = bpf_ntohs(ctx->user_port);
	if (v6) {
		word[0] = ctx->user_ip6[0];
		word[1] = ctx->user_ip6[1];
		word[2] = ctx->user_ip6[2];
		word[3] = ctx->user_ip6[3];
	} else {
		word[0] = ctx->user_ip4;
	}
	tell_end(TIP_EV_DENIED_CONNECT, reason, policy, err, who, task, &e, &sock, NULL);
}

/* Counts and tells it. Returns what the hook returns: EPERM. */
static __always_inline int deny(struct bpf_sock_addr *ctx, bool v6, const struct tip_who *who,
				struct task_struct *task, __u32 reason, __u32 policy)
{
	count(TIP_CTR_CONNECT_DENIED);
	tell_refused(ctx, v6, who, task, reason, policy, -EPERM);
	return 0;
}

#endif
