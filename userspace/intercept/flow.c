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
	ic->holders = tip_map_new();
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
	tip_map_free(ic->holders, free);
}

bool tip_flow_is_held(const struct tip_flow *f)
{
	return !f->inbound && (f->state == TIP_FLOW_HELD || f->state == TIP_FLOW_SHAKING);
}

/* ---- who holds how many ---- */

struct holder {
	size_t count;
};

/* Numbers of identities have 32 bits; namespaces are counted by the kernel from 1 on. */
static uint64_t holder_key(uint64_t netns, uint32_t number)
{
	return number >= TIP_ID_FIRST ? number : netns | UINT64_C(1) << 63;
}

size_t tip_flow_held_of(const struct tip_intercept *ic, uint64_t netns, uint32_t number)
{
	const struct holder *h = tip_map_getu(ic->holders, holder_key(netns, number));

	return h ? h->count : 0;
}

static void count_held(struct tip_intercept *ic, const struct tip_flow *f, bool held)
{
	const uint64_t key = holder_key(f->netns, f->current);
	struct holder *h = tip_map_getu(ic->holders, key);

	ic->stats.held += held ? 1 : (size_t)-1;
	if (!h) {
		h = tip_alloc(sizeof(*h));
		tip_map_putu(ic->holders, key, h);
	}
	h->count += held ? 1 : (size_t)-1;
	if (!h->count)
		free(tip_map_delu(ic->holders, key));
}

/* ---- the table ---- */

struct tip_flow_entry *tip_flow_begin(struct tip_intercept *ic, struct tip_netns *ns, bool inbound,
				      uint32_t number)
{
	struct tip_flow_entry *f = tip_alloc(sizeof(*f));

	f->pub.id = ++ic->last_id;
	f->pub.inbound = inbound;
	f->pub.state = inbound ? TIP_FLOW_SHAKING : TIP_FLOW_HELD;
	f->pub.netns = ns->cookie;
	f->pub.current = number;
	f->pub.begun = tip_clock_monotonic();
	f->ns = ns;
	TAILQ_INSERT_TAIL(&ic->flows, f, link);
	tip_map_putu(ic->by_id, f->pub.id, f);
	ic->stats.flows++;
	if (tip_flow_is_held(&f->pub))
		count_held(ic, &f->pub, true);
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
	const bool before = tip_flow_is_held(&f->pub);

	f->pub.state = state;
	if (tip_flow_is_held(&f->pub) != before)
		count_held(ic, &f->pub, !before);
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
	if (tip_flow_is_held(&f->pub))
		count_held(ic, &f->pub, false);
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
