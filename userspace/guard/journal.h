/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_GUARD_JOURNAL_H
#define TIP_GUARD_JOURNAL_H

#include "guard/guard.h"

/*
 * The quarantine journal: one JSON object a line, {"by","reason","since_ns","spiffe_id"}. It is
 * only ever replaced as a whole, so a line that does not parse means that somebody else wrote it.
 */
#define TIP_JOURNAL_MAX_ENTRIES 4096
#define TIP_JOURNAL_MAX_TEXT    1024 /* bytes of `reason` and of `by` */
#define TIP_JOURNAL_MAX_FILE    (32u << 20)

struct tip_journal {
	struct tip_quarantine *entries; /* strings owned */
	size_t count;
};

void tip_journal_free(struct tip_journal *j);

/* Parses `len` bytes. 0, or -1 with `err` (file and line) and `*j` empty. */
int tip_journal_parse(const char *file, const char *text, size_t len, struct tip_journal *j,
		      struct tip_error *err);
/* Reads `path`; a missing file is an empty journal. */
int tip_journal_load(const char *path, struct tip_journal *j, struct tip_error *err);
int tip_journal_save(const char *path, const struct tip_journal *j, struct tip_error *err);

/* Checks one entry's texts as they would be written. 0, or -1 with `err`. */
int tip_journal_check(const char *spiffe_id, const char *reason, const char *by,
		      struct tip_error *err);

/* Appends copies; the pointer is valid until the next change. */
struct tip_quarantine *tip_journal_add(struct tip_journal *j, const char *spiffe_id,
				       const char *reason, const char *by, uint64_t since_ns);
/* The index of an identity, or `count`. */
size_t tip_journal_find(const struct tip_journal *j, const char *spiffe_id);
/* Takes entry `i` out and hands it over; free it with tip_journal_entry_free(). */
struct tip_quarantine tip_journal_take(struct tip_journal *j, size_t i);
/* Puts a taken entry back where it was. */
void tip_journal_put_back(struct tip_journal *j, size_t i, struct tip_quarantine q);
void tip_journal_entry_free(struct tip_quarantine *q);

#endif
