/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/traffic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "policy/spiffe_glob.h"
#include "policy/spiffe_id.h"

/* A line of `clients`, and the strict policies that have it. */
struct line {
	struct line *next; /* patterns: all of them */
	const char *id;
	uint32_t *orders; /* of policies */
	size_t count, cap;
};

/*
 * The clients of one set of policies, turned round: for an identity its line is looked up and the
 * patterns are tried once each, however many policies share them.
 */
struct clients {
	struct tip_map *lines; /* exact IDs and patterns -> struct line */
	struct line *patterns;
};

struct tip_guard_traffic {
	struct tip_guard_traffic_ops ops;
	const struct tip_traffic_policies *policies; /* in force, or NULL */
	struct clients clients;                      /* of those, and of their groups */
	struct tip_traffic_servers servers;          /* of those */
	uint32_t first;                              /* number of the first of them */
	uint32_t next;                               /* the first number that was never used */
};

static void line_free(void *p)
{
	struct line *l = p;

	free(l->orders);
	free(l);
}

static void clients_free(struct clients *c)
{
	tip_map_free(c->lines, line_free);
	*c = (struct clients){0};
}

static void clients_add(struct clients *c, const char *id, uint32_t order)
{
	struct line *l = tip_map_gets(c->lines, id);

	if (!l) {
		l = tip_alloc(sizeof(*l));
		l->id = id;
		tip_map_puts(c->lines, id, l);
		if (strchr(id, '*')) {
			l->next = c->patterns;
			c->patterns = l;
		}
	}
	if (l->count == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 1;
		l->orders = tip_realloc(l->orders, l->cap, sizeof(*l->orders));
	}
	l->orders[l->count++] = order;
}

/* Notes the clients of a policy under a number that counts from the first one. */
static void clients_add_policy(struct clients *c, const struct tip_traffic_policy *p,
			       uint32_t order)
{
	for (size_t i = 0; p->mode == TIP_TRAFFIC_STRICT && i < p->nclients; i++)
		clients_add(c, p->clients[i].id, order);
}

static struct clients clients_of(const struct tip_traffic_policies *all,
				 const struct tip_traffic_servers *servers, uint32_t first)
{
	struct clients c = {.lines = tip_map_new()};
	const struct tip_traffic_group *g;
	size_t it = 0;

	for (size_t i = 0; i < tip_traffic_policies_count(all); i++)
		clients_add_policy(&c, tip_traffic_policies_get(all, i), (uint32_t)i);
	while ((g = tip_map_next(servers->by_members, &it)))
		for (size_t i = 0; i < g->count; i++)
			clients_add_policy(&c, tip_traffic_policies_get(all, g->orders[i]),
					   g->number - first);
	return c;
}

/* ---- identities ---------------------------------------------------------------------- */

/* Identities entering a set. */
struct entering {
	struct tip_guard_traffic *g;
	const struct clients *clients;
	const struct tip_traffic_servers *servers;
	struct tip_traffic_image
		*image; /* servers are added to it; NULL: to the one in the kernel */
	size_t room;    /* prefixes of the image */
	uint32_t first;
	size_t refused; /* pairs that found no place */
	int error;      /* the last reason */
};

static void allow_line(struct entering *e, const struct line *l, uint32_t number)
{
	for (size_t i = 0; i < l->count; i++) {
		int ret = e->g->ops.allow(e->g->ops.ctx, e->first + l->orders[i], number);

		if (ret < 0) {
			e->refused++;
			e->error = -ret;
		}
	}
}

static void add_server(struct entering *e, const struct tip_traffic_slice *slice, uint32_t number)
{
	const struct tip_traffic_prefix p = tip_traffic_server_prefix(number, slice);
	struct tip_traffic_image *image = e->image;
	int ret;

	if (!image) {
		ret = e->g->ops.add(e->g->ops.ctx, &p);
		if (ret < 0)
			tip_err("traffic",
				"a server found no place in the kernel: connections to it inside "
				"its namespace are not judged: %s",
				strerror(-ret));
		return;
	}
	if (image->nprefixes >= e->room) {
		e->room = 2 * image->nprefixes + 1;
		image->prefixes = tip_realloc((void *)image->prefixes, e->room, sizeof(p));
	}
	((struct tip_traffic_prefix *)image->prefixes)[image->nprefixes++] = p;
}

