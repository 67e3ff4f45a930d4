/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "digest/digest.h"

/* Of "" and of "abc": FIPS 180-4. */
#define OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define OF_ABC     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
/* Of a million times "a". */
#define OF_MANY_A "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

struct fixture {
	struct event_base *base;
	struct tip_digester *d;
	char dir[32];
	int answers;
	uint64_t tag;
	char sha256[TIP_DIGEST_TEXT];
	char why[128];
};

static void on_done(void *ctx, uint64_t tag, const char *sha256, const char *why)
{
	struct fixture *f = ctx;

	f->answers++;
	f->tag = tag;
	snprintf(f->sha256, sizeof(f->sha256), "%s", sha256);
	snprintf(f->why, sizeof(f->why), "%s", why);
	event_base_loopbreak(f->base);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->base = event_base_new();
	/* On disk, and not, as /tmp may be, in memory. */
	snprintf(f->dir, sizeof(f->dir), "/var/tmp/tip-digest-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->d = tip_digester_new(f->base, 2 << 20, &(struct tip_digest_ops){on_done, f});
	assert_non_null(f->d);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	tip_digester_free(f->d);
	event_base_free(f->base);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

/* A file that was changed long enough ago to be remembered, unless `fresh`. */
static int file(struct fixture *f, const char *name, const char *text, size_t times, bool fresh)
{
	const struct timespec settle = {.tv_nsec = 2 * TIP_DIGEST_SETTLED_NS};
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	for (size_t i = 0; i < times; i++)
		assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	if (!fresh)
		nanosleep(&settle, NULL);
	return fd;
}

/* Asks, and waits for the answer if it does not come at once. */
static const char *digest(struct fixture *f, int fd, bool *at_once)
{
	static uint64_t tag;

	f->answers = 0;
	f->sha256[0] = f->why[0] = '\0';
	*at_once = tip_digester_ask(f->d, fd, ++tag, f->sha256);
	if (!*at_once) {
		event_base_dispatch(f->base);
		assert_int_equal(f->answers, 1);
		assert_int_equal(f->tag, tag);
	}
	return f->sha256;
}

static void test_known_answers(void **state)
{
	struct fixture *f = *state;
	int nothing = file(f, "nothing", "", 0, true), abc = file(f, "abc", "abc", 1, true);
	int many = file(f, "many", "aaaaaaaaaa", 100000, true);
	bool at_once;

	assert_string_equal(digest(f, nothing, &at_once), OF_NOTHING);
	assert_string_equal(digest(f, abc, &at_once), OF_ABC);
	/* Not from where the caller's position is. */
	assert_string_equal(digest(f, many, &at_once), OF_MANY_A);
	close(nothing);
	close(abc);
	close(many);
}

static void test_settled_files_are_remembered(void **state)
{
	struct fixture *f = *state;
	struct tip_digest_stats stats;
	int fd = file(f, "abc", "abc", 1, false);
	bool at_once;

	assert_string_equal(digest(f, fd, &at_once), OF_ABC);
	assert_false(at_once);
	assert_string_equal(digest(f, fd, &at_once), OF_ABC);
	assert_true(at_once);
	tip_digester_stats(f->d, &stats);
	assert_int_equal(stats.hashed, 1);
	assert_int_equal(stats.remembered, 1);
	assert_int_equal(stats.bytes, 3);
	close(fd);
}

/* Times of files in memory say nothing of what is written through a mapping. */
static void test_what_lives_in_memory_is_read_each_time(void **state)
{
	const struct timespec settle = {.tv_nsec = 2 * TIP_DIGEST_SETTLED_NS};
	struct fixture *f = *state;
	struct tip_digest_stats stats;
	int fd = memfd_create("abc", MFD_CLOEXEC);
	bool at_once;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "abc", 3), 3);
	nanosleep(&settle, NULL);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(digest(f, fd, &at_once), OF_ABC);
		assert_false(at_once);
	}
	tip_digester_stats(f->d, &stats);
	assert_int_equal(stats.hashed, 2);
	close(fd);
}

static void test_a_change_is_seen(void **state)
{
	struct fixture *f = *state;
	int fd = file(f, "abc", "xyz", 1, false);
	bool at_once;

	assert_string_not_equal(digest(f, fd, &at_once), OF_ABC);
	assert_int_equal(pwrite(fd, "abc", 3, 0), 3);
	assert_string_equal(digest(f, fd, &at_once), OF_ABC);
	assert_false(at_once);
	close(fd);
}

/* Changed twice in one tick, a file keeps its ctime: what is that young is read each time. */
static void test_young_files_are_not_remembered(void **state)
{
	struct fixture *f = *state;
	const struct timespec now[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
	int fd = file(f, "abc", "abc", 1, false);
	struct tip_digest_stats stats;
	bool at_once;

	for (int i = 0; i < 3; i++) {
		/* The ctime is now. */
		assert_int_equal(futimens(fd, now), 0);
		assert_string_equal(digest(f, fd, &at_once), OF_ABC);
	}
	tip_digester_stats(f->d, &stats);
	assert_true(stats.hashed >= 2);
	close(fd);
}

static void test_what_is_not_hashed(void **state)
{
	struct fixture *f = *state;
	int large = file(f, "large", "0123456789abcdef", (2 << 20) / 16 + 1, true);
	int dir = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), pipes[2];
	bool at_once;

	assert_string_equal(digest(f, large, &at_once), "");
	assert_non_null(strstr(f->why, "digest_mib"));
	assert_string_equal(digest(f, dir, &at_once), "");
	assert_non_null(strstr(f->why, "no regular file"));
	assert_string_equal(digest(f, null, &at_once), "");
	assert_int_equal(pipe(pipes), 0);
	assert_string_equal(digest(f, pipes[0], &at_once), "");
	assert_string_equal(digest(f, -1, &at_once), "");
	close(large);
	close(dir);
	close(null);
	close(pipes[0]);
	close(pipes[1]);
}

/* More than may wait: each is answered, some with a refusal, and nothing is forgotten. */
static void test_a_crowd(void **state)
{
	struct fixture *f = *state;
	int fd = file(f, "many", "aaaaaaaaaa", 100000, true);
	const int crowd = TIP_DIGEST_QUEUE + 200;
	struct tip_digest_stats stats;
	char out[TIP_DIGEST_TEXT];
	int later = 0;

	for (int i = 0; i < crowd; i++)
		later += !tip_digester_ask(f->d, fd, (uint64_t)i, out);
	f->answers = 0;
	while (f->answers < later)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_int_equal(f->answers, later);
	tip_digester_stats(f->d, &stats);
	assert_int_equal(stats.waiting, 0);
	assert_int_equal(stats.hashed + stats.remembered + stats.refused, crowd);
	close(fd);
}

static void test_end_with_work_left(void **state)
{
	struct fixture *f = *state;
	int fd = file(f, "many", "aaaaaaaaaa", 100000, true);
	char out[TIP_DIGEST_TEXT];

	for (int i = 0; i < 100; i++)
		tip_digester_ask(f->d, fd, (uint64_t)i, out);
	close(fd);
	/* teardown ends it */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_known_answers),      TEST(test_settled_files_are_remembered),
		TEST(test_a_change_is_seen),   TEST(test_young_files_are_not_remembered),
		TEST(test_what_is_not_hashed), TEST(test_a_crowd),
		TEST(test_end_with_work_left), TEST(test_what_lives_in_memory_is_read_each_time),
	};

	return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
