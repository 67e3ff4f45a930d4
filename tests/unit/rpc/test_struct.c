/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/struct.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

/* JSON to a Struct and back: the same value. */
static void round_trip(const char *text)
{
	json_t *v = json_loads(text, 0, NULL), *back;
	struct tip_buf b = {0};

	assert_non_null(v);
	assert_int_equal(tip_struct_pack(v, &b), 0);
	back = tip_struct_unpack((const uint8_t *)b.data, b.len);
	assert_non_null(back);
	if (!json_equal(v, back))
		fail_msg("%s became %s", text, json_dumps(back, 0));
	json_decref(v);
	json_decref(back);
	tip_buf_free(&b);
}

static void values(void **state)
{
	round_trip("{}");
	round_trip("{\"\": \"\"}");
	round_trip("{\"a\": null, \"b\": true, \"c\": false, \"d\": 0, \"e\": -1.5, \"f\": \"x\"}");
	round_trip(
		"{\"exp\": 1780000300, \"big\": 9007199254740992, \"small\": -9007199254740992}");
	round_trip("{\"list\": [], \"lists\": [[], [1, [2]], {\"k\": []}], \"o\": {\"o\": {\"o\": "
		   "{}}}}");
	round_trip("{\"utf8\": \"caf\\u00e9 \\ud83d\\ude00\", \"caf\\u00e9\": 1}");
	round_trip("{\"aud\": [\"a\", \"b\"], \"sub\": \"spiffe://td/x\"}");
}

/* As google.protobuf's own code writes {"a": 1, "l": [null, "x"]}. */
static void wire(void **state)
{
	static const uint8_t expected[] = {
		0x0a, 0x0e, 0x0a, 0x01, 'a',  0x12, 0x09, 0x11, 0,    0,    0,    0,
		0,    0,    0xf0, 0x3f, 0x0a, 0x10, 0x0a, 0x01, 'l',  0x12, 0x0b, 0x32,
		0x09, 0x0a, 0x02, 0x08, 0x00, 0x0a, 0x03, 0x1a, 0x01, 'x',
	};
	json_t *v = json_loads("{\"a\": 1, \"l\": [null, \"x\"]}", 0, NULL);
	struct tip_buf b = {0};

	assert_int_equal(tip_struct_pack(v, &b), 0);
	assert_int_equal(b.len, sizeof(expected));
	assert_memory_equal(b.data, expected, b.len);
	json_decref(v);
	tip_buf_free(&b);
}

static json_t *nested(int depth)
{
	json_t *v = json_object();

	for (int i = 1; i < depth; i++)
		v = i % 2 ? json_pack("[o]", v) : json_pack("{s:o}", "o", v);
	return json_is_object(v) ? v : json_pack("{s:o}", "o", v);
}

static void depth(void **state)
{
	struct tip_buf b = {0}, outer = {0};
	json_t *v = nested(TIP_STRUCT_DEPTH - 1), *back;

	tip_buf_adds(&outer, "before");
	assert_int_equal(tip_struct_pack(v, &b), 0);
	back = tip_struct_unpack((const uint8_t *)b.data, b.len);
	assert_true(json_equal(v, back));
	json_decref(v);
	json_decref(back);
	v = nested(TIP_STRUCT_DEPTH + 3);
	assert_int_equal(tip_struct_pack(v, &outer), -1);
	assert_string_equal(outer.data, "before");
	json_decref(v);
	v = json_array();
	assert_int_equal(tip_struct_pack(v, &outer), -1);
	assert_int_equal(tip_struct_pack(NULL, &outer), -1);
	json_decref(v);
	tip_buf_free(&b);
	tip_buf_free(&outer);
}

/* Objects in objects as bytes, deeper than is read: refused, and no stack is used up on it. */
static void too_deep(void **state)
{
	struct tip_buf b = {0};
	json_t *v;

	for (int i = 0; i < 2000; i++) {
		struct tip_buf next = {0};
		uint8_t len[3][4];
		size_t n[3], size = b.len;

		/* Lengths as varints, from the inside: Struct, PbValue, entry. */
		for (int level = 0; level < 3; level++) {
			size_t rest = size, k = 0;

			for (; rest >= 0x80; rest >>= 7)
				len[level][k++] = (uint8_t)(rest & 0x7f) | 0x80;
			len[level][k++] = (uint8_t)rest;
			n[level] = k;
			size += k + (level == 1 ? 4 : 1);
		}
		tip_buf_addc(&next, 0x0a);
		tip_buf_add(&next, len[2], n[2]);
		tip_buf_add(&next, "\x0a\x01o\x12", 4);
		tip_buf_add(&next, len[1], n[1]);
		tip_buf_addc(&next, 0x2a);
		tip_buf_add(&next, len[0], n[0]);
		tip_buf_add(&next, b.data, b.len);
		tip_buf_free(&b);
		b = next;
		v = tip_struct_unpack((const uint8_t *)b.data, b.len);
		assert_int_equal(v != NULL, i + 1 < TIP_STRUCT_DEPTH);
		json_decref(v);
	}
	tip_buf_free(&b);
}

static void refuse(const char *bytes, size_t len)
{
	assert_null(tip_struct_unpack((const uint8_t *)bytes, len));
}

static void malformed(void **state)
{
	refuse("\x0a", 1);                                   /* truncated */
	refuse("\x0a\x7f", 2);                               /* longer than it is */
	refuse("\x0a\x05\x0a\x01\xff\x12\x00", 7);           /* a name that is not UTF-8 */
	refuse("\x0a\x05\x0a\x01o\x12\x00", 7);              /* a value of no kind */
	refuse("\x0a\x08\x0a\x01o\x12\x03\x1a\x01\xff", 10); /* a text that is not UTF-8 */
	refuse("\x0a\x07\x0a\x01o\x12\x02\x20\x01"
	       "\x0a\x07\x0a\x01o\x12\x02\x20\x00",
	       18);                                                      /* a member twice */
	refuse("\x0a\x0e\x0a\x01o\x12\x09\x11\0\0\0\0\0\0\xf0\x7f", 16); /* infinity */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),   cmocka_unit_test(wire),      cmocka_unit_test(depth),
		cmocka_unit_test(too_deep), cmocka_unit_test(malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
