/* SPDX-License-Identifier: Apache-2.0 */
/* A connect() that was turned to the worker: from its SYN to its verdict. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "intercept/internal.h"

#define HOLD_NS (2 * TIP_NSEC_PER_SEC)  /* for an identity, or for a front */
#define JOIN_NS (10 * TIP_NSEC_PER_SEC) /* from release to accept(): one SYN may get lost */
#define GONE_NS (2 * TIP_NSEC_PER_SEC)  /* likewise, when the application has closed meanwhile */

/* What connect() can be made to say. ETIMEDOUT: nothing, it times out by itself. */
static int said(int err)
{
	switch (err) {
	case ECONNREFUSED:
	case ENETUNREACH:
	case ETIMEDOUT: return err;
	default: return EHOSTUNREACH;
	}
}

static void refuse_packet(struct tip_intercept *ic, struct tip_netns *ns, uint32_t packet, int err)
{
	ic->stats.refused++;
	switch (said(err)) {
	case ECONNREFUSED: tip_queue_pass(ns, packet, TIP_MARK_REFUSE); break;
	case ENETUNREACH: tip_queue_pass(ns, packet, TIP_MARK_NETUNREACH); break;
	case ETIMEDOUT: tip_queue_drop(ns, packet); break;
	default: tip_queue_pass(ns, packet, TIP_MARK_NONE);
	}
}

/* Refuses what the front has not heard of. */
static void refuse(struct tip_intercept *ic, struct tip_flow_entry *f, int err, const char *why)
{
	refuse_packet(ic, f->ns, f->packet, err);
	tip_flow_unlink(ic, f);
	ic->ops.refused(ic->ops.ctx, &f->pub, said(err), why);
	free(f);
}

/* ---- deadlines of those that wait ---------------------------------------------------- */

static void arm_hold_end(struct tip_intercept *ic, uint64_t in_ns)
{
	const struct timeval tv = {.tv_sec = (time_t)(in_ns / TIP_NSEC_PER_SEC),
				   .tv_usec = (suseconds_t)(in_ns % TIP_NSEC_PER_SEC / 1000 + 1)};

	if (!event_pending(ic->hold_ends, EV_TIMEOUT, NULL))
		event_add(ic->hold_ends, &tv);
}

static void wait_for_deadline(struct tip_intercept *ic, struct tip_flow_entry *f)
{
	if (!f->deadline)
		f->deadline = tip_clock_monotonic() + HOLD_NS;
	arm_hold_end(ic, HOLD_NS);
}

void tip_outbound_on_hold_end(evutil_socket_t fd, short what, void *ctx)
{
	struct tip_intercept *ic = ctx;
	const uint64_t now = tip_clock_monotonic();
	struct tip_flow_entry *f = NULL;
	uint64_t next = 0;

	for (uint64_t id = 0; (f = tip_flow_after(ic, id));) {
		id = f->pub.id;
		if (f->pub.inbound || f->pub.state != TIP_FLOW_HELD)
			continue;
		if (f->deadline <= now)
			refuse(ic, f, EHOSTUNREACH, "no answer in time");
		else if (!next || f->deadline < next)
			next = f->deadline;
	}
	if (next)
		arm_hold_end(ic, next - now);
}

/* ---- the way on ------------------------------------------------------------------------ */

static void dial(struct tip_intercept *ic, struct tip_flow_entry *f)
{
	const int fd = tip_dial_wire(ic, f);

	if (fd < 0) {
		refuse(ic, f, -fd, strerror(-fd));
		return;
	}
	f->deadline = 0;
	tip_flow_move(ic, f, TIP_FLOW_SHAKING);
	/* Fails only if the application has given up meanwhile: tick notices. */
	ic->ops.redirect_show(ic->ops.ctx, &f->key, f->pub.local.addr, f->pub.local.port);
	ic->ops.outbound(ic->ops.ctx, &f->pub, fd);
	close(fd);
}

static void ask(struct tip_intercept *ic, struct tip_flow_entry *f)
{
	switch (ic->ops.held(ic->ops.ctx, &f->pub)) {
	case TIP_HELD_GO: dial(ic, f); break;
	case TIP_HELD_WAIT: wait_for_deadline(ic, f); break;
	case TIP_HELD_NO: refuse(ic, f, EHOSTUNREACH, "not allowed"); break;
	}
}

static void describe(struct tip_flow *out, const struct tip_syn *syn, const struct tip_redirect *r)
{
	out->exec_id = r->exec_id;
	out->proc = r->proc;
	out->epoch = r->epoch;
	out->current = r->current;
	out->policy = r->policy;
	out->local = (struct tip_end){.addr = syn->saddr, .port = syn->sport};
	out->from = syn->sport;
	out->remote = (struct tip_end){.addr = r->daddr, .port = r->dport};
}

