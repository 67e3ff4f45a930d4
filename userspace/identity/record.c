/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/record.h"

#include <endian.h>
#include <string.h>

#include <openssl/crypto.h>

void tip_record_put_u32(struct tip_buf *out, uint32_t v)
{
	v = htole32(v);
	tip_buf_add(out, &v, sizeof(v));
}

void tip_record_put_u64(struct tip_buf *out, uint64_t v)
{
	v = htole64(v);
	tip_buf_add(out, &v, sizeof(v));
}

void tip_record_put_bytes(struct tip_buf *out, const void *data, size_t len)
{
	tip_record_put_u32(out, (uint32_t)len);
	if (len)
		tip_buf_add(out, data, len);
}

void tip_record_wipe(struct tip_buf *b)
{
	if (b->data)
		OPENSSL_cleanse(b->data, b->cap);
	tip_buf_free(b);
}

static const uint8_t *take(struct tip_record_reader *r, size_t len)
{
	const uint8_t *p = r->p;

	if (r->bad || len > r->left) {
		r->bad = true;
		return NULL;
	}
	r->p += len;
	r->left -= len;
	return p;
}

uint32_t tip_record_get_u32(struct tip_record_reader *r)
{
	const uint8_t *p = take(r, sizeof(uint32_t));
	uint32_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

uint64_t tip_record_get_u64(struct tip_record_reader *r)
{
	const uint8_t *p = take(r, sizeof(uint64_t));
	uint64_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

const uint8_t *tip_record_get_bytes(struct tip_record_reader *r, size_t *len)
{
	const uint8_t *p;

	*len = tip_record_get_u32(r);
	p = take(r, *len);
	if (!p)
		*len = 0;
	return p;
}

bool tip_record_get_equal(struct tip_record_reader *r, const char *text)
{
	size_t len;
	const uint8_t *p = tip_record_get_bytes(r, &len);

	return p && len == strlen(text) && !memcmp(p, text, len);
}

bool tip_record_done(const struct tip_record_reader *r)
{
	return !r->bad && !r->left;
}
