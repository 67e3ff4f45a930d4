/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_IDENTITY_CACHE_H
#define TIP_IDENTITY_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/map.h"

/*
 * Records that came from the cache and wait for tip_store_start(). They hold private keys: wiped
 * when freed. Bounded in number and bytes.
 */
struct tip_cache_record {
	char *name;
	uint8_t *data;
	size_t len;
};

struct tip_cache {
	struct tip_map *records; /* by name; NULL: none */
	size_t bytes;
};

/* Copies a record; one of the same name is replaced. 0, or -1 when it is over the limits. */
int tip_cache_add(struct tip_cache *c, const char *name, const void *data, size_t len);
/* The record, or NULL. */
const struct tip_cache_record *tip_cache_get(const struct tip_cache *c, const char *name);
void tip_cache_free(struct tip_cache *c);

#endif
