/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_GUARD_INTERNAL_H
#define TIP_GUARD_INTERNAL_H

#include "guard/guard.h"
#include "guard/journal.h"
#include "sensor/rules.h"

/* A condition on identities that are not all known: asked again when a new one gets its number. */
struct rule_pattern {
	char *text; /* owned */
	enum tip_enforce_how how;
	uint32_t place;
	bool spares;
};

/* A rule set as the kernel is to have it, and what the kernel's answers mean. */
struct rule_plan {
	struct tip_rule_image image;
	uint32_t places[TIP_RULES_MAX]; /* place in the set -> tip_rule_info.index */
	uint32_t count;
	struct rule_pattern *patterns;
	size_t npatterns;
};

struct tip_guard {
	char *journal_path;
	enum tip_guard_tier tier;
	struct tip_guard_ops ops;
	struct tip_journal journal;
	struct rule_plan plan; /* in force */
	uint32_t generation;   /* of the plan in force, 0: none */
};

/* Compiles `rules`. Nothing is written. 0, or -1 with `err`. */
int tip_plan_make(struct tip_guard *g, const struct tip_rules *rules, struct rule_plan *plan,
		  struct tip_buf *notes, struct tip_error *err);
void tip_plan_free(struct rule_plan *plan);

/* What the plan's patterns say of one identity. True: something. */
bool tip_plan_identity(const struct rule_plan *plan, const char *id, struct tip_rule_match *match);

/* ---- tries.c ---- */

/*
 * Sorts prefixes, joins those that are the same, and flattens shorter ones into those that they
 * cover. The new count.
 */
size_t tip_prefixes_finish(struct tip_rule_prefix *p, size_t n);

#endif
