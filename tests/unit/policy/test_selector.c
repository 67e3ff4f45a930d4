/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/selector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct tip_arena *arena;

static int setup(void **state)
{
	arena = tip_arena_new();
	return 0;
}

static int teardown(void **state)
{
	tip_arena_free(arena);
	return 0;
}

static struct tip_selector parse(const char *text)
{
	struct tip_selector s;
	struct tip_error err;
	char buf[200];

	if (tip_selector_parse(arena, text, &s, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	assert_string_equal(tip_selector_str(&s, buf, sizeof(buf)), text);
	return s;
}

static bool matches(const char *text, const struct tip_attested *a)
{
	struct tip_selector s = parse(text);

	return tip_selector_matches(&s, a);
}

static void numbers(void **state)
{
	struct tip_attested a = {.uid = 1000, .gid = 0, .path = "", .cgroup = ""};

	assert_true(matches("unix:uid:1000", &a));
	assert_false(matches("unix:uid:100", &a));
	assert_false(matches("unix:gid:1000", &a));
	assert_true(matches("unix:gid:0", &a));
	assert_false(matches("unix:uid:4294967294", &a));
}

static void paths(void **state)
{
	struct tip_attested a = {.path = "/usr/bin/curl", .cgroup = "/kubepods/a"};

	assert_true(matches("unix:path:/usr/bin/curl", &a));
	assert_false(matches("unix:path:/usr/bin/cur", &a));
	assert_false(matches("unix:path:/usr/bin", &a));
	a.path = ""; /* not to be trusted */
	assert_false(matches("unix:path:/usr/bin/curl", &a));
}

static void cgroups(void **state)
{
	struct tip_attested a = {.path = "", .cgroup = "/kubepods/a"};

	assert_true(matches("cgroup:path:/kubepods/a", &a));
	assert_true(matches("cgroup:path:/kubepods", &a));
	assert_true(matches("cgroup:path:/", &a));
	assert_false(matches("cgroup:path:/kubepods/a/b", &a));
	assert_false(matches("cgroup:path:/kube", &a));
	assert_false(matches("cgroup:path:/kubepods/ab", &a));
	a.cgroup = "/kubepods/ab";
	assert_false(matches("cgroup:path:/kubepods/a", &a));
	a.cgroup = ""; /* unknown */
	assert_false(matches("cgroup:path:/", &a));
	assert_false(matches("cgroup:path:/kubepods", &a));
}

static void bad(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "unknown selector"},
		{"unix:user:root", "there are unix:uid:N"},
		{"k8s:ns:x", "\"k8s:ns:x\""},
		{"UNIX:uid:1", "unknown selector"},
		{"unix:uid:", "not a number"},
		{"unix:uid:root", "names are not looked up"},
		{"unix:uid:-1", "not a number"},
		{"unix:uid:+1", "not a number"},
		{"unix:uid: 1", "not a number"},
		{"unix:uid:0x1", "not a number"},
		{"unix:uid:01", "no zeros"},
		{"unix:uid:4294967295", "too large"},
		{"unix:uid:99999999999999999999999999", "too large"},
		{"unix:path:", "start with '/'"},
		{"unix:path:usr", "start with '/'"},
		{"unix:path:/", "no \"//\""},
		{"unix:path:/a/", "no \"//\""},
		{"unix:path:/a//b", "no \"//\""},
		{"unix:path:/a/./b", "\".\""},
		{"unix:path:/a/..", "\"..\""},
		{"unix:path:/a\nb", "control character 0x0a"},
		{"unix:sha256:", "no SHA-256"},
		{"unix:sha256:"
		 "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
		 "lower case"},
		{"unix:sha256:"
		 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0",
		 "64 hexadecimal digits"},
		{"cgroup:path://", "no \"//\""},
		{"cgroup:path:a", "start with '/'"},
	};
	struct tip_selector s;
	struct tip_error err;
	char *text;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
		assert_int_equal(tip_selector_parse(arena, cases[i].text, &s, &err), -1);
		if (!strstr(err.text, cases[i].why))
			fail_msg("%s: \"%s\" lacks \"%s\"", cases[i].text, err.text, cases[i].why);
	}
	text = tip_alloc(5000);
	memset(text, 'a', 4999);
	memcpy(text, "unix:path:/", 11);
	assert_int_equal(tip_selector_parse(arena, text, &s, &err), -1);
	assert_non_null(strstr(err.text, "longer than"));
	text[10 + 4095] = '\0';
	assert_int_equal(tip_selector_parse(arena, text, &s, &err), 0);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(paths, setup, teardown),
		cmocka_unit_test_setup_teardown(cgroups, setup, teardown),
		cmocka_unit_test_setup_teardown(bad, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
