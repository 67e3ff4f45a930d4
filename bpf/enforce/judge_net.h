/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_JUDGE_NET_H
#define TIP_BPF_JUDGE_NET_H

/* Acts that are about an address: connect, a datagram, bind. */

#include "enforce/judge.h"
#include "enforce/told.h"
#include <bpf/bpf_endian.h>

/* Where to, or where. */
struct tip_end {
	struct tip_net addr;
	__u32 family; /* AF_INET, also for an IPv4-mapped address of IPv6; AF_INET6 */
	__u16 port;   /* host order */
	__u16 zero;
};

/* From the words of an address of IPv6, network order. */
static __always_inline void end_set6(struct tip_end *e, __u32 w0, __u32 w1, __u32 w2, __u32 w3)
{
	__u32 *word = (__u32 *)e->addr.bytes;

	if (!w0 && !w1 && w2 == bpf_htonl(0xffff)) {
		e->family = AF_INET;
		word[0] = w3;
		word[1] = word[2] = word[3] = 0;
		return;
	}
	e->family = AF_INET6;
	word[0] = w0;
	word[1] = w1;
	word[2] = w2;
	word[3] = w3;
}

static __always_inline void end_set4(struct tip_end *e, __u32 addr)
{
	__u32 *word = (__u32 *)e->addr.bytes;

	e->family = AF_INET;
	word[0] = addr;
	word[1] = word[2] = word[3] = 0;
}

/*
 * Does a rule hold for this end and who acts? `act` is TIP_JUDGED_CONNECT or TIP_JUDGED_BIND. 1:
 * yes, 0: no, -EAGAIN: nobody can say.
 */
static __always_inline int judge_end(const struct tip_settings *st, __u32 act,
				     const struct tip_who *who, const struct tip_end *e,
				     struct tip_verdict *v)
{
	struct tip_net port = {{e->port >> 8, e->port & 0xff}};
	struct tip_judgement j;
	struct tip_actor actor;
	int place, holds;

	if (!judge_begin(&j, st, 1u << act))
		return 0;
	actor_of(&actor, who);
	if (!tip_judge_actor(&j, &actor) ||
	    !tip_judge_net(&j, TIP_DIM_PORT, TIP_RULE_PORT, &port) ||
	    !tip_judge_net(&j, TIP_DIM_ADDR, e->family == AF_INET ? TIP_RULE_NET4 : TIP_RULE_NET6,
			   &e->addr))
		return 0;
	place = tip_judge_place();
	if (place < 0)
		return -EAGAIN;
	holds = tip_judge_cgroup(&j, place) && tip_judge_exe(&j, place, &actor);
	judge_leave(place);
	if (!holds)
		return 0;
	tip_judge_verdict(&j, v);
	return 1;
}

struct tip_denied_end {
	struct tip_hdr hdr;
	struct tip_ev_sock ev;
	char no_path; /* the record's last byte: what the compiler puts behind it is not sent */
};

#define DENIED_END_LEN (offsetof(struct tip_denied_end, no_path) + 1)

/* What is known of the socket, where an act on it is told. */
struct tip_end_socket {
	__u64 netns_cookie;
	__u32 netns;
	__u16 type, protocol;
};

/* Tells of it, if there is not too much to tell already. A rule is named by `v`, NULL: none. */
static __always_inline void tell_end(enum tip_event_type type, __u32 reason, __u32 policy,
				     __s64 err, const struct tip_who *who, struct task_struct *task,
				     const struct tip_end *e, const struct tip_end_socket *sock,
				     const struct tip_verdict *v)
{
	struct tip_denied_end *rec;
	__u8 *addr;

	if (!is_told(who))
		return;
	rec = bpf_ringbuf_reserve(&activity, DENIED_END_LEN, 0);
	if (!rec) {
		count(TIP_CTR_ACTIVITY_DROPPED);
		return;
	}
	hdr_fill(&rec->hdr, type, DENIED_END_LEN, who, task, err);
	__builtin_memset(&rec->ev, 0, sizeof(rec->ev));
	rec->no_path = 0;
	if (v)
		rec->hdr.flags = TIP_EVF_DENIED | (v->kill ? TIP_EVF_KILLED : 0);
	addr = type == TIP_EV_BIND ? rec->ev.laddr : rec->ev.raddr;
	__builtin_memcpy(addr, e->addr.bytes, sizeof(e->addr.bytes));
	if (type == TIP_EV_BIND)
		rec->ev.lport = e->port;
	else
		rec->ev.rport = e->port;
	rec->ev.family = e->family;
	rec->ev.sock_type = sock->type;
	rec->ev.protocol = sock->protocol;
	rec->ev.netns_cookie = sock->netns_cookie;
	rec->ev.netns = sock->netns;
	rec->ev.fd = -1;
	rec->ev.reason = reason;
	rec->ev.policy = v ? v->rule : policy;
	bpf_ringbuf_submit(rec, 0);
	count(TIP_CTR_ACTIVITY_SENT);
}

/* For the cgroup hooks of a kernel without BPF LSM. True: a rule refuses it, and that was told. */
static __always_inline bool rule_refuses(struct bpf_sock_addr *ctx, bool v6, __u32 act,
					 const struct tip_settings *st, const struct tip_who *who,
					 struct task_struct *task)
{
	struct tip_end_socket sock = {
		.netns = task_netns(task),
		.type = ctx->type,
		.protocol = ctx->protocol,
	};
	struct tip_verdict v = {};
	struct tip_end e = {};
	int judged;

	if (!st->rule_count || !who_in_scope(who, task, st))
		return false;
	if (v6)
		end_set6(&e, ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2],
			 ctx->user_ip6[3]);
	else
		end_set4(&e, ctx->user_ip4);
	e.port = bpf_ntohs(ctx->user_port);
	judged = judge_end(st, act, who, &e, &v);
	if (judged <= 0)
		return judged;
	/* These programs have no signals to send: what would kill refuses. */
	v.kill = 0;
	sock.netns_cookie = bpf_get_netns_cookie(ctx);
	count(TIP_CTR_DENIED);
	tell_end(act == TIP_JUDGED_BIND ? TIP_EV_BIND : TIP_EV_CONNECT, TIP_DENY_RULE, 0, -EPERM,
		 who, task, &e, &sock, &v);
	return true;
}

#endif