static void enter(void *arg, uint32_t number, const char *id)
{
	struct entering *e = arg;
	const struct tip_traffic_slice *served = tip_map_gets(e->servers->slices, id);
	const struct line *exact = tip_map_gets(e->clients->lines, id);
	struct tip_error err;

	if (served)
		add_server(e, served, number);

	/* Patterns are matched by segment: only what is made of segments may be held to them. */
	if (tip_spiffe_id_check(id, true, &err) < 0)
		return;
	if (exact)
		allow_line(e, exact, number);
	for (const struct line *l = e->clients->patterns; l; l = l->next)
		if (tip_spiffe_glob_match(l->id, id))
			allow_line(e, l, number);
}

static void tell_refused(const struct entering *e)
{
	if (e->refused)
		tip_err("traffic",
			"%zu pairs of policy and client found no place in the kernel: these may "
			"not dial: %s",
			e->refused, e->error == E2BIG ? "the table is full" : strerror(e->error));
}

void tip_guard_traffic_identity(struct tip_guard_traffic *g, uint32_t number, const char *id)
{
	struct entering e = {
		.g = g, .clients = &g->clients, .servers = &g->servers, .first = g->first};

	if (!g->policies)
		return;
	enter(&e, number, id);
	tell_refused(&e);
}

/* ---- sets ---------------------------------------------------------------------------- */

struct tip_guard_traffic *tip_guard_traffic_new(const struct tip_guard_traffic_ops *ops)
{
	struct tip_guard_traffic *g = tip_alloc(sizeof(*g));

	g->ops = *ops;
	g->next = 1; /* 0 says in the kernel that there is no policy */
	if (ops->last)
		g->next += ops->last(ops->ctx);
	return g;
}

void tip_guard_traffic_free(struct tip_guard_traffic *g)
{
	if (!g)
		return;
	clients_free(&g->clients);
	tip_traffic_servers_free(&g->servers);
	free(g);
}

static int install(struct tip_guard_traffic *g, const struct tip_traffic_image *image,
		   struct tip_error *err)
{
	int ret = g->ops.install(g->ops.ctx, image);

	if (ret == -ENOSPC || ret == -E2BIG)
		return tip_error_set(err,
				     "the kernel has no place for these policies (%zu networks, "
				     "%zu port ranges): write fewer and wider networks",
				     image->nprefixes, image->nports);
	if (ret < 0)
		return tip_error_set(err, "the kernel refuses the policies: %s", strerror(-ret));
	return 0;
}

int tip_guard_traffic_apply(struct tip_guard_traffic *g,
			    const struct tip_traffic_policies *policies, struct tip_error *err)
{
	struct tip_traffic_servers servers;
	struct tip_traffic_image image;
	struct clients clients;
	struct entering e = {.g = g,
			     .clients = &clients,
			     .servers = &servers,
			     .image = &image,
			     .first = g->next};
	size_t count;

	if (tip_traffic_image_make(policies, g->next, &image, &servers, err) < 0)
		return -1;
	count = tip_traffic_policies_count(policies) + tip_map_count(servers.by_members);
	if (!g->next || count >= UINT32_MAX - g->next) {
		tip_traffic_image_free(&image);
		tip_traffic_servers_free(&servers);
		return tip_error_set(err, "the numbers of policies have run out: `tipstaff detach "
					  "--all`, then start tipstaffd again");
	}
	/* Also where it fails: what was entered below stays until the next set, unused. */
	g->next += (uint32_t)count;
	clients = clients_of(policies, &servers, e.first);
	g->ops.names(g->ops.ctx, enter, &e);
	if (install(g, &image, err) < 0) {
		clients_free(&clients);
		tip_traffic_servers_free(&servers);
		tip_traffic_image_free(&image);
		return -1;
	}
	tell_refused(&e);
	clients_free(&g->clients);
	tip_traffic_servers_free(&g->servers);
	g->clients = clients;
	g->servers = servers;
	g->policies = policies;
	g->first = e.first;
	g->ops.prune(g->ops.ctx, g->first);
	tip_traffic_image_free(&image);
	return 0;
}

static const struct tip_traffic_group *group_of(const struct tip_guard_traffic *g, uint32_t number)
{
	const struct tip_traffic_group *group;
	size_t it = 0;

	while ((group = tip_map_next(g->servers.by_members, &it)))
		if (group->number == number)
			return group;
	return NULL;
}

const struct tip_traffic_policy *tip_guard_traffic_policy(const struct tip_guard_traffic *g,
							  uint32_t number)
{
	const struct tip_traffic_group *group;

	if (!g->policies || number < g->first)
		return NULL;
	if (number - g->first < tip_traffic_policies_count(g->policies))
		return tip_traffic_policies_get(g->policies, number - g->first);
	group = group_of(g, number);
	return group ? tip_traffic_policies_get(g->policies, group->orders[0]) : NULL;
}
