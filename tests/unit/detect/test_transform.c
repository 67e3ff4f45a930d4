/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

/* Transformers and val(): what they yield, where they may stand, what they refuse. */

static void values(void **state)
{
	static const struct verdict rows[] = {
		{"toupper(proc.name) = CAT", true},
		{"toupper(proc.name) = cat", false},
		{"tolower(toupper(proc.name)) = cat", true},
		{"tolower( proc.name ) = cat", true},
		{"basename(fd.name) = shadow", true},
		{"basename(proc.name) = cat", true},
		{"basename(fd.name) in (passwd, shadow)", true},
		{"basename(fd.name) endswith low", false},
		{"len(fd.name) = 11", true},
		{"len(fd.name) > 11", false},
		{"len(toupper(fd.name)) in (10, 11)", true},
		{"b64(concat('L2V0Yy9zaGFkb3c', '=')) = val(fd.name)", true},
		{"b64(concat('L2V0Yy9zaGFkb3c', '')) = /etc/shadow", true},
		/* no base64: unset */
		{"b64(proc.cmdline) exists", false},
		{"not b64(proc.cmdline) = x", true},
		{"join('-', (proc.name, proc.pname)) = cat-bash", true},
		{"join('', (proc.name)) = cat", true},
		{"join('/', ('a', \"b\", 7)) = a/b/7", true},
		{"join(':', (proc.name, proc.pid)) = cat:104", true},
		{"join(',', ()) = ''", true},
		{"join('-', (toupper(proc.name), basename(fd.name))) = CAT-shadow", true},
		{"concat(proc.name, '@', proc.pname) = cat@bash", true},
		{"len(concat(proc.name, proc.pname)) = 7", true},
		{"tolower(proc.name) exists", true},
		{"tolower(proc.name) startswith anyof (x, ca)", true},
		{"tolower(proc.name) regex 'c.t'", true},
		{"tolower(proc.name) pmatch (cat)", true},
		/* a value that is unset leaves what is made of it unset */
		{"tolower(spiffe.id) exists", false},
		{"concat(proc.name, spiffe.id) exists", false},
		{"join('-', (proc.name, spiffe.id)) exists", false},
		{"len(spiffe.id) = 0", false},
		{"not len(spiffe.id) = 0", true},
	};
	struct world w;

	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/etc/shadow", O_RDONLY, 3);
	VERDICTS(rows, &w);
}

static void right_side(void **state)
{
	static const struct verdict rows[] = {
		{"proc.name = val(proc.name)", true},
		{"proc.name = val(proc.pname)", false},
		{"proc.name != val(proc.pname)", true},
		{"proc.cmdline contains val(fd.name)", true},
		{"proc.cmdline contains val(proc.pname)", false},
		{"proc.exepath endswith val(proc.name)", true},
		{"proc.cmdline icontains toupper(proc.name)", true},
		{"fd.name = tolower(fd.name)", true},
		{"fd.name = toupper(fd.name)", false},
		{"proc.pid != val(proc.ppid)", true},
		{"proc.pid > val(proc.ppid)", true},
		{"proc.pid < val(proc.ppid)", false},
		{"proc.name in val(proc.name)", true},
		{"proc.name intersects val(proc.pname)", false},
		{"proc.pname < val(proc.name)", true},
		{"proc.name = val(proc.aname[0])", true},
		{"toupper(proc.name) = toupper(proc.aname[0])", true},
		{"evt.is_open_read = val(evt.is_open_write)", false},
		/* unset on either side is no match, whatever the operator */
		{"proc.name = val(spiffe.id)", false},
		{"proc.name != val(spiffe.id)", false},
		{"spiffe.id != val(proc.name)", false},
		{"not proc.name = val(spiffe.id)", true},
		/* without val() a field's name is a text */
		{"proc.name = proc.name", false},
	};
	struct world w;

	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/etc/shadow", O_RDONLY, 3);
	VERDICTS(rows, &w);
}

