/* SPDX-License-Identifier: Apache-2.0 */
#include "mtls/passage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "mtls/socket.h"

/* For the dial; and from there, or from accept(), to the verdict. */
#define TIMEOUT_NS (10 * TIP_NSEC_PER_SEC)
/* How late a deadline may be noticed. */
#define TICK_USEC 250000
/* IDs that may answer at one address; the session compares them one by one. */
#define EXPECTED_MAX 64

/* ---- the end ---- */

static void untime(struct tip_passage *p)
{
	if (p->is_timed)
		TAILQ_REMOVE(&p->worker->timed, p, timed);
	p->is_timed = false;
}

static void set_deadline(struct tip_passage *p)
{
	static const struct timeval tick = {0, TICK_USEC};
	struct tip_worker *w = p->worker;

	untime(p);
	p->deadline = tip_clock_monotonic() + TIMEOUT_NS;
	if (TAILQ_EMPTY(&w->timed) && !event_pending(&w->tick, EV_TIMEOUT, NULL))
		event_add(&w->tick, &tick);
	TAILQ_INSERT_TAIL(&w->timed, p, timed);
	p->is_timed = true;
}

static void drop_leg(struct tip_passage *p)
{
	event_del(&p->leg_ev);
	if (p->leg >= 0)
		tip_leg_close(p->leg, false);
	p->leg = -1;
}

const char *tip_passage_peer(const struct tip_passage *p)
{
	return p->session ? tip_session_peer_id(p->session) : p->peer_id;
}

void tip_passage_end(struct tip_passage *p, enum tip_mtls_cause cause, const char *text)
{
	const char *peer_id = tip_passage_peer(p);
	struct tip_worker *w = p->worker;
	const struct tip_worker_end end = {
		.id = p->flow.id,
		.cause = cause,
		.error = p->error,
		.own_id = p->own_id,
		.peer_id = peer_id ? peer_id : "",
		.text = text ? text : tip_mtls_cause_text(cause),
		.inbound = p->inbound,
		.opened = p->state == PASSAGE_OPEN,
		.sent = p->sent,
		.received = p->received,
	};

	untime(p);
	LIST_REMOVE(p, link);
	tip_map_delu(w->by_id, p->flow.id);
	tip_relay_end(&p->relay, cause);
	event_del(&p->wire_ev);
	if (p->wire >= 0)
		tip_leg_close(p->wire, false);
	drop_leg(p);
	/* It can no longer be found: what is done in there does not come back to it. */
	if (!w->is_closing)
		w->ops.ended(w->ops.ctx, &end);
	tip_session_free(p->session);
	tip_tls_svid_put(p->svid);
	free(p->peer_id);
	free(p);
}

static void on_closed(void *ctx, enum tip_mtls_cause cause, const struct tip_pump_stats *stats)
{
	struct tip_passage *p = ctx;

	p->pump = NULL;
	p->sent = stats->sent;
	p->received = stats->received;
	tip_passage_end(p, cause, NULL);
}

/* ---- policy ---- */

enum tip_mtls_cause tip_passage_ask(const struct tip_passage *p)
{
	const struct tip_worker_ops *ops = &p->worker->ops;

	if (!p->peer_id)
		return TIP_MTLS_NONE;
	return ops->keeps(ops->ctx, &p->flow, p->peer_id, p->inbound);
}

/* The session asks, inside of a step. */
static enum tip_verdict authorise(void *ctx, const char *peer_id, uint16_t *reason)
{
	struct tip_passage *p = ctx;
	const struct tip_worker_ops *ops = &p->worker->ops;
	enum tip_verdict verdict = ops->authorise(ops->ctx, &p->flow, peer_id, reason);

	if (verdict != TIP_VERDICT_OK || !p->relay.over)
		return verdict;
	p->cause = p->relay.over;
	*reason = TIP_REASON_LIMIT;
	return TIP_VERDICT_UNREACHABLE;
}

