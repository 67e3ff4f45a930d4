/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mtls/table.h"

#define ONE   "spiffe://a.test/1"
#define TWO   "spiffe://a.test/2"
#define THREE "spiffe://a.test/3"
#define FOUR  "spiffe://a.test/4"

static const struct tip_relay_limits limits = {.handshakes = 4,
					       .handshakes_per_identity = 2,
					       .connections = 5,
					       .per_identity = 3};

/* It does not begin, for that reason. */
static void refused(struct tip_relay_table *t, const char *own_id, enum tip_mtls_cause cause)
{
	struct tip_relay_stats before, after;
	struct tip_relay r;

	tip_relay_stats(t, &before);
	assert_int_equal(tip_relay_begin(t, &r, own_id, false), cause);
	tip_relay_end(&r, cause);
	tip_relay_stats(t, &after);
	assert_int_equal(after.ended[cause], before.ended[cause] + 1);
	assert_int_equal(after.begun, before.begun);
	assert_int_equal(after.handshakes, before.handshakes);
}

static void begins(struct tip_relay_table *t, struct tip_relay *r, const char *own_id)
{
	assert_int_equal(tip_relay_begin(t, r, own_id, false), TIP_MTLS_NONE);
	assert_int_equal(r->over, TIP_MTLS_NONE);
}

static void test_limits(void **state)
{
	struct tip_relay_table *t = tip_relay_table_new(&limits);
	struct tip_relay_stats stats;
	struct tip_relay r[5], away;

	begins(t, &r[0], ONE);
	begins(t, &r[1], ONE);
	/* One identity has half of the handshakes. */
	refused(t, ONE, TIP_MTLS_LIMIT_HANDSHAKES);
	tip_relay_open(&r[0]);
	begins(t, &r[2], ONE);
	tip_relay_open(&r[1]);
	refused(t, ONE, TIP_MTLS_LIMIT_IDENTITY);
	begins(t, &r[3], TWO);
	begins(t, &r[4], TWO);
	refused(t, THREE, TIP_MTLS_LIMIT_CONNECTIONS);
	/* Who begins only to be told no takes a handshake's place, and nothing else. */
	assert_int_equal(tip_relay_begin(t, &away, THREE, true), TIP_MTLS_NONE);
	assert_int_equal(away.over, TIP_MTLS_LIMIT_CONNECTIONS);
	refused(t, FOUR, TIP_MTLS_LIMIT_HANDSHAKES);
	tip_relay_end(&r[0], TIP_MTLS_CLEAN);
	tip_relay_end(&r[3], TIP_MTLS_TIMEOUT);
	begins(t, &r[0], FOUR);
	tip_relay_stats(t, &stats);
	assert_int_equal(stats.handshakes, 4);
	assert_int_equal(stats.open, 1);
	assert_int_equal(stats.opened, 2);
	assert_int_equal(stats.begun, 7);
	tip_relay_end(&away, TIP_MTLS_LIMIT_CONNECTIONS);
	tip_relay_end(&r[0], TIP_MTLS_CLEAN);
	tip_relay_end(&r[1], TIP_MTLS_CLEAN);
	tip_relay_end(&r[2], TIP_MTLS_CLEAN);
	tip_relay_end(&r[4], TIP_MTLS_CLEAN);
	tip_relay_stats(t, &stats);
	assert_int_equal(stats.handshakes + stats.open, 0);
	assert_int_equal(stats.ended[TIP_MTLS_TIMEOUT], 1);
	assert_int_equal(stats.ended[TIP_MTLS_CLEAN], 5);
	assert_int_equal(stats.ended[TIP_MTLS_LIMIT_CONNECTIONS], 2);
	/* All that was taken was given back. */
	for (int i = 0; i < 3; i++) {
		begins(t, &r[i], ONE);
		tip_relay_open(&r[i]);
	}
	refused(t, ONE, TIP_MTLS_LIMIT_IDENTITY);
	for (int i = 0; i < 3; i++)
		tip_relay_end(&r[i], TIP_MTLS_CLEAN);
	tip_relay_table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
