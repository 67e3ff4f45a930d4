/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char text[] = "- name: a\n"
			   "  to: {cidr: 10.0.0.1, port: 1}\n"
			   "  server: [spiffe://td/s]\n"
			   "  clients: [spiffe://td/a, spiffe://td/ab/*]\n"
			   "- name: b\n"
			   "  to: {cidr: 10.0.0.2, port: 1}\n"
			   "  server: [spiffe://td/s]\n"
			   "  clients: [spiffe://td/b, spiffe://td/ab/*]\n";

static struct tip_traffic_policies *all;
static const struct tip_traffic_policy *a, *b;

static int setup(void **state)
{
	struct tip_error err;

	all = tip_traffic_policies_new();
	assert_int_equal(tip_traffic_policies_parse(all, "t", text, strlen(text), &err), 0);
	a = tip_traffic_policies_get(all, 0);
	b = tip_traffic_policies_get(all, 1);
	return 0;
}

static int teardown(void **state)
{
	tip_traffic_policies_free(all);
	return 0;
}

static void remembers(void **state)
{
	struct tip_traffic_cache *c = tip_traffic_cache_new(1024);
	struct tip_traffic_cache_stats st;

	for (size_t i = 0; i < 5; i++) {
		assert_ptr_equal(tip_traffic_cache_client(c, 1, a, "spiffe://td/a"),
				 &a->clients[0]);
		assert_ptr_equal(tip_traffic_cache_client(c, 1, a, "spiffe://td/ab/x"),
				 &a->clients[1]);
		assert_null(tip_traffic_cache_client(c, 1, a, "spiffe://td/b"));
		/* The same ID under another policy is another question. */
		assert_null(tip_traffic_cache_client(c, 1, b, "spiffe://td/a"));
	}
	tip_traffic_cache_stats(c, &st);
	assert_int_equal(st.hits + st.misses, 20);
	/* The hash has another key each time: two of the four questions may share a slot. */
	assert_true(st.used >= 3 && st.used <= 4);
	assert_true(st.hits >= 8);
	assert_int_equal(st.slots, 1024);
	tip_traffic_cache_free(c);
}

/* One slot: everything collides, nothing is confused. */
static void collisions(void **state)
{
	struct tip_traffic_cache *c = tip_traffic_cache_new(1);
	struct tip_traffic_cache_stats st;
	char id[64];

	for (size_t i = 0; i < 1000; i++) {
		snprintf(id, sizeof(id), "spiffe://td/%s", i % 3 ? "b" : "a");
		assert_ptr_equal(tip_traffic_cache_client(c, 1, a, id),
				 i % 3 ? NULL : &a->clients[0]);
		assert_ptr_equal(tip_traffic_cache_client(c, 1, b, id),
				 i % 3 ? &b->clients[0] : NULL);
		/* Asked twice in a row, the second one hits. */
		tip_traffic_cache_client(c, 1, b, id);
		/* Another ID under the same policy, just after. */
		assert_null(tip_traffic_cache_client(c, 1, b, "spiffe://td/z"));
		assert_ptr_equal(tip_traffic_cache_client(c, 1, b, "spiffe://td/ab/z"),
				 &b->clients[1]);
	}
	tip_traffic_cache_stats(c, &st);
	assert_int_equal(st.used, 1);
	assert_int_equal(st.hits, 1000);
	assert_int_equal(st.misses, 4000);
	tip_traffic_cache_free(c);
}

/* Another generation may say something else of the same policy number. */
static void generations(void **state)
{
	struct tip_traffic_policies *other = tip_traffic_policies_new();
	struct tip_traffic_cache *c = tip_traffic_cache_new(64);
	struct tip_traffic_cache_stats st;
	static const char changed[] = "- name: a\n"
				      "  to: {cidr: 10.0.0.1, port: 1}\n"
				      "  server: [spiffe://td/s]\n"
				      "  clients: [spiffe://td/z]\n";
	struct tip_error err;

	assert_int_equal(tip_traffic_policies_parse(other, "t", changed, strlen(changed), &err), 0);
	assert_non_null(tip_traffic_cache_client(c, 1, a, "spiffe://td/a"));
	assert_non_null(tip_traffic_cache_client(c, 1, a, "spiffe://td/ab/x"));
	assert_null(tip_traffic_cache_client(c, 2, tip_traffic_policies_get(other, 0),
					     "spiffe://td/a"));
	tip_traffic_cache_stats(c, &st);
	assert_int_equal(st.used, 1);
	assert_non_null(tip_traffic_cache_client(c, 3, a, "spiffe://td/a"));
	tip_traffic_cache_free(c);
	tip_traffic_policies_free(other);
}

/* IDs beyond the bound are answered and not kept. */
static void long_ids(void **state)
{
	struct tip_traffic_cache *c = tip_traffic_cache_new(4);
	struct tip_traffic_cache_stats st;
	char id[400];

	memset(id, 'x', sizeof(id));
	memcpy(id, "spiffe://td/ab/", 15);
	id[TIP_TRAFFIC_CACHE_ID_MAX + 1] = '\0';
	assert_ptr_equal(tip_traffic_cache_client(c, 1, a, id), &a->clients[1]);
	tip_traffic_cache_stats(c, &st);
	assert_int_equal(st.used, 0);
	id[TIP_TRAFFIC_CACHE_ID_MAX] = '\0';
	assert_ptr_equal(tip_traffic_cache_client(c, 1, a, id), &a->clients[1]);
	tip_traffic_cache_stats(c, &st);
	assert_int_equal(st.used, 1);
	tip_traffic_cache_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remembers),
		cmocka_unit_test(collisions),
		cmocka_unit_test(generations),
		cmocka_unit_test(long_ids),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
