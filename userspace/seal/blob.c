/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "seal/tpm.h"

#define MAGIC     "TIPTPM01"
#define MAGIC_LEN 8

static void put_part(struct tip_buf *out, const uint8_t *p, size_t len)
{
	const char size[2] = {(char)(len & 0xff), (char)(len >> 8)};

	tip_buf_add(out, size, sizeof(size));
	tip_buf_add(out, p, len);
}

void tip_tpm_blob_write(const struct tip_tpm_blob *b, struct tip_buf *out)
{
	tip_buf_add(out, MAGIC, MAGIC_LEN);
	put_part(out, b->public_part, b->public_len);
	put_part(out, b->private_part, b->private_len);
}

static int take_part(const uint8_t **p, size_t *left, const uint8_t **part, size_t *len)
{
	if (*left < 2)
		return -1;
	*len = (*p)[0] | (size_t)(*p)[1] << 8;
	*p += 2;
	*left -= 2;
	if (!*len || *len > *left)
		return -1;
	*part = *p;
	*p += *len;
	*left -= *len;
	return 0;
}

int tip_tpm_blob_read(struct tip_tpm_blob *b, const void *data, size_t len, struct tip_error *err)
{
	const uint8_t *p = data;

	if (len < MAGIC_LEN || memcmp(p, MAGIC, MAGIC_LEN) != 0)
		return tip_error_set(err, "is not a key sealed by a TPM, or of another version");
	p += MAGIC_LEN;
	len -= MAGIC_LEN;
	if (take_part(&p, &len, &b->public_part, &b->public_len) < 0 ||
	    take_part(&p, &len, &b->private_part, &b->private_len) < 0 || len)
		return tip_error_set(err, "is damaged");
	return 0;
}
