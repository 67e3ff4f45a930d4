/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/entry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct tip_arena *arena;
static struct tip_entry *entries;
static size_t count;

static int setup(void **state)
{
	arena = tip_arena_new();
	entries = NULL;
	count = 0;
	return 0;
}

static int teardown(void **state)
{
	free(entries);
	tip_arena_free(arena);
	return 0;
}

static void parse(const char *text)
{
	struct tip_error err;
	char place[1200];

	if (tip_entries_parse(arena, "e.yaml", text, strlen(text), "td", &entries, &count, &err))
		fail_msg("%s\n%s", tip_error_str(&err, place, sizeof(place)), text);
}

static void refuse(const char *text, int line, int column, const char *part)
{
	struct tip_error err = {0};
	size_t before = count;

	assert_int_equal(tip_entries_parse(arena, "e.yaml", text, strlen(text), "td", &entries,
					   &count, &err),
			 -1);
	if (!strstr(err.text, part))
		fail_msg("\"%s\" lacks \"%s\"", err.text, part);
	assert_string_equal(err.file, "e.yaml");
	assert_int_equal(err.line, line);
	assert_int_equal(err.column, column);
	assert_int_equal(count, before);
}

static void whole(void **state)
{
	parse("# entries\n"
	      "- spiffe_id: spiffe://td/web\n"
	      "  selectors: [unix:uid:33, \"unix:path:/usr/sbin/nginx\", cgroup:path:/web]\n"
	      "  x509_ttl: 90s\n"
	      "  jwt_ttl: 2m\n"
	      "  hint: internal\n"
	      "  dns_names: [web.example.org, \"*.web.example.org\"]\n"
	      "- spiffe_id: spiffe://td/db\n"
	      "  selectors:\n"
	      "    - unix:uid:5\n"
	      "  x509_ttl: 7200\n");
	assert_int_equal(count, 2);
	assert_string_equal(entries[0].spiffe_id, "spiffe://td/web");
	assert_int_equal(entries[0].nselectors, 3);
	assert_int_equal(entries[0].selectors[0].number, 33);
	assert_string_equal(entries[0].selectors[1].path, "/usr/sbin/nginx");
	assert_int_equal(entries[0].selectors[2].kind, TIP_SEL_CGROUP_PATH);
	assert_int_equal(entries[0].x509_ttl, 90);
	assert_int_equal(entries[0].jwt_ttl, 120);
	assert_string_equal(entries[0].hint, "internal");
	assert_int_equal(entries[0].ndns_names, 2);
	assert_string_equal(entries[0].dns_names[1], "*.web.example.org");
	assert_string_equal(entries[0].file, "e.yaml");
	assert_int_equal(entries[0].line, 2);
	assert_int_equal(strlen(entries[0].id), 32);
	assert_int_equal(entries[1].x509_ttl, 7200);
	assert_int_equal(entries[1].jwt_ttl, 0);
	assert_string_equal(entries[1].hint, "");
	assert_int_equal(entries[1].ndns_names, 0);
	assert_int_equal(entries[1].line, 8);

	/* A second file is appended; an empty one is fine. */
	parse("- {spiffe_id: spiffe://td/x, selectors: [unix:uid:1]}");
	parse("# nothing\n");
	assert_int_equal(count, 3);
}

static void matching(void **state)
{
	struct tip_attested a = {.uid = 1, .gid = 2, .path = "/bin/x", .cgroup = "/c/d"};

	parse("- {spiffe_id: spiffe://td/x, selectors: [unix:uid:1, unix:gid:2, unix:path:/bin/x, "
	      "cgroup:path:/c]}");
	assert_true(tip_entry_matches(&entries[0], &a));
	a.gid = 3;
	assert_false(tip_entry_matches(&entries[0], &a));
	a.gid = 2;
	a.cgroup = "/cc";
	assert_false(tip_entry_matches(&entries[0], &a));
	/* An entry without selectors cannot be written; if it could, it would be nobody's. */
	entries[0].nselectors = 0;
	assert_false(tip_entry_matches(&entries[0], &a));
}

static void ids(void **state)
{
	parse("- {spiffe_id: spiffe://td/x, selectors: [unix:uid:1, unix:gid:2]}\n");
	parse("- {selectors: [unix:gid:2, unix:uid:1], spiffe_id: spiffe://td/x, hint: h, "
	      "x509_ttl: 60, dns_names: [a]}\n");
	parse("- {spiffe_id: spiffe://td/x, selectors: [unix:uid:1]}\n"
	      "- {spiffe_id: spiffe://td/y, selectors: [unix:uid:1, unix:gid:2]}\n"
	      "- {spiffe_id: spiffe://td/x, selectors: [unix:uid:2, unix:gid:1]}\n");
	assert_string_equal(entries[0].id, entries[1].id);
	for (size_t i = 1; i < count; i++)
		for (size_t j = i + 1; j < count; j++)
			assert_string_not_equal(entries[i].id, entries[j].id);
	/* The id names records on disk: it may never change. */
	assert_string_equal(entries[0].id, "00da395cf46357020df88bb9dd9aeb02");
}

