/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TESTS_ALERT_FAKE_H
#define TIP_TESTS_ALERT_FAKE_H

/* The part of the detect room that the alert room calls. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "alert/alert.h"

struct tip_rule {
	struct tip_rule_info info;
	const char *text, *fields;
};

const char *tip_priority_name(enum tip_priority p)
{
	static const char *const names[] = {"Emergency", "Alert",  "Critical",      "Error",
					    "Warning",   "Notice", "Informational", "Debug"};

	return names[p];
}

const struct tip_rule_info *tip_rule_info(const struct tip_rule *rule)
{
	return &rule->info;
}

void tip_rule_render(const struct tip_rule *rule, struct tip_matcher *m,
		     const struct tip_match_input *in, struct tip_buf *text, struct tip_buf *fields)
{
	tip_buf_adds(text, rule->text);
	tip_buf_adds(fields, rule->fields);
}

#endif
