/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_REDIRECT_H
#define TIP_BPF_REDIRECT_H

/*
 * The outbound half: a connect() to an enforced destination goes to the worker of its network
 * namespace instead, or nowhere. The worker dials the destination, and only when that end has
 * proved itself does the application's connect() succeed.
 */

#include "enforce/denied.h"
#include "intercept/ask.h"
#include "intercept/local.h"
#include "intercept/share.h"

static __always_inline bool traffic_concerns(const struct bpf_sock_addr *ctx,
					     const struct tip_settings *st)
{
	return st->traffic_generation ||
	       (st->worker_port && bpf_ntohs(ctx->user_port) == st->worker_port);
}

/* The worker's listener is there, and the worker shows that it lives. */
static __always_inline bool worker_ready(__u64 netns)
{
	struct bpf_sock *sk = bpf_map_lookup_elem(&workers, &netns);
	const __u64 *beat;
	__u32 zero = 0;

	if (!sk)
		return false;
	bpf_sk_release(sk);
	beat = bpf_map_lookup_elem(&heartbeat, &zero);
	/* Signed: the keeper may have written between the two readings of the clock. */
	return beat && (__s64)(bpf_ktime_get_boot_ns() - *beat) < TIP_HEARTBEAT_MS * 1000000ll;
}

/* As judge() of connect.bpf.c returns it. `dst` is covered by the strict `policy`. */
static __always_inline int redirect(struct bpf_sock_addr *ctx, bool v6,
				    const struct tip_settings *st, struct tip_who *who,
				    struct task_struct *task, __u32 dst, __u32 policy)
{
	struct tip_traffic_client client = {.policy = policy};
	struct tip_redirect *to;
	__u64 netns;

	/* A thread with credentials of its own is not what the process was identified as. */
	proc_sync_creds(who, task);
	client.number = who_current(who);
	if (client.number == TIP_ID_NONE)
		return deny(ctx, v6, who, task, TIP_DENY_NO_IDENTITY, policy);
	/* Pending ones are held by the worker until the keeper knows. */
	if (client.number != TIP_ID_PENDING && !bpf_map_lookup_elem(&traffic_clients, &client))
		return deny(ctx, v6, who, task, TIP_DENY_CLIENT, policy);

	netns = bpf_get_netns_cookie(ctx);
	if (!worker_ready(netns)) {
		ask_keeper(ctx, TIP_EV_NETNS, netns, who, task);
		return unreachable(TIP_CTR_NO_WORKER);
	}
	/* A socket that is bound to a device would look for 127.0.0.1 behind that device. */
	if (ctx->sk->bound_dev_if)
		return unreachable(TIP_CTR_NO_WORKER);
	if (redirects_full(st, netns, client.number)) {
		tell_refused(ctx, v6, who, task, TIP_DENY_SHARE, policy, -EHOSTUNREACH);
		return unreachable(TIP_CTR_REDIRECTS_FULL);
	}
	to = bpf_sk_storage_get(&redirected, ctx->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!to)
		return unreachable(TIP_CTR_NO_WORKER);
	to->proc = who->key;
	to->exec_id = who->proc ? who->proc->exec_id : 0;
	to->epoch = who->proc ? who->proc->epoch : 0;
	to->current = client.number;
	to->policy = policy;
	to->daddr = dst;
	to->dport = bpf_ntohs(ctx->user_port);
	to->shown_addr = 0;
	to->shown_port = 0;

	if (v6)
		ctx->user_ip6[3] = LOOPBACK4; /* the words before say ::ffff: already */
	else
		ctx->user_ip4 = LOOPBACK4;
	ctx->user_port = bpf_htons(st->worker_port);
	count(TIP_CTR_REDIRECTED);
	return 1;
}

static __always_inline int traffic_judge(struct bpf_sock_addr *ctx, bool v6,
					 const struct tip_settings *st, struct tip_who *who,
					 struct task_struct *task)
{
	const bool tcp = ctx->type == SOCK_STREAM && ctx->protocol == IPPROTO_TCP;
	__u32 generation = st->traffic_generation;
	struct tip_addr dst;
	__u32 policy = 0;
	__u16 port;

	if (!traffic_concerns(ctx, st) || !ctx->sk)
		return 1;
	port = bpf_ntohs(ctx->user_port);
	if (v6) {
		dst.word[0] = ctx->user_ip6[0];
		dst.word[1] = ctx->user_ip6[1];
		dst.word[2] = ctx->user_ip6[2];
		dst.word[3] = ctx->user_ip6[3];
		if (!dst.word[0] && !dst.word[1] && !dst.word[2] && !dst.word[3])
			dst.word[3] = bpf_htonl(1);
	} else {
		addr_set4(&dst, ctx->user_ip4);
	}
	/* 0.0.0.0 is where the socket is bound to, else 127.0.0.1. */
	if (addr_is4(&dst) && !dst.word[3]) {
		dst.word[3] = ctx->sk->src_ip4;
		if (!dst.word[3])
			dst.word[3] = LOOPBACK4;
	}
	if (generation && ctx->protocol != IPPROTO_ICMP && ctx->protocol != IPPROTO_ICMPV6)
		policy = policy_of(generation, TIP_TRAFFIC_DIALLED, &dst, port);
	/* Only redirected connects have anything to do with the worker. */
	if (bpf_sk_storage_get(&ours, ctx->sk, NULL, 0))
		return 1;
	if (tcp && addr_is4(&dst) && is_worker(st, dst.word[3], port)) {
		bpf_set_retval(-ECONNREFUSED);
		return 0;
	}
	if (policy) {
		if (!tcp || !addr_is4(&dst))
			return deny(ctx, v6, who, task, TIP_DENY_PROTOCOL, policy);
		return redirect(ctx, v6, st, who, task, dst.word[3], policy);
	}
	if (!tcp)
		return 1;
	/* A second connect() of a socket must not ride on what the first one was. */
	bpf_sk_storage_delete(&redirected, ctx->sk);
	return generation ? local_judge(ctx, v6, st, who, task, &dst) : 1;
}

#endif