static void written_and_read_back(void **state)
{
	struct tip_buf b = {0};
	struct tip_entry *e, *f;

	parse("- spiffe_id: spiffe://td/a\n"
	      "  selectors: ['unix:path:/opt/a \"b\\c: #\xc3\xa9', 'cgroup:path:/']\n"
	      "  hint: \"\\x7f\\u2028\\u20ac\\U0001f600 \\t'\\\"\\\\\\n: -\\ufeff\"\n"
	      "  x509_ttl: 1h30m\n"
	      "  jwt_ttl: 61\n"
	      "  dns_names: [A.b]\n");
	e = &entries[0];
	tip_entry_write(e, &b);
	for (size_t i = 0; i < b.len; i++)
		assert_in_range((unsigned char)b.data[i], '\n', 0x7e);
	parse(b.data);
	assert_int_equal(count, 2);
	e = &entries[0];
	f = &entries[1];
	assert_string_equal(e->id, f->id);
	assert_string_equal(e->hint, f->hint);
	assert_string_equal(e->selectors[0].path, f->selectors[0].path);
	assert_string_equal(e->dns_names[0], f->dns_names[0]);
	assert_int_equal(f->x509_ttl, 5400);
	assert_int_equal(f->jwt_ttl, 61);

	/* Bytes that are no UTF-8 cannot come from a file; what is written is YAML all the same. */
	f->hint = "\xff\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80x\xe2\x82";
	f->spiffe_id = "spiffe://td/b";
	tip_buf_reset(&b);
	tip_entry_write(f, &b);
	parse(b.data);
	assert_non_null(strstr(entries[2].hint, "\xef\xbf\xbdx\xef\xbf\xbd"));
	tip_buf_free(&b);
}

static void refused(void **state)
{
	refuse("a: 1\n", 1, 1, "is a list");
	refuse("- a\n", 1, 3, "an entry is expected");
	refuse("- spiffe_id: spiffe://td/a\n", 1, 3, "no selectors");
	refuse("- selectors: [unix:uid:1]\n", 1, 3, "no spiffe_id");
	refuse("- spiffe_id: spiffe://td/a\n  selectors: []\n", 2, 14, "at least one selector");
	refuse("- spiffe_id: spiffe://td/a\n  selectors: unix:uid:1\n", 2, 14, "a list");
	refuse("- spiffe_id: spiffe://td/a\n  selectors: [unix:uid:x]\n", 2, 15, "not a number");
	refuse("- spiffe_id: spiffe://td/a\n  selectors: [[unix:uid:1]]\n", 2, 15, "a text");
	refuse("- spiffe_id: spiffe://td/a\n  selectors: [unix:uid:1, unix:uid:1]\n", 2, 27,
	       "twice");
	refuse("- spiffe_id: spiffe://td\n  selectors: [unix:uid:1]\n", 1, 14, "path is missing");
	refuse("- spiffe_id: spiffe://other/a\n", 1, 14, "trust domain of this daemon is td");
	refuse("- spiffe_id: spiffe://td/spire\n", 1, 14, "reserved");
	refuse("- spiffe_id: spiffe://td/spire/agent\n", 1, 14, "reserved");
	refuse("- spiffe_id:\n", 1, 13, "a text");
	refuse("- spiffeid: x\n", 1, 3, "unknown key \"spiffeid\"");
	refuse("- x509_ttl: 9\n", 1, 13, "between 10 s");
	refuse("- x509_ttl: 400000h\n", 1, 13, "between 10 s");
	refuse("- x509_ttl: 10500ms\n", 1, 13, "whole seconds");
	refuse("- x509_ttl: soon\n", 1, 13, "a duration");
	refuse("- x509_ttl: -5\n", 1, 13, "a duration");
	refuse("- jwt_ttl: 9\n", 1, 12, "jwt_ttl is between 10 s and 24 h");
	refuse("- jwt_ttl: 25h\n", 1, 12, "jwt_ttl is between 10 s");
	refuse("- dns_names: [a..b]\n", 1, 15, "not a DNS name");
	refuse("- dns_names: [-a]\n", 1, 15, "not a DNS name");
	refuse("- dns_names: [\"*\"]\n", 1, 15, "not a DNS name");
	refuse("- dns_names: [a.*.b]\n", 1, 15, "not a DNS name");
	refuse("- dns_names: [a_b]\n", 1, 15, "not a DNS name");
	refuse("- dns_names: [a, A]\n", 1, 18, "twice");
	refuse("- {spiffe_id: spiffe://td/a, selectors: [unix:uid:1, unix:gid:1]}\n"
	       "- {spiffe_id: spiffe://td/a, selectors: [unix:gid:1, unix:uid:1]}\n",
	       2, 3, "at line 1 already");
}

static void large(void **state)
{
	struct tip_buf b = {0};

	tip_buf_adds(&b, "- hint: ");
	for (int i = 0; i < 1025; i++)
		tip_buf_addc(&b, 'h');
	refuse(b.data, 1, 9, "at most 1024 bytes");

	tip_buf_reset(&b);
	tip_buf_adds(&b, "- selectors:\n");
	for (int i = 0; i < 33; i++)
		tip_buf_addf(&b, "  - unix:uid:%d\n", i);
	refuse(b.data, 2, 3, "at most 32");

	tip_buf_reset(&b);
	tip_buf_adds(&b, "- dns_names:\n");
	for (int i = 0; i < 17; i++)
		tip_buf_addf(&b, "  - n%d\n", i);
	refuse(b.data, 2, 3, "at most 16");

	tip_buf_reset(&b);
	tip_buf_adds(&b, "- spiffe_id: spiffe://td/a\n  selectors:\n");
	for (int i = 0; i < 32; i++) {
		tip_buf_adds(&b, "  - unix:path:/");
		for (int j = 0; j < 2000; j++)
			tip_buf_addc(&b, (char)('a' + i % 26));
		tip_buf_addf(&b, "%d\n", i);
	}
	refuse(b.data, 1, 3, "larger than 32 KiB");
	tip_buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(whole, setup, teardown),
		cmocka_unit_test_setup_teardown(matching, setup, teardown),
		cmocka_unit_test_setup_teardown(ids, setup, teardown),
		cmocka_unit_test_setup_teardown(written_and_read_back, setup, teardown),
		cmocka_unit_test_setup_teardown(refused, setup, teardown),
		cmocka_unit_test_setup_teardown(large, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
