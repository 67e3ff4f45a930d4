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

static void put(struct tip_sink *s, const char *text)
{
	struct tip_line *line = tip_line_new(text, strlen(text));

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
	uint64_t w = 0, d = 0;

	for (int i = 0; i < 500; i++) {
		tip_sink_stats(s, &w, &d);
		if (w >= written && d >= dropped)
			break;
		poll(NULL, 0, 10);
	}
	assert_int_equal(w, written);
	assert_int_equal(d, dropped);
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
		s = tip_sink_new(path, tip_sink_open(path, &err), true, 16);
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
	assert_int_equal(tip_sink_open(other, &err), -1);
	assert_non_null(strstr(err.text, "symbolic link"));
	unlink(other);
	assert_int_equal(mkfifo(other, 0600), 0);
	assert_int_equal(tip_sink_open(other, &err), -1); /* and does not hang */
	assert_int_equal(tip_sink_open("/tmp/no/such/folder/x", &err), -1);
	assert_non_null(strstr(err.text, "folder has to exist"));
	assert_int_equal(tip_sink_open("/tmp", &err), -1);
}

static void reopen_after_rotation(void **state)
{
	struct tip_error err;
	struct tip_sink *s = tip_sink_new(path, tip_sink_open(path, &err), true, 16);
	char old[128];

	put(s, "before");
	await_lines(s, 1, 0);
	snprintf(old, sizeof(old), "%s.1", path);
	assert_int_equal(rename(path, old), 0);
	tip_sink_set_fd(s, tip_sink_open(path, &err));
	put(s, "after");
	finish(s, 2000);
	assert_file(old, "before\n");
	assert_file(path, "after\n");
}

static void pipe_that_nobody_reads(void **state)
{
	static char big[2000];
	struct tip_sink *s;
	uint64_t start, written, dropped;
	int p[2];

	assert_int_equal(pipe(p), 0);
	fcntl(p[1], F_SETPIPE_SZ, 4096);
	memset(big, 'x', sizeof(big) - 1);
	s = tip_sink_new("pipe", p[1], true, 8);
	start = tip_clock_monotonic();
	for (int i = 0; i < 1000; i++)
		put(s, big);
	assert_true(tip_clock_monotonic() - start < TIP_NSEC_PER_SEC); /* the caller never waits */
	tip_sink_stats(s, &written, &dropped);
	assert_true(dropped >= 1000 - 8 - 4);
	assert_true(written <= 4);
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
	s = tip_sink_new("pipe", p[1], true, 16);
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
	s = tip_sink_new("pipe", p[1], true, 16);
	put(s, "one");
	put(s, "two");
	await_lines(s, 0, 2);
	finish(s, 2000);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	close(p[0]);
	s = tip_sink_new("socket", p[1], true, 16);
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
	s = tip_sink_new("socket", p[1], true, 64);
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
	struct tip_sink *s = tip_sink_new("/dev/full", tip_sink_open("/dev/full", &err), true, 16);

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
	s = tip_sink_new(path, tip_sink_open(path, &err), true, 16);
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
	uint64_t written, dropped;
	struct tip_line *line;
	struct tip_sink *s;
	int p[2];

	assert_non_null(big);
	memset(big, 'x', len);
	assert_int_equal(pipe(p), 0);
	s = tip_sink_new("pipe", p[1], true, 1000);
	line = tip_line_new(big, len);
	for (int i = 0; i < 10; i++)
		tip_sink_put(s, line);
	tip_sink_stats(s, &written, &dropped);
	assert_true(dropped >= 6 - 1 && dropped <= 7); /* three fit, one is with the thread */
	tip_line_put(line);
	free(big);
	finish(s, 100);
	close(p[0]);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