/* ---- the session ---- */

static void open_passage(struct tip_passage *p, int app)
{
	struct tip_backend *backend = tip_session_take(p->session);

	tip_session_free(p->session);
	p->session = NULL;
	p->leg = -1;
	p->pump = tip_pump_new(p->worker->pumps, app, backend, on_closed, p);
	/* Only now: it would cost two calls of epoll_ctl() for each socket before. */
	event_del(&p->wire_ev);
	event_del(&p->leg_ev);
	if (!p->pump) {
		tip_passage_end(p, TIP_MTLS_INTERNAL, NULL);
		return;
	}
	untime(p);
	p->state = PASSAGE_OPEN;
	tip_relay_open(&p->relay);
	p->worker->kernel += !strcmp(tip_pump_backend(p->pump), "kernel");
}

/* The peer is good. `p` may be gone afterwards. */
static void want(struct tip_passage *p)
{
	struct tip_worker *w = p->worker;
	enum tip_mtls_cause cause;

	p->peer_id = tip_strdup(tip_session_peer_id(p->session));
	/* A client holds its peer against IDs that were asked for before the handshake. */
	cause = p->inbound || p->asked == w->policy ? TIP_MTLS_NONE : tip_passage_ask(p);
	if (cause) {
		tip_passage_end(p, cause, NULL);
		return;
	}
	p->state = PASSAGE_WANTED;
	w->ops.wanted(w->ops.ctx, p->flow.id, p->peer_id);
}

static void step(struct tip_passage *p)
{
	switch (tip_session_step(p->session)) {
	case TIP_STEP_JUDGED:
		if (p->state == PASSAGE_SHAKING)
			want(p);
		return;
	case TIP_STEP_DONE:
		if (p->inbound)
			open_passage(p, p->leg);
		else if (p->state == PASSAGE_SHAKING)
			want(p);
		return;
	case TIP_STEP_FAILED:
		if (p->cause)
			tip_passage_end(p, p->cause, NULL);
		else
			tip_passage_end(p, tip_session_cause(p->session),
					tip_session_text(p->session));
		return;
	default: return;
	}
}

static int start_session(struct tip_passage *p)
{
	const char *expected[EXPECTED_MAX];
	struct tip_worker *w = p->worker;
	struct tip_session_config config = {
		.svid = p->svid,
		.bundles = w->bundles,
		.server = p->inbound,
		.expected = expected,
		.authorise = authorise,
		.ctx = p,
		.timeout_ns = TIMEOUT_NS,
		.records = &w->records,
	};
	struct tip_error err;

	if (!p->inbound) {
		p->asked = w->policy;
		config.nexpected = w->ops.expected(w->ops.ctx, &p->flow, expected, EXPECTED_MAX);
		if (!config.nexpected) {
			tip_passage_end(p, TIP_MTLS_DENIED, NULL);
			return -1;
		}
	}
	p->session = tip_session_new(p->wire, &config, &err);
	if (!p->session) {
		tip_passage_end(p, TIP_MTLS_INTERNAL, err.text);
		return -1;
	}
	p->wire = -1;
	tip_tls_svid_put(p->svid);
	p->svid = NULL;
	p->state = PASSAGE_SHAKING;
	set_deadline(p);
	return 0;
}

/* ---- dials ---- */

/*
 * Somebody is there and does not want it. A listener that resets what it has just accepted can be
 * faster than our look: then the error is that of an open connection.
 */
static bool is_refusal(int error)
{
	return error == ECONNREFUSED || error == ECONNRESET || error == EPIPE;
}

static void dial_failed(struct tip_passage *p, int error)
{
	enum tip_mtls_cause cause = TIP_MTLS_UNREACHABLE;
	char text[128];

	if (is_refusal(error))
		cause = TIP_MTLS_REFUSED;
	if (error == ETIMEDOUT)
		cause = TIP_MTLS_TIMEOUT;
	p->error = error;
	(void)snprintf(text, sizeof(text), "the peer's address cannot be connected to: %s",
		       strerror(error));
	tip_passage_end(p, cause, text);
}

