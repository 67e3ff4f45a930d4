/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include "tipstaff/abi.h"

/* Rules with an action: what the kernel can decide, and what is refused. */

#define TYPES "evt.type in (open, openat, openat2)"
#define EXECS "evt.type in (execve, execveat)"
#define ID    "spiffe://td/web"

#define RW      (TIP_ACCESS_READ | TIP_ACCESS_WRITE)
#define EXEC    (1u << TIP_JUDGED_EXEC)
#define CONNECT (1u << TIP_JUDGED_CONNECT)
#define BIND    (1u << TIP_JUDGED_BIND)

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

static const struct tip_enforce_spec *spec_of(struct tip_rules *r, struct tip_load_result *res,
					      const char *condition)
{
	if (!r) {
		print_messages(res);
		fail_msg("does not load: %s", condition);
	}
	return tip_rule_enforce_spec(tip_rules_get(r, 0));
}

static void describe(const struct tip_enforce_term *t, struct tip_buf *out)
{
	static const char *const names[TIP_DIM_MAX] = {
		[TIP_DIM_IDENTITY] = "id",   [TIP_DIM_INO] = "ino",   [TIP_DIM_DEV] = "dev",
		[TIP_DIM_EXE_INO] = "exe#",  [TIP_DIM_PATH] = "path", [TIP_DIM_EXE] = "exe",
		[TIP_DIM_CGROUP] = "cgroup", [TIP_DIM_ADDR] = "addr", [TIP_DIM_PORT] = "port",
	};

	tip_buf_addf(out, "%s%s%s:", out->len ? " " : "", t->spares ? "!" : "", names[t->dim]);
	for (size_t i = 0; i < t->nvalues; i++) {
		const struct tip_enforce_value *v = &t->values[i];
		const char *comma = i ? "," : "";

		if (t->dim == TIP_DIM_ADDR || t->dim == TIP_DIM_PORT)
			tip_buf_addf(out, "%s%u.%u.%u.%u/%u@%u", comma, v->bytes[0], v->bytes[1],
				     v->bytes[2], v->bytes[3], v->bits, v->table);
		else if (v->text)
			tip_buf_addf(out, "%s%s%s", comma, v->text,
				     v->how == TIP_ENFORCE_PREFIX ? "*"
				     : v->how == TIP_ENFORCE_GLOB ? "?"
								  : "");
		else
			tip_buf_addf(out, "%s%llu", comma, (unsigned long long)v->number);
	}
}

