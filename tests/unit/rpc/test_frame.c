/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "rpc/frame.h"

static void test_reader_byte_by_byte(void **state)
{
	static const uint8_t wire[] = "\0\0\0\0\3abc\0\0\0\0\0\0\0\0\0\1z";
	struct tip_grpc_reader r = {.max = 3};
	const char *want[] = {"abc", "", "z"};
	size_t seen = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(wire) - 1; i++) {
		const uint8_t *p = wire + i;
		size_t len = 1;

		if (tip_grpc_reader_feed(&r, &p, &len) == TIP_GRPC_READ_MESSAGE) {
			assert_true(seen < 3);
			assert_int_equal(r.len, strlen(want[seen]));
			assert_memory_equal(r.msg, want[seen], r.len);
			seen++;
			tip_grpc_reader_next(&r);
			assert_true(tip_grpc_reader_clean(&r));
		}
		assert_int_equal(len, 0);
	}
	assert_int_equal(seen, 3);
}

static void test_reader_stops_at_message_end(void **state)
{
	static const uint8_t wire[] = "\0\0\0\0\2hirest";
	struct tip_grpc_reader r = {.max = 100};
	const uint8_t *p = wire;
	size_t len = sizeof(wire) - 1;

	(void)state;
	assert_int_equal(tip_grpc_reader_feed(&r, &p, &len), TIP_GRPC_READ_MESSAGE);
	assert_int_equal(len, 4);
	assert_string_equal((const char *)p, "rest");
	tip_grpc_reader_next(&r);
}

static void test_reader_refuses(void **state)
{
	static const struct {
		const char *wire;
		enum tip_grpc_read want;
	} cases[] = {
		{"\1\0\0\0\1", TIP_GRPC_READ_COMPRESSED},
		{"\2\0\0\0\1", TIP_GRPC_READ_BAD_FLAG},
		{"\0\0\0\0\4", TIP_GRPC_READ_TOO_LONG},
		{"\0\377\377\377\377", TIP_GRPC_READ_TOO_LONG},
		{"\0\0\0\0\3", TIP_GRPC_READ_MORE},
	};

	(void)state;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
		struct tip_grpc_reader r = {.max = 3};
		const uint8_t *p = (const uint8_t *)cases[i].wire;
		size_t len = TIP_GRPC_PREFIX;

		assert_int_equal(tip_grpc_reader_feed(&r, &p, &len), cases[i].want);
		assert_false(tip_grpc_reader_clean(&r));
		assert_true(cases[i].want == TIP_GRPC_READ_MORE || !r.msg);
		tip_grpc_reader_next(&r);
	}
}

static void test_timeout(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {
		{"1n", 1},
		{"7u", 7000},
		{"250m", 250000000},
		{"3S", 3000000000ULL},
		{"2M", 120000000000ULL},
		{"1H", 3600000000000ULL},
		{"99999999H", 1ULL << 62},
		{"0m", 0},
	};
	static const char *const bad[] = {"", "m", "10", "10x", "-1m", "123456789m", "1m ", "1mm"};
	uint64_t ns;

	(void)state;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(good); i++) {
		assert_int_equal(tip_grpc_timeout_parse(good[i].text, &ns), 0);
		assert_true(ns == good[i].ns);
	}
	for (size_t i = 0; i < TIP_ARRAY_SIZE(bad); i++)
		assert_int_equal(tip_grpc_timeout_parse(bad[i], &ns), -1);
}

static void test_message_text(void **state)
{
	char wire[3 * TIP_GRPC_MESSAGE + 1], back[TIP_GRPC_MESSAGE + 1], long_text[3000];

	(void)state;
	assert_int_equal(tip_grpc_message_encode("no identity issued", wire), 18);
	assert_string_equal(wire, "no identity issued");
	tip_grpc_message_encode("100% \xc3\xa9\n", wire);
	assert_string_equal(wire, "100%25 %C3%A9%0A");
	tip_grpc_message_decode(wire, strlen(wire), back, sizeof(back));
	assert_string_equal(back, "100% \xc3\xa9\n");

	/* A broken escape stands for itself; the end of the text is not crossed. */
	tip_grpc_message_decode("50%zz %4", 8, back, sizeof(back));
	assert_string_equal(back, "50%zz %4");
	tip_grpc_message_decode("%41", 2, back, sizeof(back));
	assert_string_equal(back, "%4");
	tip_grpc_message_decode("abcdef", 6, back, 4);
	assert_string_equal(back, "abc");

	memset(long_text, 0xff, sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	assert_int_equal(tip_grpc_message_encode(long_text, wire), 3 * TIP_GRPC_MESSAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reader_byte_by_byte),
		cmocka_unit_test(test_reader_stops_at_message_end),
		cmocka_unit_test(test_reader_refuses),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_message_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
