/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "alert/format.h"
#include "base/clock.h"

const char *tip_alert_iso8601(uint64_t time_ns, char *buf, size_t size)
{
	char utc[40];

	/* the same digits, and +0000 where that one has Z */
	tip_clock_iso8601(time_ns, utc, sizeof(utc));
	snprintf(buf, size, "%.29s+0000", utc);
	return buf;
}

/* "HH:MM:SS.nnnnnnnnn: Warning ", in local time, as Falco's own prefix. */
static void prefix(const struct tip_alert *a, bool iso8601, struct tip_buf *out)
{
	time_t seconds = (time_t)(a->time_ns / TIP_NSEC_PER_SEC);
	struct tm tm = {0};
	char iso[40];

	if (iso8601) {
		tip_buf_addf(out, "%s: %s ", tip_alert_iso8601(a->time_ns, iso, sizeof(iso)),
			     tip_priority_name(a->priority));
		return;
	}
	localtime_r(&seconds, &tm);
	tip_buf_addf(out, "%02d:%02d:%02d.%09u: %s ", tm.tm_hour, tm.tm_min, tm.tm_sec,
		     (unsigned int)(a->time_ns % TIP_NSEC_PER_SEC), tip_priority_name(a->priority));
}

static void add_string(struct tip_buf *out, const char *s)
{
	tip_buf_add_json_string(out, s, strlen(s));
}

static void add_tags(const struct tip_alert *a, struct tip_buf *out)
{
	tip_buf_adds(out, ",\"tags\":[");
	for (size_t i = 0; i < a->ntags; i++) {
		if (i)
			tip_buf_addc(out, ',');
		add_string(out, a->tags[i]);
	}
	tip_buf_addc(out, ']');
}

void tip_alert_json(const struct tip_alert *a, const struct tip_alert_form *form,
		    struct tip_buf *out)
{
	char iso[40];

	tip_buf_adds(out, "{\"hostname\":");
	add_string(out, a->hostname);
	if (form->message) {
		tip_buf_adds(out, ",\"message\":");
		tip_buf_add_json_string(out, a->message, a->message_len);
	}
	if (!form->no_output) {
		struct tip_buf text = {0};

		prefix(a, form->iso8601, &text);
		tip_buf_add(&text, a->message, a->message_len);
		tip_buf_adds(out, ",\"output\":");
		tip_buf_add_json_string(out, text.data, text.len);
		tip_buf_free(&text);
	}
	if (!form->no_fields) {
		tip_buf_adds(out, ",\"output_fields\":{");
		tip_buf_add(out, a->fields, a->fields_len);
		tip_buf_addc(out, '}');
	}
	tip_buf_adds(out, ",\"priority\":");
	add_string(out, tip_priority_name(a->priority));
	tip_buf_adds(out, ",\"rule\":");
	add_string(out, a->rule);
	tip_buf_adds(out, ",\"source\":");
	add_string(out, a->source);
	if (!form->no_tags && !a->untagged)
		add_tags(a, out);
	tip_buf_adds(out, ",\"time\":");
	add_string(out, tip_clock_iso8601(a->time_ns, iso, sizeof(iso)));
	tip_buf_addc(out, '}');
}

static void add_escaped(struct tip_buf *out, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		switch (c) {
		case '\b': tip_buf_adds(out, "\\b"); break;
		case '\f': tip_buf_adds(out, "\\f"); break;
		case '\n': tip_buf_adds(out, "\\n"); break;
		case '\r': tip_buf_adds(out, "\\r"); break;
		case '\t': tip_buf_adds(out, "\\t"); break;
		default:
			if (c < 0x20)
				tip_buf_addf(out, "\\u%04x", c);
			else
				tip_buf_addc(out, (char)c);
		}
	}
}

void tip_alert_text(const struct tip_alert *a, bool iso8601, struct tip_buf *out)
{
	prefix(a, iso8601, out);
	add_escaped(out, a->message, a->message_len);
}

/* The end of the JSON string that starts at s[at]: the offset behind its closing quote. */
static size_t skip_string(const char *s, size_t len, size_t at)
{
	for (at++; at < len && s[at] != '"'; at++) {
		if (s[at] == '\\')
			at++;
	}
	return at < len ? at + 1 : len;
}

/* The end of the member that starts at s[at]: the offset of the comma behind it, or `len`. */
static size_t skip_member(const char *s, size_t len, size_t at)
{
	int depth = 0;

	while (at < len && (depth || s[at] != ',')) {
		if (s[at] == '"') {
			at = skip_string(s, len, at);
			continue;
		}
		depth += (s[at] == '{' || s[at] == '[') - (s[at] == '}' || s[at] == ']');
		at++;
	}
	return at;
}

/* The order of two keys, each with its opening quote and without its closing one. */
static int compare_keys(const char *a, size_t alen, const char *b, size_t blen)
{
	int cmp = memcmp(a, b, alen < blen ? alen : blen);

	return cmp ? cmp : (alen > blen) - (alen < blen);
}

static void add_piece(struct tip_buf *out, const char *s, size_t len)
{
	if (out->len)
		tip_buf_addc(out, ',');
	tip_buf_add(out, s, len);
}

static void add_member(struct tip_buf *out, const struct tip_alert_member *m)
{
	add_piece(out, m->key, strlen(m->key));
	tip_buf_addc(out, ':');
	tip_buf_adds(out, m->value);
}

static int compare_members(const struct tip_alert_member *a, const struct tip_alert_member *b)
{
	return compare_keys(a->key, strlen(a->key) - 1, b->key, strlen(b->key) - 1);
}

/* Adds the last of those that have the key of the first; what comes behind them. */
static const struct tip_alert_member *add_last(struct tip_buf *out,
					       const struct tip_alert_member *m,
					       const struct tip_alert_member *end)
{
	while (m + 1 < end && compare_members(m, m + 1) == 0)
		m++;
	add_member(out, m);
	return m + 1;
}

void tip_alert_merge(const struct tip_buf *members, const struct tip_alert_member *add, size_t n,
		     struct tip_buf *out)
{
	const struct tip_alert_member *end = add + n;
	const char *s = members->data;
	size_t len = members->len, at = 0;

	tip_buf_reset(out);
	while (at < len) {
		size_t quote = skip_string(s, len, at) - 1, next = skip_member(s, len, at);
		int cmp = -1;

		while (add < end &&
		       (cmp = compare_keys(add->key, strlen(add->key) - 1, s + at, quote - at)) < 0)
			add = add_last(out, add, end);
		if (add < end && cmp == 0)
			add = add_last(out, add, end);
		else
			add_piece(out, s + at, next - at);
		at = next + (next < len);
	}
	while (add < end)
		add = add_last(out, add, end);
}

void tip_alert_members_sort(struct tip_alert_member *list, size_t n)
{
	/* An insertion sort: stable, and the lists are short. */
	for (size_t i = 1; i < n; i++) {
		struct tip_alert_member m = list[i];
		size_t j = i;

		for (; j && compare_members(&list[j - 1], &m) > 0; j--)
			list[j] = list[j - 1];
		list[j] = m;
	}
}
