/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as an entries file: refused with a place, or entries that survive being written and read
 * back. */
#include <stdlib.h>
#include <string.h>

#include "policy/entry.h"
#include "policy/spiffe_id.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

static void check_again(const struct tip_entry *e)
{
	struct tip_arena *arena = tip_arena_new();
	struct tip_entry *again = NULL;
	struct tip_buf b = {0};
	struct tip_error err;
	size_t n = 0;

	CHECK(!tip_spiffe_id_check(e->spiffe_id, true, &err));
	CHECK(e->nselectors && e->nselectors <= TIP_ENTRY_SELECTORS_MAX);
	tip_entry_write(e, &b);
	CHECK(b.len <= TIP_ENTRY_TEXT_MAX);
	CHECK(!tip_entries_parse(arena, "again", b.data, b.len, "td", &again, &n, &err));
	CHECK(n == 1 && !strcmp(again->id, e->id) && !strcmp(again->hint, e->hint));
	CHECK(again->x509_ttl == e->x509_ttl && again->jwt_ttl == e->jwt_ttl);
	CHECK(again->ndns_names == e->ndns_names);
	free(again);
	tip_buf_free(&b);
	tip_arena_free(arena);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct tip_arena *arena = tip_arena_new();
	struct tip_entry *entries = NULL;
	struct tip_error err = {0};
	size_t n = 0;

	if (tip_entries_parse(arena, "fuzz", (const char *)data, size, "td", &entries, &n, &err))
		CHECK(err.text[0] && !n);
	for (size_t i = 0; i < n; i++)
		check_again(&entries[i]);
	free(entries);
	tip_arena_free(arena);
	return 0;
}
