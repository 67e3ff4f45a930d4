/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

/* What the loader says: codes, and the way to each message from the outside in. */

struct row {
	const char *text;
	const char *code;
	/* without "rules content", which stands before all: "rule 'r' 0:2:2 | rule priority
	 * 3:12:40" */
	const char *way;
};

#define COND "LOAD_ERR_COMPILE_CONDITION"
#define YAML "LOAD_ERR_YAML_VALIDATE"
#define VAL  "LOAD_ERR_VALIDATE"
#define OUT  "LOAD_ERR_COMPILE_OUTPUT"
#define HEAD "- rule: r\n  desc: d\n  priority: INFO\n  output: x\n"
#define RULE HEAD "  condition: evt.type=open\n"
#define EXC  RULE "  exceptions:\n"

static char *way_of(const struct tip_load_message *m)
{
	struct tip_buf b = {0};

	tip_buf_adds(&b, "");
	for (size_t i = 1; i < m->nlocations; i++) {
		const struct tip_load_location *at = &m->locations[i];

		tip_buf_addf(&b, "%s%s", i > 1 ? " | " : "", at->item_type);
		if (*at->item_name)
			tip_buf_addf(&b, " '%s'", at->item_name);
		tip_buf_addf(&b, " %zu:%zu:%zu", at->line, at->column, at->offset);
	}
	return b.data;
}

static void run_rows(const struct row *rows, size_t count)
{
	int wrong = 0;

	for (size_t i = 0; i < count; i++) {
		struct tip_load_result res;
		struct tip_rules *r = load_text(rows[i].text, &res);
		const struct tip_load_message *m = find_message(&res, rows[i].code);
		bool error = strncmp(rows[i].code, "LOAD_ERR_", 9) == 0;

		if (!m || (error && r) || (!error && !r)) {
			print_error("no %s, or loads as it should not: %s\n", rows[i].code,
				    rows[i].text);
			print_messages(&res);
			wrong++;
		} else {
			char *way = way_of(m);

			assert_string_equal(m->locations[0].item_type, "rules content");
			assert_string_equal(m->locations[0].name, "t.yaml");
			if (strcmp(way, rows[i].way) != 0) {
				print_error("expected %s\nnot      %s\nfor %s\n", rows[i].way, way,
					    rows[i].text);
				wrong++;
			}
			free(way);
		}
		tip_load_result_free(&res);
		tip_rules_free(r);
	}
	assert_int_equal(wrong, 0);
}

static void items(void **state)
{
	static const struct row rows[] = {
		{"just text\n", YAML, ""},
		{"a: b\n", YAML, ""},
		{"- a\n", YAML, "rules content item 0:2:2"},
		{"- rule: [\n", "LOAD_ERR_YAML_PARSE", "value for 1:0:10"},
		{"- required_engine_version: x\n", YAML, "required_engine_version 0:2:2"},
		{"- required_engine_version: 9.9.9\n", VAL, "required_engine_version 0:2:2"},
		{"- rule:\n", YAML, "rule 0:2:2"},
		{"- macro: m\n", YAML, "macro 'm' 0:2:2"},
		{"- list: l\n", YAML, "list 'l' 0:2:2"},
		{"- list: l\n  items: a\n", YAML, "list 'l' 0:2:2 | value for 'items' 1:9:19"},
		{"- list: l\n  items: [[a]]\n", YAML,
		 "list 'l' 0:2:2 | value for 'items' 1:9:19 | list item 1:10:20"},
		{"- rule: r\n  desc: d\n  priority: INFO\n  condition: evt.type=open\n", YAML,
		 "rule 'r' 0:2:2"},
		{"- rule: r\n  desc: d\n  output: x\n  condition: evt.type=open\n  priority: "
		 "WARN\n",
		 YAML, "rule 'r' 0:2:2 | rule priority 4:12:71"},
		{"- list: l\n  items: []\n  append: true\n", VAL, "list 'l' 0:2:2"},
		{"- macro: m\n  condition: a\n  append: true\n", VAL, "macro 'm' 0:2:2"},
		{"- rule: r\n  condition: a\n  append: true\n", VAL, "rule 'r' 0:2:2"},
		{"- rule: r\n  condition: a\n  override: {condition: append}\n", VAL,
		 "rule 'r' 0:2:2"},
		{RULE "- rule: r\n  append: true\n", VAL, "rule 'r' 5:2:78"},
		{RULE "- rule: r\n  output: x\n  override: {priority: append}\n", YAML,
		 "rule 'r' 5:2:78 | overrides 5:2:78 | value for 'priority' 7:23:121"},
		{RULE "- rule: r\n  output: x\n  override: {colour: replace}\n", YAML,
		 "rule 'r' 5:2:78 | overrides 5:2:78 | overrides 'colour' 7:13:111"},
		/* warnings stand at the item */
		{RULE "  colour: red\n", "LOAD_UNKNOWN_KEY", "rule 'r' 0:2:2"},
		{"- colour: red\n", "LOAD_UNKNOWN_ITEM", "rules content item 0:2:2"},
		{"- macro: m\n  condition: evt.type=open\n", "LOAD_UNUSED_MACRO",
		 "macro 'm' 0:2:2"},
		{"- list: l\n  items: [a]\n", "LOAD_UNUSED_LIST", "list 'l' 0:2:2"},
		{"- macro: a-b\n  condition: evt.type=open\n", "LOAD_INVALID_MACRO_NAME",
		 "macro 'a-b' 0:2:2"},
		{"- list: a b\n  items: [a]\n", "LOAD_INVALID_LIST_NAME", "list 'a b' 0:2:2"},
		{HEAD "  source: k8s_audit\n  condition: evt.type=open\n", "LOAD_UNKNOWN_SOURCE",
		 "rule 'r' 0:2:2"},
		{RULE "- rule: r\n  enabled: false\n", "LOAD_DEPRECATED_ITEM", "rule 'r' 5:2:78"},
		{HEAD "  condition: proc.name = a\n", "LOAD_NO_EVTTYPE", "rule 'r' 0:2:2"},
	};

	run_rows(rows, TIP_ARRAY_SIZE(rows));
}

