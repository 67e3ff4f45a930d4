/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

#define A "spiffe://example.org/a"
#define B "spiffe://example.org/b"
#define C "spiffe://example.org/c"

static uint32_t number(struct tip_process_table *t, const char *id)
{
	uint32_t n = tip_process_identity_number(t, id);

	assert_true(n >= TIP_ID_FIRST);
	return n;
}

static struct tip_process *by_id(struct tip_process_table *t, uint64_t exec_id)
{
	struct tip_process *p = tip_process_by_exec_id(t, exec_id);

	assert_non_null(p);
	return p;
}

static void assert_identity(struct tip_process_table *t, uint64_t exec_id, const char *current,
			    const char *origin)
{
	struct tip_process *p = by_id(t, exec_id);

	if (current)
		assert_string_equal(p->spiffe_id, current);
	else
		assert_null(p->spiffe_id);
	if (origin)
		assert_string_equal(p->origin_id, origin);
	else
		assert_null(p->origin_id);
}

/* What the kernel was told. */
static void assert_bound(uint64_t exec_id, uint32_t current, uint32_t origin, uint32_t epoch)
{
	struct tip_binding b;

	assert_int_equal(tip_sensor_binding(SENSOR, exec_id, &b), 0);
	assert_int_equal(b.current, current);
	assert_int_equal(b.origin, origin);
	assert_int_equal(b.epoch, epoch);
}

static void answer_is_bound(void **state)
{
	struct tip_process_table *t = *state;

	exec_as(t, 100, 1, 0);
	assert_non_null(tip_process_resolve(t, 1, 0, A));
	assert_identity(t, 1, A, NULL);
	assert_bound(1, number(t, A), TIP_ID_NONE, 0);
	assert_non_null(tip_process_resolve(t, 1, 0, ""));
	assert_identity(t, 1, NULL, A);
	assert_int_equal(by_id(t, 1)->current, TIP_ID_NONE);
	assert_bound(1, TIP_ID_NONE, number(t, A), 0);
	assert_null(tip_process_resolve(t, 99, 0, A));
}

static void exec_makes_an_origin(void **state)
{
	struct tip_process_table *t = *state;

	exec_as(t, 100, 1, 0);
	tip_process_resolve(t, 1, 0, A);
	exec_as(t, 100, 2, 1);
	assert_identity(t, 2, NULL, A);
	assert_int_equal(by_id(t, 2)->current, TIP_ID_PENDING);
	tip_process_resolve(t, 2, 0, NULL);
	assert_identity(t, 2, NULL, A);
	exec_as(t, 100, 3, 2); /* none stands between, so A stays */
	tip_process_resolve(t, 3, 0, B);
	assert_identity(t, 3, B, A);
	assert_bound(3, number(t, B), number(t, A), 0);
	exec_as(t, 100, 4, 3);
	assert_identity(t, 4, NULL, B);
}

static void fork_inherits(void **state)
{
	struct tip_process_table *t = *state;

	exec_as(t, 100, 1, 0);
	tip_process_resolve(t, 1, 0, A);
	fork_as(t, 100, 1, 101, 2, number(t, A));
	assert_identity(t, 2, A, NULL);
	assert_int_equal(seen.nasked, 1); /* nobody has to be asked */
	assert_false(by_id(t, 2)->reported);
	exec_as(t, 101, 3, 2);
	assert_identity(t, 3, NULL, A);
}

static void fork_into_another_cgroup_asks(void **state)
{
	struct tip_process_table *t = *state;

	exec_as(t, 100, 1, 0);
	tip_process_resolve(t, 1, 0, A);
	fork_as(t, 100, 1, 101, 2, TIP_ID_PENDING); /* the kernel gave it nothing */
	assert_int_equal(seen.nasked, 2);
	assert_int_equal(seen.asked[1], 2);
	assert_identity(t, 2, NULL, A);
	assert_bound(2, TIP_ID_PENDING, number(t, A), 0);
	tip_process_resolve(t, 2, 0, NULL);
	assert_identity(t, 2, NULL, A);
}

static void late_answer_reaches_an_exec(void **state)
{
	struct tip_process_table *t = *state;

	exec_as(t, 100, 1, 0);
	exec_as(t, 100, 2, 1);
	exec_as(t, 100, 3, 2);
	assert_identity(t, 3, NULL, NULL);
	assert_non_null(tip_process_resolve(t, 1, 0, A));
	assert_identity(t, 3, NULL, A);
	assert_bound(3, TIP_ID_PENDING, number(t, A), 0);
	tip_process_resolve(t, 2, 0, B); /* closer: it counts from now on */
	assert_identity(t, 3, NULL, B);
	assert_identity(t, 2, B, A);
	assert_bound(3, TIP_ID_PENDING, number(t, B), 0);
}