static void options(void **state)
{
	static const struct verdict rows[] = {
		{"getopt(('-n', ''), 'n') intersects (n)", true},
		{"getopt(('-n'), 'n') intersects (t)", false},
		{"getopt(('-nt', 'hello'), 'nt:') in (n, t, hello)", true},
		{"getopt(('-nt', 'hello'), 'nt:') in (n, t)", false},
		{"getopt(('-thello'), 't:') in (t, hello)", true},
		{"getopt(('-n', '--', '-t'), 'nt:') intersects (t)", false},
		{"getopt(('-n', 'word', '-t'), 'nt:') intersects (t)", false},
		{"getopt(('--long', '-n'), 'n')[n] = n", true},
		{"getopt(('-x', '-n'), 'n') in ('?', n)", true},
		{"getopt(('-lpe', '/bin/sh'), 'lp:e:') in (l, p, e)", true},
		{"getopt(('-t'), 't:')[t] = ''", true},
		{"getopt(('-t'), 't:')[n] exists", false},
		{"getopt(('-t', 'a', '-tb'), 't:')[t] = b", true},
		{"len(getopt(('-a', '-b'), 'ab')) = 2", true},
		{"len(getopt(('word'), 'ab')) = 0", true},
		{"getopt(('word'), 'ab') exists", true},
		{"toupper(getopt(('-a', '-b'), 'ab')) in (A, B)", true},
		{"join('', getopt(('-a', '-b'), 'ab')) = ab", true},
		{"getopt((proc.name), 'ab') intersects (a)", false},
	};
	struct world w;

	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/etc/shadow", O_RDONLY, 3);
	VERDICTS(rows, &w);
}

static void refusals(void **state)
{
	static const struct {
		const char *condition;
		int column; /* in the condition, one-based */
	} rows[] = {
		{"tolower(proc.pid) = 1", 1},
		{"tolower(proc.nam) = a", 9},
		{"tolower() = a", 9},
		{"tolower(proc.name = a", 19},
		{"tolower(proc.name, fd.name) = a", 1},
		{"tolower(proc.name)", 19},
		{"tolower (proc.name) = a", 9},
		{"tolower(proc.name)[1] = a", 1},
		{"frob(proc.name) = a", 5},
		{"basename(proc.pid) = 1", 1},
		{"b64(proc.pid) = 1", 1},
		{"b64(fd.name) = a", 1},
		{"len(proc.pid) = 1", 1},
		{"len(proc.name) contains 1", 16},
		{"len(proc.name) = x", 18},
		{"join('-') = a", 1},
		{"join('-', proc.name) = a", 1},
		{"join(('-'), (proc.name)) = a", 1},
		{"join('-', ((proc.name))) = a", 12},
		{"concat(proc.name) = a", 1},
		{"concat(proc.name, proc.pid) = a", 1},
		{"concat(proc.name, (proc.name)) = a", 1},
		{"getopt(proc.name, 'a') exists", 1},
		{"getopt((word), 'a') exists", 9},
		{"getopt(('-a'), 'a') = a", 21},
		{"getopt(('-a'), 'a')[ab] = a", 1},
		{"getopt(('-a'), ('a')) exists", 1},
		{"tolower(proc.aname) = a", 9},
		{"tolower(fd.ip) = a", 9},
		{"tolower(val(proc.name)) = a", 9},
		{"val(proc.name) = a", 4},
		{"proc.name = val(tolower(proc.name))", 17},
		{"proc.name = val('a')", 17},
		{"proc.name = val(proc.name", 26},
		{"proc.name = val(proc.nam)", 17},
		{"proc.name = val(proc.pid)", 13},
		{"proc.name = len(proc.name)", 13},
		{"proc.pid = val(proc.name)", 12},
		{"proc.name regex val(proc.name)", 11},
		{"proc.name pmatch val(proc.name)", 11},
		{"proc.aname = val(proc.name)", 1},
		{"proc.name = val(proc.aname)", 13},
		{"fd.ip = val(fd.sip)", 1},
		{"fd.snet = val(fd.sip)", 1},
		{"fd.sip = val(fd.ip)", 10},
		{"proc.name in (val(proc.name))", 18},
		{"tolower(proc.name) = 'a", 22},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++) {
		struct tip_load_result res;
		struct tip_rules *r = load_rule("", rows[i].condition, "x", &res);
		const struct tip_load_message *m = first_error(&res);

		if (r || !m)
			fail_msg("loads: %s", rows[i].condition);
		if (m->at.line != 6 || m->at.column != rows[i].column + 4) {
			print_messages(&res);
			fail_msg("expected column %d, not %d: %s", rows[i].column, m->at.column - 4,
				 rows[i].condition);
		}
		tip_load_result_free(&res);
	}
}