static void exceptions(void **state)
{
	static const struct row rows[] = {
		{EXC "    - fields: [proc.name]\n", YAML, "rule 'r' 0:2:2 | exception 6:6:96"},
		{EXC "    - name: e\n", YAML, "rule 'r' 0:2:2 | exception 'e' 6:6:96"},
		{EXC "    - name: e\n      fields: [no.field]\n", VAL,
		 "rule 'r' 0:2:2 | exception 'e' 6:6:96"},
		{EXC "    - name: e\n      fields: [proc.name]\n      comps: [like]\n", VAL,
		 "rule 'r' 0:2:2 | exception 'e' 6:6:96"},
		{EXC "    - name: e\n      fields: [proc.name]\n      comps: ['=', '=']\n", VAL,
		 "rule 'r' 0:2:2 | exception 'e' 6:6:96"},
		{EXC "    - name: e\n      fields: [proc.name]\n      comps: in\n", VAL,
		 "rule 'r' 0:2:2 | exception 'e' 6:6:96"},
		{EXC "    - name: e\n      fields: proc.name\n      comps: startswith\n", VAL,
		 "rule 'r' 0:2:2 | exception 'e' 6:6:96"},
		{EXC "    - name: e\n      fields: [proc.name]\n      values: [[a, b]]\n", VAL,
		 "rule 'r' 0:2:2 | exception 'e' 6:6:96"},
		{EXC "    - name: e\n      fields: [proc.name)]\n", VAL,
		 "rule 'r' 0:2:2 | exception 'e' 6:6:96"},
		{RULE "- rule: r\n  append: true\n  exceptions:\n    - name: e\n", VAL,
		 "rule 'r' 5:2:78 | exception 'e' 8:6:121"},
		{RULE "- rule: r\n  append: true\n  exceptions:\n    - name: e\n      fields: "
		      "[proc.name]\n",
		 VAL, "rule 'r' 5:2:78 | exception 'e' 8:6:121"},
		{EXC "    - name: e\n      fields: [proc.name]\n    - name: e\n      fields: "
		     "[proc.name]\n",
		 "LOAD_EXCEPTION_NAME_NOT_UNIQUE", "rule 'r' 0:2:2 | exception 'e' 8:6:136"},
		{EXC "    - name: e\n      fields: [proc.name]\n- rule: r\n  append: true\n"
		     "  exceptions:\n    - name: e\n",
		 "LOAD_APPEND_NO_VALUES", "rule 'r' 8:2:132 | exception 'e' 11:6:175"},
	};

	run_rows(rows, TIP_ARRAY_SIZE(rows));
}