static void dialled(struct tip_passage *p)
{
	int error = tip_leg_error(p->wire);

	if (error)
		dial_failed(p, error);
	else if (!start_session(p))
		step(p);
}

/* The client is told why before it ends. */
static void tell(struct tip_passage *p, enum tip_verdict verdict, enum tip_verdict_reason reason,
		 enum tip_mtls_cause cause)
{
	drop_leg(p);
	p->cause = cause;
	p->state = PASSAGE_SHAKING;
	tip_session_verdict(p->session, verdict, (uint16_t)reason);
	step(p);
}

static void leg_dialled(struct tip_passage *p)
{
	int error = tip_leg_error(p->leg);

	p->error = error;
	if (is_refusal(error)) {
		tell(p, TIP_VERDICT_REFUSED, TIP_REASON_NONE, TIP_MTLS_REFUSED);
	} else if (error) {
		tell(p, TIP_VERDICT_UNREACHABLE,
		     error == ETIMEDOUT ? TIP_REASON_TIMEOUT : TIP_REASON_NONE,
		     TIP_MTLS_UNREACHABLE);
	} else {
		p->state = PASSAGE_SHAKING;
		tip_session_verdict(p->session, TIP_VERDICT_OK, TIP_REASON_NONE);
		step(p);
	}
}

/* ---- events ---- */

static void on_wire(evutil_socket_t fd, short what, void *arg)
{
	struct tip_passage *p = arg;

	if (p->state == PASSAGE_DIALLING)
		dialled(p);
	else
		step(p);
}

static void on_leg(evutil_socket_t fd, short what, void *arg)
{
	struct tip_passage *p = arg;

	if (p->state == PASSAGE_LEG)
		leg_dialled(p);
}

static int watch(struct tip_passage *p, struct event *ev, int fd, event_callback_fn fn)
{
	event_assign(ev, p->worker->base, fd, EV_READ | EV_WRITE | EV_ET | EV_PERSIST, fn, p);
	return event_add(ev, NULL);
}

void tip_passage_late(struct tip_passage *p)
{
	if (p->state == PASSAGE_DIALLING)
		dial_failed(p, ETIMEDOUT);
	else if (p->state == PASSAGE_WANTED && !p->inbound)
		tip_passage_end(p, TIP_MTLS_ABORTED, "the application did not come for it");
	else
		/* Late by the session's clock as well: it fails. */
		step(p);
}

/* ---- from outside ---- */

/* NULL: it has ended already. */
static struct tip_passage *begin(struct tip_worker *w, const struct tip_worker_flow *f, int fd,
				 bool inbound)
{
	size_t len = strlen(f->own_id) + 1;
	enum tip_mtls_cause why;
	struct tip_passage *p;

	/* IDs are not used twice; whoever does loses the second one. */
	if (tip_map_getu(w->by_id, f->id)) {
		tip_leg_close(fd, false);
		return NULL;
	}
	p = tip_alloc(sizeof(*p) + len);
	memcpy(p->own_id, f->own_id, len);
	p->worker = w;
	p->flow = *f;
	p->flow.own_id = p->own_id;
	p->inbound = inbound;
	p->wire = fd;
	p->leg = -1;
	event_assign(&p->wire_ev, w->base, -1, 0, on_wire, p);
	event_assign(&p->leg_ev, w->base, -1, 0, on_leg, p);
	LIST_INSERT_HEAD(&w->passages, p, link);
	tip_map_putu(w->by_id, f->id, p);
	why = tip_relay_begin(w->relays, &p->relay, p->own_id, inbound);
	if (why)
		goto fail;
	why = TIP_MTLS_NO_IDENTITY;
	if (!*p->own_id)
		goto fail;
	p->svid = w->ops.svid(w->ops.ctx, f->exec_id, p->own_id, &why);
	if (!p->svid)
		goto fail;
	why = TIP_MTLS_NO_IDENTITY;
	if (strcmp(tip_tls_svid_id(p->svid), p->own_id) != 0)
		goto fail;
	return p;
fail:
	tip_passage_end(p, why, NULL);
	return NULL;
}

