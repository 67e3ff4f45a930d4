/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/jwk.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include "base/base64.h"
#include "base/mem.h"

#define KID_MAX      256  /* bytes */
#define RSA_BITS_MAX 8192 /* a larger one is a way to keep us busy */
#define COORD        32   /* bytes of a coordinate on P-256 */
#define COORD_MAX    66   /* on P-521 */

static const struct curve {
	const char *crv, *group;
	size_t coord;
} curves[] = {
	{"P-256", "prime256v1", COORD},
	{"P-384", "secp384r1", 48},
	{"P-521", "secp521r1", COORD_MAX},
};

void tip_jwk_clear(struct tip_jwk *k)
{
	free(k->kid);
	EVP_PKEY_free(k->key);
	*k = (struct tip_jwk){0};
}

void tip_jwks_clear(struct tip_jwks *set)
{
	for (size_t i = 0; i < set->count; i++)
		tip_jwk_clear(&set->keys[i]);
	free(set->keys);
	*set = (struct tip_jwks){0};
}

/* ---- reading ------------------------------------------------------------------------ */

/* A member in base64url. False: it is not there, or is not that. */
static bool get_bytes(const json_t *o, const char *name, struct tip_buf *out)
{
	const json_t *v = json_object_get(o, name);

	return json_is_string(v) && json_string_length(v) &&
	       !tip_base64url_decode(json_string_value(v), json_string_length(v), out);
}

static EVP_PKEY *key_from(const char *type, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL), *check = NULL;
	EVP_PKEY *key = NULL;

	if (!ctx || !params || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		goto out;
	/* A point beside the curve makes signatures that are none. */
	check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	if (!check || EVP_PKEY_public_check(check) != 1) {
		EVP_PKEY_free(key);
		key = NULL;
	}
out:
	EVP_PKEY_CTX_free(check);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static EVP_PKEY *read_ec(const json_t *o)
{
	const char *crv = json_string_value(json_object_get(o, "crv"));
	const struct curve *curve = NULL;
	struct tip_buf point = {0};
	OSSL_PARAM params[3];
	EVP_PKEY *key = NULL;

	for (size_t i = 0; crv && i < TIP_ARRAY_SIZE(curves); i++)
		if (!strcmp(crv, curves[i].crv))
			curve = &curves[i];
	if (!curve)
		return NULL;
	tip_buf_addc(&point, POINT_CONVERSION_UNCOMPRESSED);
	if (!get_bytes(o, "x", &point) || point.len != 1 + curve->coord ||
	    !get_bytes(o, "y", &point) || point.len != 1 + 2 * curve->coord)
		goto out;
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
						     (char *)curve->group, 0);
	params[1] =
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data, point.len);
	params[2] = OSSL_PARAM_construct_end();
	key = key_from("EC", params);
out:
	tip_buf_free(&point);
	return key;
}

static BIGNUM *get_number(const json_t *o, const char *name)
{
	struct tip_buf b = {0};
	BIGNUM *n = NULL;

	if (get_bytes(o, name, &b) && b.len <= RSA_BITS_MAX / 8)
		n = BN_bin2bn((const unsigned char *)b.data, (int)b.len, NULL);
	tip_buf_free(&b);
	return n;
}

static EVP_PKEY *read_rsa(const json_t *o)
{
	BIGNUM *n = get_number(o, "n"), *e = get_number(o, "e");
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	EVP_PKEY *key = NULL;

	/* A public exponent of many bits makes one verification take a second. */
	if (n && e && BN_num_bits(e) <= 64 && builder &&
	    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1)
		params = OSSL_PARAM_BLD_to_param(builder);
	if (params)
		key = key_from("RSA", params);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(builder);
	BN_free(n);
	BN_free(e);
	return key;
}

/* Whether this key is for JWT-SVIDs at all. */
static bool is_ours(const json_t *o, enum tip_jwks_form form)
{
	const json_t *use = json_object_get(o, "use");
	const char *kty = json_string_value(json_object_get(o, "kty"));

	if (!kty || (strcmp(kty, "EC") != 0 && strcmp(kty, "RSA") != 0))
		return false;
	if (form == TIP_JWKS_PLAIN && !use)
		return true;
	return json_is_string(use) && !strcmp(json_string_value(use), "jwt-svid");
}

static int read_key(const json_t *o, enum tip_jwks_form form, struct tip_jwk *out,
		    struct tip_error *err)
{
	const json_t *kid = json_object_get(o, "kid"), *alg = json_object_get(o, "alg");
	bool ec = !strcmp(json_string_value(json_object_get(o, "kty")), "EC");

	if (kid &&
	    (!json_is_string(kid) || !json_string_length(kid) || json_string_length(kid) > KID_MAX))
		return tip_error_set(err, "a kid is a text of 1 to %d bytes", KID_MAX);
	if (!kid && form == TIP_JWKS_BUNDLE)
		return tip_error_set(err, "a key for JWT-SVIDs without kid");
	if (alg) {
		out->alg = json_is_string(alg) ? tip_jws_alg(json_string_value(alg)) : NULL;
		if (!out->alg)
			return tip_error_set(err, "a key for an algorithm that JWT-SVIDs lack");
	}
	out->key = ec ? read_ec(o) : read_rsa(o);
	if (!out->key)
		return tip_error_set(err, "not a sound %s key", ec ? "EC" : "RSA");
	if (kid)
		out->kid = tip_strdup(json_string_value(kid));
	return 0;
}

