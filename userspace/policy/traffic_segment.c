/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/traffic_segment.h"

#include <stdlib.h>

#include "base/mem.h"

static int by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The ports where something begins, or has ended just before; sorted, each once. */
static size_t bounds_of(const struct tip_traffic_to *const *to, size_t n, uint32_t *bounds)
{
	size_t count = 0, kept = 0;

	for (size_t i = 0; i < n; i++) {
		bounds[count++] = to[i]->port_min;
		bounds[count++] = to[i]->port_max + 1u;
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
		   struct tip_traffic_segment *out)
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
			out[n++] = (struct tip_traffic_segment){(uint16_t)bounds[i], max, owner[i]};
	}
	return n;
}

size_t tip_traffic_segments(const struct tip_traffic_to *const *to, size_t n,
			    struct tip_traffic_segment *out)
{
	uint32_t *bounds = tip_calloc(2 * n, sizeof(*bounds));
	size_t count = bounds_of(to, n, bounds);
	size_t *skip = tip_calloc(count, sizeof(*skip));
	const struct tip_traffic_to **owner = tip_calloc(count, sizeof(struct tip_traffic_to *));

	for (size_t i = 0; i < count; i++)
		skip[i] = i;
	for (size_t i = 0; i < n; i++)
		if (to[i]->port_min == to[i]->port_max)
			claim(to[i], bounds, count, skip, owner);
	for (size_t i = 0; i < n; i++)
		if (to[i]->port_min != to[i]->port_max)
			claim(to[i], bounds, count, skip, owner);
	count = join(owner, bounds, count, out);
	free(owner);
	free(skip);
	free(bounds);
	return count;
}
