/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include "tipstaff/abi.h"

/* Rules with an action: what the kernel can decide, and what is refused. */

#define TYPES "evt.type in (open, openat, openat2)"
#define ID    "spiffe://td/web"

static struct tip_rules *load_action(const char *condition, const char *action,
				     struct tip_load_result *res)
{
	struct tip_buf b = {0};
	struct tip_rules *r;

	tip_buf_addf(&b,
		     "- macro: opens\n  condition: %s\n"
		     "- macro: web\n  condition: spiffe.origin.id = %s\n"
		     "- rule: r\n  desc: d\n  priority: INFO\n  output: x\n  action: %s\n"
		     "  condition: %s\n",
		     TYPES, ID, action, condition);
	r = load_text(b.data, res);
	tip_buf_free(&b);
	return r;
}

static const struct tip_kill_spec *spec_of(struct tip_rules *r, struct tip_load_result *res,
					   const char *condition)
{
	if (!r) {
		print_messages(res);
		fail_msg("does not load: %s", condition);
	}
	return tip_rule_kill_spec(tip_rules_get(r, 0));
}

static void decidable(void **state)
{
	static const struct {
		const char *condition;
		size_t npaths;
		const char *path;
		bool prefix, any;
		uint32_t access;
		size_t nids;
	} rows[] = {
		{"opens and fd.path.real = /a and web", 1, "/a", false, false, 3, 1},
		{TYPES " and fd.path.real in (/a, /b) and spiffe.id in (" ID ", spiffe://td/x)", 2,
		 "/a", false, false, 3, 2},
		{"fd.path.real startswith /a/ and opens and not spiffe.id = " ID, 1, "/a/", true,
		 true, 3, 1},
		{"opens and evt.is_open_write = true and fd.path.real = /a", 1, "/a", false, true,
		 TIP_ACCESS_WRITE, 0},
		{"(opens and (evt.is_open_read = true)) and (fd.path.real = /a and not not web)", 1,
		 "/a", false, false, TIP_ACCESS_READ, 1},
		{"evt.type in (creat, open, openat2, openat) and fd.path.real = /a", 1, "/a", false,
		 true, 3, 0},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++) {
		struct tip_load_result res;
		struct tip_rules *r = load_action(rows[i].condition, "kill", &res);
		const struct tip_kill_spec *k = spec_of(r, &res, rows[i].condition);

		assert_int_equal(k->npaths, rows[i].npaths);
		assert_string_equal(k->paths[0], rows[i].path);
		assert_int_equal(k->prefix[0], rows[i].prefix);
		assert_int_equal(k->any, rows[i].any);
		assert_int_equal(k->access, rows[i].access);
		assert_int_equal(k->nids, rows[i].nids);
		if (k->nids)
			assert_string_equal(k->ids[0], ID);
		tip_load_result_free(&res);
		tip_rules_free(r);
	}
}

static void refused(void **state)
{
	/* the condition is line 10, from column 14 on */
	static const struct {
		const char *condition;
		int line, column;
	} rows[] = {
		{"fd.path.real = /a and web", 10, 14},
		{"opens and web", 10, 14},
		{"opens", 10, 14},
		{"evt.type = execve and proc.exepath = /a", 10, 14},
		{"evt.type = openat and fd.path.real = /a", 10, 14},
		{"not opens and fd.path.real = /a", 2, 14},
		{"opens and fd.path.real = /a and proc.name = x", 10, 46},
		{"opens and fd.name = /a and web", 10, 24},
		{"opens and (fd.path.real = /a or fd.path.real = /b)", 10, 25},
		{"opens and not (fd.path.real = /a and web)", 10, 29},
		{"opens and not fd.path.real = /a", 10, 28},
		{"opens and fd.path.real = /a and fd.path.real = /b", 10, 46},
		{"opens and fd.path.real contains a", 10, 24},
		{"opens and fd.path.real startswith oneof (/a, /b)", 10, 24},
		{"opens and fd.path.real = a", 10, 39},
		{"opens and fd.path.real = /a/../b", 10, 39},
		{"opens and fd.path.real = /a//b", 10, 39},
		{"opens and fd.path.real = /a/", 10, 39},
		{"opens and fd.path.real in (/a, /b/.)", 10, 45},
		{"opens and fd.path.real = /a and spiffe.id != " ID, 10, 46},
		{"opens and fd.path.real = /a and not spiffe.origin.id = " ID, 10, 50},
		{"opens and fd.path.real = /a and not web", 4, 14},
		{"opens and fd.path.real = /a and spiffe.id exists", 10, 46},
		{"opens and fd.path.real = /a and spiffe.id startswith spiffe://td", 10, 46},
		{"opens and fd.path.real = /a and spiffe.id = web", 10, 58},
		{"opens and fd.path.real = /a and web and spiffe.id = " ID, 10, 54},
		{"opens and fd.path.real = /a and evt.is_open_read = false", 10, 46},
		{"opens and fd.path.real = /a and not evt.is_open_read = true", 10, 50},
		{"opens and fd.path.real = /a and evt.is_open_read = true and evt.is_open_write = "
		 "true",
		 10, 74},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++) {
		struct tip_load_result res;
		struct tip_rules *r = load_action(rows[i].condition, "deny", &res);
		const struct tip_load_message *m = first_error(&res);

		if (r || !m)
			fail_msg("loads: %s", rows[i].condition);
		if (strcmp(m->code, "LOAD_ERR_VALIDATE") != 0 || m->at.line != rows[i].line ||
		    m->at.column != rows[i].column)
			fail_msg("%s: %d:%d %s %s", rows[i].condition, m->at.line, m->at.column,
				 m->code, m->at.text);
		tip_load_result_free(&res);
	}
}

static void length_is_bounded(void **state)
{
	char path[TIP_KILL_PATH + 1], condition[TIP_KILL_PATH + 100];
	struct tip_load_result res;
	struct tip_rules *r;

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[TIP_KILL_PATH - 1] = '\0';
	snprintf(condition, sizeof(condition), "opens and fd.path.real = %s", path);
	r = load_action(condition, "kill", &res);
	assert_non_null(r);
	tip_load_result_free(&res);
	tip_rules_free(r);
	path[TIP_KILL_PATH - 1] = 'a';
	path[TIP_KILL_PATH] = '\0';
	snprintf(condition, sizeof(condition), "opens and fd.path.real = %s", path);
	assert_null(load_action(condition, "kill", &res));
	tip_load_result_free(&res);
}

static void no_action_no_spec(void **state)
{
	struct tip_load_result res;
	struct tip_rules *r = load_rule("", TYPES " and fd.path.real = /a", "x", &res);

	assert_non_null(r);
	assert_null(tip_rule_kill_spec(tip_rules_get(r, 0)));
	assert_int_equal(tip_rule_info(tip_rules_get(r, 0))->action, TIP_ACTION_NONE);
	tip_load_result_free(&res);
	tip_rules_free(r);
	r = load_action("opens and fd.path.real = /a", "deny", &res);
	assert_non_null(r);
	assert_int_equal(tip_rule_info(tip_rules_get(r, 0))->action, TIP_ACTION_DENY);
	tip_load_result_free(&res);
	tip_rules_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decidable),
		cmocka_unit_test(refused),
		cmocka_unit_test(length_is_bounded),
		cmocka_unit_test(no_action_no_spec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
