/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The second plaintext stop: on the host's end of a served namespace's veth, where packet sockets
 * and sockets from outside the scope's cgroups have to pass as well. Whether a packet of an
 * enforced port may is asked of the socket that it belongs to: the one with its addresses and ports
 * in the namespace behind the veth, and that must be ours. So nothing has to be registered, and it
 * holds without a daemon. It belongs to no generation of programs: it decides by the shared maps
 * alone.
 */
#include "intercept/packet.h"
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

struct tip_map_settings settings SEC(".maps");
struct tip_map_counters counters SEC(".maps");
struct tip_map_traffic traffic SEC(".maps");
struct tip_map_traffic_ports traffic_ports SEC(".maps");
struct tip_map_listeners listeners SEC(".maps");
struct tip_map_ours ours SEC(".maps");
struct tip_map_veths veths SEC(".maps");

#define TCP_RST    0x04
#define TCP_LISTEN 10
#define RST_TTL    64
#define RST_LEN4   (sizeof(struct iphdr) + sizeof(struct tip_tcp))
#define RST_LEN6   (sizeof(struct ipv6hdr) + sizeof(struct tip_tcp))

/* linux/tcp.h has bit fields in two orders. */
struct tip_tcp {
	__u16 source, dest;
	__u32 seq, ack;
	__u8 offset, flags;
	__u16 window, check, urgent;
};

/*
 * The wire's socket, by the packet's addresses; what the worker's listener answers a SYN with
 * belongs to the listener.
 */
static __always_inline bool is_ours(struct __sk_buff *skb, const struct tip_veth *v,
				    const struct tip_packet *p)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;
	bool mine;

	t.ipv4.saddr = p->remote.word[3];
	t.ipv4.daddr = p->local.word[3];
	t.ipv4.sport = bpf_htons(p->rport);
	t.ipv4.dport = bpf_htons(p->lport);
	sk = bpf_sk_lookup_tcp(skb, &t, sizeof(t.ipv4), v->nsid, 0);
	if (!sk)
		return false;
	mine = bpf_sk_storage_get(&ours, sk, NULL, 0) &&
	       (sk->state != TCP_LISTEN ||
		((p->flags & TCP_SYN) && (p->flags & TCP_ACK) && !p->data));
	bpf_sk_release(sk);
	return mine;
}

static __always_inline bool may_pass(struct __sk_buff *skb, const struct tip_settings *st,
				     const struct tip_veth *v, const struct tip_packet *p,
				     bool from_pod)
{
	__u32 local = policy_local(p, st->traffic_generation);
	__u32 remote = policy_of(st->traffic_generation, TIP_TRAFFIC_DIALLED, &p->remote, p->rport);

	if (!local && !remote)
		return true;
	/* Of what comes for an enforced port here sk_lookup gives TCP to the worker. */
	if (p->protocol != IPPROTO_TCP)
		return !from_pod || !remote;
	if (!p->v6 && is_ours(skb, v, p))
		return true;
	if (dialled_is_local(p, v->netns, from_pod))
		return !from_pod || !local;
	return !remote;
}

/* ---- the answer: whoever is stopped hears it ---- */

static __always_inline __u16 fold(__s64 sum)
{
	__u32 s = (__u32)sum;

	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return (__u16)~s;
}

/* Of a reset that answers `in`; `carried`: how much sequence space that took. */
static __always_inline void reset_of(const struct tip_tcp *in, __u32 carried, struct tip_tcp *out)
{
	__builtin_memset(out, 0, sizeof(*out));
	out->source = in->dest;
	out->dest = in->source;
	out->offset = sizeof(*out) / 4 << 4;
	out->flags = TCP_RST;
	if (in->flags & TCP_ACK) {
		out->seq = in->ack;
	} else {
		out->flags |= TCP_ACK;
		out->ack = bpf_htonl(bpf_ntohl(in->seq) + carried);
	}
}

