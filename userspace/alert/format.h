/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_ALERT_FORMAT_H
#define TIP_ALERT_FORMAT_H

#include <stdint.h>

#include "alert/alert.h"
#include "base/buf.h"

/* What one alert says, before it takes a form. */
struct tip_alert {
	const char *hostname;
	const char *rule;
	const char *source;
	enum tip_priority priority;
	const char *const *tags; /* sorted */
	size_t ntags;
	uint64_t time_ns; /* wall clock */
	const char *message;
	size_t message_len;
	const char *fields; /* JSON members of output_fields, sorted, without braces */
	size_t fields_len;
};

/* Falco's JSON object, without a newline. `message`: with that member too. */
void tip_alert_json(const struct tip_alert *a, bool message, struct tip_buf *out);
/* Falco's text line, without a newline; control characters escaped the JSON way. */
void tip_alert_text(const struct tip_alert *a, struct tip_buf *out);

/*
 * Adds the member `name`: `value` (finished JSON) to a list of members sorted by name, in its
 * place. One that is there already is replaced.
 */
void tip_alert_member(struct tip_buf *members, const char *name, const char *value);

#endif
