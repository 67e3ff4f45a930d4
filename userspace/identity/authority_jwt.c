/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "identity/authority_impl.h"
#include "identity/jwt.h"
#include "identity/x509.h"

#define RECORD_MAGIC 0x314b4a54u /* "TJK1" */

int tip_embedded_make_jwt(void *ctx, uint64_t now, struct tip_generation *out,
			  struct tip_error *err)
{
	struct tip_embedded *e = ctx;
	uint64_t second = now / TIP_NSEC_PER_SEC * TIP_NSEC_PER_SEC;

	/* Whole seconds, as of certificates: a token cannot say more. */
	out->not_before = second > TIP_BACKDATE ? second - TIP_BACKDATE : 0;
	out->not_after = second + e->ca_ttl * TIP_NSEC_PER_SEC;
	out->key = tip_key_new(err);
	if (!out->key || tip_jwk_from_key(out->key, &out->jwk, err) < 0)
		return -1;
	tip_info("identity", "new JWT key %s for %s, for %u seconds", out->jwk.kid, e->uri,
		 e->ca_ttl);
	return 0;
}

int tip_embedded_sign_jwt(struct tip_authority *a, const struct tip_jwt_request *req,
			  struct tip_buf *token, uint64_t *expires, struct tip_error *err)
{
	struct tip_embedded *e = tip_embedded_of(a);
	const struct tip_generation *g = tip_rotation_signer(&e->jwt, req->now);
	struct tip_jwt_spec spec = {
		.spiffe_id = req->spiffe_id,
		.audiences = req->audiences,
		.naudiences = req->naudiences,
		.issued = req->now / TIP_NSEC_PER_SEC,
	};

	if (!g)
		return tip_error_set(err, "no JWT key holds at this time: is the clock right?");
	spec.expires = spec.issued + req->ttl;
	if (spec.expires > g->not_after / TIP_NSEC_PER_SEC)
		spec.expires = g->not_after / TIP_NSEC_PER_SEC;
	*expires = spec.expires * TIP_NSEC_PER_SEC;
	return tip_jwt_sign(&spec, g->key, g->jwk.kid, token, err);
}

int tip_embedded_jwks(struct tip_authority *a, struct tip_buf *out, struct tip_error *err)
{
	struct tip_embedded *e = tip_embedded_of(a);
	const struct tip_jwk *keys[TIP_GENERATIONS_MAX];

	for (size_t i = 0; i < e->jwt.count; i++)
		keys[i] = &e->jwt.list[i].jwk;
	return tip_jwks_write(keys, e->jwt.count, TIP_JWKS_PLAIN, out, err);
}

/* ---- the record: times, the public half, and the private one while it may still sign ------ */

int tip_embedded_record_jwt(struct tip_embedded *e, struct tip_buf *out, struct tip_error *err)
{
	tip_embedded_record(e, &e->jwt, RECORD_MAGIC, out);
	for (size_t i = 0; i < e->jwt.count; i++) {
		const struct tip_generation *g = &e->jwt.list[i];
		uint8_t *public = NULL, *private = NULL;
		size_t private_len = 0;
		int len = i2d_PUBKEY(g->jwk.key, &public);

		if (len <= 0)
			return tip_error_set(err, "cannot encode a public key");
		if (g->key && tip_key_to_der(g->key, &private, &private_len, err) < 0) {
			OPENSSL_free(public);
			return -1;
		}
		tip_record_put_u64(out, g->not_before);
		tip_record_put_u64(out, g->not_after);
		tip_record_put_bytes(out, public, (size_t)len);
		tip_record_put_bytes(out, private, private_len);
		tip_key_der_free(private, private_len);
		OPENSSL_free(public);
	}
	return 0;
}

/* A public key of P-256. 0, or -1 with `err`. */
static int load_public(const uint8_t *der, size_t len, struct tip_jwk *out, struct tip_error *err)
{
	const unsigned char *p = der;
	EVP_PKEY *key = len && len <= TIP_RECORD_MAX ? d2i_PUBKEY(NULL, &p, (long)len) : NULL;
	int ret = -1;

	if (!key || p != der + len)
		tip_error_set(err, "not a public key");
	else
		ret = tip_jwk_from_key(key, out, err);
	EVP_PKEY_free(key);
	return ret;
}

static int load_one(struct tip_embedded *e, struct tip_record_reader *in, struct tip_generation *g,
		    struct tip_error *err)
{
	const uint64_t not_before = tip_record_get_u64(in), not_after = tip_record_get_u64(in);
	size_t public_len, private_len;
	const uint8_t *public = tip_record_get_bytes(in, &public_len);
	const uint8_t *private = tip_record_get_bytes(in, &private_len);

	if (in->bad)
		return tip_error_set(err, "the record is truncated");
	g->not_before = not_before;
	g->not_after = not_after;
	/* No sum of times may overflow: half of what a clock can say is far enough. */
	if (not_before > INT64_MAX || not_after > INT64_MAX || !tip_generation_lives(g))
		return tip_error_set(err, "a key without a life");
	if (load_public(public, public_len, &g->jwk, err) < 0)
		return -1;
	if (!private_len)
		return 0;
	g->key = tip_key_from_der(private, private_len, err);
	if (!g->key)
		return -1;
	if (EVP_PKEY_eq(g->key, g->jwk.key) != 1)
		return tip_error_set(err, "the halves of a key do not belong together");
	return 0;
}

int tip_embedded_load_jwt(struct tip_embedded *e, struct tip_record_reader *in, uint64_t now,
			  struct tip_error *err)
{
	return tip_embedded_load(e, &e->jwt, RECORD_MAGIC, in, now, load_one, err);
}
