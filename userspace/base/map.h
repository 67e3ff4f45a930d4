/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_BASE_MAP_H
#define TIP_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A hash map from byte strings (copied) to pointers (owned by the caller).
 * Keyed hash (SipHash-1-3, random key), since keys come from outside.
 */
struct tip_map;

struct tip_map *tip_map_new(void);
/* `free_value` may be NULL. */
void tip_map_free(struct tip_map *m, void (*free_value)(void *));
size_t tip_map_count(const struct tip_map *m);
void *tip_map_get(const struct tip_map *m, const void *key, size_t len);
/* Returns the value that was there before, or NULL. `value` must not be NULL. */
void *tip_map_put(struct tip_map *m, const void *key, size_t len, void *value);
/* Removes and returns the value, or NULL. */
void *tip_map_del(struct tip_map *m, const void *key, size_t len);

/* The same for NUL-terminated and for integer keys. */
void *tip_map_gets(const struct tip_map *m, const char *key);
void *tip_map_puts(struct tip_map *m, const char *key, void *value);
void *tip_map_dels(struct tip_map *m, const char *key);
void *tip_map_getu(const struct tip_map *m, uint64_t key);
void *tip_map_putu(struct tip_map *m, uint64_t key, void *value);
void *tip_map_delu(struct tip_map *m, uint64_t key);

/*
 * Iteration in no particular order: `size_t it = 0; while ((v = tip_map_next(m, &it))) ...`.
 * The map may lose the entry just returned while iterating, and nothing else.
 */
void *tip_map_next(const struct tip_map *m, size_t *it);

/* SipHash-1-3 with the process's random key. */
uint64_t tip_hash(const void *data, size_t len);

#endif
