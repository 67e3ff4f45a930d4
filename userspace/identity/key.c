/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/x509.h"

#include <limits.h>
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/rand.h>

void tip_x509_init(void)
{
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
}

EVP_PKEY *tip_key_new(struct tip_error *err)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	if (!key)
		tip_error_set(err, "cannot make a P-256 key");
	return key;
}

int tip_key_to_der(EVP_PKEY *key, uint8_t **der, size_t *len, struct tip_error *err)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	unsigned char *out = NULL;
	int n = -1;

	if (info)
		n = i2d_PKCS8_PRIV_KEY_INFO(info, &out);
	PKCS8_PRIV_KEY_INFO_free(info);
	if (n <= 0)
		return tip_error_set(err, "cannot encode a private key");
	*der = out;
	*len = (size_t)n;
	return 0;
}

/*
 * PKCS#8 carries the public half beside the private one, and OpenSSL compares certificates with the
 * public half alone: whether the two belong together has to be asked.
 */
static bool is_sound(EVP_PKEY *key)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	bool sound = ctx && EVP_PKEY_is_a(key, "EC") && EVP_PKEY_check(ctx) == 1;

	EVP_PKEY_CTX_free(ctx);
	return sound;
}

EVP_PKEY *tip_key_from_der(const uint8_t *der, size_t len, struct tip_error *err)
{
	PKCS8_PRIV_KEY_INFO *info = NULL;
	const unsigned char *p = der;
	EVP_PKEY *key = NULL;

	if (len && len <= LONG_MAX)
		info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)len);
	if (info && p == der + len)
		key = EVP_PKCS82PKEY(info);
	PKCS8_PRIV_KEY_INFO_free(info);
	if (key && is_sound(key))
		return key;
	EVP_PKEY_free(key);
	tip_error_set(err, "not a sound EC private key in PKCS#8");
	return NULL;
}

void tip_key_der_free(uint8_t *der, size_t len)
{
	OPENSSL_clear_free(der, len);
}

uint64_t tip_random_below(uint64_t bound)
{
	uint64_t v;

	/* No randomness means no serial numbers and no keys either: there is no way on. */
	if (RAND_bytes((unsigned char *)&v, sizeof(v)) != 1)
		abort();
	/* The bias is 2^-64 times the bound: this spreads renewals, it keeps no secret. */
	return bound ? v % bound : 0;
}
