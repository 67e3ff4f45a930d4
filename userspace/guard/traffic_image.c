/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "guard/traffic_build.h"
#include "policy/traffic_segment.h"

/*
 * From policies to what the kernel looks up. The networks of a family are sorted so that each comes
 * right behind the ones around it; then every network's slice is what its own destinations say of
 * the ports, and where they are silent what the slice of the next wider network says. What a policy
 * leaves alone is simply not in a slice: nothing wider is asked for it any more.
 */
#define PORTS_MAX   TIP_TRAFFIC_IMAGE_PORTS
#define DEPTH_MAX   130 /* prefix lengths that can lie in one another */
#define MAPPED_BITS 96  /* IPv4 is ::ffff:a.b.c.d */

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

/* All destinations of one family, by network and order. */
struct family {
	const struct tip_traffic_to **to;
	size_t count;
};

static uint32_t number_of(const struct tip_traffic_builder *b, const struct tip_traffic_policy *p)
{
	return p->mode == TIP_TRAFFIC_STRICT ? b->first + (uint32_t)p->order : 0;
}

static int by_network(const void *a, const void *b)
{
	const struct tip_traffic_to *x = *(const struct tip_traffic_to *const *)a;
	const struct tip_traffic_to *y = *(const struct tip_traffic_to *const *)b;
	int c = memcmp(x->cidr.ip.bytes, y->cidr.ip.bytes, sizeof(x->cidr.ip.bytes));

	if (c)
		return c;
	if (x->cidr.bits != y->cidr.bits)
		return x->cidr.bits < y->cidr.bits ? -1 : 1;
	if (x->policy != y->policy)
		return x->policy->order < y->policy->order ? -1 : 1;
	return (x > y) - (x < y); /* in one list */
}

/* `disabled`: only those that are left alone. */
static struct family family_of(const struct tip_traffic_policies *all, uint8_t family,
			       bool disabled)
{
	struct family f = {0};
	size_t most = 0;

	for (size_t i = 0; i < tip_traffic_policies_count(all); i++)
		most += tip_traffic_policies_get(all, i)->nto;
	f.to = tip_calloc(most + 1, sizeof(struct tip_traffic_to *));
	for (size_t i = 0; i < tip_traffic_policies_count(all); i++) {
		const struct tip_traffic_policy *p = tip_traffic_policies_get(all, i);

		if (disabled && p->mode != TIP_TRAFFIC_DISABLE)
			continue;
		for (size_t j = 0; j < p->nto; j++)
			if (p->to[j].cidr.ip.family == family)
				f.to[f.count++] = &p->to[j];
	}
	qsort(f.to, f.count, sizeof(struct tip_traffic_to *), by_network);
	return f;
}

/* How many destinations from `i` on have the network of that one. */
static size_t same_network(const struct family *f, size_t i)
{
	size_t n = 1;

	while (i + n < f->count &&
	       !memcmp(&f->to[i + n]->cidr, &f->to[i]->cidr, sizeof(f->to[i]->cidr)))
		n++;
	return n;
}

/* ---- slices -------------------------------------------------------------------------- */

int tip_traffic_add_ports(struct tip_traffic_builder *b, uint32_t first, uint32_t low,
			  uint32_t high, uint32_t policy)
{
	struct tip_traffic_ports *last = &b->ports[b->nports];

	if (!policy || low > high)
		return 0;
	if (b->nports > first && last[-1].policy == policy && last[-1].high + 1u == low) {
		last[-1].high = (uint16_t)high;
		return 0;
	}
	if (b->nports == PORTS_MAX)
		return -1;
	*last = (struct tip_traffic_ports){(uint16_t)low, (uint16_t)high, policy};
	b->nports++;
	return 0;
}

/* Appends what `wider` says of the ports low..high. `*at`: its first element that may concern. */
static int add_wider(struct tip_traffic_builder *b, uint32_t first,
		     const struct tip_traffic_slice *wider, uint32_t *at, uint32_t low,
		     uint32_t high)
{
	for (; *at < wider->count; (*at)++) {
		const struct tip_traffic_ports w = b->ports[wider->first + *at];

		if (w.high < low)
			continue;
		if (w.low > high)
			return 0;
		if (tip_traffic_add_ports(b, first, w.low > low ? w.low : low,
					  w.high < high ? w.high : high, w.policy) < 0)
			return -1;
		/* What reaches beyond is asked for again. */
		if (w.high > high)
			return 0;
	}
	return 0;
}

/* Lays `own` over `wider`. */
static int overlay(struct tip_traffic_builder *b, const struct tip_traffic_segment *own,
		   size_t count, const struct tip_traffic_slice *wider,
		   struct tip_traffic_slice *out)
{
	const uint32_t first = (uint32_t)b->nports;
	uint32_t low = 0, at = 0;

