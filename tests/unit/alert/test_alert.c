/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <time.h>

#include "fake.h"

static char path[64];

static struct tip_alerts *start(struct tip_alerts_config *c)
{
	struct tip_error err;
	struct tip_alerts *a;

	snprintf(path, sizeof(path), "/tmp/tip-unit-alert-%d", getpid());
	unlink(path);
	c->file = path;
	c->hostname = "n1";
	a = tip_alerts_new(c, &err);
	assert_non_null(a);
	return a;
}

static const char *content(void)
{
	static char buf[1 << 20];
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	assert_true(n >= 0);
	close(fd);
	unlink(path);
	buf[n] = '\0';
	return buf;
}

static const char *const tags[] = {"mitre", "shell"};

static const struct tip_rule rule = {
	.info = {.name = "Shell",
		 .source = "syscall",
		 .priority = TIP_PRIO_NOTICE,
		 .tags = tags,
		 .ntags = 2},
	.text = "a shell by=cat",
	.fields = "\"evt.type\":\"execve\",\"proc.name\":\"cat\",\"user.name\":null",
};

static const struct tip_match_input in = {.time_ns = 1767225600123456789};

static void rule_as_json(void **state)
{
	struct tip_alerts_config c = {.json = true};
	struct tip_alerts *a = start(&c);
	struct tip_alerts_stats st;

	tip_alert_rule(a, &rule, NULL, &in, NULL, 0);
	tip_alert_rule(a, &rule, NULL, &in, "killed", 0);
	tip_alerts_stats(a, &st);
	assert_int_equal(st.total, 2);
	assert_int_equal(st.by_priority[TIP_PRIO_NOTICE], 2);
	tip_alerts_free(a);
	assert_string_equal(
		content(),
		"{\"hostname\":\"n1\",\"output\":\"00:00:00.123456789: Notice a shell by=cat\","
		"\"output_fields\":{\"evt.time\":1767225600123456789,\"evt.type\":\"execve\","
		"\"proc.name\":\"cat\",\"user.name\":null},\"priority\":\"Notice\","
		"\"rule\":\"Shell\",\"source\":\"syscall\",\"tags\":[\"mitre\",\"shell\"],"
		"\"time\":\"2026-01-01T00:00:00.123456789Z\"}\n"
		"{\"hostname\":\"n1\",\"output\":\"00:00:00.123456789: Notice a shell by=cat\","
		"\"output_fields\":{\"evt.time\":1767225600123456789,\"evt.type\":\"execve\","
		"\"proc.name\":\"cat\",\"tipstaff.action\":\"killed\",\"user.name\":null},"
		"\"priority\":\"Notice\",\"rule\":\"Shell\",\"source\":\"syscall\","
		"\"tags\":[\"mitre\",\"shell\"],\"time\":\"2026-01-01T00:00:00.123456789Z\"}\n");
}

static void rule_as_text(void **state)
{
	struct tip_alerts_config c = {.json = false};
	struct tip_alerts *a = start(&c);

	tip_alert_rule(a, &rule, NULL, &in, "killed", 0);
	tip_alerts_free(a);
	assert_string_equal(content(), "00:00:00.123456789: Notice a shell by=cat\n");
}

static void keep(void *ctx, const char *json, size_t len)
{
	struct tip_buf *b = ctx;

	tip_buf_add(b, json, len);
	tip_buf_addc(b, '\n');
}

static void own_alert(void **state)
{
	struct tip_alerts_config c = {.json = true, .form = {.message = true}};
	struct tip_alerts *a = start(&c);
	const struct tip_alert_field fields[] = {
		{"spiffe.id", "spiffe://x/a"}, {"by", "cli"}, {"proc.pid", NULL}};
	const char *line, *at;
	struct tip_buf seen = {0};

	tip_alerts_subscribe(a, 0, keep, &seen);
	tip_alert_own(a, "Workload quarantined", TIP_PRIO_CRITICAL, fields, 3, "%s is out", "a");
	tip_alerts_free(a);
	line = content();
	/* The control socket has the plain form, whatever sinks get. */
	assert_null(strstr(seen.data, "\"message\":"));
	at = strstr(line, "\"output_fields\":{\"by\":\"cli\",\"evt.time\":");
	assert_non_null(at);
	at = strstr(at, ",\"proc.pid\":null,\"spiffe.id\":\"spiffe://x/a\"},"
			"\"priority\":\"Critical\",\"rule\":\"Workload quarantined\","
			"\"source\":\"tipstaff\",\"tags\":[],\"time\":\"");
	assert_non_null(at);
	assert_non_null(
		strstr(line, "{\"hostname\":\"n1\",\"message\":\"a is out\",\"output\":\""));
	assert_non_null(strstr(line, ": Critical a is out\""));
	tip_buf_free(&seen);
}

