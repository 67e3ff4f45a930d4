/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "intercept/internal.h"

void tip_flows_init(struct tip_intercept *ic)
{
	TAILQ_INIT(&ic->flows);
	TAILQ_INIT(&ic->legs);
	ic->by_id = tip_map_new();
	ic->by_key = tip_map_new();
}

void tip_flows_free(struct tip_intercept *ic)
{
	struct tip_flow_entry *f;
	struct tip_leg_entry *l;

	while ((f = TAILQ_FIRST(&ic->flows))) {
		TAILQ_REMOVE(&ic->flows, f, link);
		free(f);
	}
	while ((l = TAILQ_FIRST(&ic->legs))) {
		TAILQ_REMOVE(&ic->legs, l, link);
		free(l);
	}
	tip_map_free(ic->by_id, NULL);
	tip_map_free(ic->by_key, NULL);
}

bool tip_flow_is_held(const struct tip_flow *f)
{
	return !f->inbound && (f->state == TIP_FLOW_HELD || f->state == TIP_FLOW_SHAKING);
}

struct tip_flow_entry *tip_flow_begin(struct tip_intercept *ic, struct tip_netns *ns, bool inbound)
{
	struct tip_flow_entry *f = tip_alloc(sizeof(*f));

	f->pub.id = ++ic->last_id;
	f->pub.inbound = inbound;
	f->pub.state = inbound ? TIP_FLOW_SHAKING : TIP_FLOW_HELD;
	f->pub.netns = ns->cookie;
	f->pub.begun = tip_clock_monotonic();
	f->ns = ns;
	TAILQ_INSERT_TAIL(&ic->flows, f, link);
	tip_map_putu(ic->by_id, f->pub.id, f);
	ic->stats.flows++;
	ic->stats.held += tip_flow_is_held(&f->pub);
	return f;
}

struct tip_flow_entry *tip_flow_find(const struct tip_intercept *ic, uint64_t id)
{
	return tip_map_getu(ic->by_id, id);
}

struct tip_flow_entry *tip_flow_after(const struct tip_intercept *ic, uint64_t after)
{
	struct tip_flow_entry *f = after ? tip_flow_find(ic, after) : NULL;

	if (f)
		return TAILQ_NEXT(f, link);
	TAILQ_FOREACH(f, &ic->flows, link)
	{
		if (f->pub.id > after)
			break;
	}
	return f;
}

void tip_flow_index(struct tip_intercept *ic, struct tip_flow_entry *f)
{
	tip_map_put(ic->by_key, &f->key, sizeof(f->key), f);
}

struct tip_flow_entry *tip_flow_by_key(const struct tip_intercept *ic, const struct tip_flow_key *k)
{
	return tip_map_get(ic->by_key, k, sizeof(*k));
}

static void unindex(struct tip_intercept *ic, struct tip_flow_entry *f)
{
	if (!f->pub.inbound && tip_flow_by_key(ic, &f->key) == f)
		tip_map_del(ic->by_key, &f->key, sizeof(f->key));
}

void tip_flow_move(struct tip_intercept *ic, struct tip_flow_entry *f, enum tip_flow_state state)
{
	ic->stats.held -= tip_flow_is_held(&f->pub);
	f->pub.state = state;
	ic->stats.held += tip_flow_is_held(&f->pub);
	/* From here on the application may use its ports for something new. */
	if (state == TIP_FLOW_JOINED)
		unindex(ic, f);
}

void tip_flow_unlink(struct tip_intercept *ic, struct tip_flow_entry *f)
{
	unindex(ic, f);
	tip_map_delu(ic->by_id, f->pub.id);
	TAILQ_REMOVE(&ic->flows, f, link);
	ic->stats.flows--;
	ic->stats.held -= tip_flow_is_held(&f->pub);
	if (f->leg)
		tip_legs_close(ic, f->leg);
	f->leg = NULL;
}

void tip_flow_end(struct tip_intercept *ic, struct tip_flow_entry *f)
{
	tip_flow_unlink(ic, f);
	free(f);
}

void tip_flow_cut(struct tip_intercept *ic, struct tip_flow_entry *f, int err)
{
	if (tip_flow_is_held(&f->pub))
		tip_queue_drop(f->ns, f->packet);
	tip_flow_unlink(ic, f);
	ic->ops.cut(ic->ops.ctx, &f->pub, err);
	free(f);
}
