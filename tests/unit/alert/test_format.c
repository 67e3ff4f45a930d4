/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "fake.h"

#include "alert/format.h"

static void merge(const char *members, const struct tip_alert_member *add, size_t n,
		  const char *want)
{
	struct tip_buf b = {0}, out = {0};

	tip_buf_adds(&b, members);
	tip_alert_merge(&b, add, n, &out);
	assert_string_equal(out.data, want);
	tip_buf_free(&b);
	tip_buf_free(&out);
}

static void member(const char *members, const char *name, const char *value, const char *want)
{
	const struct tip_alert_member m = {name, value};

	merge(members, &m, 1, want);
}

static void members_go_to_their_place(void **state)
{
	member("", "\"b\"", "1", "\"b\":1");
	member("\"c\":2", "\"b\"", "1", "\"b\":1,\"c\":2");
	member("\"a\":0", "\"b\"", "1", "\"a\":0,\"b\":1");
	member("\"a\":0,\"c\":2", "\"b\"", "1", "\"a\":0,\"b\":1,\"c\":2");
	member("\"a\":0,\"b\":7,\"c\":2", "\"b\"", "1", "\"a\":0,\"b\":1,\"c\":2");
	member("\"b\":7", "\"b\"", "1", "\"b\":1");
	member("\"a\":\"x\",\"b\":7", "\"b\"", "1", "\"a\":\"x\",\"b\":1");
	/* a name that is the beginning of another stands before it */
	member("\"evt.time.s\":1", "\"evt.time\"", "2", "\"evt.time\":2,\"evt.time.s\":1");
	member("\"evt\":1", "\"evt.time\"", "2", "\"evt\":1,\"evt.time\":2");
	/* values that contain what separates members */
	member("\"a\":\"x\\\",\\\"b\\\":\",\"c\":[1,{\"b\":2}]", "\"b\"", "1",
	       "\"a\":\"x\\\",\\\"b\\\":\",\"b\":1,\"c\":[1,{\"b\":2}]");
	member("\"proc.aname[2]\":null", "\"proc.name\"", "\"x\"",
	       "\"proc.aname[2]\":null,\"proc.name\":\"x\"");
}

static void several_members_merge(void **state)
{
	struct tip_alert_member add[] = {
		{"\"z\"", "9"}, {"\"b\"", "1"}, {"\"a.b\"", "2"}, {"\"b\"", "3"}, {"\"a\"", "4"}};

	tip_alert_members_sort(add, 5);
	merge("", add, 5, "\"a\":4,\"a.b\":2,\"b\":3,\"z\":9");
	merge("\"a\":0,\"aa\":0,\"c\":[{\"z\":1}]", add, 5,
	      "\"a\":4,\"a.b\":2,\"aa\":0,\"b\":3,\"c\":[{\"z\":1}],\"z\":9");
}

static const char *const tags[] = {"a", "b"};

static struct tip_alert sample(void)
{
	static const char message[] = "shadow read | file=/etc/shadow by=\"cat\"\n";
	static const char fields[] = "\"evt.time\":1767225600123456789,\"fd.name\":\"/etc/shadow\"";

	return (struct tip_alert){
		.hostname = "n1",
		.rule = "My rule",
		.source = "syscall",
		.priority = TIP_PRIO_WARNING,
		.tags = tags,
		.ntags = 2,
		.time_ns = 1767225600123456789,
		.message = message,
		.message_len = sizeof(message) - 1,
		.fields = fields,
		.fields_len = sizeof(fields) - 1,
	};
}

static void json_line(void **state)
{
	struct tip_alert a = sample();
	struct tip_buf b = {0};

	tip_alert_json(&a, &(struct tip_alert_form){0}, &b);
	assert_string_equal(
		b.data,
		"{\"hostname\":\"n1\",\"output\":\"00:00:00.123456789: Warning shadow read | "
		"file=/etc/shadow by=\\\"cat\\\"\\n\",\"output_fields\":{\"evt.time\":"
		"1767225600123456789,\"fd.name\":\"/etc/shadow\"},\"priority\":\"Warning\","
		"\"rule\":\"My rule\",\"source\":\"syscall\",\"tags\":[\"a\",\"b\"],"
		"\"time\":\"2026-01-01T00:00:00.123456789Z\"}");
	tip_buf_reset(&b);
	a.ntags = 0;
	a.fields_len = 0;
	a.message = "m\xff";
	a.message_len = 2;
	tip_alert_json(&a, &(struct tip_alert_form){.message = true}, &b);
	assert_string_equal(b.data,
			    "{\"hostname\":\"n1\",\"message\":\"m\xef\xbf\xbd\","
			    "\"output\":\"00:00:00.123456789: Warning m\xef\xbf\xbd\","
			    "\"output_fields\":{},\"priority\":\"Warning\",\"rule\":\"My rule\","
			    "\"source\":\"syscall\",\"tags\":[],"
			    "\"time\":\"2026-01-01T00:00:00.123456789Z\"}");
	tip_buf_free(&b);
}

static void text_line(void **state)
{
	struct tip_alert a = sample();
	struct tip_buf b = {0};

	a.message = "x\n\x1b[1m\t\"q\"";
	a.message_len = strlen(a.message);
	tip_alert_text(&a, false, &b);
	assert_string_equal(b.data, "00:00:00.123456789: Warning x\\n\\u001b[1m\\t\"q\"");
	setenv("TZ", "UTC-2", 1); /* the prefix is in local time */
	tzset();
	tip_buf_reset(&b);
	tip_alert_text(&a, false, &b);
	assert_memory_equal(b.data, "02:00:00.123456789: ", 20);
	setenv("TZ", "UTC", 1);
	tzset();
	tip_buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_go_to_their_place),
		cmocka_unit_test(several_members_merge),
		cmocka_unit_test(json_line),
		cmocka_unit_test(text_line),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