static void identity_between_stops_it(void **state)
{
	struct tip_process_table *t = *state;

	exec_as(t, 100, 1, 0);
	exec_as(t, 100, 2, 1);
	tip_process_resolve(t, 2, 0, B);
	exec_as(t, 100, 3, 2);
	tip_process_resolve(t, 1, 0, A);
	assert_identity(t, 2, B, A);
	assert_identity(t, 3, NULL, B);
}

static void none_between_does_not_stop_it(void **state)
{
	struct tip_process_table *t = *state;

	exec_as(t, 100, 1, 0);
	exec_as(t, 100, 2, 1);
	exec_as(t, 100, 3, 2);
	tip_process_resolve(t, 2, 0, NULL);
	tip_process_resolve(t, 3, 0, NULL);
	tip_process_resolve(t, 1, 0, A);
	assert_identity(t, 3, NULL, A);
	assert_bound(3, TIP_ID_NONE, number(t, A), 0);
}

static void late_answer_reaches_through_a_fork(void **state)
{
	struct tip_process_table *t = *state;

	exec_as(t, 100, 1, 0);
	fork_as(t, 100, 1, 101, 2, TIP_ID_PENDING);
	assert_int_equal(seen.nasked, 2); /* the child asks for itself */
	exec_as(t, 101, 3, 2);
	tip_process_resolve(t, 1, 0, A);
	assert_identity(t, 1, A, NULL);
	assert_identity(t, 3, NULL, A);
	/* the fork itself was A; if its own answer is that, it has no origin before */
	tip_process_resolve(t, 2, 0, A);
	assert_identity(t, 2, A, NULL);
}

static void later_question_is_not_about_earlier_children(void **state)
{
	struct tip_process_table *t = *state;

	exec_as(t, 100, 1, 0);
	fork_as(t, 100, 1, 101, 2, TIP_ID_PENDING);
	tip_process_resolve(t, 1, 0, NULL);
	tip_process_resolve(t, 2, 0, NULL);
	cred_as(t, 100, 1, 1, 5);
	tip_process_resolve(t, 1, 1, A);
	assert_identity(t, 1, A, NULL);
	assert_identity(t, 2, NULL, NULL);
}

static void entry_between_may_go(void **state)
{
	struct tip_process_table *t = *state;

	exec_as(t, 100, 1, 0);
	fork_as(t, 100, 1, 101, 2, TIP_ID_PENDING);
	exec_as(t, 101, 3, 2);
	lives(100, key_of(100).start_ns, 1);
	lives(101, key_of(101).start_ns, 3);
	tip_process_expire(t, now_ns + 3 * TIP_NSEC_PER_SEC);
	assert_null(tip_process_by_exec_id(t, 2));
	tip_process_resolve(t, 1, 0, A);
	assert_identity(t, 3, NULL, A);
}

static void entry_with_an_identity_goes(void **state)
{
	struct tip_process_table *t = *state;

	exec_as(t, 100, 1, 0);
	exec_as(t, 100, 2, 1);
	exec_as(t, 100, 3, 2);
	tip_process_resolve(t, 2, 0, B);
	assert_identity(t, 3, NULL, B);
	lives(100, key_of(100).start_ns, 3);
	tip_process_expire(t, now_ns + 3 * TIP_NSEC_PER_SEC);
	assert_null(tip_process_by_exec_id(t, 1));
	assert_null(tip_process_resolve(t, 1, 0, A));
	assert_identity(t, 3, NULL, B);
}

static void credentials_ask_again(void **state)
{
	struct tip_process_table *t = *state;
	struct tip_process *p;

	exec_as(t, 100, 1, 0);
	tip_process_resolve(t, 1, 0, A);
	p = cred_as(t, 100, 1, 1, 42);
	assert_int_equal(p->uid, 42);
	assert_int_equal(p->epoch, 1);
	assert_int_equal(p->current, TIP_ID_PENDING);
	assert_identity(t, 1, NULL, A); /* while it is not known, the one held counts as origin */
	assert_int_equal(seen.nasked, 2);
	assert_null(tip_process_resolve(t, 1, 0, A)); /* the answer to the earlier question */
	assert_int_equal(p->current, TIP_ID_PENDING);
	tip_process_resolve(t, 1, 1, B);
	assert_identity(t, 1, B, A);
	assert_bound(1, number(t, B), number(t, A), 1);
	cred_as(t, 100, 1, 1, 42); /* told twice */
	assert_int_equal(seen.nasked, 2);
	assert_identity(t, 1, B, A);
}