	for (size_t i = 0; i < count; i++) {
		if ((own[i].min > low &&
		     add_wider(b, first, wider, &at, low, own[i].min - 1u) < 0) ||
		    tip_traffic_add_ports(b, first, own[i].min, own[i].max,
					  number_of(b, own[i].to->policy)) < 0)
			goto full;
		low = own[i].max + 1u;
	}
	if (low <= UINT16_MAX && add_wider(b, first, wider, &at, low, UINT16_MAX) < 0)
		goto full;
	*out = (struct tip_traffic_slice){first, (uint32_t)b->nports - first};
	return 0;
full:
	return tip_error_at(
		b->err, own[0].to->policy->file, own[0].to->line, own[0].to->column,
		"the kernel holds %d port ranges, and with this destination the policies need "
		"more: join neighbouring ports into ranges, and write fewer networks inside wider "
		"ones, since each repeats the ports of those around it",
		PORTS_MAX);
}

/*
 * The slice of a network with these segments inside `wider`. Networks that say the same inside the
 * same share one: a policy for many networks needs its ports once.
 */
static int slice_of(struct tip_traffic_builder *b, const struct tip_traffic_segment *own,
		    size_t count, const struct tip_traffic_slice *wider,
		    struct tip_traffic_slice *out)
{
	size_t len = (1 + count) * sizeof(struct tip_traffic_ports);
	struct tip_traffic_ports *key = tip_alloc(len);
	struct tip_traffic_slice *kept;
	int ret = 0;

	memcpy(key, wider, sizeof(*key));
	for (size_t i = 0; i < count; i++)
		key[1 + i] = (struct tip_traffic_ports){own[i].min, own[i].max,
							number_of(b, own[i].to->policy)};
	kept = tip_map_get(b->slices, key, len);
	if (!kept) {
		kept = tip_alloc(sizeof(*kept));
		ret = overlay(b, own, count, wider, kept);
		tip_map_put(b->slices, key, len, kept);
	}
	*out = *kept;
	free(key);
	return ret;
}
_Static_assert(sizeof(struct tip_traffic_slice) == sizeof(struct tip_traffic_ports),
	       "a slice begins the key of another");

/* ---- networks ------------------------------------------------------------------------ */

static void add_prefix(struct tip_traffic_builder *b, uint32_t table, const struct tip_cidr *c,
		       const struct tip_traffic_slice *slice)
{
	struct tip_traffic_prefix *p;

	if (b->nprefixes == b->prefixes_cap) {
		b->prefixes_cap = b->prefixes_cap ? 2 * b->prefixes_cap : 64;
		b->prefixes = tip_realloc(b->prefixes, b->prefixes_cap, sizeof(*b->prefixes));
	}
	p = &b->prefixes[b->nprefixes++];
	*p = (struct tip_traffic_prefix){.table = table, .bits = c->bits, .slice = *slice};
	if (c->ip.family == 4) {
		p->bits += MAPPED_BITS;
		memcpy(p->addr, mapped, sizeof(mapped));
		memcpy(p->addr + sizeof(mapped), c->ip.bytes, 4);
	} else {
		memcpy(p->addr, c->ip.bytes, sizeof(p->addr));
	}
}

/* A network, with those around it below it on a stack. */
struct around {
	struct tip_cidr cidr;
	struct tip_traffic_slice slice;
};

/* Enters all networks of a family; `root` is what holds outside of them. */
static int add_family(struct tip_traffic_builder *b, uint32_t table, const struct family *f,
		      uint8_t family, const struct tip_traffic_slice *root)
{
	struct tip_traffic_segment *own = tip_calloc(2 * f->count + 1, sizeof(*own));
	struct around stack[DEPTH_MAX] = {{{.ip.family = family}, *root}};
	size_t depth = 1, n;
	int ret = 0;

	/*
	 * The whole family has a prefix in any case: IPv4 lies inside of IPv6 here, and must not
	 * find what was said of a wider IPv6 network.
	 */
	if (!f->count || f->to[0]->cidr.bits)
		add_prefix(b, table, &stack[0].cidr, root);
	for (size_t i = 0; i < f->count && ret == 0; i += n) {
		struct around *top;

		n = same_network(f, i);
		while (depth > 1 && !tip_cidr_contains(&stack[depth - 1].cidr, &f->to[i]->cidr.ip))
			depth--;
		top = &stack[depth++];
		top->cidr = f->to[i]->cidr;
		ret = slice_of(b, own, tip_traffic_segments(f->to + i, n, own), &top[-1].slice,
			       &top->slice);
		if (ret == 0)
			add_prefix(b, table, &top->cidr, &top->slice);
	}
	free(own);
	return ret;
}

