/* SPDX-License-Identifier: Apache-2.0 */
/* Who is served what: execs, entries, quarantine, the cache. */
#include "world.h"

static void answers(void **state)
{
	exec(1, 0, 33, "/a", "/");
	assert_string_equal(w.resolved_as, "");
	assert_int_equal(fetch_code(1), TIP_FETCH_PENDING);
	entries(WEB DB);
	assert_int_equal(w.resolves, 2);
	assert_string_equal(w.resolved_as, "spiffe://" TD "/web");
	assert_int_equal(fetch_code(1), TIP_FETCH_PENDING); /* not started */
	start();
	assert_int_equal(w.bundles, 1);
	assert_int_equal(fetch_code(1), TIP_FETCH_OK);
	assert_int_equal(fetch_code(2), TIP_FETCH_PENDING);
	exec(2, 0, 99, "/a", "/");
	assert_string_equal(w.resolved_as, "");
	assert_int_equal(fetch_code(2), TIP_FETCH_DENIED);
	verifies(1);

	/* Told again, answered again; an older epoch is not. */
	exec(2, 3, 5, "/a", "/");
	assert_string_equal(w.resolved_as, "spiffe://" TD "/db");
	assert_int_equal(w.resolved_epoch, 3);
	w.resolves = w.changes = 0;
	exec(2, 3, 5, "/a", "/");
	assert_int_equal(w.resolves, 1);
	assert_int_equal(w.changes, 0);
	exec(2, 2, 99, "/a", "/");
	assert_int_equal(w.resolves, 1);
	assert_int_equal(fetch_code(2), TIP_FETCH_OK);
	/* New credentials: another answer. */
	exec(2, 4, 99, "/a", "/");
	assert_int_equal(w.changes, 1);
	assert_int_equal(fetch_code(2), TIP_FETCH_DENIED);

	tip_store_exec_gone(w.store, 2);
	tip_store_exec_gone(w.store, 2);
	assert_int_equal(fetch_code(2), TIP_FETCH_PENDING);
	assert_int_equal(stats().execs, 1);
	assert_int_equal(stats().issued, 2);
}

static void order_and_hints(void **state)
{
	struct tip_svid out[8];
	size_t n;

	entries("- {spiffe_id: spiffe://" TD "/one, selectors: [unix:uid:1], hint: a}\n"
		"- {spiffe_id: spiffe://" TD "/two, selectors: [unix:uid:1, unix:gid:7], hint: b}\n"
		"- {spiffe_id: spiffe://" TD "/three, selectors: [unix:gid:7], hint: b}\n"
		"- {spiffe_id: spiffe://" TD "/four, selectors: [\"cgroup:path:/\"]}\n"
		"- {spiffe_id: spiffe://" TD "/five, selectors: [\"cgroup:path:/x\"]}\n"
		"- {spiffe_id: spiffe://" TD "/no, selectors: [unix:uid:1, unix:gid:8]}\n");
	start();
	exec(1, 0, 1, "", "/x/y");
	assert_string_equal(w.resolved_as, "spiffe://" TD "/two");
	assert_int_equal(tip_store_fetch(w.store, 1, out, 8, &n), TIP_FETCH_OK);
	assert_int_equal(n, 4);
	assert_string_equal(out[0].spiffe_id, "spiffe://" TD "/two");
	assert_string_equal(out[0].hint, "b");
	assert_string_equal(out[1].spiffe_id, "spiffe://" TD "/one");
	/* /three carries a hint that is taken; two without a hint do not collide. */
	assert_string_equal(out[2].spiffe_id, "spiffe://" TD "/four");
	assert_string_equal(out[3].spiffe_id, "spiffe://" TD "/five");
	assert_int_equal(tip_store_fetch(w.store, 1, out, 1, &n), TIP_FETCH_OK);
	assert_int_equal(n, 1);
}

