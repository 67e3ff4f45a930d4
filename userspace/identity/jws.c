/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/jws.h"

#include <string.h>

#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

#include "base/mem.h"

#define RSA_BITS_MIN 2048 /* RFC 7518, sections 3.3 and 3.5 */
#define COORD_MAX    66   /* bytes of a number modulo the order of P-521 */

struct tip_jws_alg {
	const char *name;
	const char *digest;
	const char *curve; /* OpenSSL's name; NULL: RSA */
	size_t coord;      /* bytes of r and of s */
	bool pss;
};

static const struct tip_jws_alg algs[] = {
	{"RS256", "SHA256", NULL, 0, false},
	{"RS384", "SHA384", NULL, 0, false},
	{"RS512", "SHA512", NULL, 0, false},
	{"PS256", "SHA256", NULL, 0, true},
	{"PS384", "SHA384", NULL, 0, true},
	{"PS512", "SHA512", NULL, 0, true},
	{"ES256", "SHA256", "prime256v1", 32, false},
	{"ES384", "SHA384", "secp384r1", 48, false},
	{"ES512", "SHA512", "secp521r1", COORD_MAX, false},
};

const struct tip_jws_alg *tip_jws_alg(const char *name)
{
	for (size_t i = 0; i < TIP_ARRAY_SIZE(algs); i++)
		if (!strcmp(algs[i].name, name))
			return &algs[i];
	return NULL;
}

bool tip_jws_fits(const struct tip_jws_alg *alg, EVP_PKEY *key)
{
	char curve[32];

	if (!alg->curve)
		return EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= RSA_BITS_MIN;
	return EVP_PKEY_is_a(key, "EC") &&
	       EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL) == 1 &&
	       !strcmp(curve, alg->curve);
}

/*
 * r and s, each in its fixed number of bytes, to the DER that OpenSSL verifies. Their values are
 * OpenSSL's to judge; s may lie in the upper half: RFC 7518 (3.4) asks for no lower one.
 */
static int to_der(const struct tip_jws_alg *alg, const uint8_t *sig, uint8_t **der)
{
	ECDSA_SIG *pair = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(sig, (int)alg->coord, NULL);
	BIGNUM *s = BN_bin2bn(sig + alg->coord, (int)alg->coord, NULL);
	int len = -1;

	if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
		r = s = NULL; /* they are the pair's now */
		len = i2d_ECDSA_SIG(pair, der);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(pair);
	return len;
}

static bool set_pss(EVP_PKEY_CTX *ctx)
{
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
	       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0;
}

bool tip_jws_verify(const struct tip_jws_alg *alg, EVP_PKEY *key, const void *data, size_t len,
		    const uint8_t *sig, size_t sig_len)
{
	EVP_MD_CTX *md = NULL;
	EVP_PKEY_CTX *ctx = NULL; /* of `md` */
	uint8_t *der = NULL;
	bool holds = false;

	if (!tip_jws_fits(alg, key))
		return false;
	if (alg->curve) {
		int n = sig_len == 2 * alg->coord ? to_der(alg, sig, &der) : -1;

		if (n <= 0)
			return false;
		sig = der;
		sig_len = (size_t)n;
	}
	md = EVP_MD_CTX_new();
	holds = md && EVP_DigestVerifyInit_ex(md, &ctx, alg->digest, NULL, NULL, key, NULL) == 1 &&
		(!alg->pss || set_pss(ctx)) && EVP_DigestVerify(md, sig, sig_len, data, len) == 1;
	EVP_MD_CTX_free(md);
	OPENSSL_free(der);
	return holds;
}

static bool from_der(const uint8_t *der, size_t len, uint8_t sig[TIP_JWS_ES256_SIZE])
{
	const int coord = TIP_JWS_ES256_SIZE / 2;
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);
	bool ok = pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), sig, coord) == coord &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(pair), sig + coord, coord) == coord;

	ECDSA_SIG_free(pair);
	return ok;
}

int tip_jws_sign(EVP_PKEY *key, const void *data, size_t len, uint8_t sig[TIP_JWS_ES256_SIZE],
		 struct tip_error *err)
{
	uint8_t der[2 * COORD_MAX + 16];
	size_t der_len = sizeof(der);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = md && EVP_DigestSignInit_ex(md, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
		  EVP_DigestSign(md, der, &der_len, data, len) == 1 && from_der(der, der_len, sig);

	EVP_MD_CTX_free(md);
	return ok ? 0 : tip_error_set(err, "cannot sign a token");
}
