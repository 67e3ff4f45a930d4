/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

/* The loader: what is refused and where, what is warned of, and how definitions combine. */

struct refusal {
	const char *text;
	const char *code;
	int line, column;
};

#define HEAD "- rule: r\n  desc: d\n  output: x\n  priority: INFO\n"
#define COND "LOAD_ERR_COMPILE_CONDITION"
#define YAML "LOAD_ERR_YAML_VALIDATE"
#define VAL  "LOAD_ERR_VALIDATE"
#define OUT  "LOAD_ERR_COMPILE_OUTPUT"

static void run_refusals(const struct refusal *rows, size_t count)
{
	int wrong = 0;

	for (size_t i = 0; i < count; i++) {
		struct tip_load_result res;
		struct tip_rules *r = load_text(rows[i].text, &res);
		const struct tip_load_message *m = first_error(&res);

		if (r || !m) {
			print_error("loads: %s\n", rows[i].text);
			wrong++;
		} else if (strcmp(m->code, rows[i].code) != 0 || m->at.line != rows[i].line ||
			   m->at.column != rows[i].column || strcmp(m->at.file, "t.yaml") != 0) {
			print_error("expected %s at %d:%d, not %s:%d:%d %s: %s\nfor: %s\n",
				    rows[i].code, rows[i].line, rows[i].column, m->at.file,
				    m->at.line, m->at.column, m->code, m->at.text, rows[i].text);
			wrong++;
		}
		tip_load_result_free(&res);
		tip_rules_free(r);
	}
	assert_int_equal(wrong, 0);
}

static void conditions_refused(void **state)
{
	/* the condition starts at 5:14 */
#define C(condition) HEAD "  condition: " condition "\n"
	static const struct refusal rows[] = {
		{C("proc.name = a AND proc.pid = 1"), COND, 5, 28},
		{C("proc.name"), COND, 5, 23},
		{C("evt.is_open_read"), COND, 5, 30},
		{C("proc.name ="), COND, 5, 25},
		{C("(proc.name = a"), COND, 5, 28},
		{C("proc.name = a)"), COND, 5, 27},
		{C("proc.name = a b"), COND, 5, 28},
		{C("and proc.name = a"), COND, 5, 18},
		{C("proc.name = a and"), COND, 5, 31},
		{C("not"), COND, 5, 17},
		{C("proc.nam = a"), COND, 5, 14},
		{C("proc.name[1] = a"), COND, 5, 14},
		{C("proc.aname[x] = a"), COND, 5, 14},
		{C("proc.aname[] = a"), COND, 5, 25},
		{C("proc.aname[1 = a"), COND, 5, 27},
		{C("evt.arg = a"), COND, 5, 14},
		{C("evt.arg.nosuch = a"), COND, 5, 14},
		{C("evt.type = opem"), COND, 5, 25},
		{C("evt.type in (open, opem)"), COND, 5, 33},
		{C("evt.type startswith op"), COND, 5, 34},
		{C("fd.num contains 1"), COND, 5, 21},
		{C("fd.num = 0x10"), COND, 5, 23},
		{C("fd.num > 1.5"), COND, 5, 23},
		{C("fd.num in (1, two)"), COND, 5, 28},
		{C("proc.name < a"), COND, 5, 26},
		{C("proc.name bcontains cafe"), COND, 5, 24},
		{C("evt.buffer bcontains caf"), COND, 5, 35},
		{C("evt.buffer bcontains zz"), COND, 5, 35},
		{C("fd.sip = example.org"), COND, 5, 23},
		{C("fd.sip = 1.2.3.4/8"), COND, 5, 23},
		{C("fd.snet = 1.2.3.4"), COND, 5, 24},
		{C("fd.snet = 1.2.3.0/33"), COND, 5, 24},
		{C("fd.sport = 70000"), COND, 5, 25},
		{C("fd.sport = nosuchservice"), COND, 5, 25},
		{C("fd.sip contains 1"), COND, 5, 21},
		{C("evt.is_open_read = yes"), COND, 5, 33},
		{C("proc.name regex '('"), COND, 5, 30},
		{C("fd.types = file"), COND, 5, 23},
		{C("proc.name in (a, b"), COND, 5, 32},
		{C("proc.name in (a,, b)"), COND, 5, 30},
		{C("proc.name = 'a"), COND, 5, 26},
		{C("proc.name frobs a"), COND, 5, 24},
		{C("nosuchmacro"), VAL, 5, 14},
		{C("evt.type = open and nosuch"), VAL, 5, 34},
		/* the other styles of scalar */
		{C("\"evt.type = open and \\\"x\\\"\""), COND, 5, 35},
		{C("'proc.name = ''a'' or nosuch'"), VAL, 5, 36},
		{C(">\n    evt.type = open\n    and proc.nam = a"), COND, 7, 9},
		{C(">-\n\n    (evt.type = open\n\n      or nosuch)"), VAL, 9, 10},
		{C("|\n    evt.type = open\n      and proc.nam = a"), COND, 7, 11},
		{C("|2\n    evt.type = open\n      and proc.nam = a"), COND, 7, 11},
		{C("evt.type = open\n     and proc.nam = a"), COND, 6, 10},
		{C("\"evt.type = open \\\n     and proc.nam = a\""), COND, 6, 10},
		{C("\"evt.type = open and proc.name = \\u00e9 and nosuch\""), VAL, 5, 58},
		{C("&x 'evt.type = open and nosuch'"), VAL, 5, 38},
	};

	run_refusals(rows, TIP_ARRAY_SIZE(rows));
}