/* Is there no place for this one more? Counted, and told. */
static bool full(struct tip_intercept *ic, const struct tip_flow *f)
{
	enum tip_limit limit;

	if (ic->stats.held >= ic->max_held)
		limit = TIP_LIMIT_HELD;
	else if (tip_flow_held_of(ic, f->netns, f->current) >= ic->max_held_per_identity)
		limit = TIP_LIMIT_HELD_IDENTITY;
	else if (ic->stats.flows >= ic->max_flows)
		limit = TIP_LIMIT_FLOWS;
	else
		return false;
	if (limit == TIP_LIMIT_FLOWS)
		ic->stats.limit_flows++;
	else
		ic->stats.limit_held++;
	ic->ops.limited(ic->ops.ctx, f, limit);
	return true;
}

void tip_outbound_syn(struct tip_intercept *ic, struct tip_netns *ns, const struct tip_syn *syn,
		      uint32_t packet)
{
	const struct tip_flow_key key = {
		.netns = ns->cookie,
		.saddr = syn->saddr,
		.daddr = syn->daddr,
		.sport = syn->sport,
		.dport = syn->dport,
	};
	struct tip_flow_entry *f = tip_flow_by_key(ic, &key);
	struct tip_flow wanted;
	struct tip_redirect r;

	if (f && f->seq == syn->seq) {
		/* Sent again. Released once and not accepted, it got lost: released again. */
		if (f->pub.state == TIP_FLOW_JOINING)
			tip_queue_pass(ns, packet, TIP_MARK_RELEASE);
		else
			tip_queue_drop(ns, packet);
		return;
	}
	/* A new connection on the same ports: the application has given up the old one. */
	if (f)
		tip_flow_cut(ic, f, ECONNABORTED);
	/* Not turned to us by our hook: somebody dialled the worker's port. */
	if (syn->daddr != htonl(INADDR_LOOPBACK) || syn->dport != ic->port ||
	    ic->ops.redirect(ic->ops.ctx, &key, &r) < 0) {
		refuse_packet(ic, ns, packet, ECONNREFUSED);
		return;
	}
	wanted = (struct tip_flow){.netns = ns->cookie, .begun = tip_clock_monotonic()};
	describe(&wanted, syn, &r);
	if (full(ic, &wanted)) {
		refuse_packet(ic, ns, packet, EHOSTUNREACH);
		return;
	}
	f = tip_flow_begin(ic, ns, false, r.current);
	describe(&f->pub, syn, &r);
	f->key = key;
	f->app = r.sk_cookie;
	f->packet = packet;
	f->seq = syn->seq;
	tip_flow_index(ic, f);
	ask(ic, f);
}

void tip_intercept_retry(struct tip_intercept *ic, uint64_t exec_id)
{
	struct tip_flow_entry *f;

	/* To ask may end this one and others: each is looked up anew. */
	for (uint64_t id = 0; (f = tip_flow_after(ic, id));) {
		id = f->pub.id;
		if (!f->pub.inbound && f->pub.state == TIP_FLOW_HELD &&
		    (!exec_id || f->pub.exec_id == exec_id))
			ask(ic, f);
	}
}

/* ---- what the front says ---------------------------------------------------------------- */

/* The application has closed its socket, and maybe made another one on the same ports. */
static bool has_gone(struct tip_intercept *ic, const struct tip_flow_entry *f)
{
	struct tip_redirect r;
	int ret = ic->ops.redirect(ic->ops.ctx, &f->key, &r);

	return ret == -ENOENT || (ret == 0 && r.sk_cookie != f->app);
}

void tip_outbound_wanted(struct tip_intercept *ic, struct tip_flow_entry *f)
{
	if (f->pub.state != TIP_FLOW_SHAKING)
		return;
	/* A SYN that nobody waits for would be accepted by nobody: two relays for ten seconds. */
	if (has_gone(ic, f)) {
		tip_flow_cut(ic, f, ECONNABORTED);
		return;
	}
	tip_flow_move(ic, f, TIP_FLOW_JOINING);
	f->deadline = tip_clock_monotonic() + JOIN_NS;
	ic->stats.released++;
	tip_queue_pass(f->ns, f->packet, TIP_MARK_RELEASE);
}

void tip_outbound_ended(struct tip_intercept *ic, struct tip_flow_entry *f, int err)
{
	/* Once it is released connect() has succeeded: what is accepted without a flow is reset. */
	if (tip_flow_is_held(&f->pub))
		refuse_packet(ic, f->ns, f->packet, err);
	tip_flow_end(ic, f);
}

void tip_outbound_hold(struct tip_intercept *ic, struct tip_flow_entry *f)
{
	tip_flow_move(ic, f, TIP_FLOW_HELD);
	f->cookie[0] = 0;
	f->deadline = 0;
	wait_for_deadline(ic, f);
}

void tip_outbound_check(struct tip_intercept *ic, struct tip_flow_entry *f)
{
	const bool joining = f->pub.state == TIP_FLOW_JOINING;
	const uint64_t now = tip_clock_monotonic();

	if (f->pub.state == TIP_FLOW_JOINED)
		return;
	if (joining && f->deadline <= now) {
		tip_flow_cut(ic, f, ETIMEDOUT);
		return;
	}
	/* Who connects, writes and closes may be gone before it is accepted. */
	if (joining && f->deadline - now > JOIN_NS - GONE_NS)
		return;
	if (has_gone(ic, f))
		tip_flow_cut(ic, f, ECONNABORTED);
}
