/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "fake.h"

#include "alert/sink.h"
#include "base/clock.h"

static char dir[64], path[96];

static int fresh(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/tip-unit-sink-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/alerts", dir);
	return 0;
}

static int done(void **state)
{
	char old[128];

	snprintf(old, sizeof(old), "%s.1", path);
	unlink(old);
	unlink(path);
	return rmdir(dir);
}

static struct tip_sink *make(const char *name, int fd, size_t queue)
{
	const struct tip_sink_config c = {.queue = queue, .timeout_ns = 200 * 1000000ULL};

	return tip_sink_new(name, tip_out_fd(fd, true), &c);
}

static void put(struct tip_sink *s, const char *text)
{
	struct tip_line *line = tip_line_new(text, strlen(text), 0);

	tip_sink_put(s, line);
	tip_line_put(line);
}

static void finish(struct tip_sink *s, unsigned int ms)
{
	tip_sink_stop(s, tip_clock_monotonic() + ms * 1000000ULL);
	tip_sink_free(s);
}

/* Waits until so many lines were written or dropped. */
static void await_lines(struct tip_sink *s, uint64_t written, uint64_t dropped)
{
	struct tip_sink_stats st = {0};

	for (int i = 0; i < 1000; i++) {
		tip_sink_stats(s, &st);
		if (st.written >= written && st.dropped >= dropped)
			break;
		poll(NULL, 0, 10);
	}
	assert_int_equal(st.written, written);
	assert_int_equal(st.dropped, dropped);
}

static void assert_file(const char *name, const char *want)
{
	char buf[4096];
	int fd = open(name, O_RDONLY);
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	assert_true(n >= 0);
	close(fd);
	buf[n] = '\0';
	assert_string_equal(buf, want);
}