static void restart_serves_the_same(void **state)
{
	char before[64], after[64], name[40];
	struct record *r;
	uint64_t na;

	entries(WEB DB);
	start();
	exec(1, 0, 33, "/a", "/");
	look(1, before, &na);
	id_of(WEB, name);
	r = tip_map_gets(w.disk, name);
	assert_non_null(r);
	assert_non_null(tip_map_gets(w.disk, "authority"));

	tip_store_free(w.store);
	open_store();
	feed("authority");
	feed("jwt-keys");
	feed(name);
	entries(WEB DB);
	clock_now += 60 * SEC;
	w.saves = 0;
	start();
	exec(1, 0, 33, "/a", "/");
	look(1, after, &na);
	assert_string_equal(before, after);
	verifies(1);
	assert_int_equal(w.saves, 0);
	assert_int_equal(stats().issued, 0);
	assert_int_equal(stats().bad_records, 0);

	/* The entry is gone after the next restart: its record goes too. */
	tip_store_free(w.store);
	open_store();
	feed("authority");
	feed(name);
	entries(DB);
	start();
	assert_null(tip_map_gets(w.disk, name));
	exec(1, 0, 33, "/a", "/");
	assert_int_equal(fetch_code(1), TIP_FETCH_DENIED);
	assert_int_equal(stats().bad_records, 0);
}

static void garbage_records(void **state)
{
	char before[64], after[64], name[40];
	struct record *r;
	uint64_t na;

	entries(WEB);
	start();
	exec(1, 0, 33, "/a", "/");
	look(1, before, &na);
	id_of(WEB, name);

	/* Without its authority a good SVID is worth nothing. */
	tip_store_free(w.store);
	open_store();
	tip_store_record(w.store, "authority", "garbage", 7);
	tip_store_record(w.store, "", "", 0);
	tip_store_record(w.store, "passwd", "x", 1);
	tip_store_record(w.store, "svid-", "x", 1);
	tip_store_record(w.store, "svid-../../../../../../../etc/passwd", "x", 1);
	tip_store_record(w.store, "svid-0123456789abcdef0123456789abcdefa", "x", 1);
	assert_int_equal(stats().bad_records, 5);
	feed(name);
	entries(WEB);
	start();
	assert_int_equal(stats().bad_records, 7);
	assert_null(tip_map_gets(w.disk, name));
	exec(1, 0, 33, "/a", "/");
	look(1, after, &na);
	assert_string_not_equal(before, after);
	verifies(1);
	/* Too late. */
	tip_store_record(w.store, "authority", "x", 1);
	assert_int_equal(stats().bad_records, 8);

	/* A record of the right name and the wrong contents; the authority's is kept. */
	tip_store_free(w.store);
	open_store();
	feed("authority");
	r = tip_map_gets(w.disk, name);
	r->data[r->len - 1] ^= 1;
	feed(name);
	entries(WEB);
	start();
	assert_int_equal(stats().bad_records, 1);
	exec(1, 0, 33, "/a", "/");
	look(1, before, &na);
	assert_string_not_equal(before, after);
	verifies(1);

	/* Expired while the daemon was away. */
	tip_store_free(w.store);
	open_store();
	feed("authority");
	feed(name);
	entries(WEB);
	clock_now += 2 * HOUR;
	start();
	assert_int_equal(stats().svids, 0);
	assert_int_equal(stats().bad_records, 1);
}

static void quarantined_records_are_forgotten(void **state)
{
	char name[40];

	entries(WEB);
	start();
	exec(1, 0, 33, "/a", "/");
	one(1);
	id_of(WEB, name);
	tip_store_free(w.store);
	open_store();
	feed("authority");
	feed(name);
	entries(WEB);
	tip_store_quarantine(w.store, "spiffe://" TD "/web", true);
	start();
	exec(1, 0, 33, "/a", "/");
	assert_string_equal(w.resolved_as, "spiffe://" TD "/web"); /* the kernel must know it */
	assert_int_equal(fetch_code(1), TIP_FETCH_DENIED);
	assert_null(tip_map_gets(w.disk, name));
}

