/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TEST_IDENTITY_FORGE_H
#define TIP_TEST_IDENTITY_FORGE_H

/* Tokens and key sets, made by hand: no code of the room signs or writes here. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/mem.h"

#define TD  "example.org"
#define SUB "spiffe://" TD "/peer"
#define AUD "spiffe://" TD "/me"

/* How a token is signed. The names are those of a header. */
struct forge_alg {
	const char *name, *digest;
	size_t coord; /* of an EC signature; 0: RSA */
	bool pss;
};

static const struct forge_alg forge_algs[] = {
	{"RS256", "SHA256", 0, false},  {"RS384", "SHA384", 0, false},
	{"RS512", "SHA512", 0, false},  {"PS256", "SHA256", 0, true},
	{"PS384", "SHA384", 0, true},   {"PS512", "SHA512", 0, true},
	{"ES256", "SHA256", 32, false}, {"ES384", "SHA384", 48, false},
	{"ES512", "SHA512", 66, false},
};

static inline const struct forge_alg *forge_alg(const char *name)
{
	for (size_t i = 0; i < TIP_ARRAY_SIZE(forge_algs); i++)
		if (!strcmp(forge_algs[i].name, name))
			return &forge_algs[i];
	fail_msg("no algorithm %s", name);
	return NULL;
}

static inline char *forge_b64(const void *data, size_t len)
{
	struct tip_buf b = {0};

	tip_base64url_encode(data, len, &b);
	if (!b.data)
		tip_buf_adds(&b, "");
	return b.data;
}

static inline char *forge_number(EVP_PKEY *key, const char *param, int pad)
{
	unsigned char raw[1024];
	BIGNUM *n = NULL;
	int len;

	assert_int_equal(EVP_PKEY_get_bn_param(key, param, &n), 1);
	len = pad ? pad : BN_num_bytes(n);
	assert_int_equal(BN_bn2binpad(n, raw, len), len);
	BN_free(n);
	return forge_b64(raw, (size_t)len);
}

/* A key as a JSON object; `more` are members to be added: "\"kid\": \"k\"". */
static inline char *forge_jwk(EVP_PKEY *key, const char *more)
{
	char curve[32] = "", *a, *b, *text;
	const char *crv = "P-256";
	int coord = 32;

	if (EVP_PKEY_is_a(key, "RSA")) {
		a = forge_number(key, OSSL_PKEY_PARAM_RSA_N, 0);
		b = forge_number(key, OSSL_PKEY_PARAM_RSA_E, 0);
		text = tip_sprintf("{\"kty\": \"RSA\", \"n\": \"%s\", \"e\": \"%s\"%s%s}", a, b,
				   *more ? ", " : "", more);
	} else {
		EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL);
		if (!strcmp(curve, "secp384r1")) {
			crv = "P-384";
			coord = 48;
		} else if (!strcmp(curve, "secp521r1")) {
			crv = "P-521";
			coord = 66;
		}
		a = forge_number(key, OSSL_PKEY_PARAM_EC_PUB_X, coord);
		b = forge_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, coord);
		text = tip_sprintf(
			"{\"kty\": \"EC\", \"crv\": \"%s\", \"x\": \"%s\", \"y\": \"%s\"%s%s}", crv,
			a, b, *more ? ", " : "", more);
	}
	free(a);
	free(b);
	return text;
}

static inline size_t forge_sign(const struct forge_alg *alg, EVP_PKEY *key, const char *text,
				uint8_t *sig, size_t size)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *ctx;
	uint8_t der[1024];
	const uint8_t *p = der;
	size_t len = sizeof(der);
	ECDSA_SIG *pair;

	assert_int_equal(EVP_DigestSignInit_ex(md, &ctx, alg->digest, NULL, NULL, key, NULL), 1);
	if (alg->pss) {
		assert_true(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0);
		assert_true(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0);
	}
	assert_int_equal(EVP_DigestSign(md, der, &len, (const uint8_t *)text, strlen(text)), 1);
	EVP_MD_CTX_free(md);
	if (!alg->coord) {
		assert_true(len <= size);
		memcpy(sig, der, len);
		return len;
	}
	pair = d2i_ECDSA_SIG(NULL, &p, (long)len);
	assert_non_null(pair);
	assert_true(2 * alg->coord <= size);
	BN_bn2binpad(ECDSA_SIG_get0_r(pair), sig, (int)alg->coord);
	BN_bn2binpad(ECDSA_SIG_get0_s(pair), sig + alg->coord, (int)alg->coord);
	ECDSA_SIG_free(pair);
	return 2 * alg->coord;
}

/* "header.claims", both as they are given. */
static inline char *forge_input(const char *header, const char *claims)
{
	char *a = forge_b64(header, strlen(header)), *b = forge_b64(claims, strlen(claims));
	char *text = tip_sprintf("%s.%s", a, b);

	free(a);
	free(b);
	return text;
}

static inline char *forge_join(char *input, const uint8_t *sig, size_t len)
{
	char *s = forge_b64(sig, len), *token = tip_sprintf("%s.%s", input, s);

	free(s);
	free(input);
	return token;
}

/* A token of this header and these claims, truly signed. */
static inline char *forge(const char *alg, EVP_PKEY *key, const char *header, const char *claims)
{
	char *input = forge_input(header, claims);
	uint8_t sig[1024];
	size_t len = forge_sign(forge_alg(alg), key, input, sig, sizeof(sig));

	return forge_join(input, sig, len);
}

#endif
