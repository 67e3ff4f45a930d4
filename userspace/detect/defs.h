/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_DETECT_DEFS_H
#define TIP_DETECT_DEFS_H

#include "base/map.h"
#include "detect/ast.h"
#include "detect/detect.h"

/* What rule files define, before it is compiled. All of it lives as long as one load. */

/* Bounds against files made to explode: lists of lists, macros of macros. */
#define TIP_LIST_ITEMS_MAX     100000
#define TIP_CONDITION_TEXT_MAX (4u << 20)
#define TIP_CONDITION_NODES    200000

/* Where a definition stands, and which part of it. */
struct tip_def_place {
	const struct tip_rule_source *source;
	const struct tip_yaml *node;
	const struct tip_yaml *item; /* the whole item; NULL for a part of one */
};

struct tip_list_def {
	const char *name;
	struct tip_def_place place;
	unsigned int first, last; /* sequence numbers of the first and the latest definition */
	const char **items;
	size_t nitems;
	bool used, busy, done;
	const char **resolved; /* items with lists expanded */
	size_t nresolved;
};

struct tip_macro_def {
	const char *name;
	struct tip_def_place place;
	unsigned int first, last;
	struct tip_text condition; /* as written */
	struct tip_text expanded;  /* lists expanded: what `ast` points into */
	struct tip_ast *ast;
	bool used, busy, done;
};

/* One entry of `exceptions`. */
struct tip_exception_def {
	const char *name;
	struct tip_def_place place;
	bool scalar; /* fields is one name and values a flat list */
	const char **fields;
	size_t nfields;
	const char **comps;
	size_t ncomps;
	struct tip_def_place *values; /* each a row */
	size_t nvalues;
};

struct tip_rule_def {
	const char *name;
	struct tip_def_place place;
	unsigned int first, last;
	struct tip_text condition, output, desc;
	struct tip_text expanded;
	const char *source_name;
	enum tip_priority priority;
	enum tip_action action;
	struct tip_def_place action_place;
	struct tip_rate_limit rate_limit;
	const char **tags;
	size_t ntags;
	struct tip_exception_def *exceptions;
	size_t nexceptions;
	bool enabled, warn_evttypes, skip_unknown;
	bool dropped; /* by skip-if-unknown-filter */
};

/* Names, in the order in which they were met. */
struct tip_names {
	const char **list;
	size_t count;
};
/* Adds a copy of `name`; all memory is the arena's. */
void tip_names_add(struct tip_arena *arena, struct tip_names *n, const char *name);

struct tip_defs {
	struct tip_arena *arena;
	struct tip_names *seen; /* lists are noted here when they are expanded; NULL: nowhere */
	struct tip_map *lists, *macros, *rules; /* by name */
	struct tip_list_def **list_order;
	struct tip_macro_def **macro_order;
	struct tip_rule_def **rule_order;
	size_t nlists, nmacros, nrules;
	unsigned int sequence;
};

struct tip_defs *tip_defs_new(void);
void tip_defs_free(struct tip_defs *d);
struct tip_list_def *tip_defs_list(struct tip_defs *d, const char *name);   /* found or made */
struct tip_macro_def *tip_defs_macro(struct tip_defs *d, const char *name); /* found or made */
struct tip_rule_def *tip_defs_rule(struct tip_defs *d, const char *name);   /* found or made */
/* Forgets what an earlier pass resolved. */
void tip_defs_restart(struct tip_defs *d);

/* ---- the resolver --------------------------------------------------------------------------- */

/*
 * Puts `in` with every list name replaced by the list's items into `out`. A name counts where it
 * stands alone between blanks, parentheses, commas, '=' or the ends, outside of quotes. 0, or -1
 * with `err`.
 */
int tip_resolve_lists(struct tip_defs *d, const struct tip_text *in, struct tip_text *out,
		      struct tip_cond_error *err);

/*
 * Parses a condition (of a rule, or of a macro defined at `before`) and hangs the trees of its
 * macros in. Only macros first defined before `before` can be seen. The expanded text is kept in
 * `expanded`. NULL with `err`.
 */
struct tip_ast *tip_resolve_condition(struct tip_defs *d, const struct tip_text *condition,
				      struct tip_text *expanded, unsigned int before,
				      struct tip_cond_error *err);
/* Parses and resolves a macro that no rule may be using, so that its errors are told. */
int tip_resolve_macro(struct tip_defs *d, struct tip_macro_def *m, struct tip_cond_error *err);

#endif
