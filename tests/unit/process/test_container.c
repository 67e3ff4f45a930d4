/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "process/container.h"

#define ID     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define PATH   "/system.slice/docker-" ID ".scope"
#define SECOND 1000000000ULL

static void one_record_for_a_container(void **state)
{
	struct tip_containers *all = tip_containers_new(10);
	struct tip_container *a = tip_containers_get(all, PATH, NULL, NULL);
	struct tip_container *b = tip_containers_get(all, PATH "/below/it", NULL, NULL);
	struct tip_container *other = tip_containers_get(all, "/user.slice/docker-" ID, NULL, NULL);
	struct tip_container_stats s;

	assert_ptr_equal(a, b);
	assert_string_equal(a->path, PATH);
	assert_string_equal(a->id, ID);
	assert_int_equal(a->runtime, TIP_RUNTIME_DOCKER);
	assert_string_equal(a->type, "docker");
	assert_ptr_not_equal(a, other); /* another cgroup of that name is another record */
	assert_null(tip_containers_get(all, "/system.slice/ssh.service", NULL, NULL));
	tip_containers_put(all, a);
	tip_containers_put(all, other);
	tip_containers_stats(all, &s);
	assert_int_equal(s.count, 1);
	tip_containers_put(all, b);
	tip_containers_stats(all, &s);
	assert_int_equal(s.count, 0);
	tip_containers_free(all);
}

static bool never(void *ctx, const char *path)
{
	return false;
}

static void what_a_user_made_is_not_asked_about(void **state)
{
	struct tip_containers *all = tip_containers_new(10);
	struct tip_container *c = tip_containers_get(all, PATH, never, NULL);

	assert_false(tip_containers_want(all, c, SECOND));
	assert_false(tip_containers_want(all, c, 1000 * SECOND));
	assert_false(tip_containers_answer(all, ID, "\2x", 3, SECOND));
	assert_null(tip_container_fact(c, TIP_FACT_NAME));
	tip_containers_free(all);
}

static void an_answer(void **state)
{
	static const char facts[] = "\2name\0\2again\0\x40"
				    "a=b\0\x42/x:/y\0\x40"
				    "c=d";
	struct tip_containers *all = tip_containers_new(10);
	struct tip_container *c = tip_containers_get(all, PATH, NULL, NULL);
	const char *l;

	assert_false(tip_containers_answer(all, ID, facts, sizeof(facts), SECOND));
	assert_true(tip_containers_want(all, c, SECOND));
	assert_false(tip_containers_want(all, c, SECOND));
	assert_true(tip_containers_answer(all, ID, facts, sizeof(facts), SECOND));
	assert_string_equal(tip_container_fact(c, TIP_FACT_NAME), "name");
	assert_null(tip_container_fact(c, TIP_FACT_IMAGE));
	assert_null(tip_container_fact(c, TIP_FACT_LABEL));
	l = tip_container_fact_next(c, TIP_FACT_LABEL, NULL);
	assert_string_equal(l, "a=b");
	l = tip_container_fact_next(c, TIP_FACT_LABEL, l);
	assert_string_equal(l, "c=d");
	assert_null(tip_container_fact_next(c, TIP_FACT_LABEL, l));
	/* a second one takes the place of the first */
	assert_true(tip_containers_answer(all, ID, "\3image", 7, SECOND));
	assert_null(tip_container_fact(c, TIP_FACT_NAME));
	assert_string_equal(tip_container_fact(c, TIP_FACT_IMAGE), "image");
	tip_containers_free(all);
}

static void what_nobody_knew_is_asked_about_later(void **state)
{
	struct tip_containers *all = tip_containers_new(10);
	struct tip_container *c = tip_containers_get(all, PATH, NULL, NULL);

	assert_true(tip_containers_want(all, c, SECOND));
	assert_true(tip_containers_answer(all, ID, NULL, 0, SECOND));
	assert_int_equal(c->state, TIP_CONTAINER_UNKNOWN);
	assert_false(tip_containers_want(all, c, 2 * SECOND));
	assert_true(tip_containers_want(all, c, 60 * SECOND));
	tip_containers_free(all);
}

