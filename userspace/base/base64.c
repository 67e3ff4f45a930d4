/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include <stdint.h>

static void encode(const char *alphabet, const void *data, size_t len, struct tip_buf *out)
{
	const uint8_t *p = data;
	uint32_t bits = 0;
	int have = 0;

	tip_buf_reserve(out, len / 3 * 4 + 4);
	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | p[i];
		for (have += 8; have >= 6; have -= 6)
			tip_buf_addc(out, alphabet[bits >> (have - 6) & 63]);
	}
	if (have)
		tip_buf_addc(out, alphabet[bits << (6 - have) & 63]);
}

void tip_base64_encode(const void *data, size_t len, struct tip_buf *out)
{
	encode("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", data, len, out);
	for (size_t i = len % 3; i && i < 3; i++)
		tip_buf_addc(out, '=');
}

void tip_base64url_encode(const void *data, size_t len, struct tip_buf *out)
{
	encode("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", data, len, out);
}

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	return c == '_' ? 63 : -1;
}

int tip_base64url_decode(const char *text, size_t len, struct tip_buf *out)
{
	const size_t before = out->len;
	uint32_t bits = 0;
	int have = 0;

	tip_buf_reserve(out, len / 4 * 3 + 3);
	for (size_t i = 0; i < len; i++) {
		int value = value_of(text[i]);

		if (value < 0)
			goto refuse;
		bits = bits << 6 | (uint32_t)value;
		have += 6;
		if (have >= 8) {
			have -= 8;
			tip_buf_addc(out, (char)(bits >> have & 255));
		}
	}
	/* Six left over bits are a character too many; two or four have to be zero. */
	if (have < 6 && !(bits & ((1u << have) - 1)))
		return 0;
refuse:
	out->len = before;
	out->data[before] = '\0';
	return -1;
}
