/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/version.h"
#include "control/control.h"
#include "control/request.h"

static void test_parse(void **state)
{
	static const char line[] = "{\"version\":\"0.1.0\",\"method\":\"x\",\"params\":{\"a\":1}}";
	static const char bare[] = "{\"version\":\"0.1.0\",\"method\":\"x\"}\r";
	struct tip_control_request r;
	struct tip_error err = {0};

	assert_int_equal(tip_control_request_parse(line, strlen(line), &r, &err), 0);
	assert_string_equal(r.version, "0.1.0");
	assert_string_equal(r.method, "x");
	assert_int_equal(json_integer_value(json_object_get(r.params, "a")), 1);
	tip_control_request_free(&r);

	assert_int_equal(tip_control_request_parse(bare, strlen(bare), &r, &err), 0);
	assert_true(json_is_object(r.params));
	assert_int_equal(json_object_size(r.params), 0);
	tip_control_request_free(&r);
}

static void test_refused(void **state)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
		{"", "not a JSON document"},
		{"{\"version\":", "not a JSON document"},
		{"{\"version\":\"1\",\"version\":\"2\",\"method\":\"x\"}", "duplicate"},
		{"{\"version\":\"1\",\"method\":\"x\"} {}", "end of file"},
		{"{\"version\":\"1\",\"method\":\"\xff\"}", "byte 0xff"},
		{"[1]", "not a JSON object"},
		{"{\"version\":\"1\"}", "\"method\""},
		{"{\"method\":\"x\"}", "\"version\""},
		{"{\"version\":1,\"method\":\"x\"}", "\"version\""},
		{"{\"version\":\"1\",\"method\":[]}", "\"method\""},
		{"{\"version\":\"1\",\"method\":\"x\",\"params\":[]}", "not an object"},
		{"{\"version\":\"1\",\"method\":\"x\",\"params\":null}", "not an object"},
		{"{\"version\":\"1\",\"method\":\"x\",\"more\":1}", "\"more\""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tip_control_request r;
		struct tip_error err = {0};

		assert_int_equal(
			tip_control_request_parse(cases[i].line, strlen(cases[i].line), &r, &err),
			-1);
		assert_null(r.root);
		if (!strstr(err.text, cases[i].says))
			fail_msg("\"%s\" lacks \"%s\"", err.text, cases[i].says);
	}
}

/* The place of a JSON error tells where to look. */
static void test_place(void **state)
{
	static const char line[] = "{\"version\": nope}";
	struct tip_control_request r;
	struct tip_error err = {0};

	assert_int_equal(tip_control_request_parse(line, strlen(line), &r, &err), -1);
	assert_int_equal(err.line, 1);
	assert_true(err.column > 10);
}

static void test_nesting(void **state)
{
	size_t len = 1 << 20;
	char *line = malloc(len);
	struct tip_control_request r;
	struct tip_error err = {0};

	assert_non_null(line);
	memset(line, '[', len);
	assert_int_equal(tip_control_request_parse(line, len, &r, &err), -1);
	assert_non_null(strstr(err.text, "depth"));
	free(line);
}

static void test_answers(void **state)
{
	struct tip_error err = {.file = "a\"b", .line = 3, .column = 9, .text = "bad \x1b[31m\n"};
	struct tip_buf out = {0};
	json_t *result = json_pack("{s:i}", "n", 1), *doc, *e;

	tip_control_write_result(&out, result);
	assert_string_equal(out.data, "{\"version\":\"" TIP_VERSION "\",\"result\":{\"n\":1}}\n");
	json_decref(result);

	tip_buf_reset(&out);
	tip_control_write_error(&out, &err, "do this");
	assert_int_equal(strcspn(out.data, "\n"),
			 out.len - 1); /* one line whatever the text holds */
	doc = json_loads(out.data, 0, NULL);
	e = json_object_get(doc, "error");
	assert_string_equal(json_string_value(json_object_get(e, "text")), err.text);
	assert_string_equal(json_string_value(json_object_get(e, "file")), "a\"b");
	assert_string_equal(json_string_value(json_object_get(e, "hint")), "do this");
	assert_int_equal(json_integer_value(json_object_get(e, "line")), 3);
	assert_int_equal(json_integer_value(json_object_get(e, "column")), 9);
	json_decref(doc);

	tip_buf_reset(&out);
	tip_control_write_event(&out, "{\"a\":1}", 7);
	assert_string_equal(out.data, "{\"event\":{\"a\":1}}\n");
	tip_buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),   cmocka_unit_test(test_refused),
		cmocka_unit_test(test_place),   cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests_name("control request", tests, NULL, NULL);
}
