/* SPDX-License-Identifier: Apache-2.0 */
/* Which kernels have the corrections that kTLS needs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "sensor/probe.h"

#define DEBIAN(v) "#1 SMP PREEMPT_DYNAMIC Debian " v " (2026-11-14)"
#define OWN       "#7 SMP PREEMPT_DYNAMIC Sun Nov 22 10:00:00 UTC 2026"

static void test_fixes(void **state)
{
	static const struct {
		const char *release, *version;
		bool exclusive, has;
	} kernels[] = {
		{"6.1.0-56-amd64", DEBIAN("6.1.192-1"), true, true},
		{"6.1.0-40-amd64", DEBIAN("6.1.190-1"), true, false},
		{"6.1.191", OWN, true, true},
		{"6.1.190", OWN, true, false},
		{"6.12.117+deb12-amd64", DEBIAN("6.12.117-1~deb12u1"), true, true},
		{"6.12.113-custom", OWN, true, false},
		{"7.3.4+deb13-amd64", DEBIAN("7.3.4-1"), true, true},
		{"7.3.0", OWN, false, false},
		{"6.18.9", OWN, true, true},
		{"6.18.9", OWN, false, false},
		{"6.8.0-90-generic", OWN, true, false},
		{"5.14.0-700.el9", OWN, true, false},
		{"8.0-rc1", OWN, true, true},
		{"", "", true, false},
		{"Debian", "Debian Debian", true, false},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(kernels); i++)
		if (tip_ktls_has_fixes(kernels[i].release, kernels[i].version,
				       kernels[i].exclusive) != kernels[i].has)
			fail_msg("%s, %s", kernels[i].release, kernels[i].version);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_fixes)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
