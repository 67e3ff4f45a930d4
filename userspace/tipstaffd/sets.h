/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_SETS_H
#define TIP_TIPSTAFFD_SETS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/*
 * Sets of rules or of policies that came by CLI: texts with a name, in the order in which they
 * came. Those that are not ephemeral live in a folder too, as NAME.yaml.
 */
struct tip_set {
	char *name;
	char *text;
	bool ephemeral;
};

struct tip_sets {
	struct tip_set *list;
	size_t count;
};

#define TIP_SETS_MAX 256
/* What came with a set says in its place that it comes from this and the set's name. */
#define TIP_SET_PLACE "set "

/* 1 to 64 of [a-z0-9._-], not starting with a dot. */
bool tip_set_name_ok(const char *name);
/* The set that a place (an error's file) names, NULL for a file. */
const char *tip_set_of(const char *place);

const struct tip_set *tip_sets_find(const struct tip_sets *s, const char *name);
/* Takes a copy, in place of its namesake if there is one. */
void tip_sets_put(struct tip_sets *s, const struct tip_set *set);
void tip_sets_drop(struct tip_sets *s, const char *name);
void tip_sets_free(struct tip_sets *s);

/* Adds the sets that `folder` holds; none if it is not there. 0, or -1 with `err`. */
int tip_sets_restore(struct tip_sets *s, const char *folder, size_t max, struct tip_error *err);
/*
 * Makes the file of `name` in `folder` (made if need be) say what `set` says: written, or removed
 * where it is NULL or ephemeral. 0, or -1 with `err`.
 */
int tip_set_keep(const char *folder, const char *name, const struct tip_set *set,
		 struct tip_error *err);

#endif
