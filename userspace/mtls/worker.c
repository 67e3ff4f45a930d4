/* SPDX-License-Identifier: Apache-2.0 */
#include "mtls/worker.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "mtls/passage.h"
#include "mtls/socket.h"

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	uint64_t now = tip_clock_monotonic();
	struct tip_worker *w = arg;
	struct tip_passage *p;

	while ((p = TAILQ_FIRST(&w->timed)) && p->deadline <= now)
		tip_passage_late(p);
	if (!p)
		event_del(&w->tick);
}

struct tip_worker *tip_worker_new(struct event_base *base, struct tip_bundles *bundles,
				  const struct tip_worker_limits *limits,
				  const struct tip_worker_ops *ops)
{
	struct tip_worker *w = tip_alloc(sizeof(*w));

	w->base = base;
	w->bundles = bundles;
	w->ops = *ops;
	w->records = limits->records;
	w->pumps = tip_pump_group_new(base, limits->buffers);
	w->relays = tip_relay_table_new(&limits->relays);
	w->by_id = tip_map_new();
	LIST_INIT(&w->passages);
	TAILQ_INIT(&w->timed);
	event_assign(&w->tick, base, -1, EV_PERSIST, on_tick, w);
	return w;
}

void tip_worker_free(struct tip_worker *w)
{
	struct tip_passage *p;

	if (!w)
		return;
	w->is_closing = true;
	while ((p = LIST_FIRST(&w->passages))) {
		/* The cut of an open one ends it, without a word to anybody as well. */
		if (p->pump)
			tip_pump_abort(p->pump, TIP_MTLS_ABORTED);
		else
			tip_passage_end(p, TIP_MTLS_ABORTED, NULL);
	}
	event_del(&w->tick);
	tip_pump_group_free(w->pumps);
	tip_relay_table_free(w->relays);
	tip_map_free(w->by_id, NULL);
	free(w);
}

void tip_worker_outbound(struct tip_worker *w, const struct tip_worker_flow *f, int fd)
{
	tip_passage_outbound(w, f, fd);
}

void tip_worker_inbound(struct tip_worker *w, const struct tip_worker_flow *f, int fd)
{
	tip_passage_inbound(w, f, fd);
}

void tip_worker_join(struct tip_worker *w, uint64_t id, int fd)
{
	struct tip_passage *p = tip_map_getu(w->by_id, id);

	if (p)
		tip_passage_join(p, fd);
	else
		tip_leg_close(fd, false);
}

void tip_worker_cut(struct tip_worker *w, uint64_t id, enum tip_mtls_cause cause)
{
	struct tip_passage *p = tip_map_getu(w->by_id, id);

	if (p)
		tip_passage_cut(p, cause);
}

/*
 * Cuts those for which `cause_of` has a cause. To cut one ends it, and what is done at its end may
 * end others: the choice is made first, and each is looked up again.
 */
static size_t cut_chosen(struct tip_worker *w,
			 enum tip_mtls_cause (*cause_of)(const struct tip_passage *, const void *),
			 const void *arg)
{
	struct chosen {
		uint64_t id;
		enum tip_mtls_cause cause;
	} *chosen = tip_calloc(tip_map_count(w->by_id) + 1, sizeof(*chosen));
	struct tip_passage *p;
	size_t n = 0, cut = 0;

	LIST_FOREACH(p, &w->passages, link)
	{
		enum tip_mtls_cause cause = p->cause ? TIP_MTLS_NONE : cause_of(p, arg);

		if (cause)
			chosen[n++] = (struct chosen){p->flow.id, cause};
	}
	for (size_t i = 0; i < n; i++) {
		p = tip_map_getu(w->by_id, chosen[i].id);
		if (!p)
			continue;
		cut++;
		tip_passage_cut(p, chosen[i].cause);
	}
	free(chosen);
	return cut;
}

static enum tip_mtls_cause is_quarantined(const struct tip_passage *p, const void *arg)
{
	const char *peer_id = tip_passage_peer(p);

	return !strcmp(p->own_id, arg) || (peer_id && !strcmp(peer_id, arg)) ? TIP_MTLS_QUARANTINED
									     : TIP_MTLS_NONE;
}

size_t tip_worker_quarantine(struct tip_worker *w, const char *spiffe_id)
{
	w->policy++;
	return cut_chosen(w, is_quarantined, spiffe_id);
}

static enum tip_mtls_cause is_denied(const struct tip_passage *p, const void *arg)
{
	return tip_passage_ask(p);
}

size_t tip_worker_recheck(struct tip_worker *w)
{
	w->policy++;
	return cut_chosen(w, is_denied, NULL);
}

void tip_worker_moved(struct tip_worker *w,
		      void (*fn)(void *ctx, uint64_t id, const char *backend, uint64_t sent,
				 uint64_t received),
		      void *ctx)
{
	struct tip_passage *p;

	LIST_FOREACH(p, &w->passages, link)
	{
		struct tip_pump_stats stats;

		if (!p->pump)
			continue;
		tip_pump_stats(p->pump, &stats);
		if (p->is_told && p->told == stats.sent + stats.received)
			continue;
		p->is_told = true;
		p->told = stats.sent + stats.received;
		fn(ctx, p->flow.id, tip_pump_backend(p->pump), stats.sent, stats.received);
	}
}

void tip_worker_stats(const struct tip_worker *w, struct tip_worker_stats *out)
{
	tip_relay_stats(w->relays, &out->relays);
	tip_pump_group_stats(w->pumps, &out->pumps);
	out->kernel = w->kernel;
}
