/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

/* How often a rule may alert. */

#define SECOND 1000000000ull

static void bursts_and_refills(void **state)
{
	const struct tip_rate_limit limit = {.per_second = 0.5, .max_burst = 2};
	struct tip_rate r = {0};
	uint64_t untold;

	assert_true(tip_rate_take(&r, &limit, 100 * SECOND, &untold));
	assert_true(tip_rate_take(&r, &limit, 100 * SECOND, &untold));
	assert_int_equal(untold, 0);
	assert_false(tip_rate_take(&r, &limit, 100 * SECOND, &untold));
	assert_false(tip_rate_take(&r, &limit, 101 * SECOND, &untold));
	assert_true(tip_rate_take(&r, &limit, 102 * SECOND, &untold));
	assert_int_equal(untold, 2);
	/* told once */
	assert_true(tip_rate_take(&r, &limit, 200 * SECOND, &untold));
	assert_int_equal(untold, 0);
	assert_int_equal(r.matched, 6);
	assert_int_equal(r.suppressed, 2);
	/* a long silence fills it to the brim, and no further */
	assert_true(tip_rate_take(&r, &limit, 300 * SECOND, &untold));
	assert_true(tip_rate_take(&r, &limit, 300 * SECOND, &untold));
	assert_false(tip_rate_take(&r, &limit, 300 * SECOND, &untold));
}

static void late_events_bring_nothing(void **state)
{
	const struct tip_rate_limit limit = {.per_second = 1, .max_burst = 1};
	struct tip_rate r = {0};
	uint64_t untold;

	assert_true(tip_rate_take(&r, &limit, 50 * SECOND, &untold));
	assert_false(tip_rate_take(&r, &limit, 10 * SECOND, &untold));
	/* the clock of the bucket did not go back with it */
	assert_false(tip_rate_take(&r, &limit, 50 * SECOND, &untold));
	assert_true(tip_rate_take(&r, &limit, 51 * SECOND, &untold));
}

static void without_a_limit_all_are_told(void **state)
{
	const struct tip_rate_limit none = {0};
	struct tip_rate r = {.untold = 3};
	uint64_t untold;

	assert_true(tip_rate_take(&r, &none, 0, &untold));
	assert_int_equal(untold, 3);
	for (int i = 0; i < 1000; i++)
		assert_true(tip_rate_take(&r, &none, 0, &untold));
	assert_int_equal(r.matched, 1001);
}

#define RULE(name)                                                                                 \
	"- rule: " name "\n  desc: d\n  condition: evt.type=openat\n  output: x\n  priority: "     \
	"INFO\n"

static void numbers_survive_a_reload(void **state)
{
	static const char before[] = RULE("one") RULE("two") RULE("three");
	static const char after[] = RULE("three") RULE("new") RULE("one");
	struct tip_load_result res;
	struct tip_rules *old = load_text(before, &res), *fresh;
	struct tip_rate *rates;

	tip_load_result_free(&res);
	fresh = load_text(after, &res);
	tip_load_result_free(&res);
	rates = tip_rates_carry(old, NULL, NULL);
	rates[0].matched = 7;
	rates[2].matched = 9;
	rates = tip_rates_carry(fresh, old, rates);
	assert_int_equal(rates[0].matched, 9);
	assert_int_equal(rates[1].matched, 0);
	assert_int_equal(rates[2].matched, 7);
	free(rates);
	tip_rules_free(old);
	tip_rules_free(fresh);
}

static void keys_are_read(void **state)
{
	static const struct {
		const char *key;
		double per_second;
		uint32_t max_burst; /* 0: refused */
	} rows[] = {
		{"{per_second: 0.1, max_burst: 5}", 0.1, 5},
		{"{per_second: 0.1}", 0.1, 1},
		{"{per_second: 20}", 20, 20},
		{"{max_burst: 5}", 0, 0},
		{"{per_second: 0}", 0, 0},
		{"{per_second: -1}", 0, 0},
		{"{per_second: nan}", 0, 0},
		{"{per_second: 1e9}", 0, 0},
		{"{per_second: 1, max_burst: 0}", 0, 0},
		{"{per_second: 1, max_burst: 1.5}", 0, 0},
		{"{per_second: 1, burst: 2}", 0, 0},
		{"5", 0, 0},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++) {
		char text[256];
		struct tip_load_result res;
		struct tip_rules *r;

		snprintf(text, sizeof(text), RULE("one") "  rate_limit: %s\n", rows[i].key);
		r = load_text(text, &res);
		assert_int_equal(r != NULL, rows[i].max_burst != 0);
		if (r) {
			const struct tip_rate_limit *l =
				&tip_rule_info(tip_rules_get(r, 0))->rate_limit;

			assert_true(l->per_second == rows[i].per_second);
			assert_int_equal(l->max_burst, rows[i].max_burst);
		} else {
			assert_string_equal(first_error(&res)->code, "LOAD_ERR_YAML_VALIDATE");
		}
		tip_load_result_free(&res);
		tip_rules_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bursts_and_refills),
		cmocka_unit_test(late_events_bring_nothing),
		cmocka_unit_test(without_a_limit_all_are_told),
		cmocka_unit_test(numbers_survive_a_reload),
		cmocka_unit_test(keys_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
