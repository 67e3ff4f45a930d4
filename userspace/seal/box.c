/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/box.h"

#include <endian.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#define MAGIC      "TIPSEAL1"
#define MAGIC_LEN  8
#define AT_KEY_ID  MAGIC_LEN
#define AT_GEN     (AT_KEY_ID + TIP_BOX_KEY_ID)
#define AT_NONCE   (AT_GEN + 8)
#define NONCE_LEN  12
#define HEADER_LEN (AT_NONCE + NONCE_LEN)
#define TAG_LEN    16

_Static_assert(HEADER_LEN + TAG_LEN == TIP_BOX_OVERHEAD, "what a record costs");

static int derive(const char *purpose, const void *secret, size_t len, uint8_t *out, size_t out_len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)purpose,
						  strlen(purpose)),
		OSSL_PARAM_construct_end(),
	};
	int ret = ctx && EVP_KDF_derive(ctx, out, out_len, params) == 1 ? 0 : -1;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ret;
}

int tip_box_key(struct tip_box_key *key, const void *secret, size_t len, struct tip_error *err)
{
	if (len < TIP_BOX_SECRET_MIN)
		return tip_error_set(err, "a key needs at least %d bytes, there are %zu",
				     TIP_BOX_SECRET_MIN, len);
	if (derive("tipstaff cache key 1", secret, len, key->key, sizeof(key->key)) < 0 ||
	    derive("tipstaff cache key id 1", secret, len, key->id, sizeof(key->id)) < 0) {
		OPENSSL_cleanse(key, sizeof(*key));
		return tip_error_set(err, "OpenSSL cannot derive a key");
	}
	return 0;
}

bool tip_box_is(const void *data, size_t len)
{
	return len >= MAGIC_LEN && !memcmp(data, MAGIC, MAGIC_LEN);
}

bool tip_box_is_of(const void *data, size_t len, const struct tip_box_key *key)
{
	return len >= AT_GEN && tip_box_is(data, len) &&
	       !memcmp((const uint8_t *)data + AT_KEY_ID, key->id, TIP_BOX_KEY_ID);
}

/* Feeds what is authenticated but not hidden. The strings' own NULs part them. */
static bool add_label(EVP_CIPHER_CTX *c, const uint8_t *header, const struct tip_box_label *label)
{
	const char *parts[] = {label->instance, label->name};
	int n;

	if (EVP_CipherUpdate(c, NULL, &n, header, AT_NONCE) != 1)
		return false;
	for (size_t i = 0; i < 2; i++)
		if (EVP_CipherUpdate(c, NULL, &n, (const uint8_t *)parts[i],
				     (int)strlen(parts[i]) + 1) != 1)
			return false;
	return true;
}

/* `encrypt`: `out` is ciphertext and tag is written; else `tag` is checked. */
static bool run(bool encrypt, const struct tip_box_key *key, const struct tip_box_label *label,
		const uint8_t *header, const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	bool ok = false;
	int n;

	if (!c ||
	    EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, key->key, header + AT_NONCE, encrypt) !=
		    1 ||
	    !add_label(c, header, label))
		goto out;
	if (len && EVP_CipherUpdate(c, out, &n, in, (int)len) != 1)
		goto out;
	if (!encrypt && EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) != 1)
		goto out;
	if (EVP_CipherFinal_ex(c, out + len, &n) != 1)
		goto out;
	ok = !encrypt || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag) == 1;
out:
	EVP_CIPHER_CTX_free(c);
	return ok;
}

int tip_box_seal(const struct tip_box_key *key, const struct tip_box_label *label,
		 uint64_t generation, const void *data, size_t len, struct tip_buf *out,
		 struct tip_error *err)
{
	uint64_t gen = htole64(generation);
	uint8_t *at;

	tip_buf_reserve(out, len + TIP_BOX_OVERHEAD);
	at = (uint8_t *)out->data + out->len;
	memcpy(at, MAGIC, MAGIC_LEN);
	memcpy(at + AT_KEY_ID, key->id, TIP_BOX_KEY_ID);
	memcpy(at + AT_GEN, &gen, sizeof(gen));
	if (RAND_bytes(at + AT_NONCE, NONCE_LEN) != 1 ||
	    !run(true, key, label, at, data, len, at + HEADER_LEN, at + HEADER_LEN + len)) {
		*at = '\0';
		return tip_error_set(err, "OpenSSL cannot seal a record");
	}
	out->len += len + TIP_BOX_OVERHEAD;
	out->data[out->len] = '\0';
	return 0;
}

int tip_box_open(const struct tip_box_key *key, const struct tip_box_label *label, const void *data,
		 size_t len, struct tip_buf *out, uint64_t *generation, struct tip_error *err)
{
	const uint8_t *in = data;
	uint8_t tag[TAG_LEN];
	uint64_t gen;
	size_t plain;

	if (len < TIP_BOX_OVERHEAD || !tip_box_is(data, len))
		return tip_error_set(err, "is not a sealed record, or truncated");
	if (!tip_box_is_of(data, len, key))
		return tip_error_set(err, "is sealed with another key");
	plain = len - TIP_BOX_OVERHEAD;
	memcpy(tag, in + HEADER_LEN + plain, TAG_LEN);
	tip_buf_reserve(out, plain + 1);
	if (!run(false, key, label, in, in + HEADER_LEN, plain, (uint8_t *)out->data + out->len,
		 tag)) {
		OPENSSL_cleanse(out->data + out->len, plain);
		out->data[out->len] = '\0';
		return tip_error_set(err, "was changed, or belongs to another name or instance");
	}
	memcpy(&gen, in + AT_GEN, sizeof(gen));
	*generation = le64toh(gen);
	out->len += plain;
	out->data[out->len] = '\0';
	return 0;
}

void tip_box_wipe(struct tip_buf *b)
{
	if (b->data)
		OPENSSL_cleanse(b->data, b->cap);
	tip_buf_free(b);
}