static void items_refused(void **state)
{
#define RULE HEAD "  condition: evt.type=open\n"
	static const struct refusal rows[] = {
		{"a: b\n", YAML, 1, 1},
		{"just text\n", YAML, 1, 1},
		{"- a\n", YAML, 1, 3},
		{"- [a]\n", YAML, 1, 3},
		{"- rule:\n  desc: d\n", YAML, 1, 8},
		{"- rule: [a]\n", YAML, 1, 9},
		{"- rule: r\n  desc: d\n  priority: INFO\n  condition: evt.type=open\n", YAML, 1,
		 3},
		{"- rule: r\n  output: x\n  desc: d\n  priority: INFO\n", YAML, 1, 3},
		{"- rule: r\n  desc: d\n  output: x\n  condition: evt.type=open\n  priority: "
		 "WARN\n",
		 YAML, 5, 13},
		{RULE "  enabled: maybe\n", YAML, 6, 12},
		{RULE "  tags: a\n", YAML, 6, 9},
		{RULE "  tags: [[a]]\n", YAML, 6, 10},
		{RULE "  action: stun\n", YAML, 6, 11},
		{"- macro: m\n", YAML, 1, 3},
		{"- macro: m\n  condition: ''\n", YAML, 2, 14},
		{"- list: l\n", YAML, 1, 3},
		{"- list: l\n  items: a\n", YAML, 2, 10},
		{"- required_engine_version: x\n", YAML, 1, 28},
		{"- required_engine_version: 1.0.0\n", VAL, 1, 28},
		{"- required_engine_version: 64\n", VAL, 1, 28},
		{"- required_plugin_versions:\n    - {name: json, version: 0.1.0}\n", VAL, 2, 7},
		{"- required_plugin_versions:\n    - {name: container, version: 9.0.0}\n", VAL, 2,
		 7},
		/* outputs */
		{"- rule: r\n  desc: d\n  priority: INFO\n  condition: evt.type=open\n  output: "
		 "100%\n",
		 OUT, 5, 14},
		{"- rule: r\n  desc: d\n  priority: INFO\n  condition: evt.type=open\n"
		 "  output: a %%\n",
		 OUT, 5, 13},
		{"- rule: r\n  desc: d\n  priority: INFO\n  condition: evt.type=open\n"
		 "  output: a %proc.nam\n",
		 OUT, 5, 14},
		{"- rule: r\n  desc: d\n  priority: INFO\n  condition: evt.type=open\n"
		 "  output: a %proc.aname[x]\n",
		 OUT, 5, 14},
		{"- rule: r\n  desc: d\n  priority: INFO\n  condition: evt.type=open\n  output: "
		 "'*'\n",
		 OUT, 5, 12},
		/* override and append */
		{"- rule: q\n  condition: and x\n  override: {condition: append}\n", VAL, 1, 9},
		{"- macro: q\n  condition: and x\n  override: {condition: append}\n", VAL, 1, 10},
		{"- list: q\n  items: [a]\n  append: true\n", VAL, 1, 9},
		{RULE "- rule: r\n  priority: INFO\n  override: {priority: append}\n", YAML, 8, 24},
		{RULE "- rule: r\n  desc: e\n  override: {desc: merge}\n", YAML, 8, 20},
		{RULE "- rule: r\n  desc: e\n  override: {condition: append}\n", YAML, 8, 14},
		{RULE "- rule: r\n  desc: e\n  output: y\n  override: {desc: replace}\n", YAML, 8,
		 3},
		{RULE "- rule: r\n  desc: e\n  append: true\n  override: {desc: append}\n", YAML, 8,
		 11},
		{RULE "- rule: r\n  desc: e\n  override: {source: replace}\n", YAML, 8, 14},
		{RULE "- rule: r\n  desc: e\n  append: true\n", VAL, 6, 9},
		{RULE "- rule: r\n  condition: and proc.nam = x\n  override: {condition: append}\n",
		 COND, 7, 18},
		/* macros see what stands before them */
		{"- macro: a\n  condition: b\n- macro: b\n  condition: evt.num=0\n", VAL, 2, 14},
		{"- macro: a\n  condition: evt.num=0 or a\n", VAL, 2, 27},
		{"- macro: a\n  condition: (evt.num=0\n", COND, 2, 24},
		{"- list: l\n  items: [a, b]\n" HEAD "  condition: proc.name in l\n", COND, 7, 27},
		/* exceptions */
		{RULE "  exceptions: x\n", YAML, 6, 15},
		{RULE "  exceptions: [{fields: proc.name}]\n", YAML, 6, 16},
		{RULE "  exceptions: [{name: e}]\n", YAML, 6, 16},
		{RULE "  exceptions: [{name: e, fields: [proc.nam]}]\n", VAL, 6, 35},
		{RULE "  exceptions: [{name: e, fields: [proc.name], comps: [like]}]\n", VAL, 6,
		 54},
		{RULE "  exceptions: [{name: e, fields: [proc.name], comps: [in, in]}]\n", VAL, 6,
		 54},
		{RULE "  exceptions: [{name: e, fields: proc.name, comps: startswith}]\n", VAL, 6,
		 52},
		{RULE "  exceptions: [{name: e, fields: [proc.name], values: [[a, b]]}]\n", VAL, 6,
		 56},
		{RULE "  exceptions: [{name: e, fields: [proc.name], values: [a]}]\n", VAL, 6, 56},
		{RULE "  exceptions: [{name: e, fields: [fd.num], values: [[x]]}]\n", COND, 6, 54},
	};

	run_refusals(rows, TIP_ARRAY_SIZE(rows));
}