/* With few values and with as many as make a set of them. */
static void modifiers(void **state)
{
	static const struct verdict rows[] = {
		{"proc.name = anyof (cat, dog)", true},
		{"proc.name = oneof (cat, dog)", true},
		{"proc.name = oneof (cat, cat)", false},
		{"proc.name = allof (cat, cat)", true},
		{"proc.name = allof (cat, dog)", false},
		{"proc.name = anyof ()", false},
		{"proc.name = allof ()", false},
		{"proc.name = anyof (a, b, c, d, e, f, cat)", true},
		{"proc.name = oneof (a, b, c, d, e, f, cat)", true},
		{"proc.name = oneof (a, cat, c, d, e, f, cat)", false},
		{"proc.name = allof (a, b, c, d, e, f, cat)", false},
		{"proc.name != anyof (cat, dog)", true},
		{"proc.name != anyof (cat, cat)", false},
		{"proc.name != oneof (cat, dog)", true},
		{"proc.name != oneof (a, dog)", false},
		{"proc.name != allof (cat, dog)", false},
		{"proc.name != allof (a, dog)", true},
		{"proc.name != allof (a, b, c, d, e, f, cat)", false},
		{"proc.name != allof (a, b, c, d, e, f, g)", true},
		{"proc.name != anyof (a, b, c, d, e, f, cat)", true},
		{"evt.type != anyof (open, openat)", true},
		{"evt.type != allof (open, openat)", false},
		{"evt.type = oneof (open, openat)", true},
		{"evt.type = allof (open, openat)", false},
		{"proc.pid = oneof (104, 1)", true},
		{"proc.pid = allof (104, 1)", false},
		{"proc.pid != allof (3, 1)", true},
		{"fd.name startswith oneof (/etc, /etc/sh)", false},
		{"fd.name startswith oneof (/etc, /usr)", true},
		{"fd.name startswith allof (/etc, /etc/sh)", true},
		{"fd.name startswith anyof (/usr, /etc/sh)", true},
		{"fd.name endswith allof (w, ow, dow, adow, hadow, shadow)", true},
		{"fd.name endswith allof (w, ow, dow, adow, hadow, x)", false},
		{"fd.name endswith oneof (w, a, b, c, d, e, f)", true},
		{"fd.name endswith oneof (w, ow, b, c, d, e, f)", false},
		{"fd.name contains allof (etc, shadow, e, t, c, s, h)", true},
		{"fd.name contains allof (etc, shadow, e, t, c, s, z)", false},
		{"fd.name contains oneof (z, y, x, q, etc, j, k)", true},
		{"fd.name contains oneof (z, y, x, q, etc, shadow, k)", false},
		{"fd.name contains anyof (z, y, x, q, j, shadow, k)", true},
		{"fd.name icontains oneof (ETC, SHADOW)", false},
		{"fd.name glob oneof (/etc/*, /usr/*)", true},
		{"fd.name regex allof ('/etc/.*', '.*w')", true},
		{"not fd.name startswith oneof (/etc, /usr)", false},
		/* a word may be a value */
		{"proc.name = oneof", false},
		{"proc.name = oneof or proc.name = cat", true},
		{"proc.name = anyof and proc.name = cat", false},
	};
	struct world w;

	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/etc/shadow", O_RDONLY, 3);
	VERDICTS(rows, &w);
}

