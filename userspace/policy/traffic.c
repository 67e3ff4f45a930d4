/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/traffic.h"

#include <stdlib.h>
#include <string.h>

#include "policy/spiffe_glob.h"
#include "policy/traffic_impl.h"

/* What makes two destinations the same. Bytes only: no padding to hash. */
struct key {
	uint8_t family, bits;
	uint8_t bytes[16];
	uint8_t ports[4];
};

static struct key key_of(const struct tip_traffic_to *to)
{
	struct key k = {.family = to->cidr.ip.family, .bits = to->cidr.bits};

	memcpy(k.bytes, to->cidr.ip.bytes, sizeof(k.bytes));
	memcpy(k.ports, &to->port_min, 2);
	memcpy(k.ports + 2, &to->port_max, 2);
	return k;
}

struct tip_traffic_policies *tip_traffic_policies_new(void)
{
	struct tip_traffic_policies *all = tip_alloc(sizeof(*all));

	all->arena = tip_arena_new();
	all->names = tip_map_new();
	all->destinations = tip_map_new();
	all->texts = tip_map_new();
	return all;
}

void tip_traffic_policies_free(struct tip_traffic_policies *all)
{
	if (!all)
		return;
	tip_map_free(all->names, NULL);
	tip_map_free(all->destinations, NULL);
	tip_map_free(all->texts, NULL);
	tip_arena_free(all->arena);
	free(all->list);
	free(all);
}

size_t tip_traffic_policies_count(const struct tip_traffic_policies *all)
{
	return all->count;
}

const struct tip_traffic_policy *tip_traffic_policies_get(const struct tip_traffic_policies *all,
							  size_t i)
{
	return all->list[i];
}

const struct tip_traffic_policy *tip_traffic_policies_by_name(
	const struct tip_traffic_policies *all, const char *name)
{
	return tip_map_gets(all->names, name);
}

void tip_traffic_policies_push(struct tip_traffic_policies *all, struct tip_traffic_policy *p)
{
	/* The size of the array is a power of two: it is full when `count` is one. */
	if (!(all->count & (all->count - 1)))
		all->list = tip_realloc(all->list, all->count ? 2 * all->count : 1,
					sizeof(struct tip_traffic_policy *));
	p->order = all->count;
	all->list[all->count++] = p;
	all->ndestinations += p->nto;
}

void tip_traffic_policies_cut(struct tip_traffic_policies *all, size_t count)
{
	while (all->count > count) {
		struct tip_traffic_policy *p = all->list[--all->count];

		/* A policy that was refused for its name or destination has not got all of them. */
		if (tip_map_gets(all->names, p->name) == p)
			tip_map_dels(all->names, p->name);
		for (size_t i = 0; i < p->nto; i++) {
			struct key k = key_of(&p->to[i]);

			if (tip_map_get(all->destinations, &k, sizeof(k)) == &p->to[i])
				tip_map_del(all->destinations, &k, sizeof(k));
		}
		all->ndestinations -= p->nto;
	}
}

const char *tip_traffic_intern(struct tip_traffic_policies *all, const char *text)
{
	char *kept = tip_map_gets(all->texts, text);

	if (!kept) {
		kept = tip_arena_strdup(all->arena, text);
		tip_map_puts(all->texts, text, kept);
	}
	return kept;
}

const struct tip_traffic_to *tip_traffic_claim(struct tip_traffic_policies *all,
					       struct tip_traffic_to *to)
{
	struct key k = key_of(to);
	struct tip_traffic_to *first = tip_map_get(all->destinations, &k, sizeof(k));

	if (!first)
		tip_map_put(all->destinations, &k, sizeof(k), to);
	return first ? first : to;
}

static const struct tip_traffic_peer *find(const struct tip_traffic_peer *list, size_t n,
					   const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i].id, id))
			return &list[i];
	return NULL;
}

/* Lists hold nothing twice, so equal counts and one way are enough. */
static bool same_list(const struct tip_traffic_peer *a, size_t na, const struct tip_traffic_peer *b,
		      size_t nb)
{
	if (na != nb)
		return false;
	for (size_t i = 0; i < na; i++)
		if (!find(b, nb, a[i].id))
			return false;
	return true;
}

bool tip_traffic_policy_same(const struct tip_traffic_policy *a, const struct tip_traffic_policy *b)
{
	if (a->mode != b->mode)
		return false;
	return a->mode == TIP_TRAFFIC_DISABLE ||
	       (same_list(a->server, a->nserver, b->server, b->nserver) &&
		same_list(a->clients, a->nclients, b->clients, b->nclients));
}

const struct tip_traffic_peer *tip_traffic_policy_client(const struct tip_traffic_policy *p,
							 const char *id)
{
	for (size_t i = 0; i < p->nclients; i++)
		if (tip_spiffe_glob_match(p->clients[i].id, id))
			return &p->clients[i];
	return NULL;
}

const struct tip_traffic_peer *tip_traffic_policy_server(const struct tip_traffic_policy *p,
							 const char *id)
{
	return find(p->server, p->nserver, id);
}

bool tip_traffic_to_covers(const struct tip_traffic_to *to, const struct tip_ip *ip, uint16_t port)
{
	return port >= to->port_min && port <= to->port_max && tip_cidr_contains(&to->cidr, ip);
}

void tip_traffic_to_write(const struct tip_traffic_to *to, struct tip_buf *out)
{
	char cidr[TIP_CIDR_TEXT];

	tip_buf_addf(out, "%s port", tip_cidr_str(&to->cidr, cidr));
	if (to->port_min == to->port_max)
		tip_buf_addf(out, " %u", to->port_min);
	else
		tip_buf_addf(out, "s %u-%u", to->port_min, to->port_max);
}

static void write_peers(const char *key, const struct tip_traffic_peer *list, size_t n,
			struct tip_buf *out)
{
	if (n)
		tip_buf_addf(out, "  %s:\n", key);
	/* Neither IDs nor patterns hold a character that would need an escape. */
	for (size_t i = 0; i < n; i++)
		tip_buf_addf(out, "    - \"%s\"\n", list[i].id);
}

void tip_traffic_write(const struct tip_traffic_policy *p, struct tip_buf *out)
{
	char cidr[TIP_CIDR_TEXT];

	tip_buf_addf(out, "- name: \"%s\"\n  to:\n", p->name);
	for (size_t i = 0; i < p->nto; i++) {
		const struct tip_traffic_to *to = &p->to[i];

		tip_buf_addf(out, "    - {cidr: \"%s\", port: %u", tip_cidr_str(&to->cidr, cidr),
			     to->port_min);
		if (to->port_max != to->port_min)
			tip_buf_addf(out, "-%u", to->port_max);
		tip_buf_adds(out, "}\n");
	}
	write_peers("server", p->server, p->nserver, out);
	write_peers("clients", p->clients, p->nclients, out);
	tip_buf_addf(out, "  mode: %s\n", p->mode == TIP_TRAFFIC_STRICT ? "strict" : "disable");
}