static void decidable(void **state)
{
	static const struct {
		const char *condition;
		uint32_t acts;
		const char *terms;
	} rows[] = {
		{"opens and fd.path.real = /a and web", RW, "path:/a id:" ID},
		{TYPES " and fd.path.real in (/a, /b) and spiffe.id in (" ID ", spiffe://td/x)", RW,
		 "path:/a,/b id:" ID ",spiffe://td/x"},
		{"fd.path.real startswith /a/ and opens and not spiffe.id = " ID, RW,
		 "path:/a/* !id:" ID},
		{"opens and evt.is_open_write = true and fd.path.real = /a", TIP_ACCESS_WRITE,
		 "path:/a"},
		{"(opens and (evt.is_open_read = true)) and (fd.path.real = /a and not not web)",
		 TIP_ACCESS_READ, "path:/a id:" ID},
		{"evt.type in (creat, open, openat2, openat) and fd.path.real = /a", RW, "path:/a"},
		{"opens and fd.path.real pmatch (/a/b, /)", RW, "path:/a/b,/a/b/*,/*"},
		{"opens and fd.path.real startswith / and not fd.path.real startswith /usr/ and "
		 "web",
		 RW, "path:/* !path:/usr/* id:" ID},
		{"opens and fd.ino in (1, 2) and fd.dev = 3 and proc.exe_ino = 4", RW,
		 "ino:1,2 dev:3 exe#:4"},
		{"opens and web and not proc.exepath = /bin/x", RW, "id:" ID " !exe:/bin/x"},
		{"opens and proc.cgroup startswith /a/ and fd.path.real = /b", RW,
		 "cgroup:/a/* path:/b"},
		{"opens and proc.cgroup = / and fd.path.real = /b", RW, "cgroup:/ path:/b"},
		{"opens and fd.path.real = /a and spiffe.id startswith spiffe://td", RW,
		 "path:/a id:spiffe://td*"},
		{"opens and fd.path.real = /a and not spiffe.id glob 'spiffe://td/*/x'", RW,
		 "path:/a !id:spiffe://td/*/x?"},
		{"opens and fd.path.real = /a and web and not spiffe.id = " ID, RW,
		 "path:/a id:" ID " !id:" ID},
		{EXECS " and proc.exepath = /bin/nc and proc.exe_ino = 7 and web", EXEC,
		 "path:/bin/nc ino:7 id:" ID},
		{"evt.type = connect and fd.sip = 10.0.0.1 and web", CONNECT,
		 "addr:10.0.0.1/32@0 id:" ID},
		{"evt.type = connect and fd.snet in (10.1.2.3/8, fd00::/16)", CONNECT,
		 "addr:10.0.0.0/8@0,253.0.0.0/16@1"},
		{"evt.type = connect and fd.sip = ::ffff:10.0.0.1", CONNECT, "addr:10.0.0.1/32@0"},
		{"evt.type = connect and fd.sport = 80 and web", CONNECT,
		 "id:" ID " port:0.80.0.0/16@2"},
		{"evt.type = bind and fd.sport < 1024 and fd.sport > 0 and not fd.sport >= 4", BIND,
		 "port:0.1.0.0/16@2,0.2.0.0/15@2"},
		{"evt.type = bind and fd.sport < 1024", BIND, "port:0.0.0.0/6@2"},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++) {
		struct tip_load_result res;
		struct tip_rules *r = load_action(rows[i].condition, "kill", &res);
		const struct tip_enforce_spec *s = spec_of(r, &res, rows[i].condition);
		struct tip_buf said = {0};

		for (size_t t = 0; t < s->nterms; t++)
			describe(&s->terms[t], &said);
		assert_int_equal(s->acts, rows[i].acts);
		assert_string_equal(said.data, rows[i].terms);
		tip_buf_free(&said);
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
		{"opens", 10, 14},
		{"opens and not spiffe.id = " ID, 10, 14},
		{"evt.type = execve and proc.exepath = /a", 10, 14},
		{"evt.type = openat and fd.path.real = /a", 10, 14},
		{"evt.type in (open, openat, openat2, execve) and web", 10, 14},
		{"evt.type in (connect, listen) and web", 10, 14},
		{"evt.type in (connect, ptrace) and web", 10, 14},
		{"evt.type = accept and web", 10, 14},
		{"evt.type = connect and opens and web", 2, 14},
		{"not opens and fd.path.real = /a", 2, 14},
		{"opens and fd.path.real = /a and proc.name = x", 10, 46},
		{"opens and fd.name = /a and web", 10, 24},
		{"opens and (fd.path.real = /a or fd.path.real = /b)", 10, 25},
		{"opens and not (fd.path.real = /a and web)", 10, 29},
		{"opens and fd.path.real = /a and fd.path.real = /b", 10, 46},
		{"opens and fd.path.real contains a", 10, 24},
		{"opens and fd.path.real startswith oneof (/a, /b)", 10, 24},
		{"opens and fd.path.real = a", 10, 39},
		{"opens and fd.path.real = /a/../b", 10, 39},
		{"opens and fd.path.real = /a//b", 10, 39},
		{"opens and fd.path.real = /a/", 10, 39},
		{"opens and fd.path.real pmatch (/a, '/b*')", 10, 49},
		{"opens and fd.path.real in (/a, /b/.)", 10, 45},
		{"opens and fd.path.real = /a and spiffe.id != " ID, 10, 46},
		{"opens and fd.path.real = /a and not spiffe.origin.id = " ID, 10, 50},
		{"opens and fd.path.real = /a and not web", 4, 14},
		{"opens and fd.path.real = /a and spiffe.id exists", 10, 46},
		{"opens and fd.path.real = /a and spiffe.id regex x", 10, 46},
		{"opens and fd.path.real = /a and spiffe.id = web", 10, 58},
		{"opens and fd.path.real = /a and web and spiffe.id = " ID, 10, 54},
		{"opens and fd.path.real = /a and evt.is_open_read = false", 10, 46},
		{"opens and fd.path.real = /a and not evt.is_open_read = true", 10, 50},
		{"opens and fd.path.real = /a and evt.is_open_read = true and evt.is_open_write = "
		 "true",
		 10, 74},
		{"opens and web and fd.ino > 5", 10, 32},
		{"opens and web and fd.sport = 80", 10, 32},
		{"evt.type = connect and web and fd.path.real = /a", 10, 45},
		{"evt.type = connect and web and evt.is_open_read = true", 10, 45},
		{"evt.type = connect and fd.sport < 80 and fd.sport > 90", 10, 14},
		{EXECS " and web and fd.path.real = /a", 10, 57},
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
	char path[TIP_RULE_TEXT + 1], condition[TIP_RULE_TEXT + 100];
	struct tip_load_result res;
	struct tip_rules *r;

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[TIP_RULE_TEXT - 1] = '\0';
	snprintf(condition, sizeof(condition), "opens and fd.path.real = %s", path);
	r = load_action(condition, "kill", &res);
	assert_non_null(r);
	tip_load_result_free(&res);
	tip_rules_free(r);
	path[TIP_RULE_TEXT - 1] = 'a';
	path[TIP_RULE_TEXT] = '\0';
	snprintf(condition, sizeof(condition), "opens and fd.path.real = %s", path);
	assert_null(load_action(condition, "kill", &res));
	tip_load_result_free(&res);
}

static void no_action_no_spec(void **state)
{
	struct tip_load_result res;
	struct tip_rules *r = load_rule("", TYPES " and fd.path.real = /a", "x", &res);

	assert_non_null(r);
	assert_null(tip_rule_enforce_spec(tip_rules_get(r, 0)));
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
