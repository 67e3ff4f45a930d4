/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What an application is shown of its connection. A redirected one has the peer that was dialled
 * and the local end of the connection that goes there; one that came through the worker has its
 * real client, also in accept().
 */
#include "intercept/flow.h"

struct tip_shown {
	__u32 addr; /* network order */
	__u16 port;
};

/* The IPv4 address that the application is about to be shown; false: it is none. */
static __always_inline bool shown_get(struct bpf_sock_addr *ctx, bool v6, struct tip_shown *out)
{
	struct tip_addr addr;

	out->port = bpf_ntohs(ctx->user_port);
	if (!v6) {
		out->addr = ctx->user_ip4;
		return true;
	}
	addr.word[0] = ctx->user_ip6[0];
	addr.word[1] = ctx->user_ip6[1];
	addr.word[2] = ctx->user_ip6[2];
	addr.word[3] = out->addr = ctx->user_ip6[3];
	return addr_is4(&addr);
}

static __always_inline void shown_set(struct bpf_sock_addr *ctx, bool v6, __u32 addr, __u16 port)
{
	if (v6)
		ctx->user_ip6[3] = addr;
	else
		ctx->user_ip4 = addr;
	ctx->user_port = bpf_htons(port);
}

static __always_inline bool names_concern(const struct bpf_sock_addr *ctx,
					  const struct tip_settings *st)
{
	return st && st->worker_port && ctx->type == SOCK_STREAM && ctx->protocol == IPPROTO_TCP &&
	       ctx->sk;
}

static __always_inline int show_peer(struct bpf_sock_addr *ctx, bool v6)
{
	const struct tip_settings *st = active_settings();
	const struct tip_redirect *to;
	const struct tip_leg *leg;
	struct tip_flow_key k;
	struct tip_shown peer;
	__u32 local;

	if (!names_concern(ctx, st) || !shown_get(ctx, v6, &peer))
		return 1;
	if (is_worker(st, peer.addr, peer.port)) {
		to = bpf_sk_storage_get(&redirected, ctx->sk, NULL, 0);
		if (to)
			shown_set(ctx, v6, to->daddr, to->dport);
		return 1;
	}
	/* A leg comes from the very address that it goes to. */
	local = ctx->sk->src_ip4;
	if (local != peer.addr)
		return 1;
	flow_set(&k, bpf_get_netns_cookie(ctx), peer.addr, peer.port, local, ctx->sk->src_port);
	leg = bpf_map_lookup_elem(&legs, &k);
	if (leg)
		shown_set(ctx, v6, leg->client_addr, leg->client_port);
	return 1;
}

static __always_inline int show_own(struct bpf_sock_addr *ctx, bool v6)
{
	const struct tip_settings *st = active_settings();
	const struct tip_redirect *entry;
	struct tip_flow_key k;
	struct tip_shown own;

	if (!names_concern(ctx, st) || !shown_get(ctx, v6, &own) ||
	    !is_worker(st, ctx->sk->dst_ip4, bpf_ntohs(ctx->sk->dst_port)))
		return 1;
	flow_set(&k, bpf_get_netns_cookie(ctx), own.addr, own.port, LOOPBACK4, st->worker_port);
	entry = bpf_map_lookup_elem(&redirects, &k);
	if (entry && entry->shown_addr)
		shown_set(ctx, v6, entry->shown_addr, entry->shown_port);
	return 1;
}

SEC("cgroup/getpeername4")
int tip_getpeername4(struct bpf_sock_addr *ctx)
{
	return show_peer(ctx, false);
}

SEC("cgroup/getpeername6")
int tip_getpeername6(struct bpf_sock_addr *ctx)
{
	return show_peer(ctx, true);
}

SEC("cgroup/getsockname4")
int tip_getsockname4(struct bpf_sock_addr *ctx)
{
	return show_own(ctx, false);
}

SEC("cgroup/getsockname6")
int tip_getsockname6(struct bpf_sock_addr *ctx)
{
	return show_own(ctx, true);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
