/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_SETS_H
#define TIP_TIPSTAFFD_SETS_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

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

/*
 * The sets there would be with `set` in (in place of its namesake, else as the last one) and the
 * one named `without` out; both may be NULL. `*out`: pointers into `s` and `set`, to be freed; how
 * many. -1 with `err`: there are too many.
 */
int tip_sets_plan(const struct tip_sets *s, const struct tip_set *set, const char *without,
		  const struct tip_set ***out, struct tip_error *err);

/* ---- what is in a set: rules, policies ---- */

struct tip_set_member {
	const char *name, *file; /* a file's name, or TIP_SET_PLACE and a set's */
	int line;
};

/* Members of a kind, and what they are called. */
struct tip_set_kind {
	const char *member;     /* "rule" */
	const char *set;        /* "rule set" */
	const char *none_hint;  /* no such member or set */
	const char *file_hint;  /* it is not from a set */
	const char *other_hint; /* it is not alone in its set */
	/* False: there is no i-th. */
	bool (*get)(const void *ctx, size_t i, struct tip_set_member *out);
};

/* The names of what came with `set`: a new reference. */
json_t *tip_set_members(const struct tip_set_kind *kind, const void *ctx, const char *set);
/*
 * The set that somebody means to remove: by its name, or by the name of the only member in it. NULL
 * with `err` and `*hint`.
 */
const char *tip_set_meant(const struct tip_set_kind *kind, const void *ctx,
			  const struct tip_sets *s, const char *name, struct tip_error *err,
			  const char **hint);

/* ---- on disk ---- */

/*
 * Adds the sets that `folder` holds, in the order that was kept, the others behind them by name;
 * none if it is not there. 0, or -1 with `err`.
 */
int tip_sets_restore(struct tip_sets *s, const char *folder, size_t max, struct tip_error *err);
/*
 * The file of `name` in `folder` (made if need be) is to say what `set` says, and to be gone where
 * that is NULL or ephemeral. In two steps, between which the set comes into force: a crash leaves
 * either what was, or what is to be, and never what was refused. 0, or -1 with `err`.
 */
int tip_set_stage(const char *folder, const char *name, const struct tip_set *set,
		  struct tip_error *err);
int tip_set_commit(const char *folder, const char *name, const struct tip_set *set,
		   struct tip_error *err);
void tip_set_discard(const char *folder, const char *name); /* it was refused */
/* Takes away what a crash between the two has left in `folder`; the log of `room` has it. */
void tip_sets_clean(const char *folder, const char *room);
/* Writes down in which order they came: a later one may lean on an earlier. 0, or -1 with `err`. */
int tip_sets_keep_order(const struct tip_sets *s, const char *folder, struct tip_error *err);

#endif