static void broken_yaml(void **state)
{
	struct tip_load_result res;

	assert_null(load_text("- rule: [\n", &res));
	assert_string_equal(first_error(&res)->code, "LOAD_ERR_YAML_PARSE");
	assert_true(first_error(&res)->at.line > 0);
	tip_load_result_free(&res);
}

static void snippet_points(void **state)
{
	struct tip_load_result res;
	const struct tip_load_message *m;

	assert_null(load_text(HEAD "  condition: evt.type=open and no.field=1\n", &res));
	m = first_error(&res);
	assert_string_equal(m->snippet, "evt.type=open and no.field=1");
	assert_int_equal(m->caret, 18);
	assert_string_equal(m->item_type, "rule");
	assert_string_equal(m->item_name, "r");
	tip_load_result_free(&res);
}

static void warnings(void **state)
{
	static const struct {
		const char *text, *code;
		int line;
	} rows[] = {
		{RULE "  colour: red\n", "LOAD_UNKNOWN_KEY", 6},
		{RULE "  exceptions: [{name: e, fields: proc.name, Comps: in}]\n",
		 "LOAD_UNKNOWN_KEY", 6},
		{RULE "- thing: x\n", "LOAD_UNKNOWN_ITEM", 6},
		{RULE "- macro: m\n  condition: evt.num=0\n", "LOAD_UNUSED_MACRO", 6},
		{RULE "- list: l\n  items: []\n", "LOAD_UNUSED_LIST", 6},
		{RULE "- rule: r\n  enabled: false\n", "LOAD_DEPRECATED_ITEM", 6},
		{RULE "- rule: r\n  condition: and evt.num=1\n  append: true\n",
		 "LOAD_DEPRECATED_ITEM", 8},
		{HEAD "  condition: evt.type=open and evt.dir=<\n", "LOAD_DEPRECATED_ITEM", 1},
		{HEAD "  condition: proc.name=x\n", "LOAD_NO_EVTTYPE", 1},
		{HEAD "  condition: evt.type=switch\n", "LOAD_WARNING_EXTENSION", 1},
		{HEAD "  condition: evt.type=open\n  source: k8s_audit\n", "LOAD_UNKNOWN_SOURCE",
		 6},
		{HEAD "  condition: no.field=1\n  skip-if-unknown-filter: true\n",
		 "LOAD_UNKNOWN_FILTER", 5},
		{HEAD "  condition: evt.type=nosuch\n  skip-if-unknown-filter: true\n",
		 "LOAD_UNKNOWN_FILTER", 5},
		{"- macro: 1m\n  condition: evt.num=0\n", "LOAD_INVALID_MACRO_NAME", 1},
		{"- list: a b\n  items: []\n", "LOAD_INVALID_LIST_NAME", 1},
		{RULE
		 "  exceptions: [{name: e, fields: proc.name}, {name: e, fields: proc.name}]\n",
		 "LOAD_EXCEPTION_NAME_NOT_UNIQUE", 6},
		{RULE "  exceptions: [{name: e, fields: proc.name}]\n- rule: r\n"
		      "  exceptions: [{name: e}]\n  override: {exceptions: append}\n",
		 "LOAD_APPEND_NO_VALUES", 8},
	};
	static const char *const clean[] = {
		RULE,
		RULE
		"  enabled: true\n  warn_evttypes: true\n  capture: false\n  capture_duration: 5\n",
		HEAD "  condition: proc.name=x\n  warn_evttypes: false\n",
		HEAD "  condition: evt.type=open and evt.num=0\n",
		"- required_engine_version: 15\n",
		"- required_engine_version: 0.63.0\n- required_plugin_versions:\n"
		"    - name: container\n      version: 0.4.0\n",
		"- required_plugin_versions: [{name: k8smeta, version: 0.1.0, alternatives: "
		"[{name: container, version: 0.1.0}]}]\n",
		"",
		"# nothing\n",
		"---\n---\n" RULE,
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++) {
		struct tip_load_result res;
		struct tip_rules *r = load_text(rows[i].text, &res);
		const struct tip_load_message *m = find_message(&res, rows[i].code);

		if (!r || !m || m->at.line != rows[i].line) {
			print_messages(&res);
			fail_msg("no %s at line %d for: %s", rows[i].code, rows[i].line,
				 rows[i].text);
		}
		tip_load_result_free(&res);
		tip_rules_free(r);
	}
	for (size_t i = 0; i < TIP_ARRAY_SIZE(clean); i++) {
		struct tip_load_result res;
		struct tip_rules *r = load_text(clean[i], &res);

		if (!r || res.count) {
			print_messages(&res);
			fail_msg("not clean: %s", clean[i]);
		}
		tip_load_result_free(&res);
		tip_rules_free(r);
	}
}

