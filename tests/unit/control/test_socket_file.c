/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "control/control.h"

/* The socket's file: who may own its path, and what is left of it. */

struct fixture {
	char dir[64], path[96];
	struct event_base *base;
};

static const struct tip_control_ops ops;

static struct tip_control *listen_on(const struct fixture *f, const char *path,
				     struct tip_error *err)
{
	return tip_control_new(f->base, path, -1, NULL, 0, &ops, err);
}

static int setup(void **state)
{
	struct fixture *f = tip_alloc(sizeof(*f));

	*state = f;
	f->base = event_base_new();
	snprintf(f->dir, sizeof(f->dir), "/tmp/tipstaff-control-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/control.sock", f->dir);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int ret;

	unlink(f->path);
	ret = rmdir(f->dir); /* fails if anything else was left there */
	event_base_free(f->base);
	free(f);
	return ret;
}

static void test_comes_and_goes(void **state)
{
	struct fixture *f = *state;
	struct tip_error err = {0};
	struct tip_control *c = listen_on(f, f->path, &err);
	struct stat st;

	assert_non_null(c);
	assert_int_equal(lstat(f->path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	tip_control_free(c, false);
	assert_int_equal(access(f->path, F_OK), -1);
}

static void test_live(void **state)
{
	struct fixture *f = *state;
	struct tip_error err = {0};
	struct tip_control *c = listen_on(f, f->path, &err);

	assert_non_null(c);
	assert_null(listen_on(f, f->path, &err));
	assert_non_null(strstr(err.text, "another tipstaffd"));
	assert_int_equal(tip_control_probe(f->path), 1);
	tip_control_free(c, false);
}

static void test_stale(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct tip_error err = {0};
	struct tip_control *c;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(addr.sun_path, f->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	assert_int_equal(tip_control_probe(f->path), 0);
	c = listen_on(f, f->path, &err);
	assert_non_null(c);
	assert_int_equal(tip_control_probe(f->path), 1);
	tip_control_free(c, false);
}

/* What is no socket is not ours to remove. */
static void test_other_file(void **state)
{
	struct fixture *f = *state;
	struct tip_error err = {0};
	int fd = open(f->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
	assert_null(listen_on(f, f->path, &err));
	assert_non_null(strstr(err.text, "not a socket"));
	assert_int_equal(access(f->path, F_OK), 0);
}

/* A path that somebody else took over meanwhile stays theirs. */
static void test_taken_over(void **state)
{
	struct fixture *f = *state;
	struct tip_error err = {0};
	struct tip_control *old = listen_on(f, f->path, &err), *new;

	assert_non_null(old);
	assert_int_equal(unlink(f->path), 0);
	new = listen_on(f, f->path, &err);
	assert_non_null(new);
	tip_control_free(old, false);
	assert_int_equal(tip_control_probe(f->path), 1);
	tip_control_free(new, false);
}

static void test_long_path(void **state)
{
	struct fixture *f = *state;
	struct tip_error err = {0};
	char path[256];

	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_null(listen_on(f, path, &err));
	assert_non_null(strstr(err.text, "longer than"));
	assert_int_equal(tip_control_probe(path), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_comes_and_goes), TEST(test_live),       TEST(test_stale),
		TEST(test_other_file),     TEST(test_taken_over), TEST(test_long_path),
	};

	return cmocka_run_group_tests_name("control socket file", tests, NULL, NULL);
}
