/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sockets, denied before the act. The cgroup hooks follow the cgroup that a socket was made in;
 * these follow the task, whatever socket it uses: one that it made before it came into scope, one
 * that was passed to it, one that has no cgroup hooks at all.
 */
#include "enforce/judge_net.h"
#include "enforce/quarantine.h"
#include "intercept/policy.h"

/* The part of a socket address that says where: AF_INET and AF_INET6 alike. */
struct tip_given {
	__u16 family;
	__u16 port;
	__u32 word[5]; /* IPv4: the address first; IPv6: flow label, then the address */
};

static __always_inline void end_of(struct tip_end *e, const struct tip_given *g, __u16 family)
{
	if (family == AF_INET)
		end_set4(e, g->word[0]);
	else
		end_set6(e, g->word[1], g->word[2], g->word[3], g->word[4]);
	e->port = bpf_ntohs(g->port);
}

static __always_inline void socket_facts(struct tip_end_socket *s, struct sock *sk)
{
	struct net *net = sk_net(sk);

	s->netns_cookie = BPF_CORE_READ(net, net_cookie);
	s->netns = BPF_CORE_READ(net, ns.inum);
	s->type = BPF_CORE_READ(sk, sk_type);
	s->protocol = BPF_CORE_READ(sk, sk_protocol);
}

/* Does a traffic policy ask for mutual TLS there? Then only a socket that can be relayed may go. */
static __always_inline __u32 policy_covers(const struct tip_settings *st, const struct tip_end *e,
					   __u16 protocol)
{
	const __u32 *word = (const __u32 *)e->addr.bytes;
	struct tip_addr dst = {{word[0], word[1], word[2], word[3]}};

	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
		return 0;
	/* 0.0.0.0 and :: dial this host. */
	if (e->family == AF_INET)
		addr_set4(&dst, word[0] ? word[0] : LOOPBACK4);
	else if (!word[0] && !word[1] && !word[2] && !word[3])
		dst.word[3] = bpf_htonl(1);
	return policy_of(st->traffic_generation, TIP_TRAFFIC_DIALLED, &dst, e->port);
}

/* The cgroup hooks see what such a socket does. */
static __always_inline bool socket_in_scope(struct sock *sk, const struct tip_settings *st)
{
	struct cgroup *cgrp = BPF_CORE_READ(sk, sk_cgrp_data.cgroup);

	return !st->nscope || cgroup_in_scope(cgrp, st);
}

/* A connect(), or a datagram to an address. 0, or the error. */
static __always_inline int dial(const struct tip_settings *st, struct task_struct *task,
				struct sock *sk, const struct tip_end *e)
{
	struct tip_end_socket sock = {};
	struct tip_verdict v = {};
	struct tip_who who;
	__u32 policy;
	int judged;

	who_find(&who, task);
	socket_facts(&sock, sk);
	if (st->enforce && who_in_scope(&who, task, st) && who_quarantined(&who)) {
		count(TIP_CTR_CONNECT_DENIED);
		tell_end(TIP_EV_DENIED_CONNECT, TIP_DENY_QUARANTINE, 0, -EPERM, &who, task, e,
			 &sock, NULL);
		return -EPERM;
	}
	if (!who_in_scope(&who, task, st))
		return 0;
	judged = judge_end(st, TIP_JUDGED_CONNECT, &who, e, &v);
	if (judged > 0) {
		count(TIP_CTR_DENIED);
		if (v.kill) {
			bpf_send_signal(SIGKILL);
			count(TIP_CTR_KILLS);
		}
		tell_end(TIP_EV_CONNECT, TIP_DENY_RULE, 0, -EPERM, &who, task, e, &sock, &v);
		return -EPERM;
	}
	if (judged || !st->traffic_generation || socket_in_scope(sk, st))
		return judged;
	policy = policy_covers(st, e, sock.protocol);
	if (!policy || bpf_sk_storage_get(&ours, sk, NULL, 0))
		return 0;
	count(TIP_CTR_CONNECT_DENIED);
	tell_end(TIP_EV_DENIED_CONNECT, TIP_DENY_SOCKET, policy, -EPERM, &who, task, e, &sock,
		 NULL);
	return -EPERM;
}

static __always_inline bool is_inet(__u16 family)
{
	return family == AF_INET || family == AF_INET6;
}

SEC("lsm/socket_connect")
int BPF_PROG(tip_lsm_connect, struct socket *sock, void *address, int len)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct tip_settings *st = active_settings();
	struct sock *sk = sock->sk;
	struct tip_given g = {};
	struct tip_end e = {};

	if (!st || !sk || task_is_kernel(task))
		return 0;
	bpf_probe_read_kernel(&g, sizeof(g), address);
	/* Anything else is no way out of the host, or is not made by a quarantined process, see
	 * below. AF_UNSPEC dissolves a connection. */
	if (!is_inet(g.family))
		return 0;
	end_of(&e, &g, g.family);
	return dial(st, task, sk, &e);
}

