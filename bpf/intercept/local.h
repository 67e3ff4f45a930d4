/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_LOCAL_H
#define TIP_BPF_LOCAL_H

/*
 * Connections inside one network namespace, to a server of a policy where no policy covers the
 * address: 127.0.0.1, ::1, the other addresses of a server on 0.0.0.0. They stay in the clear, and
 * are for the clients that the server's policies list: client identity against the identity of who
 * called listen().
 */

#include "enforce/denied.h"
#include "intercept/ask.h"
#include "intercept/policy.h"

/* Devices and addresses of a namespace that are looked at. With more of them all addresses count
 * as its own. */
#define OWN_STEPS 16384

/* A walk through the addresses of a namespace, one of them or one device in each step. */
struct own_walk {
	struct tip_addr addr;         /* looked for */
	struct list_head *devs, *dev; /* where the devices end, and the next one */
	void *end, *at;               /* where a device's addresses end, and the next one */
	bool v6, loopback, own, done;
};

static __always_inline void own_device(struct own_walk *w)
{
	struct net_device *dev =
		(void *)w->dev - bpf_core_field_offset(struct net_device, dev_list);
	struct inet6_dev *in6;
	struct in_device *in4;

	w->end = w->at = NULL;
	if (w->v6) {
		in6 = BPF_CORE_READ(dev, ip6_ptr);
		if (in6) {
			w->end = (void *)in6 + bpf_core_field_offset(struct inet6_dev, addr_list);
			w->at = BPF_CORE_READ(in6, addr_list.next);
		}
	} else {
		in4 = BPF_CORE_READ(dev, ip_ptr);
		if (in4)
			w->at = BPF_CORE_READ(in4, ifa_list);
	}
	w->loopback = BPF_CORE_READ(dev, flags) & IFF_LOOPBACK;
	w->dev = BPF_CORE_READ(dev, dev_list.next);
}

static __always_inline void own_address(struct own_walk *w)
{
	struct inet6_ifaddr *six;
	struct in_ifaddr *four;
	struct tip_addr addr = {};

	if (w->v6) {
		six = w->at - bpf_core_field_offset(struct inet6_ifaddr, if_list);
		bpf_core_read(&addr, sizeof(addr), &six->addr);
		w->at = BPF_CORE_READ(six, if_list.next);
	} else {
		four = w->at;
		addr_set4(&addr, BPF_CORE_READ(four, ifa_local));
		/* There the whole network is one's own. */
		if (w->loopback && addr_is4(&w->addr) &&
		    !((w->addr.word[3] ^ addr.word[3]) & BPF_CORE_READ(four, ifa_mask)))
			addr.word[3] = w->addr.word[3];
		w->at = BPF_CORE_READ(four, ifa_next);
	}
	w->own = addr_same(&addr, &w->addr);
}

static long own_step(__u32 i, void *ctx)
{
	struct own_walk *w = ctx;

	if (w->at && w->at != w->end)
		own_address(w);
	else if (w->dev && w->dev != w->devs)
		own_device(w);
	else
		w->done = true;
	/* The verifier wants to see 0 or 1, and a bool in memory is any byte to it. */
	return (w->own | w->done) & 1;
}

/* Is it an address of the namespace that the socket is in? */
static __always_inline bool is_own(struct bpf_sock_addr *ctx, const struct tip_addr *addr)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(ctx->sk);
	struct own_walk w = {.addr = *addr, .v6 = !addr_is4(addr)};
	struct net *net;

	if (w.v6 ? addr_is_loopback6(addr) : is_loopback4(addr->word[3]))
		return true;
	if (!tp)
		return true;
	net = sk_net((struct sock *)tp);
	w.devs = (void *)net + bpf_core_field_offset(struct net, dev_base_head);
	w.dev = BPF_CORE_READ(net, dev_base_head.next);
	/*
	 * Every namespace has a first device. It is looked into here, since 6.1 verifies the
	 * callback with the values that are there now: a branch that they exclude, it takes for
	 * dead.
	 */
	own_device(&w);
	bpf_loop(OWN_STEPS, own_step, &w, 0);
	return w.own || !w.done;
}

