/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_FLOW_H
#define TIP_BPF_FLOW_H

/* Connections as the maps of interception have them, and the one that is the worker's. */

#include "lib/store.h"
#include <bpf/bpf_endian.h>

#define LOOPBACK4 bpf_htonl(0x7f000001) /* 127.0.0.1 */
#define MAPPED    bpf_htonl(0xffff)     /* third word of ::ffff:a.b.c.d */

/* An address as the policy tables have it: network order, IPv4 as ::ffff:a.b.c.d. */
struct tip_addr {
	__u32 word[4];
};

static __always_inline void addr_set4(struct tip_addr *a, __u32 ip4)
{
	a->word[0] = 0;
	a->word[1] = 0;
	a->word[2] = MAPPED;
	a->word[3] = ip4;
}

static __always_inline bool addr_is4(const struct tip_addr *a)
{
	return !a->word[0] && !a->word[1] && a->word[2] == MAPPED;
}

static __always_inline bool addr_same(const struct tip_addr *a, const struct tip_addr *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1] && a->word[2] == b->word[2] &&
	       a->word[3] == b->word[3];
}

static __always_inline bool is_loopback4(__u32 ip4)
{
	return bpf_ntohl(ip4) >> 24 == 127;
}

static __always_inline bool addr_is_loopback6(const struct tip_addr *a)
{
	return !a->word[0] && !a->word[1] && !a->word[2] && a->word[3] == bpf_htonl(1);
}

/* Addresses in network, ports in host order. */
static __always_inline void flow_set(struct tip_flow_key *k, __u64 netns, __u32 saddr, __u16 sport,
				     __u32 daddr, __u16 dport)
{
	k->netns = netns;
	k->saddr = saddr;
	k->daddr = daddr;
	k->sport = sport;
	k->dport = dport;
	k->zero = 0;
}

/* 127.0.0.1 and the worker's port: nobody else is there, see bind.bpf.c and lookup.bpf.c. */
static __always_inline bool is_worker(const struct tip_settings *st, __u32 ip4, __u16 port)
{
	return ip4 == LOOPBACK4 && port == st->worker_port && port;
}

#endif