static void file_is_appended_and_private(void **state)
{
	struct tip_error err;
	struct tip_sink *s;
	struct stat st;
	mode_t mask = umask(0);

	for (int i = 0; i < 2; i++) {
		s = make(path, tip_out_open_file(path, &err), 16);
		put(s, i ? "two" : "one");
		finish(s, 2000);
	}
	umask(mask);
	assert_file(path, "one\ntwo\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void open_is_careful(void **state)
{
	struct tip_error err;
	char other[128];

	snprintf(other, sizeof(other), "%s.1", path);
	assert_int_equal(symlink("/tmp/elsewhere", other), 0);
	assert_int_equal(tip_out_open_file(other, &err), -1);
	assert_non_null(strstr(err.text, "symbolic link"));
	unlink(other);
	assert_int_equal(mkfifo(other, 0600), 0);
	assert_int_equal(tip_out_open_file(other, &err), -1); /* and does not hang */
	assert_int_equal(tip_out_open_file("/tmp/no/such/folder/x", &err), -1);
	assert_non_null(strstr(err.text, "folder has to exist"));
	assert_int_equal(tip_out_open_file("/tmp", &err), -1);
}

static void reopen_after_rotation(void **state)
{
	struct tip_error err;
	struct tip_sink *s = make(path, tip_out_open_file(path, &err), 16);
	char old[128];

	put(s, "before");
	await_lines(s, 1, 0);
	snprintf(old, sizeof(old), "%s.1", path);
	assert_int_equal(rename(path, old), 0);
	tip_sink_set_fd(s, tip_out_open_file(path, &err));
	put(s, "after");
	finish(s, 2000);
	assert_file(old, "before\n");
	assert_file(path, "after\n");
}

static void pipe_that_nobody_reads(void **state)
{
	static char big[2000];
	struct tip_sink *s;
	struct tip_sink_stats st;
	uint64_t start;
	int p[2];

	assert_int_equal(pipe(p), 0);
	fcntl(p[1], F_SETPIPE_SZ, 4096);
	memset(big, 'x', sizeof(big) - 1);
	s = make("pipe", p[1], 8);
	start = tip_clock_monotonic();
	for (int i = 0; i < 1000; i++)
		put(s, big);
	assert_true(tip_clock_monotonic() - start < TIP_NSEC_PER_SEC); /* the caller never waits */
	tip_sink_stats(s, &st);
	assert_true(st.dropped >= 1000 - 8 - 4);
	assert_true(st.written <= 4);
	/* stopping is bounded as well */
	start = tip_clock_monotonic();
	finish(s, 300);
	assert_true(tip_clock_monotonic() - start < 2 * TIP_NSEC_PER_SEC);
	close(p[0]);
}

static void slow_reader_gets_whole_lines(void **state)
{
	static char big[9000], got[10 * 9000];
	struct tip_sink *s;
	size_t have = 0;
	int p[2];

	assert_int_equal(pipe(p), 0);
	fcntl(p[1], F_SETPIPE_SZ, 4096);
	fcntl(p[1], F_SETFL, O_NONBLOCK); /* EAGAIN and short writes */
	memset(big, 'y', sizeof(big) - 1);
	s = make("pipe", p[1], 16);
	for (int i = 0; i < 10; i++) {
		big[0] = (char)('0' + i);
		put(s, big);
	}
	while (have < sizeof(got)) {
		ssize_t n = read(p[0], got + have, have % 700 + 1);

		assert_true(n > 0);
		have += (size_t)n;
	}
	await_lines(s, 10, 0);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(got[i * 9000], '0' + i);
		assert_int_equal(got[i * 9000 + 8999], '\n');
	}
	finish(s, 2000);
	close(p[0]);
}

static void reader_that_left(void **state)
{
	struct tip_sink *s;
	int p[2];

	signal(SIGPIPE, SIG_DFL); /* it would end this test */
	assert_int_equal(pipe(p), 0);
	close(p[0]);
	s = make("pipe", p[1], 16);
	put(s, "one");
	put(s, "two");
	await_lines(s, 0, 2);
	finish(s, 2000);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	close(p[0]);
	s = make("socket", p[1], 16);
	put(s, "one");
	await_lines(s, 0, 1);
	finish(s, 2000);
}

static void socket_that_nobody_reads(void **state)
{
	static char big[60000];
	struct tip_sink *s;
	uint64_t start;
	int p[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	memset(big, 'z', sizeof(big) - 1);
	s = make("socket", p[1], 64);
	for (int i = 0; i < 32; i++)
		put(s, big);
	start = tip_clock_monotonic();
	finish(s, 300);
	assert_true(tip_clock_monotonic() - start < 2 * TIP_NSEC_PER_SEC);
	close(p[0]);
}

static void full_disk_is_counted(void **state)
{
	struct tip_error err;
	struct tip_sink *s = make("/dev/full", tip_out_open_file("/dev/full", &err), 16);

	put(s, "one");
	put(s, "two");
	await_lines(s, 0, 2);
	finish(s, 2000);
}

/* A file that takes half a line and then no more: what follows once there is room starts on a line
 * of its own. */
static void torn_line_spoils_only_itself(void **state)
{
	struct rlimit old, small;
	struct tip_error err;
	struct tip_sink *s;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 6;
	s = make(path, tip_out_open_file(path, &err), 16);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	put(s, "0123456789");
	await_lines(s, 0, 1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	put(s, "whole");
	await_lines(s, 1, 1);
	finish(s, 2000);
	assert_file(path, "012345\nwhole\n");
}

static void waiting_text_is_bounded(void **state)
{
	size_t len = TIP_SINK_BYTES / 4;
	char *big = malloc(len);
	struct tip_sink_stats st;
	struct tip_line *line;
	struct tip_sink *s;
	int p[2];

	assert_non_null(big);
	memset(big, 'x', len);
	assert_int_equal(pipe(p), 0);
	s = make("pipe", p[1], 1000);
	line = tip_line_new(big, len, 0);
	for (int i = 0; i < 10; i++)
		tip_sink_put(s, line);
	tip_sink_stats(s, &st);
	assert_int_equal(st.dropped, 7); /* three fit, and what the thread has in hand counts */
	tip_line_put(line);
	free(big);
	finish(s, 100);
	close(p[0]);
}

/* Who does not read for longer than the timeout loses nothing by that alone. */
static void timeouts_are_counted_and_nothing_is_lost(void **state)
{
	static char big[9000], got[9000 * 3];
	struct tip_sink_stats st = {0};
	struct tip_sink *s;
	size_t have = 0;
	int p[2];

	assert_int_equal(pipe(p), 0);
	fcntl(p[1], F_SETPIPE_SZ, 4096);
	memset(big, 'x', sizeof(big) - 1);
	s = make("pipe", p[1], 16);
	for (int i = 0; i < 3; i++)
		put(s, big);
	for (int i = 0; i < 1000 && !st.timeouts; i++) {
		tip_sink_stats(s, &st);
		poll(NULL, 0, 10);
	}
	assert_true(st.timeouts > 0);
	assert_int_equal(st.waiting, 3);
	while (have < sizeof(got)) {
		ssize_t n = read(p[0], got + have, sizeof(got) - have);

		assert_true(n > 0);
		have += (size_t)n;
	}
	for (int i = 1; i <= 3; i++)
		assert_int_equal(got[i * 9000 - 1], '\n');
	await_lines(s, 3, 0);
	finish(s, 2000);
	close(p[0]);
}

/* Buffered lines wait for company, and go when there is none. */
static void buffered_lines_arrive(void **state)
{
	const struct tip_sink_config c = {
		.queue = 100, .timeout_ns = TIP_NSEC_PER_SEC, .buffered = true};
	struct tip_error err;
	struct tip_sink *s =
		tip_sink_new(path, tip_out_fd(tip_out_open_file(path, &err), true), &c);

	put(s, "one");
	put(s, "two");
	await_lines(s, 2, 0);
	put(s, "three");
	finish(s, 2000); /* what waits for company goes at the end, too */
	assert_file(path, "one\ntwo\nthree\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(file_is_appended_and_private, fresh, done),
		cmocka_unit_test_setup_teardown(open_is_careful, fresh, done),
		cmocka_unit_test_setup_teardown(reopen_after_rotation, fresh, done),
		cmocka_unit_test(pipe_that_nobody_reads),
		cmocka_unit_test(slow_reader_gets_whole_lines),
		cmocka_unit_test(reader_that_left),
		cmocka_unit_test(socket_that_nobody_reads),
		cmocka_unit_test(full_disk_is_counted),
		cmocka_unit_test_setup_teardown(torn_line_spoils_only_itself, fresh, done),
		cmocka_unit_test(waiting_text_is_bounded),
		cmocka_unit_test(timeouts_are_counted_and_nothing_is_lost),
		cmocka_unit_test_setup_teardown(buffered_lines_arrive, fresh, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