/* Lists, macros, overrides and exceptions, by what they make of an open of /etc/shadow by cat. */
static void definitions(void **state)
{
#define R(condition) HEAD "  condition: evt.type=openat and " condition "\n"
	static const struct {
		const char *text;
		bool expected;
	} rows[] = {
		{"- list: l\n  items: [dog, cat]\n" R("proc.name in (l)"), true},
		{"- list: l\n  items: [dog]\n" R("proc.name in (l, cat)"), true},
		{"- list: l\n  items: [dog]\n" R("proc.name in (l)"), false},
		{"- list: l\n  items: [cat]\n" R("proc.name = l"), true},
		{"- list: l\n  items: [cat]\n" R("proc.name in l"), true},
		{"- list: l\n  items: []\n" R("proc.name in (l, cat)"), true},
		{"- list: l\n  items: []\n" R("proc.name in (cat, l)"), true},
		{"- list: l\n  items: []\n" R("proc.name in (dog,l,cat)"), true},
		{"- list: l\n  items: []\n" R("not proc.name in (l)"), true},
		{"- list: l\n  items: [-n /etc/shadow]\n" R("proc.args in (l)"), true},
		{"- list: l\n  items: ['\"-n /etc/shadow\"']\n" R("proc.args in (l)"), true},
		{"- list: a\n  items: [cat]\n- list: b\n  items: [dog, a]\n" R("proc.name in (b)"),
		 true},
		/* a list sees those before it; a later one stays a word */
		{"- list: b\n  items: [a]\n- list: a\n  items: [cat]\n" R("proc.name in (b)"),
		 false},
		{"- list: a\n  items: [a, cat]\n" R("proc.name in (a)"), true},
		{R("proc.name in (undefined_list, cat)"), true},
		/* inside quotes a name is text */
		{"- list: cat\n  items: [dog]\n" R("proc.cmdline startswith 'cat -n'"), true},
		{"- list: l\n  items: [dog]\n- list: l\n  items: [cat]\n  override: {items: "
		 "append}\n" R("proc.name in (l)"),
		 true},
		{"- list: l\n  items: [cat]\n- list: l\n  items: [dog]\n  override: {items: "
		 "replace}\n" R("proc.name in (l)"),
		 false},
		{"- list: l\n  items: [dog]\n" R("proc.name in (l)") "- list: l\n  items: [cat]\n",
		 true},
		{"- list: l\n  items: [007]\n" R("proc.name in (l)"), false},
		/* macros are trees: precedence stays inside */
		{"- macro: m\n  condition: proc.name=dog or proc.name=cat\n" R("m and proc.pid=1"),
		 false},
		{"- macro: m\n  condition: proc.name=dog or proc.name=cat\n" R("not m"), false},
		{"- macro: m\n  condition: proc.name=cat\n- macro: n\n  condition: m and "
		 "proc.pid=104\n" R("n"),
		 true},
		{R("m") "- macro: m\n  condition: proc.name=cat\n", true},
		{"- macro: m\n  condition: proc.name=dog\n" R("m") "- macro: m\n"
								   "  condition: proc.name=cat\n",
		 true},
		{"- macro: m\n  condition: proc.name=dog\n" R(
			 "m") "- macro: m\n  condition: or "
			      "proc.name=cat\n"
			      "  override: {condition: append}\n",
		 true},
		/* an overridden macro may use what was defined after its first form */
		{"- macro: m\n  condition: evt.num=0\n- macro: late\n  condition: "
		 "proc.name=cat\n" R(
			 "m") "- macro: m\n  condition: late\n  override: {condition: replace}\n",
		 true},
		/* rules */
		{R("proc.name=dog") "- rule: r\n  condition: or proc.name=cat\n"
				    "  override: {condition: append}\n",
		 true},
		{R("proc.name=dog") "- rule: r\n  condition: evt.type=openat\n"
				    "  override: {condition: replace}\n",
		 true},
		{R("proc.name=dog") R("proc.name=cat"), true},
		{R("proc.name=cat") "- rule: r\n  enabled: false\n", false},
		{R("proc.name=cat") "  enabled: false\n- rule: r\n  enabled: true\n"
				    "  override: {enabled: replace}\n",
		 true},
		/* exceptions */
		{R("evt.num=7") "  exceptions: [{name: e, fields: proc.name, values: [dog, "
				"cat]}]\n",
		 false},
		{R("evt.num=7") "  exceptions: [{name: e, fields: proc.name, values: [dog]}]\n",
		 true},
		{R("evt.num=7") "  exceptions: [{name: e, fields: proc.name}]\n", true},
		{R("evt.num=7") "  exceptions: [{name: e, fields: [proc.name, fd.name], "
				"values: [[dog, /x], [cat, /etc/shadow]]}]\n",
		 false},
		{R("evt.num=7") "  exceptions: [{name: e, fields: [proc.name, fd.name], "
				"values: [[cat, /x]]}]\n",
		 true},
		{R("evt.num=7") "  exceptions: [{name: e, fields: [proc.name, fd.name], "
				"comps: [in, startswith], values: [[[dog, cat], /etc]]}]\n",
		 false},
		{R("evt.num=7") "  exceptions: [{name: e, fields: proc.args, "
				"values: [-n /etc/shadow]}]\n",
		 false},
		{R("evt.num=7") "  exceptions: [{name: e, fields: fd.name, comps: pmatch, "
				"values: [/etc]}]\n",
		 false},
		{R("evt.num=0 or proc.name=cat") "  exceptions: [{name: e, fields: proc.name, "
						 "values: [cat]}]\n",
		 false},
		{R("evt.num=7") "  exceptions: [{name: e, fields: proc.name}]\n- rule: r\n"
				"  exceptions: [{name: e, values: [cat]}]\n"
				"  override: {exceptions: append}\n",
		 false},
		{"- list: l\n  items: [cat, dog]\n" R(
			 "evt.num=7") "  exceptions: [{name: e, fields: proc.name, values: [l]}]\n",
		 false},
		{R("evt.num=7") "  exceptions: [{name: e, fields: [fd.name], "
				"comps: [startswith anyof], values: [[[/x, /etc]]]}]\n",
		 false},
	};
	struct world w;

	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/etc/shadow", O_RDONLY, 3);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++) {
		struct tip_load_result res;
		struct tip_rules *r = load_text(rows[i].text, &res);

		if (!r) {
			print_messages(&res);
			fail_msg("does not load: %s", rows[i].text);
		}
		if (matches(r, &w.in) != rows[i].expected)
			fail_msg("expected %d: %s", rows[i].expected, rows[i].text);
		tip_load_result_free(&res);
		tip_rules_free(r);
	}
}

