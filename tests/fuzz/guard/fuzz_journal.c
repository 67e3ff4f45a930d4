/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever the quarantine journal holds: it is refused with a place, or it comes back the same
 * after it is written. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guard/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const struct tip_journal *a, const struct tip_journal *b)
{
	if (a->count != b->count)
		abort();
	for (size_t i = 0; i < a->count; i++) {
		const struct tip_quarantine *x = &a->entries[i], *y = &b->entries[i];

		if (strcmp(x->spiffe_id, y->spiffe_id) != 0 || strcmp(x->reason, y->reason) != 0 ||
		    strcmp(x->by, y->by) != 0 || x->since_ns != y->since_ns)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tip_journal j, again;
	struct tip_error err = {0};
	char path[64];

	if (tip_journal_parse("journal", (const char *)data, size, &j, &err) != 0) {
		if (err.line < 1 || !*err.text || j.count || j.entries)
			abort();
		return 0;
	}
	if (j.count) {
		snprintf(path, sizeof(path), "/dev/shm/tip-fuzz-journal-%d", getpid());
		if (tip_journal_save(path, &j, &err) != 0 ||
		    tip_journal_load(path, &again, &err) != 0) {
			fprintf(stderr, "%s:%d: %s\n", err.file, err.line, err.text);
			abort();
		}
		same(&j, &again);
		tip_journal_free(&again);
		unlink(path);
	}
	tip_journal_free(&j);
	return 0;
}
