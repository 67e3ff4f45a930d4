/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "guard/traffic_build.h"

/*
 * From policies to {server, port} -> who may dial: what holds inside a network namespace, where the
 * address says nothing. A port belongs to all strict policies that name the server there; two and
 * more get a number together, as a group, whose clients are those of all of them.
 */

/* Policies in all groups together: none that makes sense comes near. */
#define MEMBERS_MAX (1u << 20)

/* A policy's ports begin or end. */
struct edge {
	uint32_t port; /* the first one on which it is so */
	uint32_t order;
	bool begins;
};

struct server {
	const char *id;
	struct edge *edges;
	size_t nedges, cap;
};

/* The policies that hold at one port, by order. */
struct active {
	uint32_t *refs; /* by order: destinations that cover the port */
	uint32_t *orders, *fresh, *merged;
	size_t count;
};

static void free_server(void *server)
{
	struct server *s = server;

	free(s->edges);
	free(s);
}

static void add_edges(struct server *s, const struct tip_traffic_policy *p)
{
	if (s->nedges + 2 * p->nto > s->cap) {
		s->cap = 2 * (s->nedges + 2 * p->nto);
		s->edges = tip_realloc(s->edges, s->cap, sizeof(*s->edges));
	}
	for (size_t i = 0; i < p->nto; i++) {
		const uint32_t order = (uint32_t)p->order;

		s->edges[s->nedges++] = (struct edge){p->to[i].port_min, order, true};
		s->edges[s->nedges++] = (struct edge){p->to[i].port_max + 1u, order, false};
	}
}

static struct tip_map *servers_of(const struct tip_traffic_policies *all)
{
	struct tip_map *servers = tip_map_new();

	for (size_t i = 0; i < tip_traffic_policies_count(all); i++) {
		const struct tip_traffic_policy *p = tip_traffic_policies_get(all, i);

		for (size_t j = 0; p->mode == TIP_TRAFFIC_STRICT && j < p->nserver; j++) {
			struct server *s = tip_map_gets(servers, p->server[j].id);

			if (!s) {
				s = tip_alloc(sizeof(*s));
				s->id = p->server[j].id;
				tip_map_puts(servers, s->id, s);
			}
			add_edges(s, p);
		}
	}
	return servers;
}

/* What begins at a port comes before what ends there: so a policy that goes on never has none. */
static int by_port(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	if (x->begins != y->begins)
		return x->begins ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

/* Passes the edges at the port of the first one. How many. */
static size_t pass_port(struct active *a, const struct edge *edges, size_t nedges)
{
	size_t n = 0, nfresh = 0, at = 0, count = 0;
	uint32_t *merged = a->merged;

	for (; n < nedges && edges[n].port == edges[0].port; n++) {
		if (!edges[n].begins)
			a->refs[edges[n].order]--;
		else if (a->refs[edges[n].order]++ == 0)
			a->fresh[nfresh++] = edges[n].order;
	}
	for (size_t i = 0; i < a->count; i++) {
		if (!a->refs[a->orders[i]])
			continue;
		while (at < nfresh && a->fresh[at] < a->orders[i])
			merged[count++] = a->fresh[at++];
		merged[count++] = a->orders[i];
	}
	while (at < nfresh)
		merged[count++] = a->fresh[at++];
	a->merged = a->orders;
	a->orders = merged;
	a->count = count;
	return n;
}

/* The number of those policies together, made if need be. 0: there are too many members. */
static uint32_t number_of(struct tip_traffic_builder *b, struct tip_traffic_servers *out,
			  const struct active *a, size_t npolicies, size_t *members)
{
	const size_t len = a->count * sizeof(*a->orders);
	struct tip_traffic_group *g;

	if (a->count == 1)
		return b->first + a->orders[0];
	g = tip_map_get(out->by_members, a->orders, len);
	if (g)
		return g->number;
	*members += a->count;
	if (*members > MEMBERS_MAX)
		return 0;
	g = tip_alloc(sizeof(*g) + len);
	g->number = b->first + (uint32_t)(npolicies + tip_map_count(out->by_members));
	g->count = a->count;
	memcpy(g->orders, a->orders, len);
	tip_map_put(out->by_members, a->orders, len, g);
	return g->number;
}

/* The slice of one server. */
static int add_server(struct tip_traffic_builder *b, struct tip_traffic_servers *out,
		      struct server *s, struct active *a, size_t npolicies, size_t *members)
{
	struct tip_traffic_slice *slice = tip_alloc(sizeof(*slice));

	qsort(s->edges, s->nedges, sizeof(*s->edges), by_port);
	slice->first = (uint32_t)b->nports;
	tip_map_puts(out->slices, s->id, slice);
	for (size_t i = 0; i < s->nedges;) {
		const uint32_t port = s->edges[i].port;
		uint32_t number;

		i += pass_port(a, s->edges + i, s->nedges - i);
		if (!a->count)
			continue;
		number = number_of(b, out, a, npolicies, members);
		if (!number)
			return tip_error_set(b->err,
					     "too many policies name the same server on the same "
					     "ports, as %s: give each of them the same ports",
					     s->id);
		/* Where some are left, there is an edge at which they end. */
		if (tip_traffic_add_ports(b, slice->first, port, s->edges[i].port - 1, number) < 0)
			return tip_error_set(b->err,
					     "the kernel holds %d port ranges, and with those of "
					     "server %s the policies need more: join neighbouring "
					     "ports into ranges",
					     TIP_TRAFFIC_IMAGE_PORTS, s->id);
	}
	slice->count = (uint32_t)b->nports - slice->first;
	return 0;
}

int tip_traffic_servers_make(struct tip_traffic_builder *b,
			     const struct tip_traffic_policies *policies,
			     struct tip_traffic_servers *out)
{
	const size_t npolicies = tip_traffic_policies_count(policies);
	struct tip_map *servers = servers_of(policies);
	struct active a = {
		.refs = tip_calloc(npolicies + 1, sizeof(*a.refs)),
		.orders = tip_calloc(npolicies + 1, sizeof(*a.orders)),
		.fresh = tip_calloc(npolicies + 1, sizeof(*a.fresh)),
		.merged = tip_calloc(npolicies + 1, sizeof(*a.merged)),
	};
	size_t it = 0, members = 0;
	struct server *s;
	int ret = 0;

	out->slices = tip_map_new();
	out->by_members = tip_map_new();
	while (ret == 0 && (s = tip_map_next(servers, &it)))
		ret = add_server(b, out, s, &a, npolicies, &members);
	tip_map_free(servers, free_server);
	free(a.refs);
	free(a.orders);
	free(a.fresh);
	free(a.merged);
	return ret;
}

void tip_traffic_servers_free(struct tip_traffic_servers *s)
{
	if (s->slices)
		tip_map_free(s->slices, free);
	if (s->by_members)
		tip_map_free(s->by_members, free);
	*s = (struct tip_traffic_servers){0};
}

struct tip_traffic_prefix tip_traffic_server_prefix(uint32_t number,
						    const struct tip_traffic_slice *slice)
{
	struct tip_traffic_prefix p = {.table = TIP_TRAFFIC_SERVER, .bits = 32, .slice = *slice};

	memcpy(p.addr, &number, sizeof(number));
	return p;
}
