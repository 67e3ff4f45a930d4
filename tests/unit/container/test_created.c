/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "container/created.h"

#define MINUTE (60ULL * 1000 * 1000 * 1000)

static void put(struct tip_created *c, const char *id, const char *text, bool whole, uint64_t now)
{
	struct tip_buf facts = {.data = (char *)text, .len = strlen(text)};

	tip_created_put(c, id, &facts, whole, now);
}

static void what_is_whole_stays(void **state)
{
	struct tip_created *c = tip_created_new();
	struct tip_created_box box;

	assert_false(tip_created_get(c, "a", 0, &box));
	put(c, "a", "part", false, 0);
	assert_true(tip_created_get(c, "a", 0, &box));
	assert_false(box.whole);
	put(c, "a", "whole", true, 0);
	put(c, "a", "part", false, 0);
	assert_true(tip_created_get(c, "a", 0, &box));
	assert_true(box.whole);
	assert_int_equal(box.len, 5);
	assert_memory_equal(box.facts, "whole", 5);
	tip_created_del(c, "a");
	tip_created_del(c, "a");
	assert_false(tip_created_get(c, "a", 0, &box));
	tip_created_free(c);
	tip_created_free(NULL);
}

static void it_is_bounded(void **state)
{
	static char large[TIP_CREATED_BYTES / 4], huge[TIP_CREATED_BYTES + 2];
	struct tip_created *c = tip_created_new();
	struct tip_created_box box;
	char id[16];

	for (unsigned int i = 0; i < 1000; i++) {
		snprintf(id, sizeof(id), "%u", i);
		put(c, id, "", false, i);
	}
	assert_int_equal(tip_created_count(c), TIP_CREATED_MAX);
	assert_true(tip_created_get(c, "999", 1000, &box));
	assert_false(tip_created_get(c, "0", 1000, &box));
	/* in bytes */
	memset(large, 'x', sizeof(large) - 1);
	for (unsigned int i = 0; i < 8; i++) {
		snprintf(id, sizeof(id), "large%u", i);
		put(c, id, large, true, 2000);
	}
	assert_int_equal(tip_created_count(c), 4);
	memset(huge, 'x', sizeof(huge) - 1);
	put(c, "huge", huge, true, 2000);
	assert_false(tip_created_get(c, "huge", 2000, &box));
	/* in time */
	assert_true(tip_created_get(c, "large7", 9 * MINUTE, &box));
	assert_false(tip_created_get(c, "large7", 11 * MINUTE, &box));
	put(c, "new", "x", false, 11 * MINUTE);
	assert_int_equal(tip_created_count(c), 1);
	tip_created_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_whole_stays),
		cmocka_unit_test(it_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
