/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_DENIED_H
#define TIP_BPF_DENIED_H

/* The record of a connect() that was refused with EPERM. */

#include "lib/identity.h"
#include <bpf/bpf_endian.h>

struct tip_denied_rec {
	struct tip_hdr hdr;
	struct tip_ev_sock ev;
	char no_path; /* the record's last byte: what the compiler puts behind it is not sent */
};

#define DENIED_LEN (offsetof(struct tip_denied_rec, no_path) + 1)

/*
 * Who is refused may be in an attacker's hands, and must not drown everybody else's events by
 * trying again and again: so many are told in about a second, of one identity. All are counted.
 */
#define TOLD_A_SECOND 20
#define TOLD_SLOTS    64

struct {
	__u64 second;
	__u32 told;
	__u32 zero;
} denied[TOLD_SLOTS];

static __always_inline bool is_told(const struct tip_who *who)
{
	__u32 slot = (who_held(who) >= TIP_ID_FIRST ? who_held(who) : who_origin(who)) % TOLD_SLOTS;
	__u64 second = bpf_ktime_get_boot_ns() >> 30;

	if (denied[slot].second != second) {
		denied[slot].second = second;
		denied[slot].told = 0;
	}
	return denied[slot].told < TOLD_A_SECOND &&
	       __sync_fetch_and_add(&denied[slot].told, 1) < TOLD_A_SECOND;
}

/* The record of a connect() that is told `err`. `reason` is TIP_DENY_*. */
static __always_inline void tell_refused(struct bpf_sock_addr *ctx, bool v6,
					 const struct tip_who *who, struct task_struct *task,
					 __u32 reason, __u32 policy, __s64 err)
{
	struct tip_denied_rec *rec;

	if (!is_told(who))
		return;
	rec = bpf_ringbuf_reserve(&activity, DENIED_LEN, 0);
	if (!rec) {
		count(TIP_CTR_ACTIVITY_DROPPED);
		return;
	}
	hdr_fill(&rec->hdr, TIP_EV_DENIED_CONNECT, DENIED_LEN, who, task, err);
	__builtin_memset(&rec->ev, 0, sizeof(rec->ev));
	rec->no_path = 0;
	if (v6) {
		__u32 *addr = (__u32 *)rec->ev.raddr;

		addr[0] = ctx->user_ip6[0];
		addr[1] = ctx->user_ip6[1];
		addr[2] = ctx->user_ip6[2];
		addr[3] = ctx->user_ip6[3];
	} else {
		*(__u32 *)rec->ev.raddr = ctx->user_ip4;
	}
	rec->ev.rport = bpf_ntohs(ctx->user_port);
	rec->ev.family = ctx->family;
	rec->ev.sock_type = ctx->type;
	rec->ev.protocol = ctx->protocol;
	rec->ev.fd = -1;
	rec->ev.netns_cookie = bpf_get_netns_cookie(ctx);
	rec->ev.netns = task_netns(task);
	rec->ev.reason = reason;
	rec->ev.policy = policy;
	bpf_ringbuf_submit(rec, 0);
	count(TIP_CTR_ACTIVITY_SENT);
}

/* Counts and tells it. Returns what the hook returns: EPERM. */
static __always_inline int deny(struct bpf_sock_addr *ctx, bool v6, const struct tip_who *who,
				struct task_struct *task, __u32 reason, __u32 policy)
{
	count(TIP_CTR_CONNECT_DENIED);
	tell_refused(ctx, v6, who, task, reason, policy, -EPERM);
	return 0;
}

#endif
