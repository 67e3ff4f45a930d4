/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The plaintext stop. Nothing that the other hooks missed (a socket passed in, one that was
 * connected before, a raw one, a daemon that is dead) gets past here: packets to or from an
 * enforced port belong to the worker's sockets or to a registered leg, or they are dropped. It does
 * not look at what they carry: TLS records do not align with packets.
 */
#include "intercept/policy.h"
#include <linux/ip.h>
#include <linux/ipv6.h>

#define TCP_SYN 0x02
#define TCP_ACK 0x10

#define SOCK_BINDPORT_LOCK 8

#define IP_OFFSET 0x1fff /* of a fragment, in the host order of frag_off */

/* Extension headers of IPv6, and how many of them are looked behind. */
#define NEXT_HOP      0
#define NEXT_ROUTING  43
#define NEXT_FRAGMENT 44
#define NEXT_DEST     60
#define NEXT_MAX      6

struct tip_packet {
	struct tip_addr local, remote;
	__u16 lport, rport;
	__u8 protocol;
	__u8 flags; /* TCP */
	bool v6;
};

enum tip_parsed {
	PARSED_LOOK,  /* it has ports: ask the policy */
	PARSED_OTHER, /* nothing that a policy speaks of */
	PARSED_BAD,   /* hides what it is */
};

static __always_inline bool has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
	       protocol == IPPROTO_UDPLITE || protocol == IPPROTO_DCCP;
}

/* Ports and, for TCP, flags. What carries neither a SYN nor data does no harm: not looked at. */
static __always_inline enum tip_parsed parse_ports(struct __sk_buff *skb, __u32 at,
						   struct tip_packet *p, bool egress)
{
	__u8 tcp[14]; /* up to the flags */
	__u16 port[2];

	if (p->protocol == IPPROTO_TCP) {
		if (bpf_skb_load_bytes(skb, at, tcp, sizeof(tcp)))
			return PARSED_BAD;
		p->flags = tcp[13];
		if (!(p->flags & TCP_SYN) && skb->len <= at + (tcp[12] >> 4) * 4)
			return PARSED_OTHER;
		__builtin_memcpy(port, tcp, sizeof(port));
	} else if (bpf_skb_load_bytes(skb, at, port, sizeof(port))) {
		return PARSED_BAD;
	}
	p->lport = bpf_ntohs(port[egress ? 0 : 1]);
	p->rport = bpf_ntohs(port[egress ? 1 : 0]);
	return PARSED_LOOK;
}

static __always_inline enum tip_parsed parse4(struct __sk_buff *skb, struct tip_packet *p,
					      bool egress)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
		return PARSED_BAD;
	p->protocol = ip.protocol;
	if (!has_ports(ip.protocol))
		return PARSED_OTHER;
	/* The hooks see whole datagrams; only a raw socket sends a fragment of its own making. */
	if (bpf_ntohs(ip.frag_off) & IP_OFFSET)
		return PARSED_BAD;
	addr_set4(&p->local, egress ? ip.saddr : ip.daddr);
	addr_set4(&p->remote, egress ? ip.daddr : ip.saddr);
	return parse_ports(skb, ip.ihl * 4, p, egress);
}

static __always_inline enum tip_parsed parse6(struct __sk_buff *skb, struct tip_packet *p,
					      bool egress)
{
	struct ipv6hdr ip;
	__u32 at = sizeof(ip);
	__u8 next;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
		return PARSED_BAD;
	next = ip.nexthdr;
	for (int i = 0; i < NEXT_MAX; i++) {
		struct {
			__u8 next, len;
			__u16 offset; /* of a fragment: its upper 13 bits */
		} ext;

		if (next != NEXT_HOP && next != NEXT_ROUTING && next != NEXT_FRAGMENT &&
		    next != NEXT_DEST)
			break;
		if (bpf_skb_load_bytes(skb, at, &ext, sizeof(ext)))
			return PARSED_BAD;
		if (next == NEXT_FRAGMENT && (bpf_ntohs(ext.offset) & ~7))
			return PARSED_BAD;
		at += next == NEXT_FRAGMENT ? 8 : (ext.len + 1) * 8;
		next = ext.next;
	}
	if (next == NEXT_HOP || next == NEXT_ROUTING || next == NEXT_FRAGMENT || next == NEXT_DEST)
		return PARSED_BAD;
	p->protocol = next;
	p->v6 = true;
	if (!has_ports(next))
		return PARSED_OTHER;
	__builtin_memcpy(&p->local, egress ? &ip.saddr : &ip.daddr, sizeof(p->local));
	__builtin_memcpy(&p->remote, egress ? &ip.daddr : &ip.saddr, sizeof(p->remote));
	return parse_ports(skb, at, p, egress);
}

/* Arriving over IPv6 is refused where IPv4 enforces, but not between two ends of one host. */
static __always_inline __u32 policy_local(const struct tip_packet *p, __u32 generation)
{
	if (!p->v6)
		return policy_of(generation, TIP_TRAFFIC_DIALLED, &p->local, p->lport);
	if (addr_same(&p->local, &p->remote) || addr_is_loopback6(&p->remote))
		return 0;
	return policy_of(generation, TIP_TRAFFIC_INET6, &p->local, p->lport);
}

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

static __always_inline bool has_listener(const struct tip_packet *p, __u64 netns)
{
	struct tip_listener_key k = {
		.netns = netns,
		.addr = p->v6 ? TIP_LISTENS6 : p->local.word[3],
		.port = p->lport,
	};

	if (bpf_map_lookup_elem(&listeners, &k))
		return true;
	k.addr = 0;
	return bpf_map_lookup_elem(&listeners, &k);
}

/*
 * Policies speak of the end that is dialled. Which one that is, the handshake tells, and so nothing
 * new begins in the clear. Of a connection that is older than the policy, the end with a listener
 * is taken for it; else the far one, for a client's own port may lie in any range.
 */
static __always_inline bool dialled_is_local(const struct tip_packet *p, __u64 netns, bool egress)
{
	if (p->flags & TCP_SYN)
		return egress == !!(p->flags & TCP_ACK);
	return has_listener(p, netns);
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
	if (bpf_skb_load_bytes(skb, 0, &version, sizeof(version)))
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