static __always_inline const struct tip_listener *local_listener(__u64 netns,
								 const struct tip_addr *addr,
								 __u16 port)
{
	struct tip_listener_key k = {
		.netns = netns,
		.addr = addr_is4(addr) ? addr->word[3] : TIP_LISTENS6,
		.port = port,
	};
	const struct tip_listener *by = bpf_map_lookup_elem(&listeners, &k);

	if (by)
		return by;
	k.addr = 0;
	return bpf_map_lookup_elem(&listeners, &k);
}

/* Would somebody accept it, whom `listeners` may not know? */
static __always_inline bool is_listening(struct bpf_sock_addr *ctx, const struct tip_addr *addr,
					 __u16 port)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;
	__u32 size = sizeof(t.ipv4);

	if (addr_is4(addr)) {
		t.ipv4.saddr = t.ipv4.daddr = addr->word[3];
		t.ipv4.dport = bpf_htons(port);
	} else {
		__builtin_memcpy(t.ipv6.saddr, addr, sizeof(t.ipv6.saddr));
		__builtin_memcpy(t.ipv6.daddr, addr, sizeof(t.ipv6.daddr));
		t.ipv6.dport = bpf_htons(port);
		size = sizeof(t.ipv6);
	}
	sk = bpf_sk_lookup_tcp(ctx, &t, size, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return false;
	bpf_sk_release(sk);
	return true;
}

enum local_verdict {
	LOCAL_PASS,
	LOCAL_WAIT, /* until the identities are known */
	LOCAL_ASK,  /* until it is known who listens */
	LOCAL_DENY,
};

/* `*policy`: of the port; then the one that denies, which may stand for several. */
static __always_inline enum local_verdict local_verdict(
	struct bpf_sock_addr *ctx, const struct tip_settings *st, struct tip_who *who,
	struct task_struct *task, const struct tip_addr *addr, __u64 netns, __u32 *policy)
{
	__u16 port = bpf_ntohs(ctx->user_port);
	const struct tip_listener *by = local_listener(netns, addr, port);
	struct tip_traffic_client client = {};
	const struct tip_binding *its = NULL;
	struct tip_addr server = {};

	if (!by && !is_listening(ctx, addr, port))
		return LOCAL_PASS;
	if (by && by->exec_id)
		its = bpf_map_lookup_elem(&bindings, &by->exec_id);
	if (!its)
		return LOCAL_ASK;
	if (who->proc && who->proc->exec_id == by->exec_id)
		return LOCAL_PASS;
	/* Also one that waits for its re-evaluation counts as what it was. */
	if (its->current < TIP_ID_FIRST)
		return its->current == TIP_ID_NONE ? LOCAL_PASS : LOCAL_WAIT;
	server.word[0] = its->current;
	*policy = policy_of(st->traffic_generation, TIP_TRAFFIC_SERVER, &server, port);
	if (!*policy)
		return LOCAL_PASS;
	proc_sync_creds(who, task);
	client.policy = *policy;
	client.number = who_current(who);
	if (client.number == its->current || bpf_map_lookup_elem(&traffic_clients, &client))
		return LOCAL_PASS;
	return client.number == TIP_ID_PENDING ? LOCAL_WAIT : LOCAL_DENY;
}

/* As judge() of connect.bpf.c returns it. No policy covers `addr`. */
static __always_inline int local_judge(struct bpf_sock_addr *ctx, bool v6,
				       const struct tip_settings *st, struct tip_who *who,
				       struct task_struct *task, const struct tip_addr *addr)
{
	__u64 netns = bpf_get_netns_cookie(ctx);
	enum local_verdict verdict;
	__u32 policy;

	policy = policy_of(st->traffic_generation, TIP_TRAFFIC_LOCAL, addr,
			   bpf_ntohs(ctx->user_port));
	if (!policy)
		return 1;
	verdict = local_verdict(ctx, st, who, task, addr, netns, &policy);
	/* Last, since it is a walk. */
	if (verdict == LOCAL_PASS || !is_own(ctx, addr))
		return 1;
	if (verdict == LOCAL_DENY)
		return deny(ctx, v6, who, task, TIP_DENY_LOCAL, policy);
	if (verdict == LOCAL_ASK)
		ask_keeper(ctx, TIP_EV_LISTENER, netns, who, task);
	return unreachable(TIP_CTR_LOCAL_UNKNOWN);
}

#endif
