/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "mtls/cause.h"
#include "mtls/wire.h"

static void test_sniff(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum tip_sniff client, server;
	} cases[] = {
		{"", 0, TIP_SNIFF_MORE, TIP_SNIFF_MORE},
		{"\x16", 1, TIP_SNIFF_MORE, TIP_SNIFF_MORE},
		{"\x16\x03\x01\x02\x00", 5, TIP_SNIFF_MORE, TIP_SNIFF_MORE},
		{"\x16\x03\x01\x02\x00\x01", 6, TIP_SNIFF_TLS, TIP_SNIFF_OTHER},
		{"\x16\x03\x03\x00\x7a\x02", 6, TIP_SNIFF_OTHER, TIP_SNIFF_TLS},
		{"\x15\x03\x03\x00\x02\x02", 6, TIP_SNIFF_OTHER, TIP_SNIFF_TLS},
		{"\x17\x03\x03", 3, TIP_SNIFF_OTHER, TIP_SNIFF_OTHER},
		{"\x16\x02", 2, TIP_SNIFF_OTHER, TIP_SNIFF_OTHER},
		{"\x16\x03\x05", 3, TIP_SNIFF_OTHER, TIP_SNIFF_OTHER},
		{"\x16\x03\x01\x00\x00", 5, TIP_SNIFF_OTHER, TIP_SNIFF_OTHER},
		{"\x16\x03\x01\xff\xff", 5, TIP_SNIFF_OTHER, TIP_SNIFF_OTHER},
		{"GET / HTTP", 10, TIP_SNIFF_OTHER, TIP_SNIFF_OTHER},
		{"\x80\x2e\x01", 3, TIP_SNIFF_OTHER, TIP_SNIFF_OTHER},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
		const uint8_t *p = (const uint8_t *)cases[i].bytes;

		assert_int_equal(tip_sniff_client(p, cases[i].len), cases[i].client);
		assert_int_equal(tip_sniff_server(p, cases[i].len), cases[i].server);
	}
}

static void test_verdict(void **state)
{
	uint8_t r[TIP_VERDICT_LEN + 1] = {0};
	enum tip_verdict v;
	uint16_t reason;

	for (int i = TIP_VERDICT_OK; i <= TIP_VERDICT_QUARANTINED; i++) {
		tip_verdict_encode((enum tip_verdict)i, 0x1234, r);
		assert_int_equal(tip_verdict_decode(r, TIP_VERDICT_LEN, &v, &reason), 0);
		assert_int_equal(v, i);
		assert_int_equal(reason, 0x1234);
	}
	assert_memory_equal(r, "\x01\x05\x12\x34", 4);
	assert_int_equal(tip_verdict_decode(r, 3, &v, &reason), -1);
	assert_int_equal(tip_verdict_decode(r, 5, &v, &reason), -1);
	r[1] = 0;
	assert_int_equal(tip_verdict_decode(r, TIP_VERDICT_LEN, &v, &reason), -1);
	r[1] = 6;
	assert_int_equal(tip_verdict_decode(r, TIP_VERDICT_LEN, &v, &reason), -1);
	r[0] = 2;
	r[1] = TIP_VERDICT_OK;
	assert_int_equal(tip_verdict_decode(r, TIP_VERDICT_LEN, &v, &reason), -1);
}

static void test_causes(void **state)
{
	for (int i = 0; i < TIP_MTLS_CAUSES; i++) {
		assert_true(strlen(tip_mtls_cause_name((enum tip_mtls_cause)i)) > 0);
		assert_true(strlen(tip_mtls_cause_text((enum tip_mtls_cause)i)) > 0);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(tip_mtls_cause_name((enum tip_mtls_cause)i),
						tip_mtls_cause_name((enum tip_mtls_cause)j));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sniff),
		cmocka_unit_test(test_verdict),
		cmocka_unit_test(test_causes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
