/* SPDX-License-Identifier: Apache-2.0 */
#include "mtls/table.h"

#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"

struct tip_relay_owner {
	char *id;
	size_t handshakes, admitted;
};

struct tip_relay_table {
	struct tip_relay_limits limits;
	struct tip_map *owners;
	size_t admitted; /* handshakes and open ones that are not over a limit */
	struct tip_relay_stats stats;
};

struct tip_relay_table *tip_relay_table_new(const struct tip_relay_limits *limits)
{
	struct tip_relay_table *t = tip_alloc(sizeof(*t));

	t->limits = *limits;
	t->owners = tip_map_new();
	return t;
}

void tip_relay_table_free(struct tip_relay_table *t)
{
	if (!t)
		return;
	tip_map_free(t->owners, NULL);
	free(t);
}

static struct tip_relay_owner *owner_of(struct tip_relay_table *t, const char *id)
{
	struct tip_relay_owner *o = tip_map_gets(t->owners, id);

	if (o)
		return o;
	o = tip_alloc(sizeof(*o));
	o->id = tip_strdup(id);
	tip_map_puts(t->owners, id, o);
	return o;
}

static void let_go(struct tip_relay_table *t, struct tip_relay_owner *o)
{
	if (o->handshakes || o->admitted)
		return;
	tip_map_dels(t->owners, o->id);
	free(o->id);
	free(o);
}

static enum tip_mtls_cause full(const struct tip_relay_table *t, const struct tip_relay_owner *o)
{
	if (t->admitted >= t->limits.connections)
		return TIP_MTLS_LIMIT_CONNECTIONS;
	if (o->admitted >= t->limits.per_identity)
		return TIP_MTLS_LIMIT_IDENTITY;
	return TIP_MTLS_NONE;
}

enum tip_mtls_cause tip_relay_begin(struct tip_relay_table *t, struct tip_relay *r,
				    const char *own_id, bool turn_away)
{
	struct tip_relay_owner *o = owner_of(t, own_id);
	enum tip_mtls_cause why = TIP_MTLS_NONE;

	*r = (struct tip_relay){.table = t, .over = full(t, o)};
	if (t->stats.handshakes >= t->limits.handshakes ||
	    o->handshakes >= t->limits.handshakes_per_identity)
		why = TIP_MTLS_LIMIT_HANDSHAKES;
	else if (!turn_away)
		why = r->over;
	if (why) {
		let_go(t, o);
		return why;
	}
	r->owner = o;
	r->place = TIP_RELAY_SHAKING;
	if (!r->over) {
		o->admitted++;
		t->admitted++;
	}
	o->handshakes++;
	t->stats.handshakes++;
	t->stats.begun++;
	return TIP_MTLS_NONE;
}

static void leave_handshakes(struct tip_relay *r)
{
	r->owner->handshakes--;
	r->table->stats.handshakes--;
}

void tip_relay_open(struct tip_relay *r)
{
	leave_handshakes(r);
	r->place = TIP_RELAY_OPEN;
	r->table->stats.open++;
	r->table->stats.opened++;
}

void tip_relay_end(struct tip_relay *r, enum tip_mtls_cause cause)
{
	struct tip_relay_table *t = r->table;

	t->stats.ended[cause]++;
	if (r->place == TIP_RELAY_OUT)
		return;
	if (r->place == TIP_RELAY_SHAKING)
		leave_handshakes(r);
	else
		t->stats.open--;
	if (!r->over) {
		r->owner->admitted--;
		t->admitted--;
	}
	let_go(t, r->owner);
	*r = (struct tip_relay){.table = t};
}

void tip_relay_stats(const struct tip_relay_table *t, struct tip_relay_stats *out)
{
	*out = t->stats;
}
