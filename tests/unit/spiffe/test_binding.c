/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <sys/wait.h>

/* To whom the API speaks: the process that connected, asked for anew before each key. */

/* No key leaves before the keeper has answered this very question. */
static void test_check_comes_first(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s;

	f->auto_check = false;
	s = call(f, PATH("FetchX509SVID"));
	assert_int_equal(f->checks, 1);
	assert_int_equal(f->fetches, 0);
	tip_workload_checked(f->w, f->check_id, f->check_ask + 1, 1);
	tip_workload_checked(f->w, f->check_id, f->check_ask - 1, 1);
	tip_workload_checked(f->w, f->check_id + 1, f->check_ask, 1);
	peer_pump(&f->p);
	assert_int_equal(f->fetches, 0);
	assert_false(leaked(f));
	tip_workload_checked(f->w, f->check_id, f->check_ask, 1);
	peer_pump(&f->p);
	assert_int_equal(messages(s), 1);
	/* The answer is used up. */
	f->svids[0].chain = (const uint8_t *)"renew";
	tip_workload_changed(f->w, EXEC);
	assert_int_equal(f->checks, 2);
	peer_pump(&f->p);
	assert_int_equal(messages(s), 1);
	tip_workload_checked(f->w, f->check_id, f->check_ask, 1);
	peer_pump(&f->p);
	assert_int_equal(messages(s), 2);
}

/* News that come while a question is under way get a question of their own. */
static void test_change_during_check(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s, *second;
	uint32_t ask;

	f->auto_check = false;
	s = call(f, PATH("FetchX509SVID"));
	ask = f->check_ask;
	second = call(f, PATH("FetchX509SVID"));
	tip_workload_changed(f->w, EXEC);
	assert_int_equal(f->checks, 1);
	tip_workload_checked(f->w, f->check_id, ask, 1);
	assert_int_equal(f->checks, 2);
	assert_int_not_equal(f->check_ask, ask);
	peer_pump(&f->p);
	assert_int_equal(messages(s), 1);
	assert_int_equal(messages(second), 0);
	tip_workload_checked(f->w, f->check_id, f->check_ask, 1);
	peer_pump(&f->p);
	assert_int_equal(messages(second), 1);
	assert_int_equal(f->checks, 2);
}

static void expect_closed(struct fixture *f, const char *cause)
{
	peer_pump(&f->p);
	assert_true(f->p.eof);
	assert_int_equal(f->closed, 1);
	assert_int_equal(f->refused, cause ? 1 : 0);
	if (cause)
		assert_string_equal(f->cause, cause);
	assert_int_equal(stats(f).connections, 0);
}

static void test_check_fails(void **state)
{
	struct fixture *f = *state;

	f->auto_ok = false;
	call(f, PATH("FetchX509SVID"));
	expect_closed(f, "exec");
	assert_false(leaked(f));
	assert_int_equal(f->fetches, 0);
	assert_int_equal(f->closed_id, 1000);
}

static void test_check_fails_later(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s = call(f, PATH("FetchX509SVID"));

	f->auto_check = false;
	f->svids[0].chain = (const uint8_t *)"renew";
	tip_workload_changed(f->w, EXEC);
	tip_workload_checked(f->w, f->check_id, f->check_ask, 0);
	expect_closed(f, "exec");
	assert_int_equal(messages(s), 1);
}

static void test_exec_gone(void **state)
{
	struct fixture *f = *state;
	int other = connect_as(f, 1000);
	char b[64];

	call(f, PATH("FetchX509SVID"));
	tip_workload_exec_gone(f->w, EXEC + 1);
	assert_int_equal(f->closed, 0);
	tip_workload_exec_gone(f->w, EXEC);
	assert_int_equal(f->closed, 2);
	peer_pump(&f->p);
	assert_true(f->p.eof);
	assert_int_equal(f->refused, 0);
	while (recv(other, b, sizeof(b), MSG_DONTWAIT) > 0) {
	}
	assert_int_equal(recv(other, b, sizeof(b), MSG_DONTWAIT), 0);
	close(other);
	tip_workload_exec_gone(f->w, EXEC);
}

/* With its question still open. */
static void test_exec_gone_during_check(void **state)
{
	struct fixture *f = *state;

	f->auto_check = false;
	call(f, PATH("FetchX509SVID"));
	tip_workload_exec_gone(f->w, EXEC);
	tip_workload_checked(f->w, f->check_id, f->check_ask, 1);
	expect_closed(f, NULL);
	assert_false(leaked(f));
}

static void test_foreign_writer(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s = call(f, PATH("FetchX509SVID"));
	size_t received = f->p.received;
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(write(f->p.fd,
			    "\0\0\10\6\0\0\0\0\0"
			    "12345678",
			    17) == 17
			      ? 0
			      : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	event_base_loop(f->base, EVLOOP_NONBLOCK);
	expect_closed(f, "foreign writer");
	assert_int_equal(f->p.received, received);
	assert_int_equal(messages(s), 1);
	assert_int_equal(stats(f).foreign_writers, 1);
}

static void test_limits(void **state)
{
	struct fixture *f = *state;
	int fds[6];
	char b[64];

	fds[0] = connect_as(f, 1000);
	assert_int_equal(stats(f).connections, 2);
	fds[1] = connect_as(f, 1000); /* the third of this uid */
	assert_int_equal(stats(f).connections, 2);
	assert_int_equal(f->closed_id, 1002);
	assert_int_equal(recv(fds[1], b, sizeof(b), MSG_DONTWAIT), 0);
	fds[2] = connect_as(f, 1001);
	fds[3] = connect_as(f, 1002);
	assert_int_equal(stats(f).connections, 4);
	fds[4] = connect_as(f, 1003); /* the fifth in all */
	assert_int_equal(stats(f).connections, 4);
	assert_int_equal(f->closed, 2);
	/* Room again. */
	close(fds[0]);
	peer_pump(&f->p);
	fds[5] = connect_as(f, 1000);
	assert_int_equal(stats(f).connections, 4);
	for (int i = 1; i < 6; i++)
		close(fds[i]);
	peer_pump(&f->p);
	assert_int_equal(stats(f).connections, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_check_comes_first), T(test_change_during_check),
		T(test_check_fails),       T(test_check_fails_later),
		T(test_exec_gone),         T(test_exec_gone_during_check),
		T(test_foreign_writer),    T(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