/* Falco's switches. */
static void switches(void **state)
{
	const struct tip_alert_field fields[] = {{"cluster", "c\"1"}, {"proc.name", "static"}};
	struct tip_alerts_config c = {
		.json = true,
		.form = {.no_output = true, .no_tags = true, .iso8601 = true, .message = true},
		.fields = fields,
		.nfields = 2};
	struct tip_alerts *a = start(&c);

	tip_alert_rule(a, &rule, NULL, &in, NULL, 0);
	tip_alerts_free(a);
	assert_string_equal(
		content(), "{\"hostname\":\"n1\",\"message\":\"a shell by=cat\",\"output_fields\":{"
			   "\"cluster\":\"c\\\"1\",\"evt.time\":1767225600123456789,"
			   "\"evt.time.iso8601\":\"2026-01-01T00:00:00.123456789+0000\","
			   "\"evt.type\":\"execve\",\"proc.name\":\"static\",\"user.name\":null},"
			   "\"priority\":\"Notice\",\"rule\":\"Shell\",\"source\":\"syscall\","
			   "\"time\":\"2026-01-01T00:00:00.123456789Z\"}\n");
	c = (struct tip_alerts_config){.json = true, .form = {.no_fields = true}};
	a = start(&c);
	tip_alert_rule(a, &rule, NULL, &in, NULL, 0);
	tip_alerts_free(a);
	assert_null(strstr(content(), "output_fields"));
	c = (struct tip_alerts_config){.form = {.iso8601 = true}};
	a = start(&c);
	tip_alert_rule(a, &rule, NULL, &in, NULL, 0);
	tip_alerts_free(a);
	assert_string_equal(content(),
			    "2026-01-01T00:00:00.123456789+0000: Notice a shell by=cat\n");
}

static void number_alerts(struct tip_alerts *a, int from, int to)
{
	for (int i = from; i < to; i++)
		tip_alert_own(a, "n", TIP_PRIO_DEBUG, NULL, 0, "<%d>", i);
}

static size_t count(const char *s, const char *what)
{
	size_t n = 0;

	for (; (s = strstr(s, what)); s++)
		n++;
	return n;
}

static void recent_are_replayed(void **state)
{
	struct tip_alerts_config c = {.recent = 4};
	struct tip_alerts *a = start(&c);
	struct tip_buf all = {0}, two = {0}, none = {0};
	int id;

	number_alerts(a, 0, 6);
	id = tip_alerts_subscribe(a, 100, keep, &all);
	tip_alerts_subscribe(a, 2, keep, &two);
	assert_int_equal(count(all.data, "\n"), 4);
	assert_true(strstr(all.data, "<2>") < strstr(all.data, "<5>"));
	assert_null(strstr(all.data, "<1>"));
	assert_int_equal(count(two.data, "\n"), 2);
	assert_non_null(strstr(two.data, "<4>"));
	number_alerts(a, 6, 7);
	assert_non_null(strstr(all.data, "<6>"));
	tip_alerts_unsubscribe(a, id);
	number_alerts(a, 7, 8);
	assert_null(strstr(all.data, "<7>"));
	assert_non_null(strstr(two.data, "<7>"));
	id = tip_alerts_subscribe(a, 0, keep, &none);
	assert_int_equal(none.len, 0);
	tip_alerts_unsubscribe(a, id);
	tip_alerts_free(a);
	unlink(path);
	tip_buf_free(&all);
	tip_buf_free(&two);
	tip_buf_free(&none);
}

static struct leaver {
	struct tip_alerts *a;
	int id, calls;
} leaver;

static void leave(void *ctx, const char *json, size_t len)
{
	struct leaver *l = ctx;

	l->calls++;
	tip_alerts_unsubscribe(l->a, l->id);
}

/* A subscriber whose connection breaks while it is told, and one behind it. */
static void leaving_while_told(void **state)
{
	struct tip_alerts_config c = {0};
	struct tip_buf seen = {0};

	leaver = (struct leaver){.a = start(&c)};
	leaver.id = tip_alerts_subscribe(leaver.a, 0, leave, &leaver);
	tip_alerts_subscribe(leaver.a, 0, keep, &seen);
	number_alerts(leaver.a, 0, 2);
	assert_int_equal(leaver.calls, 1);
	assert_int_equal(count(seen.data, "\n"), 2);
	tip_alerts_free(leaver.a);
	unlink(path);
	tip_buf_free(&seen);
}

static void stdout_that_nobody_reads(void **state)
{
	struct tip_alerts_config c = {.stdout_enabled = true, .queue = 16, .json = true};
	struct tip_alerts_stats st;
	struct tip_alerts *a;
	int p[2], keep_out;

	assert_int_equal(pipe(p), 0);
	fcntl(p[1], F_SETPIPE_SZ, 4096);
	fflush(stdout);
	keep_out = dup(STDOUT_FILENO);
	assert_true(dup2(p[1], STDOUT_FILENO) >= 0);
	a = start(&c);
	for (int i = 0; i < 5; i++) {
		number_alerts(a, i * 200, i * 200 + 200);
		usleep(20000);
	}
	tip_alerts_stats(a, &st);
	tip_alerts_free(a);
	dup2(keep_out, STDOUT_FILENO);
	close(keep_out);
	close(p[0]);
	close(p[1]);
	assert_int_equal(st.total, 1000);
	assert_int_equal(st.nsinks, 2);
	assert_string_equal(st.sinks[1].name, "stdout");
	assert_true(st.sinks[1].stats.dropped > 500);
	assert_true(st.sinks[1].stats.written < 400);
	/* the other sink went on */
	assert_true(st.sinks[0].stats.written + st.sinks[0].stats.dropped > 0);
	assert_true(count(content(), "\n") >= st.sinks[0].stats.written);
}

static void unusable_file(void **state)
{
	struct tip_alerts_config c = {.file = "/no/such/folder/alerts"};
	struct tip_error err;

	assert_null(tip_alerts_new(&c, &err));
	assert_non_null(strstr(err.text, "/no/such/folder/alerts"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_as_json),
		cmocka_unit_test(rule_as_text),
		cmocka_unit_test(switches),
		cmocka_unit_test(own_alert),
		cmocka_unit_test(recent_are_replayed),
		cmocka_unit_test(leaving_while_told),
		cmocka_unit_test(stdout_that_nobody_reads),
		cmocka_unit_test(unusable_file),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
