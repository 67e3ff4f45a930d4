/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

#define A "spiffe://example.org/a"
#define B "spiffe://example.org/b"
#define C "spiffe://example.org/c"

static struct tip_guard *guard;
static char journal[64];

static int fresh(void **state)
{
	struct tip_error err;

	memset(&kernel, 0, sizeof(kernel));
	snprintf(journal, sizeof(journal), "/tmp/tip-unit-guard-rules-%d", getpid());
	guard = tip_guard_new(journal, true, &ops, &err);
	return guard ? 0 : -1;
}

static int done(void **state)
{
	tip_guard_free(guard);
	unlink(journal);
	return 0;
}

static void apply(const struct tip_rules *r)
{
	struct tip_error err;

	if (tip_guard_apply_rules(guard, r, NULL, &err) != 0)
		fail_msg("%s", err.text);
}

static void refused(const struct tip_rules *r, const char *text)
{
	struct fake_kernel before = kernel;
	struct tip_error err = {0};

	assert_int_equal(tip_guard_apply_rules(guard, r, NULL, &err), -1);
	if (!strstr(err.text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, err.text);
	assert_int_equal(kernel.nkeys, before.nkeys);
	assert_memory_equal(kernel.keys, before.keys, before.nkeys * sizeof(before.keys[0]));
	assert_int_equal(kernel.nexcepts, before.nexcepts);
}

/* What --check says without a kernel is what a start would say. */
static void refused_by_check(const struct tip_rules *r, const char *text)
{
	struct tip_error err = {0};

	assert_int_equal(tip_guard_check_rules(r, NULL, &err), -1);
	if (!strstr(err.text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, err.text);
}

static void assert_rule(const char *id, const char *path, uint32_t access, int want)
{
	int64_t rule = k_decide(id, path, access);
	uint32_t index = 0;

	if (want < 0) {
		assert_int_equal(rule, -1);
		return;
	}
	assert_true(rule >= 0);
	assert_true(tip_guard_rule_index(guard, (uint32_t)rule, &index));
	assert_int_equal(index, want);
}

static void identity_may_not(void **state)
{
	struct tip_rules r = {0};

	add_rule(&r, "r0", "/etc/key", TIP_ACCESS_READ, false, A, B);
	add_rule(&r, "r1", "/secret/*", RW, false, A, NULL);
	apply(&r);
	assert_rule(A, "/etc/key", TIP_ACCESS_READ, 0);
	assert_rule(B, "/etc/key", TIP_ACCESS_READ, 0);
	assert_rule(C, "/etc/key", TIP_ACCESS_READ, -1);
	assert_rule(A, "/etc/key", TIP_ACCESS_WRITE, -1);
	assert_rule(A, "/etc/key2", TIP_ACCESS_READ, -1); /* exact means exact */
	assert_rule(A, "/secret/x/y", TIP_ACCESS_WRITE, 1);
	assert_rule(B, "/secret/x", TIP_ACCESS_WRITE, -1);
	assert_int_equal(kernel.nkeys, 3);
	assert_int_equal(kernel.nexcepts, 0);
}

static void only_these_may(void **state)
{
	struct tip_rules r = {0};

	add_rule(&r, "only A", "/etc/key", RW, true, A, NULL);
	apply(&r);
	assert_rule(A, "/etc/key", TIP_ACCESS_READ, -1);
	assert_rule(B, "/etc/key", TIP_ACCESS_READ, 0);
	assert_rule(NULL, "/etc/key", TIP_ACCESS_WRITE, 0);
}

static void removed_rules_go(void **state)
{
	struct tip_rules r = {0}, none = {0};

	add_rule(&r, "r0", "/etc/key", RW, true, A, NULL);
	apply(&r);
	apply(&none);
	assert_int_equal(kernel.nkeys, 0);
	assert_int_equal(kernel.nexcepts, 0);
	r.rules[0].info.enabled = false;
	apply(&r);
	assert_int_equal(kernel.nkeys, 0);
}

static void indexes_follow_the_set_in_force(void **state)
{
	struct tip_rules r = {0}, r2 = {0};
	uint32_t index;
	int64_t old;

	add_rule(&r, "r0", "/etc/key", RW, false, A, NULL);
	apply(&r);
	old = k_decide(A, "/etc/key", RW);
	add_rule(&r2, "new", "/x", RW, false, B, NULL);
	add_rule(&r2, "r0", "/etc/key", RW, false, A, NULL);
	apply(&r2);
	assert_rule(A, "/etc/key", RW, 1);
	assert_rule(B, "/x", RW, 0);
	/* an event from before the reload names no rule of this set */
	assert_false(tip_guard_rule_index(guard, (uint32_t)old, &index));
}

static void two_rules_for_one_key(void **state)
{
	struct tip_rules r = {0};

	add_rule(&r, "r0", "/etc/key", TIP_ACCESS_READ, false, A, NULL);
	add_rule(&r, "r1", "/etc/key", TIP_ACCESS_WRITE, false, A, NULL);
	add_rule(&r, "r2", "/srv/*", RW, true, A, B);
	add_rule(&r, "r3", "/srv/*", RW, true, A, NULL); /* stricter: stands for both */
	apply(&r);
	assert_rule(A, "/etc/key", TIP_ACCESS_READ, 0);
	assert_rule(A, "/etc/key", TIP_ACCESS_WRITE, 0);
	assert_rule(B, "/srv/x", TIP_ACCESS_READ, 3);
	assert_rule(A, "/srv/x", TIP_ACCESS_READ, -1);
}

static void contradiction_is_refused(void **state)
{
	struct tip_rules r = {0}, good = {0};

	add_rule(&good, "good", "/etc/key", RW, false, A, NULL);
	apply(&good);
	add_rule(&r, "r0", "/etc/key", RW, true, A, NULL);
	add_rule(&r, "r1", "/etc/key", RW, true, B, NULL);
	refused(&r, "its exceptions for /etc/key differ from those of rule \"r0\" (rules.yaml:1)");
	refused_by_check(&r, "its exceptions for /etc/key differ");
	assert_int_equal(tip_guard_check_rules(&good, NULL, &(struct tip_error){0}), 0);
}

static void bad_specs_are_refused(void **state)
{
	char path[300] = "/";
	struct tip_rules r = {0};

	add_rule(&r, "r", "relative", RW, false, A, NULL);
	refused(&r, "not absolute");
	r.count = 0;
	memset(path + 1, 'x', 239);
	add_rule(&r, "r", path, RW, false, A, NULL);
	refused(&r, "longer than");
	path[239] = '\0';
	r.count = 0;
	add_rule(&r, "r", path, RW, false, A, NULL);
	apply(&r);
	assert_rule(A, path, RW, 0);
	r.count = 0;
	add_rule(&r, "r", "/x", RW, false, NULL, NULL);
	refused(&r, "names no identity");
	r.count = 0;
	add_rule(&r, "r", "/x", 0, false, A, NULL);
	refused(&r, "no kind of open");
	r.count = 0;
	add_rule(&r, "r", "/x", RW, false, A, NULL)->spec.npaths = 0;
	refused(&r, "names no path");
	r.count = 0;
	kernel.names_max = 1;
	add_rule(&r, "r", "/x", RW, false, B, NULL);
	refused(&r, "no identity number is left for " B);
}

static void too_deep_is_refused(void **state)
{
	static char paths[TIP_KILL_NESTED + 1][40];
	struct tip_rules r = {0};
	struct tip_rule *rule = add_rule(&r, "deep", "/", RW, false, A, NULL);

	for (size_t i = 0; i <= TIP_KILL_NESTED; i++) {
		paths[i][0] = '/';
		memset(paths[i] + 1, 'd', i);
		rule->paths[i] = paths[i];
		rule->prefix[i] = true;
	}
	rule->spec.npaths = TIP_KILL_NESTED + 1;
	refused(&r, "below 8 other paths");
	rule->spec.npaths = TIP_KILL_NESTED;
	apply(&r);
	assert_rule(A, "/ddd", RW, 0);
}

static void full_kernel_rolls_back(void **state)
{
	struct tip_rules r = {0}, r2 = {0};

	add_rule(&r, "r0", "/a", TIP_ACCESS_READ, false, A, NULL);
	add_rule(&r, "r1", "/only", RW, true, B, NULL);
	apply(&r);
	kernel.keys_max = 3;
	add_rule(&r2, "n0", "/a", RW, false, A, NULL);
	add_rule(&r2, "n1", "/b", RW, false, A, B);
	add_rule(&r2, "n2", "/only", RW, true, C, NULL);
	refused(&r2, "use fewer paths");
	assert_rule(A, "/a", TIP_ACCESS_READ, 0);
	assert_rule(A, "/a", TIP_ACCESS_WRITE, -1);
	assert_rule(B, "/only", RW, -1);
	assert_rule(C, "/only", RW, 1);
}

static void earlier_daemon_is_reconciled(void **state)
{
	struct tip_rules r = {0}, r2 = {0};
	struct tip_error err;

	add_rule(&r, "r0", "/a", RW, true, A, NULL);
	add_rule(&r, "r1", "/b", RW, false, B, NULL);
	apply(&r);
	/* the daemon is gone; the maps are not */
	tip_guard_free(guard);
	guard = tip_guard_new(journal, true, &ops, &err);
	assert_non_null(guard);
	assert_int_equal(kernel.nkeys, 2);
	add_rule(&r2, "n0", "/a", RW, true, C, NULL);
	apply(&r2);
	assert_int_equal(kernel.nkeys, 1);
	assert_int_equal(kernel.nexcepts, 1);
	assert_rule(A, "/a", RW, 0);
	assert_rule(C, "/a", RW, -1);
	assert_rule(B, "/b", RW, -1);
}

static void notes_say_what_is_weaker(void **state)
{
	struct tip_rules r = {0};
	struct tip_buf notes = {0};
	struct tip_error err;

	add_rule(&r, "r0", "/a", RW, false, A, NULL)->info.action = TIP_ACTION_DENY;
	add_rule(&r, "r1", "/b", RW, false, A, NULL);
	assert_int_equal(tip_guard_apply_rules(guard, &r, &notes, &err), 0);
	assert_string_equal(notes.data,
			    "rules.yaml:1: rule \"r0\": this kernel tier cannot deny an "
			    "open: the process is killed by it\n");
	assert_int_equal(kernel.nkeys, 2);

	tip_guard_free(guard);
	guard = tip_guard_new(journal, false, &ops, &err);
	tip_buf_reset(&notes);
	assert_int_equal(tip_guard_apply_rules(guard, &r, &notes, &err), 0);
	assert_non_null(strstr(notes.data, "rule \"r1\": enforcement is off"));
	assert_int_equal(kernel.nkeys, 0); /* what was in force before goes */
	tip_buf_free(&notes);
}

/* ---- no gap between two sets ---- */

static const char *const who[] = {A, B, C, NULL};
static const char *const what[] = {"/a", "/a/b", "/a/b/c", "/x"};
static bool before[4][4][2], after[4][4][2];
static bool watching;
static int changes;

static void snapshot(bool out[4][4][2])
{
	for (int w = 0; w < 4; w++)
		for (int p = 0; p < 4; p++)
			for (int a = 0; a < 2; a++)
				out[w][p][a] = k_decide(who[w], what[p], a + 1) >= 0;
}

/* At every step: what both sets forbid is forbidden, and nothing is killed that neither forbids. */
static void check_step(void)
{
	bool now[4][4][2];

	if (!watching)
		return;
	changes++;
	snapshot(now);
	for (int w = 0; w < 4; w++)
		for (int p = 0; p < 4; p++)
			for (int a = 0; a < 2; a++) {
				if (before[w][p][a] && after[w][p][a])
					assert_true(now[w][p][a]);
				if (!before[w][p][a] && !after[w][p][a])
					assert_false(now[w][p][a]);
			}
}

static void no_gap_between_sets(void **state)
{
	struct tip_rules one = {0}, two = {0};
	const struct tip_rules *sets[] = {&one, &two, &one};

	add_rule(&one, "o0", "/a", RW, true, A, NULL);
	add_rule(&one, "o1", "/a/b*", TIP_ACCESS_READ, false, B, NULL);
	add_rule(&one, "o2", "/a/*", TIP_ACCESS_WRITE, false, B, NULL);
	add_rule(&two, "t0", "/x", RW, true, B, C);
	add_rule(&two, "t1", "/a/b*", TIP_ACCESS_WRITE, false, B, A);
	add_rule(&two, "t2", "/a/*", TIP_ACCESS_READ, false, B, NULL);
	add_rule(&two, "t3", "/a", RW, true, A, NULL);

	kernel.changed = check_step;
	for (int i = 0; i < 2; i++) {
		watching = false;
		apply(sets[i + 1]);
		snapshot(after);
		apply(sets[i]);
		snapshot(before);
		watching = true;
		changes = 0;
		apply(sets[i + 1]);
		assert_true(changes > 4);
	}
	watching = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(identity_may_not, fresh, done),
		cmocka_unit_test_setup_teardown(only_these_may, fresh, done),
		cmocka_unit_test_setup_teardown(removed_rules_go, fresh, done),
		cmocka_unit_test_setup_teardown(indexes_follow_the_set_in_force, fresh, done),
		cmocka_unit_test_setup_teardown(two_rules_for_one_key, fresh, done),
		cmocka_unit_test_setup_teardown(contradiction_is_refused, fresh, done),
		cmocka_unit_test_setup_teardown(bad_specs_are_refused, fresh, done),
		cmocka_unit_test_setup_teardown(too_deep_is_refused, fresh, done),
		cmocka_unit_test_setup_teardown(full_kernel_rolls_back, fresh, done),
		cmocka_unit_test_setup_teardown(earlier_daemon_is_reconciled, fresh, done),
		cmocka_unit_test_setup_teardown(notes_say_what_is_weaker, fresh, done),
		cmocka_unit_test_setup_teardown(no_gap_between_sets, fresh, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