static bool kid_taken(const struct tip_jwks *set, const char *kid)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->keys[i].kid && !strcmp(set->keys[i].kid, kid))
			return true;
	return false;
}

static int read_keys(const json_t *list, enum tip_jwks_form form, struct tip_jwks *out,
		     struct tip_error *err)
{
	const json_t *o;
	size_t i;

	if (!json_is_array(list))
		return tip_error_set(err, "not a set of keys: it has no list \"keys\"");
	out->keys = tip_calloc(TIP_JWK_MAX, sizeof(*out->keys));
	json_array_foreach (list, i, o) {
		struct tip_jwk k = {0};

		if (!is_ours(o, form))
			continue;
		if (out->count == TIP_JWK_MAX)
			return tip_error_set(err, "more than %d keys", TIP_JWK_MAX);
		if (read_key(o, form, &k, err) < 0) {
			tip_jwk_clear(&k);
			return -1;
		}
		if (k.kid && kid_taken(out, k.kid)) {
			tip_jwk_clear(&k);
			return tip_error_set(err, "two keys have the same kid");
		}
		out->keys[out->count++] = k;
	}
	return 0;
}

int tip_jwks_parse(const char *text, size_t len, enum tip_jwks_form form, struct tip_jwks *out,
		   struct tip_error *err)
{
	json_error_t at;
	json_t *doc;
	int ret;

	*out = (struct tip_jwks){0};
	if (len > TIP_JWKS_MAX)
		return tip_error_set(err, "a set of keys of more than %u bytes", TIP_JWKS_MAX);
	doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, &at);
	if (!doc)
		return tip_error_set(err, "not JSON: %s", at.text);
	ret = read_keys(json_object_get(doc, "keys"), form, out, err);
	json_decref(doc);
	if (ret < 0)
		tip_jwks_clear(out);
	return ret;
}

/* ---- writing ------------------------------------------------------------------------- */

static bool add_coord(const EVP_PKEY *key, const char *param, struct tip_buf *out)
{
	unsigned char raw[COORD];
	BIGNUM *n = NULL;
	bool ok = EVP_PKEY_get_bn_param(key, param, &n) == 1 &&
		  BN_bn2binpad(n, raw, sizeof(raw)) == (int)sizeof(raw);

	if (ok)
		tip_base64url_encode(raw, sizeof(raw), out);
	BN_free(n);
	return ok;
}

/* The members that every EC key has, in the order of names that RFC 7638 digests them in. */
static int add_members(const EVP_PKEY *key, struct tip_buf *out, struct tip_error *err)
{
	tip_buf_adds(out, "\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"");
	if (!add_coord(key, OSSL_PKEY_PARAM_EC_PUB_X, out))
		return tip_error_set(err, "cannot read a public key");
	tip_buf_adds(out, "\",\"y\":\"");
	if (!add_coord(key, OSSL_PKEY_PARAM_EC_PUB_Y, out))
		return tip_error_set(err, "cannot read a public key");
	tip_buf_addc(out, '"');
	return 0;
}

static EVP_PKEY *public_half(EVP_PKEY *key)
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(key, &der);
	const unsigned char *p = der;
	EVP_PKEY *half = len > 0 ? d2i_PUBKEY(NULL, &p, len) : NULL;

	OPENSSL_free(der);
	return half;
}

int tip_jwk_from_key(EVP_PKEY *key, struct tip_jwk *out, struct tip_error *err)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	struct tip_buf text = {0}, kid = {0};
	unsigned int len = 0;
	int ret = -1;

	*out = (struct tip_jwk){.alg = tip_jws_alg("ES256")};
	if (!tip_jws_fits(out->alg, key)) {
		tip_error_set(err, "not a P-256 key");
		goto out;
	}
	tip_buf_addc(&text, '{');
	if (add_members(key, &text, err) < 0)
		goto out;
	tip_buf_addc(&text, '}');
	out->key = public_half(key);
	if (!out->key || EVP_Digest(text.data, text.len, digest, &len, EVP_sha256(), NULL) != 1) {
		tip_error_set(err, "cannot make the public half of a key");
		goto out;
	}
	tip_base64url_encode(digest, len, &kid);
	out->kid = tip_strdup(kid.data);
	ret = 0;
out:
	if (ret < 0)
		tip_jwk_clear(out);
	tip_buf_free(&text);
	tip_buf_free(&kid);
	return ret;
}

int tip_jwks_write(const struct tip_jwk *const *keys, size_t count, enum tip_jwks_form form,
		   struct tip_buf *out, struct tip_error *err)
{
	tip_buf_adds(out, "{\"keys\":[");
	for (size_t i = 0; i < count; i++) {
		tip_buf_addf(out, "%s{\"kid\":\"%s\",%s", i ? "," : "", keys[i]->kid,
			     form == TIP_JWKS_BUNDLE ? "\"use\":\"jwt-svid\"," : "");
		if (add_members(keys[i]->key, out, err) < 0)
			return -1;
		tip_buf_addc(out, '}');
	}
	tip_buf_adds(out, "]}");
	return 0;
}
