/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>

#include "fake.h"

#include "alert/sink.h"
#include "alert/spool.h"
#include "base/clock.h"

#define MAX (64u << 10)

static char dir[64], folder[96], path[96];

static int fresh(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/tip-unit-spool-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(folder, sizeof(folder), "%s/spool", dir);
	snprintf(path, sizeof(path), "%s/log", dir);
	return 0;
}

static int done(void **state)
{
	char name[512];
	struct dirent *e;
	DIR *d = opendir(folder);

	while (d && (e = readdir(d))) {
		snprintf(name, sizeof(name), "%s/%s", folder, e->d_name);
		unlink(name);
	}
	if (d)
		closedir(d);
	rmdir(folder);
	unlink(path);
	return rmdir(dir);
}

static struct tip_spool *open_spool(void)
{
	struct tip_error err;
	struct tip_spool *s = tip_spool_open(folder, MAX, &err);

	assert_non_null(s);
	return s;
}

static int put(struct tip_spool *s, const char *text)
{
	struct tip_line *line = tip_line_new(text, strlen(text), TIP_PRIO_WARNING);
	int error = tip_spool_put(s, line);

	tip_line_put(line);
	return error;
}

/* The next line is this one; takes it. */
static void expect(struct tip_spool *s, const char *text)
{
	struct tip_line *line = tip_spool_next(s);

	if (!text) {
		assert_null(line);
		return;
	}
	assert_non_null(line);
	assert_int_equal(line->len, strlen(text) + 1);
	assert_memory_equal(line->text, text, strlen(text));
	assert_int_equal(line->priority, TIP_PRIO_WARNING);
	tip_line_put(line);
	tip_spool_take(s);
}

static uint64_t lines(const struct tip_spool *s)
{
	struct tip_spool_stats st;

	tip_spool_stats(s, &st);
	return st.lines;
}

/* The oldest segment. */
static const char *segment(void)
{
	static char name[512];
	char first[256] = "z";
	struct dirent *e;
	DIR *d = opendir(folder);

	while ((e = readdir(d)))
		if (strstr(e->d_name, ".spool") && strcmp(e->d_name, first) < 0)
			snprintf(first, sizeof(first), "%s", e->d_name);
	closedir(d);
	snprintf(name, sizeof(name), "%s/%s", folder, first);
	return name;
}

static void lines_come_out_in_order(void **state)
{
	struct tip_spool *s = open_spool();
	char text[32];

	expect(s, NULL);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 500; i++) {
			snprintf(text, sizeof(text), "line %d", i);
			assert_int_equal(put(s, text), 0);
			if (i == 100)
				expect(s, "line 0");
		}
		assert_int_equal(lines(s), 499);
		for (int i = 1; i < 500; i++) {
			snprintf(text, sizeof(text), "line %d", i);
			expect(s, text);
		}
		expect(s, NULL);
		assert_int_equal(lines(s), 0);
	}
	tip_spool_close(s);
}

static void what_is_not_taken_is_there_again(void **state)
{
	struct tip_spool *s = open_spool();
	struct tip_line *line;

	put(s, "one");
	put(s, "two");
	line = tip_spool_next(s);
	tip_line_put(line);
	line = tip_spool_next(s);
	assert_string_equal(line->text, "one\n");
	tip_line_put(line);
	tip_spool_take(s);
	tip_spool_close(s);

	s = open_spool();
	assert_int_equal(lines(s), 1);
	put(s, "three");
	expect(s, "two");
	tip_spool_close(s);
	s = open_spool();
	expect(s, "three");
	expect(s, NULL);
	tip_spool_close(s);
	s = open_spool();
	expect(s, NULL);
	put(s, "four");
	tip_spool_close(s);
	s = open_spool();
	expect(s, "four");
	tip_spool_close(s);
}

static void without_a_position_all_comes_again(void **state)
{
	struct tip_spool *s = open_spool();
	char position[128];

	put(s, "one");
	put(s, "two");
	expect(s, "one");
	tip_spool_close(s);
	snprintf(position, sizeof(position), "%s/position", folder);
	assert_int_equal(unlink(position), 0);
	s = open_spool();
	expect(s, "one");
	expect(s, "two");
	tip_spool_close(s);
}