/* Notes in `owner` which policy enforces a port in some network of the family. */
static void own_ports(const struct tip_traffic_builder *b, const struct family *f, uint32_t *owner,
		      uint32_t *next)
{
	struct tip_traffic_segment *own = tip_calloc(2 * f->count + 1, sizeof(*own));
	size_t n;

	for (size_t i = 0; i < f->count; i += n) {
		size_t count;

		n = same_network(f, i);
		count = tip_traffic_segments(f->to + i, n, own);
		for (size_t j = 0; j < count; j++) {
			uint32_t number = number_of(b, own[j].to->policy);

			for (uint32_t port = own[j].min; number && port <= own[j].max;) {
				if (next[port] != port) {
					next[port] = next[next[port]];
					port = next[port];
					continue;
				}
				owner[port] = number;
				next[port] = port + 1;
			}
		}
	}
	free(own);
}

/* Ports that some network enforces, as a slice. */
static int strict_ports(struct tip_traffic_builder *b, const struct family *families,
			size_t nfamilies, struct tip_traffic_slice *out)
{
	uint32_t *owner = tip_calloc(UINT16_MAX + 1, sizeof(*owner));
	/* The next port from here on that nobody owns: whole ranges are leapt over. */
	uint32_t *next = tip_calloc(UINT16_MAX + 2, sizeof(*next));
	const uint32_t first = (uint32_t)b->nports;
	int ret = 0;

	for (uint32_t port = 0; port <= UINT16_MAX + 1; port++)
		next[port] = port;
	for (size_t i = 0; i < nfamilies; i++)
		own_ports(b, &families[i], owner, next);
	for (uint32_t port = 1; port <= UINT16_MAX && ret == 0; port++)
		ret = tip_traffic_add_ports(b, first, port, port, owner[port]);
	if (ret < 0)
		tip_error_set(b->err,
			      "the kernel holds %d port ranges, and the policies need more: join "
			      "neighbouring ports into ranges",
			      PORTS_MAX);
	*out = (struct tip_traffic_slice){first, (uint32_t)b->nports - first};
	free(next);
	free(owner);
	return ret;
}

/* What of the ports `served` is dialled inside a namespace, where no policy covers the address. */
static int add_local(struct tip_traffic_builder *b, const struct tip_traffic_policies *policies,
		     const struct tip_traffic_slice *served)
{
	const struct family v4 = family_of(policies, 4, true), v6 = family_of(policies, 6, true);
	int ret = 0;

	if (add_family(b, TIP_TRAFFIC_LOCAL, &v4, 4, served) < 0 ||
	    add_family(b, TIP_TRAFFIC_LOCAL, &v6, 6, served) < 0)
		ret = -1;
	free(v4.to);
	free(v6.to);
	return ret;
}

int tip_traffic_image_make(const struct tip_traffic_policies *policies, uint32_t first,
			   struct tip_traffic_image *out, struct tip_traffic_servers *servers,
			   struct tip_error *err)
{
	const struct family families[] = {family_of(policies, 4, false),
					  family_of(policies, 6, false)};
	const struct family *const v4 = &families[0], *const v6 = &families[1];
	const struct tip_cidr any = {.ip.family = 6};
	const struct tip_traffic_slice none = {0, 0};
	struct tip_traffic_builder b = {.first = first, .err = err};
	struct tip_traffic_slice closed, served;
	int ret = -1;

	*out = (struct tip_traffic_image){0};
	*servers = (struct tip_traffic_servers){0};
	b.slices = tip_map_new();
	b.ports = tip_calloc(PORTS_MAX, sizeof(*b.ports));
	/* Ports of IPv4 are closed to strangers over IPv6, where no policy says something else. */
	if (add_family(&b, TIP_TRAFFIC_DIALLED, v4, 4, &none) < 0 ||
	    add_family(&b, TIP_TRAFFIC_DIALLED, v6, 6, &none) < 0 ||
	    strict_ports(&b, v4, 1, &closed) < 0 ||
	    add_family(&b, TIP_TRAFFIC_INET6, v6, 6, &closed) < 0)
		goto out;
	served = closed;
	if (v6->count && strict_ports(&b, families, 2, &served) < 0)
		goto out;
	add_prefix(&b, TIP_TRAFFIC_SERVED, &any, &served);
	if (add_local(&b, policies, &served) < 0 ||
	    tip_traffic_servers_make(&b, policies, servers) < 0)
		goto out;
	ret = 0;
	/* Where nothing is enforced there is nothing to look for. */
	if (!b.nports)
		goto out;
	*out = (struct tip_traffic_image){b.prefixes, b.nprefixes, b.ports, b.nports};
	b.prefixes = NULL;
	b.ports = NULL;
out:
	if (ret < 0)
		tip_traffic_servers_free(servers);
	tip_map_free(b.slices, free);
	free(b.prefixes);
	free(b.ports);
	free(v4->to);
	free(v6->to);
	return ret;
}

void tip_traffic_image_free(struct tip_traffic_image *image)
{
	free((void *)image->prefixes);
	free((void *)image->ports);
	*image = (struct tip_traffic_image){0};
}
