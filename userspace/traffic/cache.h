/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TRAFFIC_CACHE_H
#define TIP_TRAFFIC_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "policy/traffic.h"

/*
 * Remembers which line of a policy's `clients` an ID matched, or that it matched none, so that a
 * busy pair does not walk the patterns for every connection. A fixed number of slots; who hashes to
 * a slot takes it. It holds nothing of a set but numbers, and forgets all when the generation
 * changes. Not thread-safe: one for each thread.
 */
struct tip_traffic_cache;

/* IDs longer than this are looked up anew each time: the bound of a slot. */
#define TIP_TRAFFIC_CACHE_ID_MAX 255

struct tip_traffic_cache *tip_traffic_cache_new(size_t slots); /* at least one */
void tip_traffic_cache_free(struct tip_traffic_cache *c);      /* NULL is fine */

/*
 * tip_traffic_policy_client() through the cache. `generation` is that of the set which `p` belongs
 * to.
 */
const struct tip_traffic_peer *tip_traffic_cache_client(struct tip_traffic_cache *c,
							uint64_t generation,
							const struct tip_traffic_policy *p,
							const char *id);

struct tip_traffic_cache_stats {
	uint64_t hits, misses;
	size_t used, slots;
};
void tip_traffic_cache_stats(const struct tip_traffic_cache *c,
			     struct tip_traffic_cache_stats *out);

#endif