/* Each length to which a crash may have cut the last record. */
static void a_torn_end_is_found(void **state)
{
	for (off_t cut = 1; cut < 12; cut++) {
		struct tip_spool *s = open_spool();
		struct tip_spool_stats st;
		struct stat file;

		put(s, "whole");
		put(s, "tor");
		tip_spool_close(s);
		assert_int_equal(stat(segment(), &file), 0);
		assert_int_equal(truncate(segment(), file.st_size - cut), 0);
		s = open_spool();
		assert_int_equal(lines(s), 1);
		put(s, "later"); /* not behind what is torn, but in a segment of its own */
		expect(s, "whole");
		expect(s, "later");
		expect(s, NULL);
		tip_spool_stats(s, &st);
		assert_int_equal(st.damaged, 1);
		assert_int_equal(st.bytes, 0);
		tip_spool_close(s);
	}
}

static void a_changed_byte_is_found(void **state)
{
	for (off_t at = 14; at < 14 + 12; at++) { /* of the second record */
		struct tip_spool *s = open_spool();
		char byte;
		int fd;

		put(s, "whole");
		put(s, "two");
		tip_spool_close(s);
		fd = open(segment(), O_RDWR);
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 0x20;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		close(fd);
		s = open_spool();
		expect(s, "whole");
		expect(s, NULL);
		tip_spool_close(s);
	}
}

static void it_is_bounded(void **state)
{
	struct tip_spool *s = open_spool();
	struct tip_spool_stats st;
	static char big[1000];
	int n = 0;

	memset(big, 'x', sizeof(big) - 1);
	while (put(s, big) == 0)
		n++;
	assert_int_equal(put(s, big), ENOSPC);
	tip_spool_stats(s, &st);
	assert_true(st.bytes <= MAX && st.bytes > MAX - 2000);
	assert_int_equal(st.lines, n);
	for (int i = 0; i < n / 2; i++) /* what was read makes room, by segments */
		expect(s, big);
	assert_int_equal(put(s, big), 0);
	for (int i = 0; i < n - n / 2 + 1; i++)
		expect(s, big);
	expect(s, NULL);
	tip_spool_close(s);
}

/* ---- a sink with a spool ------------------------------------------------------------------------
 */

static struct tip_sink *start(void)
{
	const struct tip_sink_config c = {
		.queue = 100, .timeout_ns = 300 * 1000000ULL, .spool = open_spool()};

	return tip_sink_new("test", tip_out_syslog(path, LOG_DAEMON), &c);
}

static void say(struct tip_sink *s, int from, int to)
{
	for (int i = from; i < to; i++) {
		char text[32];
		struct tip_line *line;

		snprintf(text, sizeof(text), "<%d>", i);
		line = tip_line_new(text, strlen(text), TIP_PRIO_NOTICE);
		tip_sink_put(s, line);
		tip_line_put(line);
	}
}

static void stop(struct tip_sink *s)
{
	tip_sink_stop(s, tip_clock_monotonic() + TIP_NSEC_PER_SEC);
	tip_sink_free(s);
}

static void await_spooled(struct tip_sink *s, uint64_t spooled)
{
	struct tip_sink_stats st = {0};

	for (int i = 0; i < 2000; i++) {
		tip_sink_stats(s, &st);
		if (st.spooled == spooled && !st.waiting)
			break;
		poll(NULL, 0, 10);
	}
	assert_int_equal(st.spooled, spooled);
	assert_int_equal(st.dropped, 0);
}

/* Nobody listens, the daemon is restarted, then somebody does: every alert, in order, once. */
static void what_a_sink_did_not_take_comes_later(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct timeval patience = {30, 0};
	struct tip_sink *s = start();
	char buf[256], want[32];
	int fd;

	say(s, 0, 95); /* more than the thread takes at once */
	await_spooled(s, 95);
	say(s, 95, 100);
	stop(s);
	s = start();
	say(s, 100, 110);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	for (int i = 0; i < 110; i++) {
		ssize_t n = recv(fd, buf, sizeof(buf) - 1, 0);

		assert_true(n > 0);
		buf[n] = '\0';
		snprintf(want, sizeof(want), "]: <%d>", i);
		assert_non_null(strstr(buf, want));
	}
	await_spooled(s, 0);
	say(s, 110, 111); /* and from the queue again */
	assert_true(recv(fd, buf, sizeof(buf) - 1, 0) > 0);
	stop(s);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fresh, done)
		T(lines_come_out_in_order),
		T(what_is_not_taken_is_there_again),
		T(without_a_position_all_comes_again),
		T(a_torn_end_is_found),
		T(a_changed_byte_is_found),
		T(it_is_bounded),
		T(what_a_sink_did_not_take_comes_later),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
