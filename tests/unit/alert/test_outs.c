/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>

#include "fake.h"

#include "alert/sink.h"
#include "base/clock.h"

static char dir[64], path[96];

static int fresh(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/tip-unit-out-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/x", dir);
	return 0;
}

static int done(void **state)
{
	unlink(path);
	return rmdir(dir);
}

static struct tip_sink *make(struct tip_out *out)
{
	const struct tip_sink_config c = {.queue = 1000, .timeout_ns = 300 * 1000000ULL};

	return tip_sink_new("test", out, &c);
}

static void put(struct tip_sink *s, const char *text, enum tip_priority priority)
{
	struct tip_line *line = tip_line_new(text, strlen(text), (uint8_t)priority);

	tip_sink_put(s, line);
	tip_line_put(line);
}

static void finish(struct tip_sink *s)
{
	tip_sink_stop(s, tip_clock_monotonic() + 5 * TIP_NSEC_PER_SEC);
	tip_sink_free(s);
}

static struct tip_sink_stats await(struct tip_sink *s, uint64_t settled)
{
	struct tip_sink_stats st = {0};

	for (int i = 0; i < 2000; i++) {
		tip_sink_stats(s, &st);
		if (st.written + st.dropped >= settled)
			break;
		poll(NULL, 0, 10);
	}
	assert_int_equal(st.written + st.dropped, settled);
	return st;
}

static void await_text(const char *want)
{
	static char buf[65536];
	ssize_t n = 0;

	for (int i = 0; i < 2000; i++) {
		int fd = open(path, O_RDONLY);

		n = fd >= 0 ? read(fd, buf, sizeof(buf) - 1) : 0;
		close(fd);
		buf[n > 0 ? n : 0] = '\0';
		if (strcmp(buf, want) == 0)
			return;
		poll(NULL, 0, 10);
	}
	assert_string_equal(buf, want);
}

/* ---- syslog --------------------------------------------------------------------------------- */

static int syslog_daemon(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static const char *next(int fd)
{
	static char buf[4096];
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, 0);

	assert_true(n > 0);
	buf[n] = '\0';
	return buf;
}

static void syslog_has_facility_and_severity(void **state)
{
	int fd = syslog_daemon();
	struct tip_sink *s = make(tip_out_syslog(path, LOG_LOCAL3));
	const char *got;

	put(s, "warn", TIP_PRIO_WARNING);
	put(s, "worst", TIP_PRIO_EMERGENCY);
	got = next(fd);
	assert_memory_equal(got, "<156>", 5); /* local3 is 19, warning is 4 */
	assert_non_null(strstr(got, " tipstaffd["));
	assert_string_equal(strstr(got, "]: "), "]: warn");
	assert_memory_equal(next(fd), "<152>", 5);
	await(s, 2);
	finish(s);
	close(fd);
}

static void syslog_that_is_started_anew(void **state)
{
	struct tip_sink *s = make(tip_out_syslog(path, LOG_DAEMON));
	int fd;

	put(s, "nobody is there", TIP_PRIO_NOTICE);
	assert_int_equal(await(s, 1).dropped, 1);
	fd = syslog_daemon();
	put(s, "one", TIP_PRIO_NOTICE);
	assert_non_null(strstr(next(fd), "]: one"));
	close(fd);
	fd = syslog_daemon();
	put(s, "two", TIP_PRIO_NOTICE);
	assert_non_null(strstr(next(fd), "]: two"));
	assert_int_equal(await(s, 3).written, 2);
	finish(s);
	close(fd);
}

/* A message that is larger than any datagram costs that message only. */
static void syslog_with_a_message_too_large(void **state)
{
	int fd = syslog_daemon();
	struct tip_sink *s = make(tip_out_syslog(path, LOG_DAEMON));
	char *big = malloc(4 << 20);

	assert_non_null(big);
	memset(big, 'x', (4 << 20) - 1);
	big[(4 << 20) - 1] = '\0';
	put(s, big, TIP_PRIO_NOTICE);
	put(s, "small", TIP_PRIO_NOTICE);
	assert_non_null(strstr(next(fd), "]: small"));
	assert_int_equal(await(s, 2).dropped, 1);
	free(big);
	finish(s);
	close(fd);
}

