/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_ALERT_FORMAT_H
#define TIP_ALERT_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "detect/detect.h"

/* What one alert says, before it takes a form. */
struct tip_alert {
	const char *hostname;
	const char *rule;
	const char *source;
	enum tip_priority priority;
	const char *const *tags; /* sorted */
	size_t ntags;
	bool untagged;    /* has no such member: Falco's internal alerts */
	uint64_t time_ns; /* wall clock */
	const char *message;
	size_t message_len;
	const char *fields; /* JSON members of output_fields, sorted, without braces */
	size_t fields_len;
};

/* What an alert's JSON object has, and how its time is written: Falco's switches. */
struct tip_alert_form {
	bool no_output, no_fields, no_tags; /* without that member */
	bool message;                       /* with the text without its prefix, too */
	bool iso8601; /* the prefix has the date and UTC; output_fields says so too */
};

/* Falco's JSON object, without a newline. */
void tip_alert_json(const struct tip_alert *a, const struct tip_alert_form *form,
		    struct tip_buf *out);
/* Falco's text line, without a newline; control characters escaped the JSON way. */
void tip_alert_text(const struct tip_alert *a, bool iso8601, struct tip_buf *out);
/* "2026-01-01T00:00:00.123456789+0000", as Falco writes that field. At least 36 bytes. */
const char *tip_alert_iso8601(uint64_t time_ns, char *buf, size_t size);

/* A member of output_fields: both are finished JSON. */
struct tip_alert_member {
	const char *key, *value;
};

/*
 * Merges `n` members (sorted by key, of equal ones the last counts) into a list of members sorted
 * by key; one that is there already is replaced. The result is put into `out`, which is emptied
 * first.
 */
void tip_alert_merge(const struct tip_buf *members, const struct tip_alert_member *add, size_t n,
		     struct tip_buf *out);
/* Sorts by key; equal ones stay in their order. */
void tip_alert_members_sort(struct tip_alert_member *list, size_t n);

#endif
