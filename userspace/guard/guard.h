/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_GUARD_GUARD_H
#define TIP_GUARD_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "detect/detect.h"
#include "process/process.h"

/*
 * Turns decisions into kernel maps: kill rules of a rule set, and quarantine
 * with its journal. It writes through struct tip_guard_ops, which the wiring fills from the sensor
 * (and a unit test from arrays).
 */
struct tip_guard_ops {
	int (*quarantine_set)(void *ctx, uint32_t number, uint32_t flags);
	int (*quarantine_clear)(void *ctx, uint32_t number);
	int (*quarantine_next)(void *ctx, uint32_t prev, uint32_t *next);
	int (*kill_set)(void *ctx, const struct tip_kill_key *k, const struct tip_kill_value *v);
	int (*kill_clear)(void *ctx, const struct tip_kill_key *k);
	int (*kill_next)(void *ctx, const struct tip_kill_key *prev, struct tip_kill_key *next);
	int (*except_set)(void *ctx, const struct tip_except_key *k);
	int (*except_clear)(void *ctx, const struct tip_except_key *k);
	int (*except_next)(void *ctx, const struct tip_except_key *prev,
			   struct tip_except_key *next);
	uint32_t (*number)(void *ctx, const char *spiffe_id); /* 0: none left */
	void *ctx;
};

struct tip_guard;

/*
 * `journal` is the path of the quarantine journal (created 0600, JSON lines, rewritten atomically
 * when it changes). Reads it and puts every quarantine it names into force; a kernel quarantine
 * that the journal does not know is lifted. A journal that cannot be read is an error: better no
 * start than a silent release.
 */
struct tip_guard *tip_guard_new(const char *journal, bool enforce, const struct tip_guard_ops *ops,
				struct tip_error *err);
void tip_guard_free(struct tip_guard *g);

/*
 * Installs the kill rules of `rules`: new keys first, then what became stale goes, so that
 * nothing which both sets forbid is ever open. Before anything is written the whole set is checked.
 * Where the kernel tier can only kill and a rule asks for deny, or enforcement is off, `notes` (may
 * be NULL) gets one line for each such rule. 0, or -1 with `err` and the old keys in force.
 */
int tip_guard_apply_rules(struct tip_guard *g, const struct tip_rules *rules, struct tip_buf *notes,
			  struct tip_error *err);

/*
 * Whether tip_guard_apply_rules() would take `rules`, with no kernel at hand and nothing changed.
 * 0, or -1 with `err`.
 */
int tip_guard_check_rules(const struct tip_rules *rules, struct tip_buf *notes,
			  struct tip_error *err);

/*
 * What the kernel reports as `rule` is the rule's index together with a generation that changes
 * with every set: else an exception of the new set would spare somebody under an old key during the
 * change, and an event of the old set that is still in the ring would name a wrong rule. True and
 * tip_rule_info.index in `*index`; false when `kernel_rule` belongs to a set that is no longer in
 * force.
 */
bool tip_guard_rule_index(const struct tip_guard *g, uint32_t kernel_rule, uint32_t *index);

struct tip_quarantine {
	const char *spiffe_id;
	const char *reason;
	const char *by;    /* "cli uid=0 pid=123" or "rule NAME" */
	uint64_t since_ns; /* wall clock */
	uint32_t number;
};

/* Kernel first, then the journal; 0 (1: it was quarantined already), or -1 with `err` and nothing
 * changed. */
int tip_guard_quarantine(struct tip_guard *g, const char *spiffe_id, const char *reason,
			 const char *by, struct tip_error *err);
/* Journal first, then the kernel. 0, or -1 with `err` when it is not quarantined. */
int tip_guard_release(struct tip_guard *g, const char *spiffe_id, struct tip_error *err);
const struct tip_quarantine *tip_guard_quarantined(const struct tip_guard *g,
						   const char *spiffe_id);
size_t tip_guard_quarantine_count(const struct tip_guard *g);
const struct tip_quarantine *tip_guard_quarantine_get(const struct tip_guard *g, size_t i);

#endif
