/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static void encodes(const char *bytes, size_t len, const char *text)
{
	struct tip_buf out = {0}, back = {0};

	tip_base64url_encode(bytes, len, &out);
	assert_string_equal(out.data, text);
	assert_int_equal(tip_base64url_decode(out.data, out.len, &back), 0);
	assert_int_equal(back.len, len);
	if (len)
		assert_memory_equal(back.data, bytes, len);
	tip_buf_free(&out);
	tip_buf_free(&back);
}

/* The vectors of RFC 4648, section 10, and the two letters that differ from base64. */
static void known_texts(void **state)
{
	encodes("", 0, "");
	encodes("f", 1, "Zg");
	encodes("fo", 2, "Zm8");
	encodes("foo", 3, "Zm9v");
	encodes("foob", 4, "Zm9vYg");
	encodes("fooba", 5, "Zm9vYmE");
	encodes("foobar", 6, "Zm9vYmFy");
	encodes("\xfb\xff\xbf\x00", 4, "-_-_AA");
}

static void refused(void **state)
{
	static const char *const bad[] = {
		"Z",        /* one character holds no byte */
		"Zm9vY",    /* the same at the end */
		"Zg==",     /* padding */
		"Zm8=",     /* padding */
		"Zh",       /* unused bits: another spelling of "Zg" */
		"Zm9",      /* of "Zm8" */
		"Zm9v\n",   /* white space */
		" Zm9v",    /* white space */
		"Zm 9v",    /* white space */
		"+_+_",     /* base64's own letters */
		"-/-/",     /* base64's own letters */
		"Zm9v\x80", /* beyond ASCII */
	};
	struct tip_buf out = {0};

	tip_buf_adds(&out, "before");
	for (size_t i = 0; i < TIP_ARRAY_SIZE(bad); i++) {
		assert_int_equal(tip_base64url_decode(bad[i], strlen(bad[i]), &out), -1);
		assert_string_equal(out.data, "before");
		assert_int_equal(out.len, 6);
	}
	assert_int_equal(tip_base64url_decode("Zm\0v", 4, &out), -1);
	tip_buf_free(&out);
}

/* Of all texts of four letters of which two are free, exactly one stands for each byte. */
static void one_spelling(void **state)
{
	int seen[256] = {0};

	for (int a = 1; a < 128; a++) {
		for (int b = 1; b < 128; b++) {
			const char text[] = {(char)a, (char)b};
			struct tip_buf out = {0};

			if (!tip_base64url_decode(text, 2, &out))
				seen[(uint8_t)out.data[0]]++;
			tip_buf_free(&out);
		}
	}
	for (size_t i = 0; i < TIP_ARRAY_SIZE(seen); i++)
		assert_int_equal(seen[i], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_texts),
		cmocka_unit_test(refused),
		cmocka_unit_test(one_spelling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
