/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/spiffe_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void good(void **state)
{
	static const char *const ids[] = {
		"spiffe://td/a",
		"spiffe://a.b-c_d.9/x/y.z/A-Z_0/...",
		"spiffe://td/..a/.b",
		"spiffe://1.2.3.4/x",
	};
	struct tip_error err;

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		if (tip_spiffe_id_check(ids[i], true, &err) < 0)
			fail_msg("%s: %s", ids[i], err.text);
	assert_int_equal(tip_spiffe_id_check("spiffe://td", false, &err), 0);
}

static void bad(void **state)
{
	static const struct {
		const char *id, *why;
	} ids[] = {
		{"", "starts with spiffe://"},
		{"SPIFFE://td/a", "starts with spiffe://"},
		{"https://td/a", "starts with spiffe://"},
		{"spiffe:///a", "trust domain is empty"},
		{"spiffe://", "trust domain is empty"},
		{"spiffe://Td/a", "'T' in the trust domain"},
		{"spiffe://td:80/a", "':' in the trust domain"},
		{"spiffe://u@td/a", "'@' in the trust domain"},
		{"spiffe://t%41/a", "'%' in the trust domain"},
		{"spiffe://td", "path is missing"},
		{"spiffe://td/", "empty path segment"},
		{"spiffe://td/a/", "empty path segment"},
		{"spiffe://td//a", "empty path segment"},
		{"spiffe://td/.", "\".\" and \"..\""},
		{"spiffe://td/a/../b", "\".\" and \"..\""},
		{"spiffe://td/a?x", "'?' in the path"},
		{"spiffe://td/a#x", "'#' in the path"},
		{"spiffe://td/%41", "'%' in the path"},
		{"spiffe://td/a b", "byte 0x20 in the path"},
		{"spiffe://td/\xc3\xa9", "byte 0xc3 in the path"},
		{"spiffe://td\n/a", "byte 0x0a in the trust domain"},
	};
	struct tip_error err;

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		assert_int_equal(tip_spiffe_id_check(ids[i].id, true, &err), -1);
		if (!strstr(err.text, ids[i].why))
			fail_msg("%s: \"%s\" lacks \"%s\"", ids[i].id, err.text, ids[i].why);
	}
}

static void lengths(void **state)
{
	char id[2060] = "spiffe://";
	struct tip_error err;

	memset(id + 9, 'a', 255);
	strcpy(id + 9 + 255, "/x");
	assert_int_equal(tip_spiffe_id_check(id, true, &err), 0);
	memset(id + 9, 'a', 256);
	strcpy(id + 9 + 256, "/x");
	assert_int_equal(tip_spiffe_id_check(id, true, &err), -1);
	strcpy(id, "spiffe://td/");
	memset(id + 12, 'a', 2048 - 12);
	id[2048] = '\0';
	assert_int_equal(tip_spiffe_id_check(id, true, &err), 0);
	strcpy(id + 2048, "a");
	assert_int_equal(tip_spiffe_id_check(id, true, &err), -1);
}

static void parts(void **state)
{
	struct tip_error err;
	size_t len;

	assert_string_equal(tip_spiffe_id_path("spiffe://td/a/b"), "/a/b");
	assert_string_equal(tip_spiffe_id_path("spiffe://td"), "");
	assert_memory_equal(tip_spiffe_id_domain("spiffe://td/a", &len), "td", 2);
	assert_int_equal(len, 2);
	assert_true(tip_spiffe_id_in("spiffe://td/a", "td"));
	assert_false(tip_spiffe_id_in("spiffe://td.x/a", "td"));
	assert_false(tip_spiffe_id_in("spiffe://td/a", "td.x"));
	assert_false(tip_spiffe_id_in("spiffe://t/td", "td"));
	assert_int_equal(tip_trust_domain_check("example.org", &err), 0);
	assert_int_equal(tip_trust_domain_check("", &err), -1);
	assert_int_equal(tip_trust_domain_check("a/b", &err), -1);
	assert_int_equal(tip_trust_domain_check("spiffe://a", &err), -1);
	assert_non_null(strstr(err.text, "bare name"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(bad),
		cmocka_unit_test(lengths),
		cmocka_unit_test(parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