static void setuid_and_back_keeps_the_origin(void **state)
{
	struct tip_process_table *t = *state;

	exec_as(t, 100, 1, 0);
	tip_process_resolve(t, 1, 0, A);
	exec_as(t, 100, 2, 1);
	tip_process_resolve(t, 2, 0, B);
	cred_as(t, 100, 2, 1, 42);
	tip_process_resolve(t, 2, 1, B);
	assert_identity(t, 2, B, A);
}

static void quarantined_origin_is_not_washed_off(void **state)
{
	struct tip_process_table *t = *state;

	exec_as(t, 100, 1, 0);
	tip_process_resolve(t, 1, 0, A);
	seen.quarantined = number(t, A);
	exec_as(t, 100, 2, 1);
	tip_process_resolve(t, 2, 0, B);
	exec_as(t, 100, 3, 2);
	tip_process_resolve(t, 3, 0, C);
	assert_identity(t, 3, C, A);
	cred_as(t, 100, 3, 1, 42);
	tip_process_resolve(t, 3, 1, B);
	assert_identity(t, 3, B, A);
}

static void kernel_knows_the_origin_of_strangers(void **state)
{
	struct tip_process_table *t = *state;
	struct tip_hdr h = hdr_of(TIP_EV_EXEC, 100, 9);

	h.origin = number(t, A);
	h.current = number(t, B);
	h.flags = TIP_EVF_SNAPSHOT;
	assert_non_null(send_exec(t, &h, 0, "/x"));
	assert_identity(t, 9, B, A);
	assert_int_equal(seen.nasked,
			 1); /* the identity side starts empty, so it is told all the same */
	tip_process_resolve(t, 9, 0, B);
	assert_identity(t, 9, B, A);
}

static void reresolve_asks_for_all(void **state)
{
	struct tip_process_table *t = *state;

	exec_as(t, 100, 1, 0);
	exec_as(t, 101, 2, 0);
	exec_as(t, 102, 3, 0);
	exit_as(t, 102, 3);
	tip_process_resolve(t, 1, 0, A);
	tip_process_reresolve(t);
	assert_int_equal(seen.nasked, 5);
	assert_identity(t, 1, A, NULL); /* in force until the new answer */
	tip_process_resolve(t, 1, 0, A);
	assert_identity(t, 1, A, NULL);
}

static void long_chain(void **state)
{
	struct tip_process_table *t = tip_process_table_new(50000, "", NULL, &ops);

	exec_as(t, 100, 1, 0);
	for (uint64_t i = 2; i < 40000; i++)
		exec_as(t, 100, i, i - 1);
	tip_process_resolve(t, 1, 0, A);
	assert_identity(t, 39999, NULL, A);
	tip_process_table_free(t);
}

/* What a workload leaves behind is told from what it still runs. */
static void workloads_are_started_anew(void **state)
{
	struct tip_process_table *t = *state;

	exec_as(t, 100, 1, 0);
	assert_int_equal(tip_process_origin_replaced(t, by_id(t, 1)), -1);
	tip_process_resolve(t, 1, 0, A);
	fork_as(t, 100, 1, 101, 2, number(t, A));
	exec_as(t, 101, 3, 2);
	tip_process_resolve(t, 3, 0, NULL);
	assert_int_equal(tip_process_origin_replaced(t, by_id(t, 3)), 0);
	/* a second instance beside the first says nothing */
	exec_as(t, 200, 10, 0);
	tip_process_resolve(t, 10, 0, A);
	assert_int_equal(tip_process_origin_replaced(t, by_id(t, 3)), 0);
	exit_as(t, 100, 1);
	assert_int_equal(tip_process_origin_replaced(t, by_id(t, 3)), 1);
	assert_int_equal(tip_process_origin_replaced(t, by_id(t, 10)), 0);
	/* what comes of it was left behind with it, though it is younger */
	fork_as(t, 101, 3, 300, 4, TIP_ID_NONE);
	assert_int_equal(tip_process_origin_replaced(t, by_id(t, 4)), 1);
	exec_as(t, 300, 5, 4);
	assert_int_equal(tip_process_origin_replaced(t, by_id(t, 5)), 1);
	/* what comes of the new one was not */
	fork_as(t, 200, 10, 301, 11, number(t, A));
	exec_as(t, 301, 12, 11);
	assert_int_equal(tip_process_origin_replaced(t, by_id(t, 12)), 0);
	/* nobody replaces who is asked anew */
	cred_as(t, 200, 10, 1, 77);
	assert_int_equal(by_id(t, 10)->current, TIP_ID_PENDING);
	assert_int_equal(tip_process_origin_replaced(t, by_id(t, 12)), 0);
	exit_as(t, 200, 10);
	assert_int_equal(tip_process_origin_replaced(t, by_id(t, 5)), -1);
	assert_int_equal(tip_process_origin_replaced(t, by_id(t, 12)), -1);
}

