/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_GUARD_INTERNAL_H
#define TIP_GUARD_INTERNAL_H

#include "guard/guard.h"
#include "guard/journal.h"

/*
 * A rule's number in the kernel: its index in the lower bits, the generation of its set in the
 * upper ones.
 */
#define RULE_INDEX_BITS  20
#define RULE_INDEX_MASK  ((1u << RULE_INDEX_BITS) - 1)
#define RULE_GENERATIONS (1u << (32 - RULE_INDEX_BITS))

struct kill_key {
	struct tip_kill_key key;
	struct tip_kill_value value;
	const struct tip_rule_info *rule; /* while the plan is made */
	const struct tip_kill_spec *spec; /* likewise */
	int depth;                        /* likewise: keys that cover it, itself included */
};

/* What a rule set needs in the kernel; both arrays sorted, without duplicates. */
struct kill_plan {
	struct kill_key *keys;
	size_t nkeys;
	struct tip_except_key *excepts;
	size_t nexcepts;
};

struct tip_guard {
	char *journal_path;
	bool enforce;
	struct tip_guard_ops ops;
	struct tip_journal journal;
	struct kill_plan plan; /* in force */
	bool planned;          /* false: what is in the kernel comes from an earlier daemon */
	uint32_t generation;   /* of the plan in force */
};

/* Compiles `rules`. Nothing is written. 0, or -1 with `err`. */
int tip_plan_make(struct tip_guard *g, const struct tip_rules *rules, uint32_t generation,
		  struct kill_plan *plan, struct tip_buf *notes, struct tip_error *err);
void tip_plan_free(struct kill_plan *plan);
int tip_kill_key_cmp(const struct tip_kill_key *a, const struct tip_kill_key *b);
int tip_except_key_cmp(const struct tip_except_key *a, const struct tip_except_key *b);

#endif
