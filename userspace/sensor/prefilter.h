/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_SENSOR_PREFILTER_H
#define TIP_SENSOR_PREFILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sensor/sensor.h"

/*
 * The prefilter as clauses: what detect/necessary.c finds in rules, and prefilter.c writes into
 * maps. An act passes if it meets some clause: each of its digits is in the clause's set, and its
 * name meets each of the clause's slots. See `struct tip_filter` in abi.h.
 */

enum tip_filter_how {
	TIP_FILTER_WHOLE,
	TIP_FILTER_PREFIX,
	TIP_FILTER_END,
	/* of an exec: its comm */
	TIP_FILTER_COMM_WHOLE,
	TIP_FILTER_COMM_PREFIX,
};

/* Names without ".", ".." and "//": no others are compared. */
struct tip_filter_name {
	const char *text;
	size_t len;
	enum tip_filter_how how;
};

/* The name is one of these; with `negated`, none of them. */
struct tip_filter_slot {
	const struct tip_filter_name *names;
	size_t count;
	bool negated;
	bool second; /* it is the second path of a call */
};

struct tip_filter_clause {
	uint64_t digits[TIP_FILTER_DIGITS]; /* bit v: the value v is allowed */
	struct tip_filter_slot slots[TIP_FILTER_SLOTS];
	size_t nslots;
};

/* Texts belong to whoever filled it. */
struct tip_prefilter {
	struct {
		struct tip_filter_clause clauses[TIP_FILTER_CLAUSES];
		size_t count; /* 0: no act of the group passes */
	} groups[TIP_FILTER_GROUPS];
};

#endif