static void several_files(void **state)
{
	static const char macro[] = "- macro: m\n  condition: evt.type=open\n";
	static const char rule[] = HEAD "  condition: m\n";
	const struct tip_rule_source good[] = {{"a.yaml", macro, sizeof(macro) - 1},
					       {"b.yaml", rule, sizeof(rule) - 1}};
	const struct tip_rule_source bad[] = {good[1], good[0]};
	struct tip_load_result res;
	struct tip_rules *r;

	r = tip_rules_load(good, 2, &res);
	assert_non_null(r);
	assert_int_equal(tip_rules_count(r), 1);
	assert_string_equal(tip_rule_info(tip_rules_get(r, 0))->file, "b.yaml");
	assert_int_equal(tip_rule_info(tip_rules_get(r, 0))->line, 1);
	tip_load_result_free(&res);
	tip_rules_free(r);
	/* everything read so far must compile after each file */
	assert_null(tip_rules_load(bad, 2, &res));
	assert_string_equal(first_error(&res)->at.file, "b.yaml");
	tip_load_result_free(&res);
}

static void rule_facts(void **state)
{
	static const char text[] =
		"- rule: one\n  desc: >\n    what it\n    is\n  condition: evt.type=open\n"
		"  output: a %fd.path.real\n  priority: warning\n  tags: [b, a, b]\n"
		"- rule: two\n  desc: d\n  condition: evt.type=connect and spiffe.id exists\n"
		"  output: x\n  priority: Info\n  enabled: false\n";
	const struct tip_rule_info *info;
	struct tip_load_result res;
	struct tip_rules *r = load_text(text, &res);

	assert_non_null(r);
	info = tip_rule_info(tip_rules_get(r, 0));
	assert_string_equal(info->name, "one");
	assert_string_equal(info->desc, "what it is");
	assert_string_equal(info->condition, "evt.type=open");
	assert_string_equal(info->source, "syscall");
	assert_int_equal(info->priority, TIP_PRIO_WARNING);
	assert_string_equal(tip_priority_name(info->priority), "Warning");
	assert_int_equal(info->ntags, 2);
	assert_string_equal(info->tags[0], "a");
	assert_int_equal(info->index, 0);
	info = tip_rule_info(tip_rules_get(r, 1));
	assert_int_equal(info->priority, TIP_PRIO_INFORMATIONAL);
	assert_false(info->enabled);
	assert_int_equal(info->line, 9);
	/* a rule that is off asks for nothing */
	assert_int_equal(tip_rules_event_mask(r), 1ull << TIP_EV_OPEN);
	assert_true(tip_rules_use_field(r, "fd.path.real"));
	assert_false(tip_rules_use_field(r, "spiffe."));
	tip_load_result_free(&res);
	tip_rules_free(r);
}