/* An answer that comes late moves what was left, too. */
static void late_answers_are_left_when_they_were(void **state)
{
	struct tip_process_table *t = *state;

	exec_as(t, 100, 1, 0);
	fork_as(t, 100, 1, 101, 2, TIP_ID_PENDING);
	exec_as(t, 101, 3, 2);
	tip_process_resolve(t, 1, 0, A);
	assert_identity(t, 3, NULL, A);
	assert_int_equal(tip_process_origin_replaced(t, by_id(t, 3)), 0);
	exec_as(t, 200, 10, 0);
	tip_process_resolve(t, 10, 0, A);
	exit_as(t, 100, 1);
	assert_int_equal(tip_process_origin_replaced(t, by_id(t, 3)), 1);
}

static void numbers_persist_and_end(void **state)
{
	struct tip_process_table *t = *state, *t2;
	uint32_t a = number(t, A), b = number(t, B);

	assert_int_equal(a, TIP_ID_FIRST);
	assert_int_equal(b, TIP_ID_FIRST + 1);
	assert_int_equal(number(t, A), a);
	t2 = tip_process_table_new(64, "", SENSOR, NULL);
	assert_string_equal(tip_process_identity_name(t2, b), B);
	assert_int_equal(number(t2, B), b);
	assert_int_equal(number(t2, C), TIP_ID_FIRST + 2);
	kernel.names_max = 3;
	assert_int_equal(tip_process_identity_number(t2, "spiffe://example.org/d"), 0);
	assert_int_equal(tip_process_identity_number(t2, ""), 0);
	assert_null(tip_process_identity_name(t2, TIP_ID_NONE));
	assert_null(tip_process_identity_name(t2, UINT32_MAX));
	exec_as(t2, 100, 1, 0);
	tip_process_resolve(t2, 1, 0, "spiffe://example.org/d");
	assert_int_equal(by_id(t2, 1)->current, TIP_ID_NONE);
	tip_process_table_free(t2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answer_is_bound, fresh, done),
		cmocka_unit_test_setup_teardown(exec_makes_an_origin, fresh, done),
		cmocka_unit_test_setup_teardown(fork_inherits, fresh, done),
		cmocka_unit_test_setup_teardown(fork_into_another_cgroup_asks, fresh, done),
		cmocka_unit_test_setup_teardown(late_answer_reaches_an_exec, fresh, done),
		cmocka_unit_test_setup_teardown(identity_between_stops_it, fresh, done),
		cmocka_unit_test_setup_teardown(none_between_does_not_stop_it, fresh, done),
		cmocka_unit_test_setup_teardown(late_answer_reaches_through_a_fork, fresh, done),
		cmocka_unit_test_setup_teardown(later_question_is_not_about_earlier_children, fresh,
						done),
		cmocka_unit_test_setup_teardown(entry_between_may_go, fresh, done),
		cmocka_unit_test_setup_teardown(entry_with_an_identity_goes, fresh, done),
		cmocka_unit_test_setup_teardown(credentials_ask_again, fresh, done),
		cmocka_unit_test_setup_teardown(setuid_and_back_keeps_the_origin, fresh, done),
		cmocka_unit_test_setup_teardown(quarantined_origin_is_not_washed_off, fresh, done),
		cmocka_unit_test_setup_teardown(kernel_knows_the_origin_of_strangers, fresh, done),
		cmocka_unit_test_setup_teardown(reresolve_asks_for_all, fresh, done),
		cmocka_unit_test_setup_teardown(long_chain, fresh, done),
		cmocka_unit_test_setup_teardown(workloads_are_started_anew, fresh, done),
		cmocka_unit_test_setup_teardown(late_answers_are_left_when_they_were, fresh, done),
		cmocka_unit_test_setup_teardown(numbers_persist_and_end, fresh, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