/* ---- programs ------------------------------------------------------------------------------- */

static struct tip_sink *program(const char *script, bool keep_alive)
{
	char text[512];
	const char *argv[] = {"/bin/sh", "-c", text, NULL};

	snprintf(text, sizeof(text), script, path);
	return make(tip_out_program(argv, keep_alive));
}

static void program_that_lives_on(void **state)
{
	struct tip_sink *s = program("echo begin >>%s; exec cat >>$0", true);

	finish(s); /* nothing is started for nothing */
	assert_int_equal(access(path, F_OK), -1);

	s = program("while read -r l; do echo \"$l\" >>%s; done", true);
	put(s, "one", TIP_PRIO_NOTICE);
	put(s, "two", TIP_PRIO_NOTICE);
	await_text("one\ntwo\n");
	put(s, "three", TIP_PRIO_NOTICE);
	finish(s); /* it reads to the end */
	await_text("one\ntwo\nthree\n");
}

static void program_for_each_alert(void **state)
{
	struct tip_sink *s = program("echo begin >>%1$s; cat >>%1$s", false);

	put(s, "one", TIP_PRIO_NOTICE);
	put(s, "two", TIP_PRIO_NOTICE);
	await_text("begin\none\nbegin\ntwo\n");
	assert_int_equal(await(s, 2).written, 2);
	finish(s);
}

static void program_that_dies_is_started_again(void **state)
{
	struct tip_sink *s = program("read -r l; echo \"$l\" >>%s", true);

	put(s, "one", TIP_PRIO_NOTICE);
	await_text("one\n");
	/* until its end is seen, an alert may go into its pipe and be lost with it: say it again */
	for (int i = 0; i < 500; i++) {
		struct stat st;

		put(s, "two", TIP_PRIO_NOTICE);
		poll(NULL, 0, 20);
		if (stat(path, &st) == 0 && st.st_size >= 8)
			break;
	}
	finish(s);
}

static void program_that_does_not_read(void **state)
{
	struct tip_sink_stats st = {0};
	static char big[9000];
	struct tip_sink *s = program("sleep 1000; : %s", true);
	uint64_t start;

	memset(big, 'x', sizeof(big) - 1);
	for (int i = 0; i < 100; i++)
		put(s, big, TIP_PRIO_NOTICE);
	for (int i = 0; i < 1000 && !st.timeouts; i++) {
		tip_sink_stats(s, &st);
		poll(NULL, 0, 10);
	}
	assert_true(st.timeouts > 0);
	assert_true(st.waiting > 0);
	start = tip_clock_monotonic();
	tip_sink_stop(s, start + TIP_NSEC_PER_SEC / 5);
	tip_sink_free(s); /* it and its sleep are ended */
	assert_true(tip_clock_monotonic() - start < 5 * TIP_NSEC_PER_SEC);
}

static void program_that_does_not_exist(void **state)
{
	const char *argv[] = {"/no/such/program", NULL};
	struct tip_sink *s = make(tip_out_program(argv, true));
	struct tip_sink_stats st;

	put(s, "one", TIP_PRIO_NOTICE);
	poll(NULL, 0, 300);
	tip_sink_stats(s, &st);
	assert_int_equal(st.waiting, 1);
	tip_sink_stop(s, tip_clock_monotonic());
	tip_sink_free(s);
}

/* Nothing of the environment, a session of its own. */
static void program_has_nothing_of_ours(void **state)
{
	struct tip_sink *s;

	setenv("SECRET_OF_OURS", "x", 1);
	s = program("read l; { env | grep -c OF_OURS; "
		    "[ $(ps -o sid= -p $$) = $$ ] && echo session; } >>%s",
		    true);
	put(s, "go", TIP_PRIO_NOTICE);
	await_text("0\nsession\n");
	finish(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fresh, done)
		T(syslog_has_facility_and_severity), T(syslog_that_is_started_anew),
		T(syslog_with_a_message_too_large),  T(program_that_lives_on),
		T(program_for_each_alert),           T(program_that_dies_is_started_again),
		T(program_that_does_not_read),       T(program_that_does_not_exist),
		T(program_has_nothing_of_ours),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
