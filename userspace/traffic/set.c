/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic/set.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

/*
 * A network hangs in a hash map, and the prefix lengths that occur are tried from the longest: at
 * most 33 or 129 probes, in practice a handful. The ports of one network are cut into segments that
 * do not overlap, each with its winner, so overlapping ranges cost nothing at lookup.
 */
struct segment {
	uint16_t min, max;
	const struct tip_traffic_to *to;
};

struct network {
	struct network *next; /* all of them */
	const struct tip_traffic_to **to;
	size_t nto, cap;
	struct segment *segments; /* by port */
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

static int by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The ports where something begins, or has ended just before; sorted, each once. */
static size_t bounds_of(const struct network *n, uint32_t *bounds)
{
	size_t count = 0, kept = 0;

	for (size_t i = 0; i < n->nto; i++) {
		bounds[count++] = n->to[i]->port_min;
		bounds[count++] = n->to[i]->port_max + 1u;
	}
	qsort(bounds, count, sizeof(*bounds), by_number);
	for (size_t i = 0; i < count; i++)
		if (!kept || bounds[kept - 1] != bounds[i])
			bounds[kept++] = bounds[i];
	return kept;
}

static size_t index_of(const uint32_t *bounds, size_t count, uint32_t port)
{
	const uint32_t *at = bsearch(&port, bounds, count, sizeof(*bounds), by_number);

	return (size_t)(at - bounds);
}

/* The first piece from `i` on that nobody owns; `skip` leaps over those that are taken. */
static size_t first_free(size_t *skip, size_t i)
{
	while (skip[i] != i) {
		skip[i] = skip[skip[i]];
		i = skip[i];
	}
	return i;
}

/* Gives `to` what is left between its ports. Whoever comes first keeps it. */
static void claim(const struct tip_traffic_to *to, const uint32_t *bounds, size_t count,
		  size_t *skip, const struct tip_traffic_to **owner)
{
	size_t end = index_of(bounds, count, to->port_max + 1u);
	size_t i = first_free(skip, index_of(bounds, count, to->port_min));

	for (; i < end; i = first_free(skip, i)) {
		owner[i] = to;
		skip[i] = i + 1;
	}
}

/* Joins neighbouring pieces of one owner into segments; how many there are. */
static size_t join(const struct tip_traffic_to *const *owner, const uint32_t *bounds, size_t count,
		   struct segment *out)
{
	size_t n = 0;

	for (size_t i = 0; i + 1 < count; i++) {
		uint16_t max = (uint16_t)(bounds[i + 1] - 1);

		if (!owner[i])
			continue;
		/* Between two pieces of one range each piece has an owner: these two touch. */
		if (n && out[n - 1].to == owner[i])
			out[n - 1].max = max;
		else
			out[n++] = (struct segment){(uint16_t)bounds[i], max, owner[i]};
	}
	return n;
}

static void network_compile(struct tip_traffic_set *s, struct network *n)
{
	uint32_t *bounds = tip_calloc(2 * n->nto, sizeof(*bounds));
	size_t count = bounds_of(n, bounds);
	size_t *skip = tip_calloc(count, sizeof(*skip));
	const struct tip_traffic_to **owner = tip_calloc(count, sizeof(struct tip_traffic_to *));

	for (size_t i = 0; i < count; i++)
		skip[i] = i;
	for (size_t i = 0; i < n->nto; i++)
		if (n->to[i]->port_min == n->to[i]->port_max)
			claim(n->to[i], bounds, count, skip, owner);
	for (size_t i = 0; i < n->nto; i++)
		if (n->to[i]->port_min != n->to[i]->port_max)
			claim(n->to[i], bounds, count, skip, owner);

	n->segments = tip_arena_alloc(s->arena, count * sizeof(*n->segments));
	n->nsegments = join(owner, bounds, count, n->segments);
	free(owner);
	free(skip);
	free(bounds);
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
		const struct segment *g = &n->segments[mid];

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
