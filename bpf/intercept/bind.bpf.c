/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The worker's port belongs to the worker. Its listener may not be there yet, or no longer: who
 * took its place would be handed every redirected connection.
 */
#include "lib/store.h"
#include <bpf/bpf_endian.h>

static __always_inline int may_bind(struct bpf_sock_addr *ctx)
{
	const struct tip_settings *st = active_settings();

	if (!st || !st->worker_port || bpf_ntohs(ctx->user_port) != st->worker_port ||
	    ctx->type != SOCK_STREAM)
		return 1;
	return bpf_sk_storage_get(&ours, ctx->sk, NULL, 0) ? 1 : 0;
}

SEC("cgroup/bind4")
int tip_bind4(struct bpf_sock_addr *ctx)
{
	return may_bind(ctx);
}

SEC("cgroup/bind6")
int tip_bind6(struct bpf_sock_addr *ctx)
{
	return may_bind(ctx);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