static void hit(void *ctx, const struct tip_rule *rule, const struct tip_match_input *in)
{
	*(const struct tip_rule **)ctx = rule;
}

static void outputs(void **state)
{
	static const struct {
		const char *output, *text, *fields;
	} rows[] = {
		{"x %toupper(proc.name).", "x CAT.", "\"proc.name\":\"cat\""},
		{"%len(fd.name) %fd.name", "11 /etc/shadow", "\"fd.name\":\"/etc/shadow\""},
		{"%join(\"->\", (proc.pname, tolower(proc.name)))!", "bash->cat!",
		 "\"proc.name\":\"cat\",\"proc.pname\":\"bash\""},
		{"%concat(proc.name, 'x')", "catx", "\"proc.name\":\"cat\""},
		{"%tolower(spiffe.id)", "<NA>", "\"spiffe.id\":null"},
	};
	static const char *const bad[] = {"%tolower(proc.pid)", "%tolower(proc.name",
					  "%frob(proc.name)",   "%tolower(proc.aname)",
					  "%val(proc.name)",    "%tolower(proc.nam)",
					  "%concat(proc.name)"};
	struct world w;

	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/etc/shadow", O_RDONLY, 3);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++) {
		char *quoted = tip_sprintf("\"%s\"", rows[i].output);
		struct tip_buf text = {0}, fields = {0};
		const struct tip_rule *rule = NULL;
		struct tip_matcher *m = tip_matcher_new();
		struct tip_load_result res;
		struct tip_rules *r;

		for (char *q = quoted + 1; q[1]; q++)
			if (*q == '"')
				*q = '\'';
		r = load_rule("", "evt.type = openat", quoted, &res);
		if (!r)
			print_messages(&res);
		assert_non_null(r);
		assert_int_equal(tip_rules_match(r, m, &w.in, false, hit, &rule), 1);
		tip_rule_render(rule, m, &w.in, &text, &fields);
		assert_string_equal(text.data, rows[i].text);
		assert_string_equal(fields.data, rows[i].fields);
		tip_buf_free(&text);
		tip_buf_free(&fields);
		tip_matcher_free(m);
		tip_rules_free(r);
		tip_load_result_free(&res);
		free(quoted);
	}
	for (size_t i = 0; i < TIP_ARRAY_SIZE(bad); i++) {
		char *quoted = tip_sprintf("'%s'", bad[i]);
		struct tip_load_result res;

		assert_null(load_rule("", "evt.type = openat", quoted, &res));
		assert_string_equal(first_error(&res)->code, "LOAD_ERR_COMPILE_OUTPUT");
		tip_load_result_free(&res);
		free(quoted);
	}
}

/* Deep nesting ends in an error, not in the stack's end. */
static void depth(void **state)
{
	static const struct {
		int levels;
		bool loads;
	} rows[] = {{99, true}, {101, false}, {20000, false}};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++) {
		struct tip_load_result res;
		struct tip_buf b = {0};
		struct tip_rules *r;

		for (int k = 0; k < rows[i].levels; k++)
			tip_buf_adds(&b, "tolower(");
		tip_buf_adds(&b, "proc.name");
		for (int k = 0; k < rows[i].levels; k++)
			tip_buf_addc(&b, ')');
		tip_buf_adds(&b, " = a");
		r = load_rule("", b.data, "x", &res);
		assert_int_equal(r != NULL, rows[i].loads);
		tip_rules_free(r);
		tip_load_result_free(&res);
		tip_buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),   cmocka_unit_test(right_side), cmocka_unit_test(options),
		cmocka_unit_test(refusals), cmocka_unit_test(modifiers),  cmocka_unit_test(outputs),
		cmocka_unit_test(depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
