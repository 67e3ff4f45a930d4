/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_ASK_H
#define TIP_BPF_ASK_H

/* What connect() needs and the keeper has not done yet: it is asked to, and connect() may be tried
 * again. */

#include "lib/identity.h"

/* So many requests of a kind in about a second, each slot for some of the cookies. */
#define ASK_SLOTS 64

__u64 asked[2][ASK_SLOTS];

/* `type` is TIP_EV_NETNS or TIP_EV_LISTENER. */
static __always_inline void ask_keeper(struct bpf_sock_addr *ctx, enum tip_event_type type,
				       __u64 netns, const struct tip_who *who,
				       struct task_struct *task)
{
	__u64 second = bpf_ktime_get_boot_ns() >> 30;
	__u64 *last = &asked[type == TIP_EV_LISTENER][netns % ASK_SLOTS];
	struct tcp_sock *tp;
	struct {
		struct tip_hdr hdr;
		struct tip_ev_netns ev;
	} *rec;

	if (*last == second)
		return;
	*last = second;
	tp = bpf_skc_to_tcp_sock(ctx->sk);
	if (!tp)
		return;
	rec = bpf_ringbuf_reserve(&lifecycle, sizeof(*rec), 0);
	if (!rec) {
		count(TIP_CTR_LIFECYCLE_DROPPED);
		return;
	}
	hdr_fill(&rec->hdr, type, sizeof(*rec), who, task, -EHOSTUNREACH);
	rec->ev.cookie = netns;
	rec->ev.netns = BPF_CORE_READ(sk_net((struct sock *)tp), ns.inum);
	rec->ev.zero = 0;
	lifecycle_submit(rec);
}

static __always_inline int unreachable(enum tip_counter why)
{
	count(why);
	bpf_set_retval(-EHOSTUNREACH);
	return 0;
}

#endif
