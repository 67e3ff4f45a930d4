/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "container/lines.h"

/* The lines, each in brackets; "!" for one that was too long. */
static void on_line(void *ctx, const char *line, size_t len)
{
	char *all = ctx;

	snprintf(all + strlen(all), 200 - strlen(all), "[%.*s]", line ? (int)len : 1,
		 line ? line : "!");
}

static void lines(void **state)
{
	static const struct {
		const char *text, *lines;
	} all[] = {
		{"", ""},
		{"half", ""},
		{"a\nbc\n", "[a][bc]"},
		{"\n\n", "[][]"},
		{"12345\n123456\nx\n", "[12345][!][x]"},
		{"123456789012345678901234567890\nnext\nhalf", "[!][next]"},
		{"123456", ""},
	};
	char seen[200];

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		for (size_t step = 1; step < 10; step++) {
			struct tip_lines l = {.max = 5};
			size_t len = strlen(all[i].text);

			seen[0] = '\0';
			for (size_t at = 0; at < len; at += step)
				tip_lines_feed(&l, all[i].text + at,
					       len - at < step ? len - at : step, on_line, seen);
			assert_string_equal(seen, all[i].lines);
			tip_lines_free(&l);
		}
	}
}

/* Memory is bounded by the longest line that is taken. */
static void an_endless_line(void **state)
{
	static char chunk[10000];
	struct tip_lines l = {.max = 20000};
	char seen[200] = "";

	memset(chunk, 'x', sizeof(chunk));
	for (int i = 0; i < 1000; i++)
		tip_lines_feed(&l, chunk, sizeof(chunk), on_line, seen);
	assert_in_range(l.rest.cap, 0, 65536);
	tip_lines_feed(&l, "\nx\n", 3, on_line, seen);
	assert_string_equal(seen, "[!][x]");
	tip_lines_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(an_endless_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