void tip_passage_outbound(struct tip_worker *w, const struct tip_worker_flow *f, int fd)
{
	struct tip_passage *p = begin(w, f, fd, false);
	const char *expected[EXPECTED_MAX];

	if (!p)
		return;
	/* The IDs are asked for when the dial has succeeded; who may not ask need not wait. */
	if (!w->ops.expected(w->ops.ctx, &p->flow, expected, EXPECTED_MAX)) {
		tip_passage_end(p, TIP_MTLS_DENIED, NULL);
		return;
	}
	set_deadline(p);
	if (watch(p, &p->wire_ev, fd, on_wire) < 0)
		tip_passage_end(p, TIP_MTLS_INTERNAL, NULL);
}

void tip_passage_inbound(struct tip_worker *w, const struct tip_worker_flow *f, int fd)
{
	struct tip_passage *p = begin(w, f, fd, true);

	/* To begin to watch tells at once what is there already. */
	if (p && !start_session(p) && watch(p, &p->wire_ev, fd, on_wire) < 0)
		tip_passage_end(p, TIP_MTLS_INTERNAL, NULL);
}

void tip_passage_join(struct tip_passage *p, int fd)
{
	if (p->state != PASSAGE_WANTED) {
		tip_leg_close(fd, false);
	} else if (!p->inbound) {
		open_passage(p, fd);
	} else {
		p->leg = fd;
		p->state = PASSAGE_LEG;
		if (watch(p, &p->leg_ev, fd, on_leg) < 0)
			tell(p, TIP_VERDICT_UNREACHABLE, TIP_REASON_NONE, TIP_MTLS_INTERNAL);
	}
}

/* What the client is told. False: nothing, it is reset. */
static bool verdict_of(enum tip_mtls_cause cause, enum tip_verdict *verdict,
		       enum tip_verdict_reason *reason)
{
	*reason = TIP_REASON_NONE;
	switch (cause) {
	case TIP_MTLS_REFUSED: *verdict = TIP_VERDICT_REFUSED; return true;
	case TIP_MTLS_UNREACHABLE: *verdict = TIP_VERDICT_UNREACHABLE; return true;
	case TIP_MTLS_DENIED: *verdict = TIP_VERDICT_DENIED; return true;
	case TIP_MTLS_QUARANTINED: *verdict = TIP_VERDICT_QUARANTINED; return true;
	case TIP_MTLS_LIMIT_HANDSHAKES:
	case TIP_MTLS_LIMIT_CONNECTIONS:
	case TIP_MTLS_LIMIT_IDENTITY:
		*verdict = TIP_VERDICT_UNREACHABLE;
		*reason = TIP_REASON_LIMIT;
		return true;
	default: return false;
	}
}

void tip_passage_cut(struct tip_passage *p, enum tip_mtls_cause cause)
{
	enum tip_verdict_reason reason;
	enum tip_verdict verdict;

	/* Numbers come from outside, and no cut is a clean end. */
	if (!cause || cause == TIP_MTLS_CLEAN || (unsigned int)cause >= TIP_MTLS_CAUSES)
		cause = TIP_MTLS_ABORTED;
	if (p->state == PASSAGE_OPEN)
		tip_pump_abort(p->pump, cause);
	else if (p->inbound && p->state >= PASSAGE_WANTED && verdict_of(cause, &verdict, &reason))
		tell(p, verdict, reason, cause);
	else
		tip_passage_end(p, p->cause ? p->cause : cause, NULL);
}
