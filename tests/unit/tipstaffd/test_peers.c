/* SPDX-License-Identifier: Apache-2.0 */
/* Who has spoken with whom: what is new, what is kept, and what goes. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "tipstaffd/peers.h"

#define A   "spiffe://td/a"
#define B   "spiffe://td/b"
#define C   "spiffe://td/c"
#define SEC 1000000000ull

static char folder[64], path[128];

static int fresh(void **state)
{
	snprintf(folder, sizeof(folder), "/tmp/tipstaff-peers-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/peers", folder);
	return 0;
}

static int done(void **state)
{
	unlink(path);
	return rmdir(folder);
}

static void expect(struct tip_peers *p, const char *own, const char *peer, uint64_t at_s,
		   bool first, uint64_t since_s)
{
	struct tip_peers_met met = tip_peers_meet(p, own, peer, at_s * SEC);

	assert_int_equal(met.first, first);
	assert_int_equal(met.since_ns, since_s * SEC);
}

static void the_first_time_is_new(void **state)
{
	struct tip_peers *p = tip_peers_new(path, 16);

	expect(p, A, B, 100, true, 0);
	expect(p, A, B, 130, false, 30);
	expect(p, A, C, 200, true, 100);
	expect(p, A, C, 201, false, 101);
	/* it is A that knows B */
	expect(p, B, A, 300, true, 0);
	/* a clock that was put back */
	expect(p, A, B, 50, false, 0);
	assert_int_equal(tip_peers_stats(p).pairs, 3);
	tip_peers_free(p);
}

static void what_was_met_is_known_after_a_restart(void **state)
{
	struct tip_peers *p = tip_peers_new(path, 16);
	struct stat st;

	expect(p, A, B, 100, true, 0);
	expect(p, C, B, 150, true, 0);
	tip_peers_free(p);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	p = tip_peers_new(path, 16);
	expect(p, A, B, 200, false, 100);
	expect(p, A, C, 300, true, 200);
	expect(p, C, B, 300, false, 150);
	tip_peers_free(p);
}

static void a_new_pair_is_written_at_once_then_seldom(void **state)
{
	struct tip_peers *p = tip_peers_new(path, 16), *other;

	tip_peers_tick(p);
	assert_int_not_equal(access(path, F_OK), 0);
	expect(p, A, B, 100, true, 0);
	tip_peers_tick(p);
	other = tip_peers_new(path, 16);
	expect(other, A, B, 100, false, 0);
	tip_peers_free(other);
	expect(p, A, C, 100, true, 0);
	tip_peers_tick(p);
	other = tip_peers_new(path, 16);
	assert_int_equal(tip_peers_stats(other).pairs, 1);
	tip_peers_free(other);
	tip_peers_free(p);
}

static void those_met_longest_ago_go_first(void **state)
{
	struct tip_peers *p = tip_peers_new(path, 3);

	expect(p, A, B, 100, true, 0);
	expect(p, A, C, 110, true, 10);
	expect(p, B, C, 120, true, 0);
	expect(p, A, B, 130, false, 30);
	expect(p, C, A, 140, true, 0); /* A with C goes */
	assert_int_equal(tip_peers_stats(p).pairs, 3);
	assert_int_equal(tip_peers_stats(p).forgotten, 1);
	expect(p, A, B, 150, false, 50);
	/* the same order after a restart; of B nothing is left then, so it begins anew */
	tip_peers_free(p);
	p = tip_peers_new(path, 3);
	expect(p, A, C, 160, true, 60);
	expect(p, B, C, 170, true, 0);
	assert_int_equal(tip_peers_stats(p).forgotten, 2);
	tip_peers_free(p);
}

static void a_file_of_somebody_else_is_none(void **state)
{
	static const char *const texts[] = {
		"",
		"something\n",
		"tipstaff peers 1\n100 " A " " B "\n100 " A "\n",
		"tipstaff peers 1\nx " A " " B "\n",
		"tipstaff peers 1\n100 " A " " B " " C "\n",
		"tipstaff peers 1\n100 " A " b\n",
		"tipstaff peers 1\n100 " A " spiffe://td/\x1b[1m\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct tip_error err;
		struct tip_peers *p;

		assert_int_equal(tip_file_write(path, texts[i], strlen(texts[i]), 0600, &err), 0);
		p = tip_peers_new(path, 16);
		assert_int_equal(tip_peers_stats(p).pairs, 0);
		expect(p, A, B, 100, true, 0);
		tip_peers_free(p);
		p = tip_peers_new(path, 16);
		assert_int_equal(tip_peers_stats(p).pairs, 1);
		tip_peers_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_first_time_is_new, fresh, done),
		cmocka_unit_test_setup_teardown(what_was_met_is_known_after_a_restart, fresh, done),
		cmocka_unit_test_setup_teardown(a_new_pair_is_written_at_once_then_seldom, fresh,
						done),
		cmocka_unit_test_setup_teardown(those_met_longest_ago_go_first, fresh, done),
		cmocka_unit_test_setup_teardown(a_file_of_somebody_else_is_none, fresh, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
