/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_GUARD_GUARD_H
#define TIP_GUARD_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "detect/detect.h"
#include "process/process.h"
#include "sensor/rules.h"

/*
 * Turns decisions into kernel maps: the rules of a set that have an action, and quarantine
 * with its journal. It writes through struct tip_guard_ops, which the wiring fills from the sensor
 * (and a unit test from arrays).
 */
struct tip_guard_ops {
	int (*quarantine_set)(void *ctx, uint32_t number, uint32_t flags);
	int (*quarantine_clear)(void *ctx, uint32_t number);
	int (*quarantine_next)(void *ctx, uint32_t prev, uint32_t *next);
	/* As tip_sensor_rules_install() and tip_sensor_rules_identity() say. */
	int (*rules_install)(void *ctx, const struct tip_rule_image *image, uint32_t *generation);
	int (*rules_identity)(void *ctx, uint32_t number, const struct tip_rule_match *match);
	uint32_t (*number)(void *ctx, const char *spiffe_id); /* 0: none left */
	/* Calls `fn` for every identity that has a number. */
	void (*names)(void *ctx, void (*fn)(void *arg, uint32_t number, const char *id), void *arg);
	void *ctx;
};

struct tip_guard;

/* How acts are stopped on this kernel. */
enum tip_guard_tier {
	TIP_GUARD_OFF,  /* enforcement: off */
	TIP_GUARD_KILL, /* opens and execs end the process; connects and binds are refused */
	TIP_GUARD_LSM,  /* everything is refused before it is done */
};

/*
 * `journal` is the path of the quarantine journal (created 0600, JSON lines, rewritten atomically
 * when it changes). Reads it and puts every quarantine it names into force; a kernel quarantine
 * that the journal does not know is lifted. A journal that cannot be read is an error: better no
 * start than a silent release.
 */
struct tip_guard *tip_guard_new(const char *journal, enum tip_guard_tier tier,
				const struct tip_guard_ops *ops, struct tip_error *err);
void tip_guard_free(struct tip_guard *g);

/*
 * Puts the rules of `rules` that have an action into force, in place of those before and in one
 * piece: what both sets forbid is never open. Before anything is written the whole set is checked.
 * Where the kernel tier can only kill and a rule asks for deny, or enforcement is off, `notes` (may
 * be NULL) gets one line for each such rule. 0, or -1 with `err` and the old set in force.
 */
int tip_guard_apply_rules(struct tip_guard *g, const struct tip_rules *rules, struct tip_buf *notes,
			  struct tip_error *err);

/*
 * Whether tip_guard_apply_rules() would take `rules`, with no kernel at hand and nothing changed.
 * 0, or -1 with `err`.
 */
int tip_guard_check_rules(const struct tip_rules *rules, struct tip_error *err);

/* An identity got a number: rules may name it by a pattern. Before anybody is bound to it. */
void tip_guard_identity(struct tip_guard *g, uint32_t number, const char *spiffe_id);

/*
 * What the kernel reports as `rule` is its place in the set together with a generation that changes
 * with every set: an event of an old set that is still in the ring must not name a wrong rule. True
 * and tip_rule_info.index in `*index`; false when `kernel_rule` belongs to a set that is no longer
 * in force.
 */
bool tip_guard_rule_index(const struct tip_guard *g, uint32_t kernel_rule, uint32_t *index);

/* What a rule of the set in force does on this kernel: its action, or what stands in for it. */
enum tip_action tip_guard_does(const struct tip_guard *g, const struct tip_rule *rule);

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
