/* SPDX-License-Identifier: Apache-2.0 */
/* What time does: renewal of SVIDs, rotation of the authority, clocks that jump. */
#include "world.h"

static void renewal(void **state)
{
	char a[64], b[64];
	uint64_t na, wait;
	double least = 1, most = 0;

	entries(WEB DB);
	start();
	exec(1, 0, 33, "/a", "/");
	exec(2, 0, 5, "/a", "/");
	for (int round = 0; round < 40; round++) {
		uint64_t issued = clock_now;
		double part;

		look(1, a, &na);
		assert_true(na == issued + HOUR);
		w.changes = 0;
		do {
			wait = tip_store_tick(w.store, clock_now);
			look(1, b, &na);
			if (strcmp(a, b))
				break;
			assert_int_equal(w.changes, 0);
			assert_in_range(wait, 1, HOUR);
			clock_now += wait < SEC ? SEC : wait;
		} while (clock_now < issued + HOUR);
		assert_string_not_equal(a, b);
		assert_int_equal(w.changes, 1);
		assert_int_equal(w.changed_exec, 1);
		part = (double)(clock_now - issued) / (double)HOUR;
		least = part < least ? part : least;
		most = part > most ? part : most;
		verifies(1);
		/* Whole seconds again, as certificates count. */
		clock_now += SEC - clock_now % SEC;
		tip_store_set_entries(w.store, NULL, 0);
		entries(WEB DB);
	}
	/* Half of the life, 10 % to each side, and spread. */
	assert_true(least >= 0.449 && most <= 0.552);
	assert_true(most - least > 0.03);
}

static void unused_is_not_renewed(void **state)
{
	entries(WEB);
	start();
	exec(1, 0, 33, "/a", "/");
	one(1);
	tip_store_exec_gone(w.store, 1);
	clock_now += HOUR * 3 / 4;
	tip_store_tick(w.store, clock_now);
	assert_int_equal(stats().issued, 1);
	assert_int_equal(stats().svids, 1);
	/* A new user takes what is there; the next tick renews it. */
	exec(2, 0, 33, "/a", "/");
	one(2);
	assert_int_equal(stats().issued, 1);
	tip_store_tick(w.store, clock_now);
	assert_int_equal(stats().issued, 2);
	assert_int_equal(stats().renewed, 1);
	tip_store_exec_gone(w.store, 2);
	clock_now += HOUR + SEC;
	tip_store_tick(w.store, clock_now);
	assert_int_equal(stats().svids, 0);
	assert_int_equal(tip_map_count(w.disk), 2); /* the authority and its JWT keys */
}

static void many_renewals_come_in_pieces(void **state)
{
	struct tip_buf b = {0};
	uint64_t issued;
	int ticks = 0;

	for (int i = 0; i < 200; i++)
		tip_buf_addf(&b, "- {spiffe_id: spiffe://" TD "/w%d, selectors: [unix:uid:%d]}\n",
			     i, i);
	entries(b.data);
	tip_buf_free(&b);
	start();
	for (int i = 0; i < 200; i++) {
		exec((uint64_t)i + 1, 0, (uint32_t)i, "/a", "/");
		one((uint64_t)i + 1);
	}
	clock_now += 50 * 60 * SEC;
	issued = stats().issued;
	do {
		uint64_t before = stats().issued;

		tip_store_tick(w.store, clock_now);
		assert_in_range(stats().issued - before, 1, 64);
		ticks++;
	} while (stats().renewed < 200);
	assert_int_equal(ticks, 4);
	assert_int_equal(stats().issued, issued + 200);
	tip_store_tick(w.store, clock_now);
	assert_int_equal(stats().issued, issued + 200);
}

static void clock_jumps(void **state)
{
	char a[64], b[64];
	uint64_t na;

	entries(WEB);
	start();
	exec(1, 0, 33, "/a", "/");
	look(1, a, &na);
	/* A day asleep: what is fetched right after is good, before any tick. */
	clock_now += 10 * HOUR;
	look(1, b, &na);
	assert_string_not_equal(a, b);
	verifies(1);
	tip_store_tick(w.store, clock_now);
	/* A clock that was wrong and is put back a year. */
	clock_now -= 365 * 24 * HOUR;
	tip_store_tick(w.store, clock_now);
	verifies(1);
	for (int i = 0; i < 10; i++) /* no storm */
		tip_store_tick(w.store, clock_now += SEC);
	assert_in_range(stats().issued, 3, 3);
	/* And forward again: the authority of before still counts. */
	clock_now += 365 * 24 * HOUR;
	tip_store_tick(w.store, clock_now);
	verifies(1);
	assert_in_range(bundle_size(), 1, 2);
}