/* Raw sockets of IP, and packet sockets: what they send needs no address to go anywhere. */
static __always_inline bool is_raw(__u16 family, __u32 type)
{
	return family == AF_PACKET ||
	       (is_inet(family) && (type == SOCK_RAW || type == SOCK_PACKET));
}

SEC("lsm/socket_sendmsg")
int BPF_PROG(tip_lsm_sendmsg, struct socket *sock, struct msghdr *msg, int size)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct tip_settings *st = active_settings();
	const void *address = BPF_CORE_READ(msg, msg_name);
	struct sock *sk = sock->sk;
	struct tip_given g = {};
	struct tip_end e = {};
	struct tip_who who;
	__u16 family;

	if (!st || !sk || task_is_kernel(task))
		return 0;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (is_raw(family, BPF_CORE_READ(sk, sk_type)) && st->enforce) {
		who_find(&who, task);
		if (who_in_scope(&who, task, st) && who_quarantined(&who)) {
			count(TIP_CTR_CONNECT_DENIED);
			return -EPERM;
		}
	}
	if (!address || !is_inet(family))
		return 0;
	bpf_probe_read_kernel(&g, sizeof(g), address);
	/* The datagram goes there all the same: IPv4 takes AF_UNSPEC for its own. */
	if (!g.family && family == AF_INET)
		g.family = AF_INET;
	if (!is_inet(g.family))
		return 0;
	end_of(&e, &g, g.family);
	return dial(st, task, sk, &e);
}

SEC("lsm/socket_bind")
int BPF_PROG(tip_lsm_bind, struct socket *sock, void *address, int len)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct tip_settings *st = active_settings();
	struct tip_end_socket facts = {};
	struct sock *sk = sock->sk;
	struct tip_verdict v = {};
	struct tip_given g = {};
	struct tip_end e = {};
	struct tip_who who;
	__u16 family;
	int judged;

	if (!st || !sk || !st->rule_count || task_is_kernel(task))
		return 0;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	bpf_probe_read_kernel(&g, sizeof(g), address);
	/* An old habit that bind() still takes: AF_UNSPEC and the wildcard. */
	if (!g.family && family == AF_INET)
		g.family = AF_INET;
	if (!is_inet(family) || !is_inet(g.family))
		return 0;
	who_find(&who, task);
	if (!who_in_scope(&who, task, st))
		return 0;
	end_of(&e, &g, g.family);
	judged = judge_end(st, TIP_JUDGED_BIND, &who, &e, &v);
	if (judged <= 0)
		return judged;
	count(TIP_CTR_DENIED);
	if (v.kill) {
		bpf_send_signal(SIGKILL);
		count(TIP_CTR_KILLS);
	}
	socket_facts(&facts, sk);
	tell_end(TIP_EV_BIND, TIP_DENY_RULE, 0, -EPERM, &who, task, &e, &facts, &v);
	return -EPERM;
}

/* Sockets that stay on the host, or whose connects and datagrams are judged as such. */
static __always_inline bool is_harmless(int family, int type, int protocol)
{
	if (family == AF_UNIX || family == AF_NETLINK || family == AF_ALG)
		return true;
	return is_inet(family) && (type == SOCK_STREAM || type == SOCK_DGRAM) &&
	       protocol != IPPROTO_ICMP && protocol != IPPROTO_ICMPV6 && protocol != IPPROTO_SCTP;
}

/* Who is quarantined makes no socket that is out of sight of the others: raw, packet, vsock ... */
SEC("lsm/socket_create")
int BPF_PROG(tip_lsm_create, int family, int type, int protocol, int kern)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct tip_settings *st = active_settings();
	struct tip_end_socket sock = {.type = type, .protocol = protocol};
	struct tip_end e = {.family = family};
	struct tip_who who;

	if (!st || !st->enforce || kern || task_is_kernel(task) ||
	    is_harmless(family, type, protocol))
		return 0;
	who_find(&who, task);
	if (!who_in_scope(&who, task, st) || !who_quarantined(&who))
		return 0;
	count(TIP_CTR_CONNECT_DENIED);
	sock.netns = task_netns(task);
	tell_end(TIP_EV_DENIED_CONNECT, TIP_DENY_QUARANTINE, 0, -EPERM, &who, task, &e, &sock,
		 NULL);
	return -EPERM;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
