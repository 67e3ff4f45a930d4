/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_IDENTITY_REGISTRY_H
#define TIP_IDENTITY_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "identity/svid.h"
#include "policy/entry.h"

/* An entry as the store keeps it. */
struct tip_reg_entry {
	struct tip_entry entry; /* a copy of its own */
	size_t order;           /* position in the set */
	struct tip_x509_svid svid;
	size_t users; /* execs that hold it */
	bool renewed; /* scratch of tip_store_tick() */
	bool edited;  /* scratch of tip_store_set_entries(): same id, other contents */
};

/*
 * An immutable set of entries with an index. Each entry hangs on the one of its selectors that the
 * fewest others ask for, so an exec looks at few entries, however many there are.
 */
struct tip_registry;

/* Copies the entries. The same id twice: the first is kept, and a warning logged. */
struct tip_registry *tip_registry_new(const struct tip_entry *entries, size_t count);
/* Wipes the SVIDs that are still in it. NULL is fine. */
void tip_registry_free(struct tip_registry *r);

size_t tip_registry_count(const struct tip_registry *r);
struct tip_reg_entry *tip_registry_get(struct tip_registry *r, size_t i);
struct tip_reg_entry *tip_registry_by_id(struct tip_registry *r, const char *id);

/*
 * The entries that match, best first (most selectors, then order), at most `max`. Returns how many
 * there are in `out`.
 */
size_t tip_registry_match(struct tip_registry *r, const struct tip_attested *a,
			  struct tip_reg_entry **out, size_t max);

#endif
