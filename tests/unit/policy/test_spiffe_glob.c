/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/spiffe_glob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static void refused(void **state)
{
	static const struct {
		const char *text, *part;
	} bad[] = {
		{"", "starts with"},
		{"*", "starts with"},
		{"https://td/a", "starts with"},
		{"spiffe://", "empty"},
		{"spiffe://td", "path is missing"},
		{"spiffe://td/", "empty path segment"},
		{"spiffe://td//*", "empty path segment"},
		{"spiffe://td/*/", "empty path segment"},
		{"spiffe://*/a", "never a pattern"},
		{"spiffe://*.td/a", "never a pattern"},
		{"spiffe://**", "never a pattern"},
		{"spiffe://td/web-*", "whole path segment"},
		{"spiffe://td/*x", "whole path segment"},
		{"spiffe://td/***", "whole path segment"},
		{"spiffe://td/*x*", "whole path segment"},
		{"spiffe://td/**/a", "last"},
		{"spiffe://td/**/**", "last"},
		{"spiffe://td/a?", "path"},
		{"spiffe://td/[ab]", "path"},
		{"spiffe://TD/*", "trust domain"},
		{"spiffe://td/../*", "not allowed"},
	};
	char longer[2100];
	struct tip_error err = {0};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(bad); i++) {
		if (!tip_spiffe_glob_check(bad[i].text, &err))
			fail_msg("%s was accepted", bad[i].text);
		if (!strstr(err.text, bad[i].part))
			fail_msg("%s: \"%s\" lacks \"%s\"", bad[i].text, err.text, bad[i].part);
	}
	memset(longer, 'a', sizeof(longer));
	memcpy(longer, "spiffe://td/", 12);
	longer[2048] = '\0';
	assert_int_equal(tip_spiffe_glob_check(longer, &err), 0);
	longer[2048] = 'a';
	longer[2049] = '\0';
	assert_int_equal(tip_spiffe_glob_check(longer, &err), -1);
	assert_non_null(strstr(err.text, "2048"));
}

static void matched(void **state)
{
	static const struct {
		const char *pattern, *id;
		bool yes;
	} cases[] = {
		{"spiffe://td/a", "spiffe://td/a", true},
		{"spiffe://td/a", "spiffe://td/ab", false},
		{"spiffe://td/ab", "spiffe://td/a", false},
		{"spiffe://td/a", "spiffe://td/A", false},
		{"spiffe://td/a", "spiffe://td/a/b", false},
		{"spiffe://td/a/b", "spiffe://td/a", false},
		{"spiffe://td/a", "spiffe://te/a", false},
		{"spiffe://td/*", "spiffe://td/a", true},
		{"spiffe://td/*", "spiffe://td", false},
		{"spiffe://td/*", "spiffe://td/a/b", false},
		{"spiffe://td/*", "spiffe://td2/a", false},
		{"spiffe://td2/*", "spiffe://td/a", false},
		{"spiffe://td/*/b", "spiffe://td/a/b", true},
		{"spiffe://td/*/b", "spiffe://td/b", false},
		{"spiffe://td/*/b", "spiffe://td/a/c", false},
		{"spiffe://td/*/b", "spiffe://td/a/b/b", false},
		{"spiffe://td/*/*", "spiffe://td/a/b", true},
		{"spiffe://td/*/*", "spiffe://td/a", false},
		{"spiffe://td/ns/*/sa/*", "spiffe://td/ns/x/sa/y", true},
		{"spiffe://td/ns/*/sa/*", "spiffe://td/ns/x/sb/y", false},
		{"spiffe://td/**", "spiffe://td/a", true},
		{"spiffe://td/**", "spiffe://td/a/b/c", true},
		{"spiffe://td/**", "spiffe://td", false},
		{"spiffe://td/**", "spiffe://other/a", false},
		{"spiffe://td/a/**", "spiffe://td/a/b", true},
		{"spiffe://td/a/**", "spiffe://td/a", false},
		{"spiffe://td/a/**", "spiffe://td/ab/c", false},
		{"spiffe://td/*/**", "spiffe://td/a/b", true},
		{"spiffe://td/*/**", "spiffe://td/a/b/c", true},
		{"spiffe://td/*/**", "spiffe://td/a", false},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
		struct tip_error err = {0};

		if (tip_spiffe_glob_check(cases[i].pattern, &err) < 0)
			fail_msg("%s: %s", cases[i].pattern, err.text);
		if (tip_spiffe_glob_match(cases[i].pattern, cases[i].id) != cases[i].yes)
			fail_msg("%s against %s", cases[i].id, cases[i].pattern);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused),
		cmocka_unit_test(matched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
