/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic/set.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "policy/traffic_segment.h"

/*
 * A network hangs in a hash map, and the prefix lengths that occur are tried from the longest: at
 * most 33 or 129 probes, in practice a handful. The ports of one network are cut into segments that
 * do not overlap, each with its winner, so overlapping ranges cost nothing at lookup.
 */
struct network {
	struct network *next; /* all of them */
	const struct tip_traffic_to **to;
	size_t nto, cap;
	struct tip_traffic_segment *segments; /* by port */
	size_t nsegments;
};

struct key {
	uint8_t bits;
	struct tip_ip ip;
};
_Static_assert(sizeof(struct key) == 18, "the key is hashed as bytes");

/* The prefix lengths that occur in one address family, longest first. */
struct lengths {
	uint8_t bits[129];
	size_t count;
};

struct tip_traffic_set {
	struct tip_traffic_policies *policies;
	uint64_t generation;
	struct tip_map *networks;
	struct tip_arena *arena;
	struct lengths v4, v6;
};

static struct network *network_of(struct tip_traffic_set *s, const struct tip_cidr *c,
				  struct network **all)
{
	struct key key = {.bits = c->bits, .ip = c->ip};
	struct network *n = tip_map_get(s->networks, &key, sizeof(key));

	if (!n) {
		n = tip_arena_alloc(s->arena, sizeof(*n));
		n->next = *all;
		*all = n;
		tip_map_put(s->networks, &key, sizeof(key), n);
	}
	return n;
}

static void network_add(struct network *n, const struct tip_traffic_to *to)
{
	if (n->nto == n->cap) {
		n->cap = n->cap ? 2 * n->cap : 1;
		n->to = tip_realloc(n->to, n->cap, sizeof(struct tip_traffic_to *));
	}
	n->to[n->nto++] = to;
}

static void network_compile(struct tip_traffic_set *s, struct network *n)
{
	n->segments = tip_arena_alloc(s->arena, 2 * n->nto * sizeof(*n->segments));
	n->nsegments = tip_traffic_segments(n->to, n->nto, n->segments);
}

static void lengths_fill(struct lengths *l, const bool *seen, unsigned int max)
{
	for (unsigned int bits = max + 1; bits-- > 0;)
		if (seen[bits])
			l->bits[l->count++] = (uint8_t)bits;
}

struct tip_traffic_set *tip_traffic_set_new(struct tip_traffic_policies *policies,
					    uint64_t generation)
{
	struct tip_traffic_set *s = tip_alloc(sizeof(*s));
	bool seen4[33] = {false}, seen6[129] = {false};
	struct network *all = NULL;

	s->policies = policies;
	s->generation = generation;
	s->networks = tip_map_new();
	s->arena = tip_arena_new();
	for (size_t i = 0; i < tip_traffic_policies_count(policies); i++) {
		const struct tip_traffic_policy *p = tip_traffic_policies_get(policies, i);

		for (size_t j = 0; j < p->nto; j++) {
			const struct tip_cidr *c = &p->to[j].cidr;

			(c->ip.family == 4 ? seen4 : seen6)[c->bits] = true;
			network_add(network_of(s, c, &all), &p->to[j]);
		}
	}
	for (struct network *n = all; n; n = n->next) {
		network_compile(s, n);
		free(n->to);
		n->to = NULL;
	}
	lengths_fill(&s->v4, seen4, 32);
	lengths_fill(&s->v6, seen6, 128);
	return s;
}

void tip_traffic_set_free(struct tip_traffic_set *s)
{
	if (!s)
		return;
	tip_map_free(s->networks, NULL);
	tip_arena_free(s->arena);
	tip_traffic_policies_free(s->policies);
	free(s);
}

uint64_t tip_traffic_set_generation(const struct tip_traffic_set *s)
{
	return s->generation;
}

const struct tip_traffic_policies *tip_traffic_set_policies(const struct tip_traffic_set *s)
{
	return s->policies;
}

static const struct tip_traffic_to *at_port(const struct network *n, uint16_t port)
{
	size_t low = 0, high = n->nsegments;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct tip_traffic_segment *g = &n->segments[mid];

		if (port < g->min)
			high = mid;
		else if (port > g->max)
			low = mid + 1;
		else
			return g->to;
	}
	return NULL;
}

const struct tip_traffic_to *tip_traffic_lookup(const struct tip_traffic_set *s,
						const struct tip_ip *ip, uint16_t port)
{
	const struct lengths *l = ip->family == 4 ? &s->v4 : &s->v6;

	for (size_t i = 0; i < l->count; i++) {
		struct key key = {.bits = l->bits[i], .ip = tip_ip_mask(ip, l->bits[i])};
		const struct network *n = tip_map_get(s->networks, &key, sizeof(key));
		const struct tip_traffic_to *to = n ? at_port(n, port) : NULL;

		if (to)
			return to;
	}
	return NULL;
}
