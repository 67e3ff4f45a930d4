/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "guard/journal.h"

#define WHAT_NEXT                                                                                  \
	"; correct this line, or take it out if that identity may be released, and start again"

void tip_journal_entry_free(struct tip_quarantine *q)
{
	free((char *)q->spiffe_id);
	free((char *)q->reason);
	free((char *)q->by);
}

void tip_journal_free(struct tip_journal *j)
{
	for (size_t i = 0; i < j->count; i++)
		tip_journal_entry_free(&j->entries[i]);
	free(j->entries);
	j->entries = NULL;
	j->count = 0;
}

size_t tip_journal_find(const struct tip_journal *j, const char *spiffe_id)
{
	size_t i = 0;

	while (i < j->count && strcmp(j->entries[i].spiffe_id, spiffe_id) != 0)
		i++;
	return i;
}

struct tip_quarantine *tip_journal_add(struct tip_journal *j, const char *spiffe_id,
				       const char *reason, const char *by, uint64_t since_ns)
{
	struct tip_quarantine *q;

	j->entries = tip_realloc(j->entries, j->count + 1, sizeof(*j->entries));
	q = &j->entries[j->count++];
	*q = (struct tip_quarantine){
		.spiffe_id = tip_strdup(spiffe_id),
		.reason = tip_strdup(reason),
		.by = tip_strdup(by),
		.since_ns = since_ns,
	};
	return q;
}

struct tip_quarantine tip_journal_take(struct tip_journal *j, size_t i)
{
	struct tip_quarantine q = j->entries[i];

	j->count--;
	memmove(&j->entries[i], &j->entries[i + 1], (j->count - i) * sizeof(q));
	return q;
}

void tip_journal_put_back(struct tip_journal *j, size_t i, struct tip_quarantine q)
{
	memmove(&j->entries[i + 1], &j->entries[i], (j->count - i) * sizeof(q));
	j->entries[i] = q;
	j->count++;
}

static int check_text(const char *what, const char *text, struct tip_error *err)
{
	json_t *s;

	if (strlen(text) > TIP_JOURNAL_MAX_TEXT)
		return tip_error_set(err, "%s is longer than %d bytes", what, TIP_JOURNAL_MAX_TEXT);
	s = json_string(text);
	if (!s)
		return tip_error_set(err, "%s is not UTF-8 text", what);
	json_decref(s);
	return 0;
}

int tip_journal_check(const char *spiffe_id, const char *reason, const char *by,
		      struct tip_error *err)
{
	static const char scheme[] = "spiffe://";
	size_t n = sizeof(scheme) - 1;

	if (strncmp(spiffe_id, scheme, n) != 0 || spiffe_id[n] == '\0' || spiffe_id[n] == '/')
		return tip_error_set(err, "a SPIFFE ID starts with spiffe:// and a trust domain");
	if (strlen(spiffe_id) > TIP_SPIFFE_ID_MAX)
		return tip_error_set(err, "the SPIFFE ID is longer than %d bytes",
				     TIP_SPIFFE_ID_MAX);
	for (const char *c = spiffe_id; *c; c++) {
		if (*c <= ' ' || *c > '~')
			return tip_error_set(err,
					     "the SPIFFE ID contains a character that none may");
	}
	if (check_text("the reason", reason, err) != 0)
		return -1;
	return check_text("\"by\"", by, err);
}

static int parse_line(const char *text, size_t len, struct tip_journal *j, struct tip_error *err)
{
	const char *id, *reason, *by;
	json_error_t je;
	json_int_t since;
	json_t *o;
	int rc = -1;

	o = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
	if (!o)
		return tip_error_set(err, "not a JSON object: %s", je.text);
	if (json_unpack_ex(o, &je, JSON_STRICT, "{s:s,s:s,s:I,s:s}", "by", &by, "reason", &reason,
			   "since_ns", &since, "spiffe_id", &id) != 0) {
		tip_error_set(err, "not a quarantine entry: %s", je.text);
		goto out;
	}
	if (tip_journal_check(id, reason, by, err) != 0)
		goto out;
	if (since < 0) {
		tip_error_set(err, "since_ns is negative");
		goto out;
	}
	if (tip_journal_find(j, id) < j->count) {
		tip_error_set(err, "%s is listed twice", id);
		goto out;
	}
	if (j->count >= TIP_JOURNAL_MAX_ENTRIES) {
		tip_error_set(err, "more than %d entries", TIP_JOURNAL_MAX_ENTRIES);
		goto out;
	}
	tip_journal_add(j, id, reason, by, (uint64_t)since);
	rc = 0;
out:
	json_decref(o);
	return rc;
}

int tip_journal_parse(const char *file, const char *text, size_t len, struct tip_journal *j,
		      struct tip_error *err)
{
	struct tip_error line_err;
	size_t at = 0;

	*j = (struct tip_journal){0};
	for (int line = 1; at < len; line++) {
		const char *nl = memchr(text + at, '\n', len - at);
		size_t n = nl ? (size_t)(nl - (text + at)) : len - at;

		if (!nl)
			tip_error_set(&line_err, "the last line is cut off");
		if (!nl || parse_line(text + at, n, j, &line_err) != 0) {
			tip_journal_free(j);
			return tip_error_at(err, file, line, 0,
					    "the quarantine journal is damaged: %s" WHAT_NEXT,
					    line_err.text);
		}
		at += n + 1;
	}
	return 0;
}

int tip_journal_load(const char *path, struct tip_journal *j, struct tip_error *err)
{
	struct tip_buf text = {0};
	int rc = -1;

	*j = (struct tip_journal){0};
	if (access(path, F_OK) != 0 && errno == ENOENT)
		return 0;
	if (tip_file_read(path, TIP_JOURNAL_MAX_FILE, &text, err) == 0)
		rc = tip_journal_parse(path, text.data ? text.data : "", text.len, j, err);
	tip_buf_free(&text);
	return rc;
}

int tip_journal_save(const char *path, const struct tip_journal *j, struct tip_error *err)
{
	struct tip_buf text = {0};
	int rc;

	for (size_t i = 0; i < j->count; i++) {
		const struct tip_quarantine *q = &j->entries[i];

		tip_buf_adds(&text, "{\"by\":");
		tip_buf_add_json_string(&text, q->by, strlen(q->by));
		tip_buf_adds(&text, ",\"reason\":");
		tip_buf_add_json_string(&text, q->reason, strlen(q->reason));
		tip_buf_addf(&text,
			     ",\"since_ns\":%llu,\"spiffe_id\":", (unsigned long long)q->since_ns);
		tip_buf_add_json_string(&text, q->spiffe_id, strlen(q->spiffe_id));
		tip_buf_adds(&text, "}\n");
	}
	rc = tip_file_write(path, text.data ? text.data : "", text.len, 0600, err);
	tip_buf_free(&text);
	return rc;
}