/* Turns the packet round as a reset. Returns what the hook returns. */
static __always_inline int refuse(struct __sk_buff *skb, const struct tip_packet *p)
{
	const __u32 len = p->v6 ? RST_LEN6 : RST_LEN4;
	__u32 pseudo[2] = {bpf_htonl(sizeof(struct tip_tcp)), bpf_htonl(IPPROTO_TCP)};
	struct tip_tcp in, out;
	struct ethhdr eth, back;
	struct iphdr ip = {};
	__s64 sum;

	/* Without IPv4 options and IPv6 extensions, else it is dropped in silence. */
	if (p->at != len - sizeof(struct tip_tcp) || load_net(skb, p->at, &in, sizeof(in)) ||
	    bpf_skb_load_bytes(skb, 0, &eth, sizeof(eth)))
		return TC_ACT_SHOT;
	reset_of(&in, !!(in.flags & TCP_SYN) + (skb->len - p->link - p->at - (in.offset >> 4) * 4),
		 &out);
	sum = bpf_csum_diff(NULL, 0, pseudo, sizeof(pseudo), 0);
	if (p->v6) {
		sum = bpf_csum_diff(NULL, 0, (__u32 *)&p->local, sizeof(p->local), sum);
		sum = bpf_csum_diff(NULL, 0, (__u32 *)&p->remote, sizeof(p->remote), sum);
	} else {
		sum = bpf_csum_diff(NULL, 0, (__u32 *)&p->local.word[3], 4, sum);
		sum = bpf_csum_diff(NULL, 0, (__u32 *)&p->remote.word[3], 4, sum);
	}
	out.check = fold(bpf_csum_diff(NULL, 0, (__u32 *)&out, sizeof(out), sum));
	__builtin_memcpy(back.h_dest, eth.h_source, sizeof(back.h_dest));
	__builtin_memcpy(back.h_source, eth.h_dest, sizeof(back.h_source));
	back.h_proto = eth.h_proto;

	if (bpf_skb_change_tail(skb, ETH_HLEN + len, 0) ||
	    bpf_skb_store_bytes(skb, 0, &back, sizeof(back), 0) ||
	    bpf_skb_store_bytes(skb, ETH_HLEN + len - sizeof(out), &out, sizeof(out), 0))
		return TC_ACT_SHOT;
	if (p->v6) {
		struct ipv6hdr six = {};

		six.version = 6;
		six.payload_len = bpf_htons(sizeof(out));
		six.nexthdr = IPPROTO_TCP;
		six.hop_limit = RST_TTL;
		__builtin_memcpy(&six.saddr, &p->remote, sizeof(six.saddr));
		__builtin_memcpy(&six.daddr, &p->local, sizeof(six.daddr));
		if (bpf_skb_store_bytes(skb, ETH_HLEN, &six, sizeof(six), 0))
			return TC_ACT_SHOT;
	} else {
		ip.version = 4;
		ip.ihl = sizeof(ip) / 4;
		ip.tot_len = bpf_htons(len);
		ip.ttl = RST_TTL;
		ip.protocol = IPPROTO_TCP;
		ip.saddr = p->remote.word[3];
		ip.daddr = p->local.word[3];
		ip.check = fold(bpf_csum_diff(NULL, 0, (__u32 *)&ip, sizeof(ip), 0));
		if (bpf_skb_store_bytes(skb, ETH_HLEN, &ip, sizeof(ip), 0))
			return TC_ACT_SHOT;
	}
	return bpf_redirect(skb->ifindex, 0);
}

/* ---- the hooks: what other filters say of it stays theirs ---- */

static __always_inline int stop(struct __sk_buff *skb, bool from_pod)
{
	struct tip_packet p = {.link = ETH_HLEN, .wire = true};
	__u32 ifindex = skb->ifindex, zero = 0;
	const struct tip_settings *st = bpf_map_lookup_elem(&settings, &zero);
	const struct tip_veth *v;
	enum tip_parsed parsed;

	if (!st || !st->traffic_generation)
		return TC_ACT_UNSPEC;
	v = bpf_map_lookup_elem(&veths, &ifindex);
	if (!v)
		return TC_ACT_UNSPEC;
	switch (skb->protocol) {
	case bpf_htons(ETH_P_IP): parsed = parse4(skb, &p, from_pod); break;
	case bpf_htons(ETH_P_IPV6): parsed = parse6(skb, &p, from_pod); break;
	/* The kernel takes one tag off before this: another hides what it is. */
	case bpf_htons(ETH_P_8021Q):
	case bpf_htons(ETH_P_8021AD): parsed = from_pod ? PARSED_BAD : PARSED_OTHER; break;
	default: parsed = PARSED_OTHER;
	}
	if (parsed == PARSED_OTHER || (parsed == PARSED_LOOK && may_pass(skb, st, v, &p, from_pod)))
		return TC_ACT_UNSPEC;
	count(TIP_CTR_VETH_STOPPED);
	return from_pod && parsed == PARSED_LOOK && p.protocol == IPPROTO_TCP ? refuse(skb, &p)
									      : TC_ACT_SHOT;
}

SEC("tc")
int tip_from_pod(struct __sk_buff *skb)
{
	return stop(skb, true);
}

SEC("tc")
int tip_to_pod(struct __sk_buff *skb)
{
	return stop(skb, false);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
