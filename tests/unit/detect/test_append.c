/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

/* What the configuration adds to rules: outputs, members of output_fields, a least priority. */

static const char rules[] = "- rule: A\n  desc: d\n  condition: evt.type = openat\n"
			    "  output: a %fd.name\n  priority: Warning\n  tags: [one, two]\n"
			    "- rule: B\n  desc: d\n  condition: evt.type = openat\n"
			    "  output: b %evt.type\n  priority: Informational\n";

static struct tip_rules *load(const struct tip_rules_options *o, struct tip_load_result *res)
{
	const struct tip_rule_source source = {"r.yaml", rules, sizeof(rules) - 1};

	return tip_rules_load_with(&source, 1, o, res);
}

static void renders(const struct tip_rules_options *o, size_t rule, const char *text,
		    const char *fields)
{
	struct tip_matcher *m = tip_matcher_new();
	struct tip_buf t = {0}, f = {0};
	struct tip_load_result res;
	struct tip_rules *r = load(o, &res);
	struct world w;

	assert_non_null(r);
	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT, "/tmp", "/etc/shadow", 0, 3);
	tip_rule_render(tip_rules_get(r, rule), m, &w.in, &t, &f);
	assert_string_equal(t.data, text);
	assert_string_equal(f.data, fields);
	tip_buf_free(&t);
	tip_buf_free(&f);
	tip_matcher_free(m);
	tip_rules_free(r);
	tip_load_result_free(&res);
}

static void outputs_and_fields(void **state)
{
	static const char *const both[] = {"two", "one"}, *const other[] = {"one", "three"};
	const struct tip_rule_append_field fields[] = {
		{"proc.name", NULL}, {"evt.num", NULL}, {"a", "<%proc.name>"}, {"fd.name", "new"}};
	struct tip_rule_append list[] = {
		{.tags = both,
		 .ntags = 2,
		 .output = "by %proc.name",
		 .fields = fields,
		 .nfields = 4},
		{.tags = other, .ntags = 2, .output = "never"},
		{.rule = "A", .source = "syscall", .output = "end"},
	};
	const struct tip_rules_options o = {
		.min_priority = TIP_PRIO_DEBUG, .append = list, .nappend = 3};

	renders(&o, 0, "a /etc/shadow by cat end",
		"\"a\":\"<cat>\",\"evt.num\":7,\"fd.name\":\"new\",\"proc.name\":\"cat\"");
	renders(&o, 1, "b openat", "\"evt.type\":\"openat\"");
}

static void mistakes_have_the_place_of_their_entry(void **state)
{
	const struct tip_rule_append_field no_field = {"proc.nam", NULL},
					   two = {"proc.name x", NULL};
	struct tip_rule_append list[] = {
		{.output = "%no.field", .file = "c.yaml", .line = 4, .column = 7},
		{.fields = &no_field, .nfields = 1, .file = "c.yaml", .line = 5, .column = 7},
		{.fields = &two, .nfields = 1, .file = "c.yaml", .line = 6, .column = 7},
	};

	for (int i = 0; i < 3; i++) {
		const struct tip_rules_options o = {
			.min_priority = TIP_PRIO_DEBUG, .append = &list[i], .nappend = 1};
		struct tip_load_result res;
		const struct tip_load_message *m;

		assert_null(load(&o, &res));
		m = first_error(&res);
		assert_string_equal(m->code, "LOAD_ERR_COMPILE_OUTPUT");
		assert_string_equal(m->at.file, "c.yaml");
		assert_int_equal(m->at.line, 4 + i);
		tip_load_result_free(&res);
	}
}

static void lesser_rules_are_left_out(void **state)
{
	const struct tip_rules_options o = {.min_priority = TIP_PRIO_NOTICE};
	struct tip_load_result res;
	struct tip_rules *r = load(&o, &res);

	assert_non_null(r);
	assert_int_equal(tip_rules_count(r), 1);
	assert_string_equal(tip_rule_info(tip_rules_get(r, 0))->name, "A");
	tip_rules_free(r);
	tip_load_result_free(&res);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outputs_and_fields),
		cmocka_unit_test(mistakes_have_the_place_of_their_entry),
		cmocka_unit_test(lesser_rules_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
