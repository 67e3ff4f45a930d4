/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "seal/box.h"
#include "seal/tpm.h"

static const uint8_t secret[32] = "thirty-two bytes that nobody has";
static const struct tip_box_label label = {"default", "authority"};
#define TEXT "what must not be read"

static struct tip_box_key key_of(const void *bytes, size_t len)
{
	struct tip_box_key key;
	struct tip_error err;

	assert_int_equal(tip_box_key(&key, bytes, len, &err), 0);
	return key;
}

static struct tip_buf sealed(const struct tip_box_key *key, uint64_t generation, const char *text)
{
	struct tip_buf b = {0};
	struct tip_error err;

	assert_int_equal(tip_box_seal(key, &label, generation, text, strlen(text), &b, &err), 0);
	return b;
}

static int try_open(const struct tip_box_key *key, const struct tip_box_label *l,
		    const struct tip_buf *b, size_t len)
{
	struct tip_buf out = {0};
	struct tip_error err;
	uint64_t generation;
	int ret = tip_box_open(key, l, b->data, len, &out, &generation, &err);

	assert_true(ret == 0 || !out.len);
	tip_box_wipe(&out);
	return ret;
}

static void what_is_sealed_opens_again(void **state)
{
	struct tip_box_key key = key_of(secret, sizeof(secret));
	struct tip_buf b = sealed(&key, 77, TEXT), out = {0};
	struct tip_error err;
	uint64_t generation = 0;

	assert_true(tip_box_is(b.data, b.len) && tip_box_is_of(b.data, b.len, &key));
	assert_int_equal(b.len, strlen(TEXT) + TIP_BOX_OVERHEAD);
	assert_null(memmem(b.data, b.len, TEXT, strlen(TEXT)));
	assert_int_equal(tip_box_open(&key, &label, b.data, b.len, &out, &generation, &err), 0);
	assert_int_equal(generation, 77);
	assert_int_equal(out.len, strlen(TEXT));
	assert_memory_equal(out.data, TEXT, out.len);
	tip_box_wipe(&out);
	tip_buf_free(&b);
}

static void an_empty_record_is_one_too(void **state)
{
	struct tip_box_key key = key_of(secret, sizeof(secret));
	struct tip_buf b = sealed(&key, 1, "");

	assert_int_equal(try_open(&key, &label, &b, b.len), 0);
	tip_buf_free(&b);
}

static void the_same_twice_looks_different(void **state)
{
	struct tip_box_key key = key_of(secret, sizeof(secret));
	struct tip_buf a = sealed(&key, 1, TEXT), b = sealed(&key, 1, TEXT);

	assert_memory_not_equal(a.data, b.data, a.len);
	tip_buf_free(&a);
	tip_buf_free(&b);
}

static void a_change_of_any_bit_is_seen(void **state)
{
	struct tip_box_key key = key_of(secret, sizeof(secret));
	struct tip_buf b = sealed(&key, 1, TEXT);

	for (size_t i = 0; i < b.len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			b.data[i] ^= (char)(1 << bit);
			assert_int_equal(try_open(&key, &label, &b, b.len), -1);
			b.data[i] ^= (char)(1 << bit);
		}
	}
	for (size_t len = 0; len < b.len; len++)
		assert_int_equal(try_open(&key, &label, &b, len), -1);
	tip_buf_addc(&b, 'x');
	assert_int_equal(try_open(&key, &label, &b, b.len), -1);
	tip_buf_free(&b);
}

static void it_opens_only_under_its_own_label_and_key(void **state)
{
	static const struct tip_box_label others[] = {
		{"default", "svid-1"},
		{"other", "authority"},
		{"defaulta", "uthority"},
		{"", "authority"},
	};
	struct tip_box_key key = key_of(secret, sizeof(secret)), other = key_of(secret + 0, 32);
	uint8_t another[32];
	struct tip_buf b = sealed(&key, 1, TEXT);

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(try_open(&key, &others[i], &b, b.len), -1);
	/* The same secret is the same key. */
	assert_int_equal(try_open(&other, &label, &b, b.len), 0);
	memcpy(another, secret, sizeof(another));
	another[31] ^= 1;
	other = key_of(another, sizeof(another));
	assert_false(tip_box_is_of(b.data, b.len, &other));
	assert_int_equal(try_open(&other, &label, &b, b.len), -1);
	/* A key that claims the other's id. */
	memcpy(other.id, key.id, sizeof(key.id));
	assert_int_equal(try_open(&other, &label, &b, b.len), -1);
	tip_buf_free(&b);
}

static void a_short_secret_is_no_key(void **state)
{
	struct tip_box_key key;
	struct tip_error err;

	assert_int_equal(tip_box_key(&key, secret, 31, &err), -1);
	assert_non_null(strstr(err.text, "32"));
}

static void a_blob_is_read_as_it_was_written(void **state)
{
	struct tip_tpm_blob b = {(const uint8_t *)"public", (const uint8_t *)"private!", 6, 8};
	struct tip_tpm_blob got;
	struct tip_buf out = {0};
	struct tip_error err;

	tip_tpm_blob_write(&b, &out);
	assert_int_equal(tip_tpm_blob_read(&got, out.data, out.len, &err), 0);
	assert_int_equal(got.public_len, 6);
	assert_memory_equal(got.public_part, "public", 6);
	assert_int_equal(got.private_len, 8);
	assert_memory_equal(got.private_part, "private!", 8);
	for (size_t len = 0; len < out.len; len++)
		assert_int_equal(tip_tpm_blob_read(&got, out.data, len, &err), -1);
	tip_buf_addc(&out, 'x');
	assert_int_equal(tip_tpm_blob_read(&got, out.data, out.len, &err), -1);
	tip_buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sealed_opens_again),
		cmocka_unit_test(an_empty_record_is_one_too),
		cmocka_unit_test(the_same_twice_looks_different),
		cmocka_unit_test(a_change_of_any_bit_is_seen),
		cmocka_unit_test(it_opens_only_under_its_own_label_and_key),
		cmocka_unit_test(a_short_secret_is_no_key),
		cmocka_unit_test(a_blob_is_read_as_it_was_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