/* Files that are made to explode are refused, and soon. */
static void bombs(void **state)
{
	struct tip_buf b = {0};
	struct tip_load_result res;
	struct tip_rules *r;

	tip_buf_adds(&b, "- list: l0\n  items: [a, b]\n");
	for (int i = 1; i < 40; i++)
		tip_buf_addf(&b, "- list: l%d\n  items: [l%d, l%d]\n", i, i - 1, i - 1);
	tip_buf_adds(&b, HEAD "  condition: proc.name in (l39)\n");
	assert_null(load_text(b.data, &res));
	assert_non_null(strstr(first_error(&res)->at.text, "too large"));
	tip_load_result_free(&res);

	tip_buf_reset(&b);
	tip_buf_adds(&b, "- macro: m0\n  condition: proc.name=a\n");
	for (int i = 1; i < 60; i++)
		tip_buf_addf(&b, "- macro: m%d\n  condition: m%d or m%d\n", i, i - 1, i - 1);
	tip_buf_adds(&b, HEAD "  condition: m59\n");
	assert_null(load_text(b.data, &res));
	assert_non_null(strstr(first_error(&res)->at.text, "too"));
	tip_load_result_free(&res);

	tip_buf_reset(&b);
	tip_buf_adds(&b, HEAD "  condition: \"");
	for (int i = 0; i < 100000; i++)
		tip_buf_addc(&b, '(');
	tip_buf_adds(&b, "\"\n");
	assert_null(load_text(b.data, &res));
	assert_non_null(strstr(first_error(&res)->at.text, "nested"));
	tip_load_result_free(&res);

	/* a long row of the same is no nesting */
	tip_buf_reset(&b);
	tip_buf_adds(&b, HEAD "  condition: ");
	for (int i = 0; i < 5001; i++)
		tip_buf_adds(&b, "not ");
	tip_buf_adds(&b, "evt.type=open");
	for (int i = 0; i < 5000; i++)
		tip_buf_adds(&b, " and proc.name!=x");
	tip_buf_adds(&b, "\n");
	r = load_text(b.data, &res);
	assert_non_null(r);
	tip_load_result_free(&res);
	tip_rules_free(r);
	tip_buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conditions_refused),
		cmocka_unit_test(items_refused),
		cmocka_unit_test(broken_yaml),
		cmocka_unit_test(snippet_points),
		cmocka_unit_test(warnings),
		cmocka_unit_test(definitions),
		cmocka_unit_test(several_files),
		cmocka_unit_test(rule_facts),
		cmocka_unit_test(bombs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