static void quarantine(void **state)
{
	char before[64], after[64], name[40];
	struct tip_svid out[8];
	uint64_t na;
	size_t n;

	entries("- {spiffe_id: spiffe://" TD "/web, selectors: [unix:uid:33]}\n"
		"- {spiffe_id: spiffe://" TD "/all, selectors: [unix:gid:7]}\n");
	start();
	exec(1, 0, 33, "/a", "/");
	exec(2, 0, 34, "/a", "/");
	look(1, before, &na);
	id_of(WEB, name);
	assert_non_null(tip_map_gets(w.disk, name));
	w.changes = w.resolves = 0;
	tip_store_quarantine(w.store, "spiffe://" TD "/web", true);
	assert_int_equal(w.changes, 1);
	assert_int_equal(w.changed_exec, 1);
	assert_int_equal(w.resolves, 0);
	/* No way out over a second identity. */
	assert_int_equal(fetch_code(1), TIP_FETCH_DENIED);
	assert_int_equal(fetch_code(2), TIP_FETCH_OK);
	assert_null(tip_map_gets(w.disk, name));
	clock_now += HOUR;
	tip_store_tick(w.store, clock_now);
	assert_null(tip_map_gets(w.disk, name));
	tip_store_quarantine(w.store, "spiffe://" TD "/web", true);
	assert_int_equal(w.changes, 3); /* both were told of the renewal of /all */

	tip_store_quarantine(w.store, "spiffe://" TD "/web", false);
	look(1, after, &na);
	assert_string_not_equal(before, after);

	/* A second identity in quarantine is left out. */
	tip_store_quarantine(w.store, "spiffe://" TD "/all", true);
	assert_int_equal(tip_store_fetch(w.store, 1, out, 8, &n), TIP_FETCH_OK);
	assert_int_equal(n, 1);
	assert_string_equal(out[0].spiffe_id, "spiffe://" TD "/web");
	assert_int_equal(fetch_code(2), TIP_FETCH_DENIED);
}

static void entries_change(void **state)
{
	char a[64], b[64];
	uint64_t na;

	w.fetch_on_change = true;
	entries(WEB);
	start();
	exec(1, 0, 33, "/a", "/");
	exec(2, 0, 5, "/a", "/");
	look(1, a, &na);
	w.changes = w.resolves = 0;

	/* The same entry elsewhere and in another order: nothing happens to it. */
	entries(DB WEB);
	look(1, b, &na);
	assert_string_equal(a, b);
	assert_int_equal(w.changes, 1);
	assert_int_equal(w.resolves, 1);
	assert_int_equal(w.resolved_exec, 2);

	/* Another hint: told, but the same certificate. */
	entries("- {spiffe_id: spiffe://" TD "/web, selectors: [unix:uid:33], hint: h}\n" DB);
	assert_int_equal(w.changes, 2);
	assert_int_equal(w.changed_exec, 1);
	look(1, b, &na);
	assert_string_equal(a, b);
	assert_string_equal(one(1).hint, "h");

	/* Another life: another certificate. */
	entries("- {spiffe_id: spiffe://" TD
		"/web, selectors: [unix:uid:33], hint: h, x509_ttl: 60}\n" DB);
	look(1, b, &na);
	assert_string_not_equal(a, b);
	assert_true(na == T0 + 60 * SEC);

	/* A better entry: another identity. */
	entries(WEB DB "- {spiffe_id: spiffe://" TD
		       "/best, selectors: [unix:uid:33, unix:gid:7]}\n");
	assert_string_equal(w.resolved_as, "spiffe://" TD "/best");

	/* Redaction. */
	w.resolves = 0;
	entries("");
	assert_int_equal(w.resolves, 2);
	assert_string_equal(w.resolved_as, "");
	assert_int_equal(fetch_code(1), TIP_FETCH_DENIED);
	assert_int_equal(tip_map_count(w.disk), 2); /* the authority and its JWT keys */
	assert_int_equal(stats().svids, 0);
}