static void expressions(void **state)
{
	static const struct row rows[] = {
		{HEAD "  condition: evt.type=open and no.field=1\n", COND,
		 "rule 'r' 0:2:2 | rule condition 4:13:62 | condition expression 5:32:80"},
		{HEAD "  condition: >\n    evt.type=open and\n    no.field=1\n", COND,
		 "rule 'r' 0:2:2 | rule condition 4:13:62 | condition expression 5:32:80"},
		{HEAD "  condition: |\n    evt.type=open and\n    no.field=1\n", COND,
		 "rule 'r' 0:2:2 | rule condition 4:13:62 | condition expression 6:14:80"},
		{"- macro: m\n  condition: no.field\n", COND,
		 "macro 'm' 0:2:2 | macro condition 1:13:24 | condition expression 2:22:32"},
		/* a macro that is not there: from the item on */
		{HEAD "  condition: evt.type=open and nomacro\n", VAL,
		 "rule 'r' 0:2:2 | condition expression 1:21:20"},
		{"- rule: r\n  desc: d\n  priority: INFO\n  condition: evt.type=open\n  output: "
		 "'%no.field'\n",
		 OUT, "rule 'r' 0:2:2 | rule output 4:10:74"},
		{HEAD "  skip-if-unknown-filter: true\n  condition: evt.type=opem\n",
		 "LOAD_UNKNOWN_FILTER",
		 "rule 'r' 0:2:2 | rule condition 5:13:93 | condition expression 6:23:102"},
	};

	run_rows(rows, TIP_ARRAY_SIZE(rows));
}

static void advice(void **state)
{
	static const struct {
		const char *condition;
		const char *of; /* the value that is warned of, NULL: none is */
	} rows[] = {
		{"evt.type = open and proc.name = proc.pname", "'proc.pname'"},
		{"evt.type = open and proc.name in (a, proc.aname[2])", "'proc.aname[2]'"},
		{"evt.type = open and proc.name = 'tolower(proc.pname)'", "'tolower(proc.pname)'"},
		{"evt.type = open and proc.name regex '^abc$'", "'^abc$'"},
		{"evt.type = open and proc.name regex '.*abc'", "'.*abc'"},
		{"evt.type = open and proc.name regex 'a.c'", NULL},
		{"evt.type = open and proc.name = val(proc.pname)", NULL},
		{"evt.type = open and proc.name = some.thing", NULL},
		{"evt.type = open and proc.name = file.txt[1", NULL},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++) {
		struct tip_load_result res;
		struct tip_rules *r = load_rule("", rows[i].condition, "x", &res);
		const struct tip_load_message *m = find_message(&res, "LOAD_COMPILE_CONDITION");

		assert_non_null(r);
		if ((m != NULL) != (rows[i].of != NULL) || (m && !strstr(m->at.text, rows[i].of)))
			fail_msg("%s: %s", rows[i].condition, m ? m->at.text : "no warning");
		tip_rules_free(r);
		tip_load_result_free(&res);
	}
}

/* `evt.num=0` says never. */
static void never(void **state)
{
	static const struct {
		const char *condition;
		bool narrow; /* no warning of too many types of events */
	} rows[] = {
		{"evt.num = 0", true},
		{"evt.num in (0)", true},
		{"evt.num < 1", true},
		{"not evt.num > 0", true},
		{"evt.num = 0 or evt.type = open", true},
		{"proc.name = a and evt.num = 0", true},
		{"evt.num != 0", false},
		{"evt.num = 1", false},
		{"evt.num < 2", false},
		{"not evt.num = 0", false},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++) {
		struct tip_load_result res;
		struct tip_rules *r = load_rule("", rows[i].condition, "x", &res);

		assert_non_null(r);
		if ((find_message(&res, "LOAD_NO_EVTTYPE") == NULL) != rows[i].narrow)
			fail_msg("%s", rows[i].condition);
		tip_rules_free(r);
		tip_load_result_free(&res);
	}
}

