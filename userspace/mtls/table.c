/* SPDX-License-Identifier: Apache-2.0 */
#include "mtls/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"

struct owner {
	char *id;
	size_t relays;
};

struct tip_relay {
	TAILQ_ENTRY(tip_relay) link;
	struct tip_relay_table *table;
	struct owner *owner;
	uint64_t id;
	bool inbound, open;
	char *peer_id;
	uint64_t exec_id;
	struct sockaddr_storage local, remote;
	struct tip_pump *pump;
	uint64_t begun;
	void (*cut)(void *ctx, enum tip_mtls_cause cause);
	void *ctx;
};
TAILQ_HEAD(relay_queue, tip_relay);

struct tip_relay_table {
	struct tip_relay_limits limits;
	struct relay_queue relays; /* by ID */
	struct tip_map *by_id;
	struct tip_map *owners;
	uint64_t last_id;
	struct tip_relay_stats stats;
};

struct tip_relay_table *tip_relay_table_new(const struct tip_relay_limits *limits)
{
	struct tip_relay_table *t = tip_alloc(sizeof(*t));

	t->limits = *limits;
	TAILQ_INIT(&t->relays);
	t->by_id = tip_map_new();
	t->owners = tip_map_new();
	return t;
}

void tip_relay_table_free(struct tip_relay_table *t)
{
	if (!t)
		return;
	tip_map_free(t->by_id, NULL);
	tip_map_free(t->owners, NULL);
	free(t);
}

static enum tip_mtls_cause full(const struct tip_relay_table *t, const char *own_id)
{
	const struct owner *o = tip_map_gets(t->owners, own_id);

	if (t->stats.handshakes + t->stats.open >= t->limits.connections)
		return TIP_MTLS_LIMIT_CONNECTIONS;
	if (t->stats.handshakes >= t->limits.handshakes)
		return TIP_MTLS_LIMIT_HANDSHAKES;
	if (o && o->relays >= t->limits.per_identity)
		return TIP_MTLS_LIMIT_IDENTITY;
	return TIP_MTLS_NONE;
}

static struct owner *own(struct tip_relay_table *t, const char *id)
{
	struct owner *o = tip_map_gets(t->owners, id);

	if (!o) {
		o = tip_alloc(sizeof(*o));
		o->id = tip_strdup(id);
		tip_map_puts(t->owners, id, o);
	}
	o->relays++;
	return o;
}

static void disown(struct tip_relay_table *t, struct owner *o)
{
	if (--o->relays)
		return;
	tip_map_dels(t->owners, o->id);
	free(o->id);
	free(o);
}

struct tip_relay *tip_relay_begin(struct tip_relay_table *t, const struct tip_relay_spec *spec,
				  enum tip_mtls_cause *why)
{
	struct tip_relay *r;

	*why = full(t, spec->own_id);
	if (*why) {
		t->stats.ended[*why]++;
		return NULL;
	}
	r = tip_alloc(sizeof(*r));
	r->table = t;
	r->owner = own(t, spec->own_id);
	r->id = ++t->last_id;
	r->inbound = spec->inbound;
	r->exec_id = spec->exec_id;
	r->local = spec->local;
	r->remote = spec->remote;
	r->cut = spec->cut;
	r->ctx = spec->ctx;
	r->begun = tip_clock_monotonic();
	TAILQ_INSERT_TAIL(&t->relays, r, link);
	tip_map_putu(t->by_id, r->id, r);
	t->stats.handshakes++;
	t->stats.begun++;
	return r;
}

void tip_relay_open(struct tip_relay *r, const char *peer_id, struct tip_pump *pump)
{
	r->open = true;
	r->peer_id = tip_strdup(peer_id);
	r->pump = pump;
	r->table->stats.handshakes--;
	r->table->stats.open++;
	r->table->stats.opened++;
}

void tip_relay_end(struct tip_relay *r, enum tip_mtls_cause cause)
{
	struct tip_relay_table *t = r->table;

	if (r->open)
		t->stats.open--;
	else
		t->stats.handshakes--;
	t->stats.ended[cause]++;
	TAILQ_REMOVE(&t->relays, r, link);
	tip_map_delu(t->by_id, r->id);
	disown(t, r->owner);
	free(r->peer_id);
	free(r);
}

static void describe(const struct tip_relay *r, struct tip_relay_info *out)
{
	struct tip_pump_stats stats = {0};

	if (r->open)
		tip_pump_stats(r->pump, &stats);
	*out = (struct tip_relay_info){
		.id = r->id,
		.inbound = r->inbound,
		.open = r->open,
		.own_id = r->owner->id,
		.peer_id = r->open ? r->peer_id : "",
		.exec_id = r->exec_id,
		.local = &r->local,
		.remote = &r->remote,
		.backend = r->open ? tip_pump_backend(r->pump) : "",
		.age = tip_clock_monotonic() - r->begun,
		.sent = stats.sent,
		.received = stats.received,
	};
}

/* The relay after the one with that ID, which may be gone meanwhile. */
static struct tip_relay *next_after(const struct tip_relay_table *t, uint64_t after)
{
	struct tip_relay *r = after ? tip_map_getu(t->by_id, after) : NULL;

	if (r)
		return TAILQ_NEXT(r, link);
	TAILQ_FOREACH(r, &t->relays, link)
	if (r->id > after)
		break;
	return r;
}

bool tip_relay_next(const struct tip_relay_table *t, uint64_t after, struct tip_relay_info *out)
{
	const struct tip_relay *r = next_after(t, after);

	if (!r)
		return false;
	describe(r, out);
	return true;
}

/*
 * Cuts those that `chosen` names. To cut one ends it, and may end others: the choice is made first,
 * and each is looked up again.
 */
static size_t cut_chosen(struct tip_relay_table *t,
			 bool (*chosen)(const void *, struct tip_relay *), const void *arg,
			 enum tip_mtls_cause cause)
{
	uint64_t *ids = tip_calloc(t->stats.handshakes + t->stats.open + 1, sizeof(*ids));
	size_t n = 0, cut = 0;
	struct tip_relay *r;

	TAILQ_FOREACH(r, &t->relays, link)
	if (chosen(arg, r))
		ids[n++] = r->id;
	for (size_t i = 0; i < n; i++) {
		r = tip_map_getu(t->by_id, ids[i]);
		if (!r)
			continue;
		cut++;
		r->cut(r->ctx, cause);
	}
	free(ids);
	return cut;
}

static bool has_id(const void *arg, struct tip_relay *r)
{
	return !strcmp(r->owner->id, arg) || (r->open && !strcmp(r->peer_id, arg));
}

size_t tip_relay_cut(struct tip_relay_table *t, const char *spiffe_id, enum tip_mtls_cause cause)
{
	return cut_chosen(t, has_id, spiffe_id, cause);
}

struct question {
	bool (*allowed)(void *ctx, const struct tip_relay_info *relay);
	void *ctx;
};

static bool is_denied(const void *arg, struct tip_relay *r)
{
	const struct question *q = arg;
	struct tip_relay_info info;

	/* A handshake asks for itself when it is done. */
	if (!r->open)
		return false;
	describe(r, &info);
	return !q->allowed(q->ctx, &info);
}

size_t tip_relay_recheck(struct tip_relay_table *t,
			 bool (*allowed)(void *ctx, const struct tip_relay_info *relay), void *ctx)
{
	const struct question q = {allowed, ctx};

	return cut_chosen(t, is_denied, &q, TIP_MTLS_DENIED);
}

void tip_relay_stats(const struct tip_relay_table *t, struct tip_relay_stats *out)
{
	*out = t->stats;
}
