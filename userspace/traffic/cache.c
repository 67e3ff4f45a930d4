/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic/cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

struct slot {
	char *id;      /* NULL: free */
	size_t policy; /* its order in the set */
	size_t client; /* index of the line + 1; 0: matches none */
};

struct tip_traffic_cache {
	struct slot *slots;
	size_t count, used;
	uint64_t generation;
	uint64_t hits, misses;
};

struct tip_traffic_cache *tip_traffic_cache_new(size_t slots)
{
	struct tip_traffic_cache *c = tip_alloc(sizeof(*c));

	c->count = slots ? slots : 1;
	c->slots = tip_calloc(c->count, sizeof(*c->slots));
	return c;
}

static void forget(struct tip_traffic_cache *c)
{
	for (size_t i = 0; i < c->count; i++) {
		free(c->slots[i].id);
		c->slots[i] = (struct slot){0};
	}
	c->used = 0;
}

void tip_traffic_cache_free(struct tip_traffic_cache *c)
{
	if (!c)
		return;
	forget(c);
	free(c->slots);
	free(c);
}

static struct slot *slot_of(struct tip_traffic_cache *c, const struct tip_traffic_policy *p,
			    const char *id, size_t len)
{
	/* The golden ratio spreads one ID's policies over the slots; the hash is keyed. */
	return &c->slots[(tip_hash(id, len) + p->order * 0x9e3779b97f4a7c15ULL) % c->count];
}

const struct tip_traffic_peer *tip_traffic_cache_client(struct tip_traffic_cache *c,
							uint64_t generation,
							const struct tip_traffic_policy *p,
							const char *id)
{
	size_t len = strnlen(id, TIP_TRAFFIC_CACHE_ID_MAX + 1);
	const struct tip_traffic_peer *peer;
	struct slot *s;

	if (c->generation != generation) {
		forget(c);
		c->generation = generation;
	}
	if (len > TIP_TRAFFIC_CACHE_ID_MAX)
		return tip_traffic_policy_client(p, id);
	s = slot_of(c, p, id, len);
	/* The whole ID is compared: a hash may not decide who is let in. */
	if (s->id && s->policy == p->order && !strcmp(s->id, id)) {
		c->hits++;
		return s->client ? &p->clients[s->client - 1] : NULL;
	}
	c->misses++;
	peer = tip_traffic_policy_client(p, id);
	c->used += !s->id;
	free(s->id);
	s->id = tip_strndup(id, len);
	s->policy = p->order;
	s->client = peer ? (size_t)(peer - p->clients) + 1 : 0;
	return peer;
}

void tip_traffic_cache_stats(const struct tip_traffic_cache *c, struct tip_traffic_cache_stats *out)
{
	*out = (struct tip_traffic_cache_stats){
		.hits = c->hits,
		.misses = c->misses,
		.used = c->used,
		.slots = c->count,
	};
}
