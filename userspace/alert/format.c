/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "alert/format.h"
#include "base/clock.h"

/* "HH:MM:SS.nnnnnnnnn: Warning ", in local time, as Falco's own prefix. */
static void prefix(const struct tip_alert *a, struct tip_buf *out)
{
	time_t seconds = (time_t)(a->time_ns / TIP_NSEC_PER_SEC);
	struct tm tm = {0};

	localtime_r(&seconds, &tm);
	tip_buf_addf(out, "%02d:%02d:%02d.%09u: %s ", tm.tm_hour, tm.tm_min, tm.tm_sec,
		     (unsigned int)(a->time_ns % TIP_NSEC_PER_SEC), tip_priority_name(a->priority));
}

static void add_string(struct tip_buf *out, const char *s)
{
	tip_buf_add_json_string(out, s, strlen(s));
}

void tip_alert_json(const struct tip_alert *a, bool message, struct tip_buf *out)
{
	struct tip_buf text = {0};
	char iso[40];

	prefix(a, &text);
	tip_buf_add(&text, a->message, a->message_len);

	tip_buf_adds(out, "{\"hostname\":");
	add_string(out, a->hostname);
	if (message) {
		tip_buf_adds(out, ",\"message\":");
		tip_buf_add_json_string(out, a->message, a->message_len);
	}
	tip_buf_adds(out, ",\"output\":");
	tip_buf_add_json_string(out, text.data, text.len);
	tip_buf_adds(out, ",\"output_fields\":{");
	tip_buf_add(out, a->fields, a->fields_len);
	tip_buf_adds(out, "},\"priority\":");
	add_string(out, tip_priority_name(a->priority));
	tip_buf_adds(out, ",\"rule\":");
	add_string(out, a->rule);
	tip_buf_adds(out, ",\"source\":");
	add_string(out, a->source);
	tip_buf_adds(out, ",\"tags\":[");
	for (size_t i = 0; i < a->ntags; i++) {
		if (i)
			tip_buf_addc(out, ',');
		add_string(out, a->tags[i]);
	}
	tip_buf_adds(out, "],\"time\":");
	add_string(out, tip_clock_iso8601(a->time_ns, iso, sizeof(iso)));
	tip_buf_addc(out, '}');
	tip_buf_free(&text);
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

void tip_alert_text(const struct tip_alert *a, struct tip_buf *out)
{
	prefix(a, out);
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

void tip_alert_member(struct tip_buf *members, const char *name, const char *value)
{
	struct tip_buf key = {0}, out = {0};
	const char *s = members->data;
	size_t len = members->len, at = 0, end = 0;
	int cmp = 1;

	tip_buf_add_json_string(&key, name, strlen(name));
	while (at < len) {
		size_t quote = skip_string(s, len, at) - 1; /* compared without the closing quote */
		size_t n = quote - at, m = key.len - 1;

		cmp = memcmp(s + at, key.data, n < m ? n : m);
		if (cmp == 0)
			cmp = n == m ? 0 : n < m ? -1 : 1;
		if (cmp >= 0)
			break;
		at = skip_member(s, len, at);
		at += at < len;
	}
	/* Before `at` everything sorts before the new one (and ends with a comma, unless it is the
	 * end). */
	end = at;
	if (at < len && cmp == 0) {
		end = skip_member(s, len, at);
		end += end < len;
	}
	tip_buf_add(&out, s ? s : "", at);
	if (at == len && len)
		tip_buf_addc(&out, ',');
	tip_buf_add(&out, key.data, key.len);
	tip_buf_addc(&out, ':');
	tip_buf_adds(&out, value);
	if (end < len)
		tip_buf_addc(&out, ',');
	if (end < len)
		tip_buf_add(&out, s + end, len - end);
	tip_buf_free(&key);
	tip_buf_free(members);
	*members = out;
}
