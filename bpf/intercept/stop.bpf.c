/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The plaintext stop. Nothing that the other hooks missed (a socket passed in, one that was
 * connected before, a raw one, a daemon that is dead) gets past here: packets to or from an
 * enforced port belong to the worker's sockets or to a registered leg, or they are dropped. It does
 * not look at what they carry: TLS records do not align with packets.
 */
#include "intercept/packet.h"
#define SOCK_BINDPORT_LOCK 8

static __always_inline bool is_leg(const struct tip_packet *p, __u64 netns)
{
	const __u32 local = p->local.word[3], remote = p->remote.word[3];
	struct tip_flow_key k;

	flow_set(&k, netns, local, p->lport, remote, p->rport);
	if (bpf_map_lookup_elem(&legs, &k))
		return true;
	flow_set(&k, netns, remote, p->rport, local, p->lport);
	return bpf_map_lookup_elem(&legs, &k);
}

/*
 * Did bind() name the port? Who was given any is a client. 6.1 has no helper that turns a UDP
 * socket into something that can be read, but the context's pointer is the kernel's own: read from
 * where it lies on our stack, it is a number like any other.
 */
static __always_inline bool port_was_chosen(struct bpf_sock *sk)
{
	struct sock *kernel = NULL;

	bpf_probe_read_kernel(&kernel, sizeof(kernel), &sk);
	return BPF_CORE_READ_BITFIELD_PROBED(kernel, sk_userlocks) & SOCK_BINDPORT_LOCK;
}

static __always_inline bool may_pass(struct __sk_buff *skb, const struct tip_settings *st,
				     const struct tip_packet *p, bool egress)
{
	__u32 generation = st->traffic_generation;
	struct bpf_sock *sk = skb->sk;
	__u32 local, remote;
	struct tcp_sock *tp;
	__u64 netns;

	/* The application's end of a redirected connection; the worker's end is ours. */
	if (!p->v6 && p->protocol == IPPROTO_TCP && is_worker(st, p->remote.word[3], p->rport))
		return true;
	local = policy_local(p, generation);
	remote = policy_of(generation, TIP_TRAFFIC_DIALLED, &p->remote, p->rport);
	if (!local && !remote)
		return true;
	if (!sk)
		return false;
	if (p->protocol != IPPROTO_TCP)
		return !remote && !port_was_chosen(sk);
	/* Raw sockets can send TCP too. */
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return false;
	/* 6.1 and 6.12 have no helper for the cookie here. */
	netns = BPF_CORE_READ(sk_net((struct sock *)tp), net_cookie);
	if (!p->v6 && is_leg(p, netns))
		return true;
	return dialled_is_local(p, netns, egress) ? !local : !remote;
}

static __always_inline int stop(struct __sk_buff *skb, bool egress)
{
	const struct tip_settings *st = active_settings();
	struct bpf_sock *sk = skb->sk;
	struct tip_packet p = {};
	enum tip_parsed parsed;
	__u8 version;

	if (!st || !st->traffic_generation)
		return 1;
	/* First, for a socket without any storage answers this at once, and ours carry the load. */
	if (sk && bpf_sk_storage_get(&ours, sk, NULL, 0))
		return 1;
	if (load_net(skb, 0, &version, sizeof(version)))
		parsed = PARSED_BAD;
	else
		parsed = version >> 4 == 6 ? parse6(skb, &p, egress) : parse4(skb, &p, egress);
	if (parsed == PARSED_OTHER || (parsed == PARSED_LOOK && may_pass(skb, st, &p, egress)))
		return 1;
	count(TIP_CTR_PLAIN_STOPPED);
	return 0;
}

SEC("cgroup_skb/egress")
int tip_egress(struct __sk_buff *skb)
{
	return stop(skb, true);
}

SEC("cgroup_skb/ingress")
int tip_ingress(struct __sk_buff *skb)
{
	return stop(skb, false);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
