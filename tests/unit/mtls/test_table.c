/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include "mtls/table.h"

static const struct tip_relay_limits limits = {.handshakes = 3,
					       .connections = 5,
					       .per_identity = 2};

struct owner {
	struct tip_relay *relay;
	enum tip_mtls_cause cut;
};

static void cut_one(void *ctx, enum tip_mtls_cause cause)
{
	struct owner *o = ctx;

	o->cut = cause;
	tip_relay_end(o->relay, cause);
	o->relay = NULL;
}

static enum tip_mtls_cause begin(struct tip_relay_table *t, const char *own_id, struct owner *o)
{
	const struct tip_relay_spec spec = {
		.own_id = own_id, .exec_id = 77, .cut = cut_one, .ctx = o};
	enum tip_mtls_cause why;

	o->cut = TIP_MTLS_NONE;
	o->relay = tip_relay_begin(t, &spec, &why);
	assert_int_equal(!o->relay, why != TIP_MTLS_NONE);
	return why;
}

static void test_limits(void **state)
{
	struct tip_relay_table *t = tip_relay_table_new(&limits);
	struct tip_relay_stats stats;
	struct owner o[4], more;

	assert_int_equal(begin(t, "spiffe://a.test/1", &o[0]), TIP_MTLS_NONE);
	assert_int_equal(begin(t, "spiffe://a.test/1", &o[1]), TIP_MTLS_NONE);
	assert_int_equal(begin(t, "spiffe://a.test/1", &more), TIP_MTLS_LIMIT_IDENTITY);
	assert_int_equal(begin(t, "spiffe://a.test/2", &o[2]), TIP_MTLS_NONE);
	assert_int_equal(begin(t, "spiffe://a.test/3", &more), TIP_MTLS_LIMIT_HANDSHAKES);
	tip_relay_end(o[0].relay, TIP_MTLS_TIMEOUT);
	assert_int_equal(begin(t, "spiffe://a.test/1", &o[0]), TIP_MTLS_NONE);
	tip_relay_stats(t, &stats);
	assert_int_equal(stats.handshakes, 3);
	assert_int_equal(stats.begun, 4);
	assert_int_equal(stats.ended[TIP_MTLS_TIMEOUT], 1);
	assert_int_equal(stats.ended[TIP_MTLS_LIMIT_IDENTITY], 1);
	assert_int_equal(stats.ended[TIP_MTLS_LIMIT_HANDSHAKES], 1);
	for (int i = 0; i < 3; i++)
		tip_relay_end(o[i].relay, TIP_MTLS_CLOSED);
	tip_relay_table_free(t);
}

static bool denies_orders(void *ctx, const struct tip_relay_info *relay)
{
	(*(int *)ctx)++;
	return strcmp(relay->peer_id, ORDERS) != 0;
}

/* With real pumps behind it: listed, counted, and cut by either ID. */
static void test_open(void **state)
{
	struct tip_relay_table *t = tip_relay_table_new(&limits);
	struct tip_relay_info info;
	struct tip_relay_stats stats;
	struct owner out, in, shaking;
	struct relay r;
	int asked = 0;

	relay_open(&r, *state, 1048576);
	assert_int_equal(begin(t, FRONTEND, &out), TIP_MTLS_NONE);
	assert_int_equal(begin(t, ORDERS, &in), TIP_MTLS_NONE);
	assert_int_equal(begin(t, "spiffe://a.test/slow", &shaking), TIP_MTLS_NONE);
	tip_relay_open(out.relay, ORDERS, r.out.pump);
	tip_relay_open(in.relay, FRONTEND, r.in.pump);
	assert_int_equal(send(r.client, "hello", 5, 0), 5);
	relay_run(&r, 50);
	assert_true(tip_relay_next(t, 0, &info));
	assert_string_equal(info.own_id, FRONTEND);
	assert_string_equal(info.peer_id, ORDERS);
	assert_string_equal(info.backend, "user");
	assert_int_equal(info.exec_id, 77);
	assert_int_equal(info.sent, 5);
	assert_true(info.open && info.age > 0);
	assert_true(tip_relay_next(t, info.id, &info));
	assert_int_equal(info.received, 5);
	assert_true(tip_relay_next(t, info.id, &info));
	assert_false(info.open);
	assert_string_equal(info.peer_id, "");
	assert_false(tip_relay_next(t, info.id, &info));

	assert_int_equal(tip_relay_recheck(t, denies_orders, &asked), 1);
	assert_int_equal(asked, 2);
	assert_int_equal(out.cut, TIP_MTLS_DENIED);
	assert_int_equal(in.cut, TIP_MTLS_NONE);
	/* By the peer's ID; then by the own one, in the middle of a handshake. */
	assert_int_equal(tip_relay_cut(t, FRONTEND, TIP_MTLS_QUARANTINED), 1);
	assert_int_equal(in.cut, TIP_MTLS_QUARANTINED);
	assert_int_equal(tip_relay_cut(t, FRONTEND, TIP_MTLS_QUARANTINED), 0);
	assert_int_equal(tip_relay_cut(t, "spiffe://a.test/slow", TIP_MTLS_QUARANTINED), 1);
	assert_int_equal(shaking.cut, TIP_MTLS_QUARANTINED);
	assert_false(tip_relay_next(t, 0, &info));
	tip_relay_stats(t, &stats);
	assert_int_equal(stats.open + stats.handshakes, 0);
	assert_int_equal(stats.opened, 2);
	assert_int_equal(stats.ended[TIP_MTLS_QUARANTINED], 2);
	relay_close(&r);
	tip_relay_table_free(t);
}

/* To go on after one that has ended meanwhile. */
static void test_next_after_gone(void **state)
{
	struct tip_relay_table *t = tip_relay_table_new(&limits);
	struct tip_relay_info first, info;
	struct owner o[3];

	for (int i = 0; i < 3; i++)
		assert_int_equal(begin(t, i ? "spiffe://a.test/x" : "spiffe://a.test/y", &o[i]),
				 TIP_MTLS_NONE);
	assert_true(tip_relay_next(t, 0, &first));
	tip_relay_end(o[0].relay, TIP_MTLS_CLOSED);
	assert_true(tip_relay_next(t, first.id, &info));
	assert_int_equal(info.id, first.id + 1);
	tip_relay_end(o[1].relay, TIP_MTLS_CLOSED);
	tip_relay_end(o[2].relay, TIP_MTLS_CLOSED);
	assert_false(tip_relay_next(t, first.id, &info));
	tip_relay_table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_next_after_gone),
	};

	return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}
