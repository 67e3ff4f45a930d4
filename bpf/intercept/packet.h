/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_PACKET_H
#define TIP_BPF_PACKET_H

/*
 * Packets, as the plaintext stop sees them at a socket's cgroup, and the veth stop at a wire. They
 * are read from the network header on.
 */

#include "intercept/policy.h"
#include <linux/ip.h>
#include <linux/ipv6.h>

#define TCP_SYN 0x02
#define TCP_ACK 0x10

#define HEADER_MAX 24 /* what is looked at of a header with ports, in whole units of fragments */

#define IP_OFFSET 0x1fff /* of a fragment, in the host order of frag_off */

/* Extension headers of IPv6, and how many of them are looked behind. */
#define NEXT_HOP      0
#define NEXT_ROUTING  43
#define NEXT_FRAGMENT 44
#define NEXT_DEST     60
#define NEXT_MAX      6

struct tip_packet {
	struct tip_addr local, remote;
	__u32 link; /* bytes before the network header, given by the caller */
	__u32 at;   /* where the header with the ports begins */
	__u16 lport, rport;
	__u8 protocol;
	__u8 flags; /* TCP */
	bool v6, data;
	bool wire; /* given by the caller: it may be a fragment that somebody else made */
};

enum tip_parsed {
	PARSED_LOOK,  /* it has ports: ask the policy */
	PARSED_OTHER, /* nothing that a policy speaks of */
	PARSED_BAD,   /* hides what it is */
};

static __always_inline long load_net(struct __sk_buff *skb, __u32 at, void *to, __u32 size)
{
	return bpf_skb_load_bytes_relative(skb, at, to, size, BPF_HDR_START_NET);
}

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

	p->at = at;
	if (p->protocol == IPPROTO_TCP) {
		if (load_net(skb, at, tcp, sizeof(tcp)))
			return PARSED_BAD;
		p->flags = tcp[13];
		p->data = skb->len > p->link + at + (tcp[12] >> 4) * 4;
		if (!(p->flags & TCP_SYN) && !p->data)
			return PARSED_OTHER;
		__builtin_memcpy(port, tcp, sizeof(port));
	} else if (load_net(skb, at, port, sizeof(port))) {
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
	__u16 offset;

	if (load_net(skb, 0, &ip, sizeof(ip)))
		return PARSED_BAD;
	p->protocol = ip.protocol;
	if (!has_ports(ip.protocol))
		return PARSED_OTHER;
	/*
	 * Sockets' hooks see whole datagrams: only a raw socket sends a fragment of its own making.
	 * On a wire there are fragments; without the first one, which has the ports, they come to
	 * nothing, unless they lie over a header.
	 */
	offset = bpf_ntohs(ip.frag_off) & IP_OFFSET;
	if (offset)
		return p->wire && offset * 8 >= HEADER_MAX ? PARSED_OTHER : PARSED_BAD;
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

	if (load_net(skb, 0, &ip, sizeof(ip)))
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
		if (load_net(skb, at, &ext, sizeof(ext)))
			return PARSED_BAD;
		if (next == NEXT_FRAGMENT && (bpf_ntohs(ext.offset) & ~7))
			return p->wire && (bpf_ntohs(ext.offset) & ~7) >= HEADER_MAX ? PARSED_OTHER
										     : PARSED_BAD;
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

#endif