static void max_execs(void **state)
{
	tip_store_free(w.store);
	w.config.max_execs = 3;
	open_store();
	start();
	for (uint64_t i = 1; i <= 5; i++)
		exec(i, 0, 33, "/a", "/");
	assert_int_equal(stats().execs, 3);
	assert_int_equal(stats().execs_refused, 2);
	assert_int_equal(w.resolves, 3); /* the others stay pending */
	exec(2, 1, 34, "/a", "/");       /* one that is known still changes */
	assert_int_equal(w.resolves, 4);
	tip_store_exec_gone(w.store, 1);
	exec(4, 0, 33, "/a", "/");
	assert_int_equal(stats().execs, 3);
	assert_int_equal(w.resolved_exec, 4);
}

static void many(void **state)
{
	struct tip_entry *list = NULL;
	struct tip_buf b = {0};
	struct tip_error err;
	char path[32], cgroup[32];
	size_t n = 0;

	for (int i = 0; i < 5000; i++) {
		int v = i % 1000;

		/* All share one gid and every fifth the interpreter: bad keys for an index. */
		tip_buf_addf(&b, "- spiffe_id: spiffe://" TD "/w%d\n  selectors: [unix:gid:7", i);
		if (i % 5 == 0)
			tip_buf_adds(&b, ", unix:path:/usr/bin/python3");
		for (int k = 1; k < 4; k++) {
			if (!(i % 8 & 1 << (k - 1)) || (k == 2 && i % 5 == 0))
				continue;
			tip_buf_adds(&b, ", ");
			if (k == 1)
				tip_buf_addf(&b, "unix:uid:%d", v);
			else if (k == 2)
				tip_buf_addf(&b, "unix:path:/bin/p%d", v);
			else
				tip_buf_addf(&b, "cgroup:path:/k/c%d", v);
		}
		if (i % 8 == 0)
			tip_buf_addf(&b, ", unix:uid:%d", 100000 + i);
		tip_buf_adds(&b, "]\n");
	}
	assert_int_equal(tip_entries_parse(w.arena, "e", b.data, b.len, TD, &list, &n, &err), 0);
	tip_buf_free(&b);
	assert_int_equal(n, 5000);
	tip_store_set_entries(w.store, list, n);
	start();
	for (int i = 0; i < 1000; i++) {
		struct tip_attested a = {
			.uid = (uint32_t)i, .gid = 7, .path = path, .cgroup = cgroup};
		const struct tip_entry *best = NULL;

		snprintf(path, sizeof(path), i % 3 ? "/bin/p%d" : "/usr/bin/python3", i);
		snprintf(cgroup, sizeof(cgroup), "/k/c%d/x", i);
		exec((uint64_t)i + 1, 0, a.uid, path, cgroup);
		/* The index answers as a walk over all entries does. */
		for (size_t k = 0; k < n; k++)
			if (tip_entry_matches(&list[k], &a) &&
			    (!best || list[k].nselectors > best->nselectors))
				best = &list[k];
		assert_string_equal(w.resolved_as, best ? best->spiffe_id : "");
	}
	/* New credentials, then a new set of entries: every exec is answered again each time. */
	for (int i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "/bin/p%d", i);
		snprintf(cgroup, sizeof(cgroup), "/k/c%d/x", i);
		exec((uint64_t)i + 1, 1, (uint32_t)i, path, cgroup);
	}
	tip_store_set_entries(w.store, list, n);
	free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers, setup, teardown),
		cmocka_unit_test_setup_teardown(order_and_hints, setup, teardown),
		cmocka_unit_test_setup_teardown(restart_serves_the_same, setup, teardown),
		cmocka_unit_test_setup_teardown(garbage_records, setup, teardown),
		cmocka_unit_test_setup_teardown(quarantined_records_are_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(quarantine, setup, teardown),
		cmocka_unit_test_setup_teardown(entries_change, setup, teardown),
		cmocka_unit_test_setup_teardown(max_execs, setup, teardown),
		cmocka_unit_test_setup_teardown(many, setup, teardown),
	};

	tip_log_init("test", TIP_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
