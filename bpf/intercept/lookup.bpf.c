/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who gets a connection that arrives: on an enforced port the worker's listener, or nobody, or the
 * application for a leg that the keeper registered. One copy of this program is loaded for each
 * network namespace, since no helper tells it where it runs. It belongs to no
 * generation of programs: it decides by the shared maps alone, so two builds of it agree.
 */
#include "intercept/policy.h"

const volatile __u64 tip_netns = 0; /* cookie; written before load */

struct tip_map_settings settings SEC(".maps");
struct tip_map_counters counters SEC(".maps");
struct tip_map_traffic traffic SEC(".maps");
struct tip_map_traffic_ports traffic_ports SEC(".maps");
struct tip_map_legs legs SEC(".maps");
struct tip_map_workers workers SEC(".maps");

/* Gives it to the worker; `keep`: only if there is one, and the application gets it. */
static __always_inline int steer(struct bpf_sk_lookup *ctx, bool keep)
{
	__u64 netns = tip_netns;
	struct bpf_sock *sk = bpf_map_lookup_elem(&workers, &netns);
	long err;

	if (!sk) {
		count(TIP_CTR_STEER_REFUSED);
		return SK_DROP;
	}
	err = keep ? 0 : bpf_sk_assign(ctx, sk, 0);
	bpf_sk_release(sk);
	if (err) {
		count(TIP_CTR_STEER_REFUSED);
		return SK_DROP;
	}
	if (!keep)
		count(TIP_CTR_STEERED);
	return SK_PASS;
}

static __always_inline int lookup4(struct bpf_sk_lookup *ctx, const struct tip_settings *st)
{
	__u32 local = ctx->local_ip4, port = ctx->local_port;
	struct tip_flow_key k;
	struct tip_addr addr;

	if (port == st->worker_port) {
		if (local == LOOPBACK4)
			return steer(ctx, false);
		count(TIP_CTR_STEER_REFUSED);
		return SK_DROP;
	}
	addr_set4(&addr, local);
	if (!policy_of(st->traffic_generation, TIP_TRAFFIC_DIALLED, &addr, port))
		return SK_PASS;
	flow_set(&k, tip_netns, ctx->remote_ip4, bpf_ntohs(ctx->remote_port), local, port);
	return steer(ctx, bpf_map_lookup_elem(&legs, &k) != NULL);
}

/* There is no worker for IPv6: what IPv4 enforces is closed there, except inside the host. */
static __always_inline int lookup6(struct bpf_sk_lookup *ctx, const struct tip_settings *st)
{
	struct tip_addr local, remote;

	for (int i = 0; i < 4; i++) {
		local.word[i] = ctx->local_ip6[i];
		remote.word[i] = ctx->remote_ip6[i];
	}
	if (addr_same(&local, &remote) || addr_is_loopback6(&remote) ||
	    !policy_of(st->traffic_generation, TIP_TRAFFIC_INET6, &local, ctx->local_port))
		return SK_PASS;
	count(TIP_CTR_STEER_REFUSED);
	return SK_DROP;
}

SEC("sk_lookup")
int tip_lookup(struct bpf_sk_lookup *ctx)
{
	const struct tip_settings *st;
	__u32 zero = 0;

	/*
	 * UDP is not asked about here: this hook cannot tell a server's socket from a client that
	 * waits for an answer on whatever port it was given. The plaintext stop can.
	 */
	if (ctx->protocol != IPPROTO_TCP)
		return SK_PASS;
	st = bpf_map_lookup_elem(&settings, &zero);
	if (!st || !st->traffic_generation)
		return SK_PASS;
	return ctx->family == AF_INET ? lookup4(ctx, st) : lookup6(ctx, st);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