static void so_many_have_facts(void **state)
{
	struct tip_containers *all = tip_containers_new(1);
	struct tip_container *a = tip_containers_get(all, PATH, NULL, NULL);
	struct tip_container *b = tip_containers_get(all, "/a/crio-" ID ".scope", NULL, NULL);
	struct tip_container_stats s;

	assert_true(tip_containers_want(all, a, SECOND));
	assert_false(tip_containers_want(all, b, SECOND));
	tip_containers_stats(all, &s);
	assert_int_equal(s.overflow, 1);
	tip_containers_put(all, a);
	assert_true(tip_containers_want(all, b, 60 * SECOND));
	tip_containers_free(all);
}

static void what_is_no_list_of_facts(void **state)
{
	static const struct {
		const char *data;
		size_t len;
	} bad[] = {
		{"\2", 1},    {"\2x", 2},   {"\0x", 3},     {"\x18x", 3},
		{"\x43x", 3}, {"\xffx", 3}, {"\2x\0\2", 4},
	};
	static char huge[TIP_FACTS_MAX + 1], text[TIP_FACT_TEXT_MAX + 3];
	struct tip_containers *all = tip_containers_new(10);
	struct tip_container *c = tip_containers_get(all, PATH, NULL, NULL);
	struct tip_container_stats s;

	tip_containers_want(all, c, SECOND);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(tip_containers_answer(all, ID, bad[i].data, bad[i].len, SECOND));
	for (size_t i = 0; i + 1 < sizeof(huge); i += 2)
		huge[i] = TIP_FACT_LABEL;
	assert_false(tip_containers_answer(all, ID, huge, sizeof(huge), SECOND));
	memset(text, 'x', sizeof(text) - 1);
	text[0] = TIP_FACT_NAME;
	assert_false(tip_containers_answer(all, ID, text, sizeof(text), SECOND));
	tip_containers_stats(all, &s);
	assert_int_equal(s.malformed, sizeof(bad) / sizeof(*bad) + 2);
	assert_int_equal(c->state, TIP_CONTAINER_ASKED);
	assert_true(tip_containers_answer(all, ID, "", 0, SECOND));
	tip_containers_free(all);
}

/* What came ahead of the answer is there, and the answer is still awaited. */
static void what_is_told_ahead(void **state)
{
	struct tip_containers *all = tip_containers_new(10);
	struct tip_container *k = tip_containers_get(all, "/docker-" ID ".scope", NULL, NULL);
	struct tip_container_stats s;

	tip_containers_told(all, ID, "\2early", 7); /* nobody has asked */
	assert_null(tip_container_fact(k, TIP_FACT_NAME));
	assert_true(tip_containers_want(all, k, SECOND));
	tip_containers_told(all, ID, "\2early", 7);
	assert_int_equal(k->state, TIP_CONTAINER_ASKED);
	assert_string_equal(tip_container_fact(k, TIP_FACT_NAME), "early");
	assert_true(tip_containers_answer(all, ID, "\2whole", 7, SECOND));
	tip_containers_told(all, ID, "\2early", 7);
	assert_string_equal(tip_container_fact(k, TIP_FACT_NAME), "whole");
	tip_containers_told(all, ID, "\2", 1);
	tip_containers_stats(all, &s);
	assert_int_equal(s.malformed, 1);
	tip_containers_put(all, k);
	tip_containers_free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_record_for_a_container),
		cmocka_unit_test(what_a_user_made_is_not_asked_about),
		cmocka_unit_test(an_answer),
		cmocka_unit_test(what_nobody_knew_is_asked_about_later),
		cmocka_unit_test(so_many_have_facts),
		cmocka_unit_test(what_is_no_list_of_facts),
		cmocka_unit_test(what_is_told_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