static void authority_rotation(void **state)
{
	uint64_t na, last = T0 + 10 * 24 * HOUR, old_na = 0;
	int most = 0;
	char s[64];

	entries(WEB);
	start();
	exec(1, 0, 33, "/a", "/");
	look(1, s, &old_na);
	while (clock_now < last) {
		tip_store_tick(w.store, clock_now);
		verifies(1);
		look(1, s, &na);
		/* Never one that lives less than half of what was asked for. */
		assert_true(na > clock_now + 20 * 60 * SEC);
		assert_in_range(bundle_size(), 1, 2);
		if (bundle_size() > most)
			most = bundle_size();
		clock_now += 5 * 60 * SEC;
	}
	assert_int_equal(most, 2);
	/* A new one each half day, at the very time when the one before the last ends. */
	assert_in_range(w.bundles, 19, 21);
}

static void rotation_publishes_before_it_signs(void **state)
{
	struct tip_svid s;
	X509 *leaf, *ca[2];
	const uint8_t *der;
	struct tip_error err;
	size_t len;

	entries(WEB);
	start();
	exec(1, 0, 33, "/a", "/");
	clock_now += 12 * HOUR;
	tip_store_tick(w.store, clock_now);
	assert_int_equal(w.bundles, 2);
	for (int i = 0; i < 2; i++) {
		der = tip_store_bundle(w.store, &len);
		ca[0] = tip_cert_next(&der, &len, &err);
		ca[1] = tip_cert_next(&der, &len, &err);
		assert_int_equal(len, 0);
		s = one(1);
		leaf = leaf_of(&s);
		/* Until two thirds of its life the old one signs. */
		assert_int_equal(X509_check_issued(ca[i], leaf), X509_V_OK);
		assert_int_not_equal(X509_check_issued(ca[!i], leaf), X509_V_OK);
		X509_free(leaf);
		X509_free(ca[0]);
		X509_free(ca[1]);
		clock_now += 4 * HOUR;
		tip_store_tick(w.store, clock_now);
	}
	clock_now = T0 + 24 * HOUR;
	tip_store_tick(w.store, clock_now);
	assert_int_equal(w.bundles, 3); /* the old one is out, and the next one in */
	assert_int_equal(bundle_size(), 2);
	verifies(1);
}

static void late_successor_signs_at_once(void **state)
{
	char s[64];
	uint64_t na;

	entries(WEB);
	start();
	exec(1, 0, 33, "/a", "/");
	tip_store_free(w.store);
	clock_now += 23 * HOUR + 50 * 60 * SEC;
	open_store();
	feed("authority");
	entries(WEB);
	start();
	exec(1, 0, 33, "/a", "/");
	look(1, s, &na);
	assert_true(na == clock_now + HOUR);
	assert_int_equal(bundle_size(), 2);
	verifies(1);
}

static void life_within_the_authority(void **state)
{
	char s[64];
	uint64_t na;

	entries("- {spiffe_id: spiffe://" TD "/web, selectors: [unix:uid:33], x509_ttl: 30h}\n");
	start();
	exec(1, 0, 33, "/a", "/");
	look(1, s, &na);
	assert_true(na == T0 + 24 * HOUR);
	verifies(1);
}

/* The daemon's own: no entry has to give it, and nobody has to tick for it. */
static void own_svid(void **state)
{
	const char *id = "spiffe://" TD "/tipstaff/n1";
	struct tip_svid s;
	uint8_t first[64];

	assert_int_equal(tip_store_fetch_own(w.store, &s), TIP_FETCH_DENIED);
	tip_store_own(w.store, id);
	assert_int_equal(tip_store_fetch_own(w.store, &s), TIP_FETCH_PENDING);
	start();
	assert_int_equal(tip_store_fetch_own(w.store, &s), TIP_FETCH_OK);
	assert_string_equal(s.spiffe_id, id);
	assert_true(s.key_len > sizeof(first));
	memcpy(first, s.key + s.key_len - sizeof(first), sizeof(first));
	assert_int_equal(tip_store_fetch_own(w.store, &s), TIP_FETCH_OK);
	assert_memory_equal(first, s.key + s.key_len - sizeof(first), sizeof(first));
	clock_now += HOUR * 2 / 3;
	assert_int_equal(tip_store_fetch_own(w.store, &s), TIP_FETCH_OK);
	assert_memory_not_equal(first, s.key + s.key_len - sizeof(first), sizeof(first));
	assert_null(tip_map_gets(w.disk, "svid-own"));
	tip_store_quarantine(w.store, id, true);
	assert_int_equal(tip_store_fetch_own(w.store, &s), TIP_FETCH_DENIED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(renewal, setup, teardown),
		cmocka_unit_test_setup_teardown(unused_is_not_renewed, setup, teardown),
		cmocka_unit_test_setup_teardown(many_renewals_come_in_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(clock_jumps, setup, teardown),
		cmocka_unit_test_setup_teardown(authority_rotation, setup, teardown),
		cmocka_unit_test_setup_teardown(rotation_publishes_before_it_signs, setup,
						teardown),
		cmocka_unit_test_setup_teardown(late_successor_signs_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(life_within_the_authority, setup, teardown),
		cmocka_unit_test_setup_teardown(own_svid, setup, teardown),
	};

	tip_log_init("test", TIP_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
