/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_SENSOR_RULES_H
#define TIP_SENSOR_RULES_H

#include <stddef.h>
#include <stdint.h>

#include "sensor/sensor.h"

/* The kernel side of rules with an action: their maps, written by the guard room. */

struct tip_rule_value {
	uint64_t value;
	uint32_t dim; /* TIP_DIM_* */
	struct tip_rule_match match;
};

/* An entry of one of the two tries. */
struct tip_rule_prefix {
	uint32_t table;               /* `rule_texts`: TIP_DIM_*; `rule_nets`: TIP_RULE_NET4 ... */
	uint32_t bits;                /* of `bytes` */
	uint8_t bytes[TIP_RULE_TEXT]; /* zero beyond `bits` */
	struct tip_rule_match match;  /* what shorter prefixes say is in it */
};

/* A compiled set, as guard/plan.c makes it. */
struct tip_rule_image {
	struct tip_rule_set set;
	uint32_t count; /* rules in the set */
	struct tip_rule_value *values;
	struct tip_rule_prefix *texts, *nets;
	size_t nvalues, ntexts, nnets;
};

/*
 * Installs a set: written beside the one in force, then switched in one piece, then the old one is
 * deleted. 0 and its generation, or -errno (-ENOSPC, -E2BIG: no place) with the old set in force.
 */
int tip_sensor_rules_install(struct tip_sensor *s, const struct tip_rule_image *image,
			     uint32_t *generation);

/* What the set in force says of one identity more. Before anybody is bound to it. 0 or -errno. */
int tip_sensor_rules_identity(struct tip_sensor *s, uint32_t number,
			      const struct tip_rule_match *match);

#endif
