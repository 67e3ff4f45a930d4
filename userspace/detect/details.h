/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_DETECT_DETAILS_H
#define TIP_DETECT_DETAILS_H

#include "detect/defs.h"
#include "detect/program.h"

/* What is known of a rule when it is loaded, and is gone with its trees. */
struct tip_rule_details {
	const char *condition; /* macros and lists expanded, in the canonical form */
	/* all sorted; macros and lists are those that the rule itself names */
	struct tip_names fields, operators, macros, lists, output_fields;
	struct tip_names exception_names, exception_fields, exception_operators;
	struct tip_event_set events;
};

/* Fills `r->details`. `lists`: those in the rule's own condition. */
void tip_rule_describe(struct tip_rules *set, struct tip_rule *r, const struct tip_rule_def *def,
		       const struct tip_ast *ast, const struct tip_compiled *compiled,
		       const struct tip_names *lists);

#endif