/* Rules on and off, whatever the file says. */
static void switches(void **state)
{
	static const char text[] = HEAD "  condition: evt.type=open\n  tags: [a]\n"
					"- rule: Read it\n  desc: d\n  priority: INFO\n"
					"  output: x\n  condition: evt.type=open\n"
					"  enabled: false\n  tags: [b]\n";
	static const struct {
		struct tip_rule_switch list[2];
		bool first, second;
	} rows[] = {
		{{{.rule = "nothing"}, {.rule = "nor this"}}, true, false},
		{{{.rule = "*"}, {.rule = "nor this"}}, false, false},
		{{{.enable = true, .rule = "*"}, {.rule = "r"}}, false, true},
		{{{.rule = "r"}, {.enable = true, .rule = "*"}}, true, true},
		{{{.enable = true, .tag = "b"}, {.tag = "a"}}, false, true},
		{{{.enable = true, .rule = "Read *"}, {.tag = "c"}}, true, true},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++) {
		const struct tip_rules_options options = {
			.min_priority = TIP_PRIO_DEBUG, .switches = rows[i].list, .nswitches = 2};
		struct tip_rule_source s = {"t.yaml", text, strlen(text)};
		struct tip_load_result res;
		struct tip_rules *r = tip_rules_load_with(&s, 1, &options, &res);

		assert_non_null(r);
		assert_int_equal(tip_rule_info(tip_rules_get(r, 0))->enabled, rows[i].first);
		assert_int_equal(tip_rule_info(tip_rules_get(r, 1))->enabled, rows[i].second);
		tip_rules_free(r);
		tip_load_result_free(&res);
	}
}

static void snippets(void **state)
{
	struct tip_load_result res;
	const struct tip_load_message *m;
	struct tip_buf b = {0};

	assert_null(load_text(HEAD "  condition: evt.type=open and no.field=1\n", &res));
	m = first_error(&res);
	assert_string_equal(m->snippet, "evt.type=open and no.field=1");
	assert_int_equal(m->caret, 18);
	assert_string_equal(m->locations[m->nlocations - 1].name, "\"evt.type=open and...\"");
	tip_load_result_free(&res);
	/* a long one is cut, and the caret still stands where it should */
	tip_buf_adds(&b, HEAD "  condition: ");
	for (int i = 0; i < 30; i++)
		tip_buf_adds(&b, "evt.type=open and ");
	tip_buf_adds(&b, "no.field = 1");
	for (int i = 0; i < 30; i++)
		tip_buf_adds(&b, " and evt.type=open");
	tip_buf_adds(&b, "\n");
	assert_null(load_text(b.data, &res));
	m = first_error(&res);
	assert_true(strlen(m->snippet) <= 82);
	assert_memory_equal(m->snippet, "...", 3);
	assert_memory_equal(m->snippet + m->caret, "no.field", 8);
	tip_load_result_free(&res);
	tip_buf_free(&b);
	/* the line of the file, where there is no expression */
	assert_null(load_text("- list: l\n  items: a\n", &res));
	m = first_error(&res);
	assert_string_equal(m->snippet, "  items: a");
	assert_int_equal(m->caret, 9);
	tip_load_result_free(&res);
}

static void plugins(void **state)
{
	static const struct {
		const char *text, *unmet;
	} rows[] = {
		{"- required_plugin_versions:\n  - {name: container, version: 0.4.0}\n", NULL},
		{"- required_plugin_versions:\n  - {name: k8smeta, version: 0.1.0}\n", NULL},
		{"- required_plugin_versions:\n  - {name: json, version: 0.1.0}\n",
		 "json (>= 0.1.0)"},
		{"- required_plugin_versions:\n  - {name: container, version: 1.0.0}\n",
		 "container (>= 1.0.0)"},
		{"- required_plugin_versions:\n  - name: json\n    version: 0.1.0\n"
		 "    alternatives: [{name: container, version: 0.4.0}]\n",
		 NULL},
		{"- required_plugin_versions:\n  - name: json\n    version: 0.1.0\n"
		 "    alternatives: [{name: okta, version: 0.4.0}]\n",
		 "json (>= 0.1.0), okta (>= 0.4.0)"},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++) {
		struct tip_load_result res;
		struct tip_rules *r = load_text(rows[i].text, &res);

		assert_int_equal(r == NULL, rows[i].unmet != NULL);
		if (rows[i].unmet)
			assert_string_equal(res.unmet, rows[i].unmet);
		else
			assert_null(res.unmet);
		tip_rules_free(r);
		tip_load_result_free(&res);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items),       cmocka_unit_test(exceptions),
		cmocka_unit_test(expressions), cmocka_unit_test(snippets),
		cmocka_unit_test(advice),      cmocka_unit_test(never),
		cmocka_unit_test(switches),    cmocka_unit_test(plugins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
