/* SPDX-License-Identifier: Apache-2.0 */
/* Which system calls are looked at, as their exits find it in the settings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <asm/unistd_64.h>
#include <cmocka.h>

#include "base/mem.h"
#include "sensor/internal.h"

/* Numbers of the 32-bit table. */
#define IA32_OPEN       5
#define IA32_CREAT      8
#define IA32_UNLINK     10
#define IA32_SOCKETCALL 102
#define IA32_OPENAT     295
#define IA32_CONNECT    362

struct fixture {
	struct tip_sensor *s;
	const uint8_t *handlers;
};

static void choose(struct fixture *f, uint32_t groups, uint64_t events)
{
	f->s->groups = TIP_GROUP_BASE | groups;
	f->s->settings.event_mask = events;
	tip_handlers_choose(f->s);
}

static int setup(void **state)
{
	struct fixture *f = tip_alloc(sizeof(*f));

	f->s = tip_alloc(sizeof(*f->s));
	f->handlers = f->s->settings.handlers;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	free(f->s);
	free(f);
	return 0;
}

static void test_without_rules_only_what_identity_needs(void **state)
{
	struct fixture *f = *state;
	size_t handled = 0;

	choose(f, TIP_GROUP_SYSCALLS, 0);
	for (size_t nr = 0; nr < TIP_SYSCALLS; nr++)
		handled += (f->handlers[nr] & ~TIP_HANDLER_IA32) != TIP_HANDLER_NONE;
	assert_int_equal(handled, 9);
	assert_int_equal(f->handlers[__NR_connect], TIP_HANDLER_CONNECT);
	assert_int_equal(f->handlers[__NR_accept4], TIP_HANDLER_ACCEPT);
	assert_int_equal(f->handlers[__NR_setresuid], TIP_HANDLER_SETID);
	assert_int_equal(f->handlers[__NR_openat], TIP_HANDLER_NONE);
	assert_int_equal(f->handlers[IA32_CONNECT], TIP_HANDLER_IA32);
	/* getuid() of the 64-bit table */
	assert_int_equal(f->handlers[IA32_SOCKETCALL], TIP_HANDLER_IA32);
}

static void test_what_rules_want_is_handled_in_each_table(void **state)
{
	struct fixture *f = *state;

	choose(f, TIP_GROUP_SYSCALLS, 1ull << TIP_EV_OPEN);
	assert_int_equal(f->handlers[__NR_openat], TIP_HANDLER_OPEN);
	assert_int_equal(f->handlers[__NR_openat2],
			 TIP_HANDLER_OPEN | TIP_HANDLER_IA32); /* one number in both */
	assert_int_equal(f->handlers[IA32_OPEN], TIP_HANDLER_IA32);
	assert_int_equal(f->handlers[IA32_CREAT], TIP_HANDLER_IA32);
	assert_int_equal(f->handlers[IA32_OPENAT], TIP_HANDLER_IA32);
	assert_int_equal(f->handlers[__NR_mmap], TIP_HANDLER_NONE);
	choose(f, TIP_GROUP_SYSCALLS, 1ull << TIP_EV_MMAP);
	assert_int_equal(f->handlers[__NR_mmap], TIP_HANDLER_CALL);
	assert_int_equal(f->handlers[__NR_openat], TIP_HANDLER_NONE);
	assert_int_equal(f->handlers[IA32_OPENAT], TIP_HANDLER_NONE);
}

static void test_calls_that_rules_name(void **state)
{
	struct fixture *f = *state;

	f->s->settings.calls[__NR_unlink / 64] |= 1ull << (__NR_unlink % 64);
	choose(f, TIP_GROUP_SYSCALLS, 0);
	assert_int_equal(f->handlers[__NR_unlink], TIP_HANDLER_NONE);
	choose(f, TIP_GROUP_SYSCALLS, 1ull << TIP_EV_CALL);
	assert_int_equal(f->handlers[__NR_unlink], TIP_HANDLER_OTHER);
	assert_int_equal(f->handlers[IA32_UNLINK], TIP_HANDLER_IA32);
	/* Where the kernel's own functions tell of the rest, these are all. */
	choose(f, TIP_GROUP_KERNEL, 1ull << TIP_EV_CALL | 1ull << TIP_EV_OPEN);
	assert_int_equal(f->handlers[__NR_unlink], TIP_HANDLER_OTHER);
	assert_int_equal(f->handlers[__NR_openat], TIP_HANDLER_NONE);
	assert_int_equal(f->handlers[__NR_connect], TIP_HANDLER_NONE);
}

static void test_enforcement_wants_opens_where_lsm_does_not_judge(void **state)
{
	struct fixture *f = *state;

	f->s->settings.rule_count = 1;
	choose(f, TIP_GROUP_SYSCALLS, 0);
	assert_int_equal(f->handlers[__NR_openat], TIP_HANDLER_OPEN);
	choose(f, TIP_GROUP_SYSCALLS | TIP_GROUP_LSM, 0);
	assert_int_equal(f->handlers[__NR_openat], TIP_HANDLER_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_without_rules_only_what_identity_needs, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_what_rules_want_is_handled_in_each_table,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_calls_that_rules_name, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_enforcement_wants_opens_where_lsm_does_not_judge, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
