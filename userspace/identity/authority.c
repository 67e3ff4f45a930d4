/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/authority.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "identity/authority_impl.h"
#include "identity/x509.h"

#define RECORD_MAGIC 0x31434154u /* "TAC1" */

static int make_ca(void *ctx, uint64_t now, struct tip_generation *out, struct tip_error *err)
{
	struct tip_embedded *e = ctx;
	struct tip_cert_spec spec = {
		.uri = e->uri,
		.not_before = now > TIP_BACKDATE ? now - TIP_BACKDATE : 0,
		.not_after = now + e->ca_ttl * TIP_NSEC_PER_SEC,
	};

	spec.key = out->key = tip_key_new(err);
	if (!spec.key)
		return -1;
	out->cert = tip_cert_new(&spec, err);
	if (!out->cert)
		return -1;
	/* What counts is the second that the certificate says, also after a restart. */
	if (tip_cert_times(out->cert, &out->not_before, &out->not_after) < 0)
		return tip_error_set(err, "a certificate without a life");
	tip_info("identity", "new authority for %s, for %u seconds", e->uri, e->ca_ttl);
	return 0;
}

static int embedded_tick(struct tip_authority *a, uint64_t now, uint64_t *next,
			 struct tip_error *err)
{
	struct tip_embedded *e = tip_embedded_of(a);
	unsigned int x509 = 0, jwt = 0, changes;
	uint64_t next_jwt = 0;
	int ret = tip_rotation_tick(&e->x509, now, &x509, next, err);

	if (!ret)
		ret = tip_rotation_tick(&e->jwt, now, &jwt, &next_jwt, err);
	e->changes |= (x509 & TIP_ROTATION_PUBLISHED ? TIP_AUTHORITY_BUNDLE : 0) |
		      (x509 & TIP_ROTATION_KEPT ? TIP_AUTHORITY_RECORD : 0) |
		      (jwt & TIP_ROTATION_PUBLISHED ? TIP_AUTHORITY_JWT_BUNDLE : 0) |
		      (jwt & TIP_ROTATION_KEPT ? TIP_AUTHORITY_JWT_RECORD : 0);
	if (ret < 0)
		return -1;
	if (next_jwt < *next)
		*next = next_jwt;
	changes = e->changes;
	e->changes = 0;
	return (int)changes;
}

static int embedded_sign(struct tip_authority *a, const struct tip_sign_request *req,
			 struct tip_buf *chain, struct tip_error *err)
{
	struct tip_embedded *e = tip_embedded_of(a);
	const struct tip_generation *ca = tip_rotation_signer(&e->x509, req->now);
	struct tip_cert_spec spec = {
		.uri = req->spiffe_id,
		.dns_names = req->dns_names,
		.ndns_names = req->ndns_names,
		.key = req->key,
		.not_before = req->now > TIP_BACKDATE ? req->now - TIP_BACKDATE : 0,
		.not_after = req->now + req->ttl * TIP_NSEC_PER_SEC,
	};
	X509 *cert;
	int ret;

	if (!ca)
		return tip_error_set(err, "no authority holds at this time: is the clock right?");
	if (spec.not_after > ca->not_after)
		spec.not_after = ca->not_after;
	if (spec.not_before < ca->not_before)
		spec.not_before = ca->not_before;
	spec.issuer = ca->cert;
	spec.issuer_key = ca->key;
	cert = tip_cert_new(&spec, err);
	if (!cert)
		return -1;
	ret = tip_cert_add_der(cert, chain, err);
	X509_free(cert);
	return ret;
}

static void embedded_bundle(struct tip_authority *a, struct tip_buf *out)
{
	struct tip_embedded *e = tip_embedded_of(a);
	struct tip_error err;

	for (size_t i = 0; i < e->x509.count; i++)
		if (tip_cert_add_der(e->x509.list[i].cert, out, &err) < 0)
			tip_err("identity", "the trust bundle is incomplete: %s", err.text);
}

/* ---- records --------------------------------------------------------------------------- */

void tip_embedded_record(const struct tip_embedded *e, const struct tip_rotation *r, uint32_t magic,
			 struct tip_buf *out)
{
	/* Room for all of it at once: a buffer that moves leaves a key behind. */
	tip_buf_reserve(out, TIP_RECORD_MAX);
	tip_record_put_u32(out, magic);
	tip_record_put_bytes(out, e->trust_domain, strlen(e->trust_domain));
	tip_record_put_u32(out, (uint32_t)r->count);
}

static int record_ca(const struct tip_generation *ca, struct tip_buf *out, struct tip_error *err)
{
	struct tip_buf cert = {0};
	uint8_t *key = NULL;
	size_t key_len = 0;
	int ret = -1;

	if (tip_cert_add_der(ca->cert, &cert, err) < 0)
		goto out;
	if (ca->key && tip_key_to_der(ca->key, &key, &key_len, err) < 0)
		goto out;
	tip_record_put_bytes(out, cert.data, cert.len);
	tip_record_put_bytes(out, key, key_len);
	ret = 0;
out:
	tip_key_der_free(key, key_len);
	tip_buf_free(&cert);
	return ret;
}

static int embedded_record(struct tip_authority *a, enum tip_authority_record which,
			   struct tip_buf *out, struct tip_error *err)
{
	struct tip_embedded *e = tip_embedded_of(a);

	if (which == TIP_AUTHORITY_JWT)
		return tip_embedded_record_jwt(e, out, err);
	tip_embedded_record(e, &e->x509, RECORD_MAGIC, out);
	for (size_t i = 0; i < e->x509.count; i++)
		if (record_ca(&e->x509.list[i], out, err) < 0)
			return -1;
	return 0;
}

/* Reads one certificate and key. `ca` is valid to be freed either way. */
static int load_ca(struct tip_embedded *e, struct tip_record_reader *r, struct tip_generation *ca,
		   struct tip_error *err)
{
	size_t cert_len, key_len;
	const uint8_t *cert = tip_record_get_bytes(r, &cert_len);
	const uint8_t *key = tip_record_get_bytes(r, &key_len);

	if (r->bad)
		return tip_error_set(err, "the record is truncated");
	ca->cert = tip_cert_next(&cert, &cert_len, err);
	if (!ca->cert)
		return -1;
	if (cert_len)
		return tip_error_set(err, "bytes after a certificate");
	if (key_len) {
		ca->key = tip_key_from_der(key, key_len, err);
		if (!ca->key)
			return -1;
	}
	if (tip_cert_check_ca(ca->cert, ca->key, e->uri, err) < 0)
		return -1;
	if (tip_cert_times(ca->cert, &ca->not_before, &ca->not_after) < 0 ||
	    !tip_generation_lives(ca))
		return tip_error_set(err, "a certificate without a life");
	return 0;
}

int tip_embedded_load(struct tip_embedded *e, struct tip_rotation *r, uint32_t magic,
		      struct tip_record_reader *in, uint64_t now,
		      int (*one)(struct tip_embedded *e, struct tip_record_reader *in,
				 struct tip_generation *g, struct tip_error *err),
		      struct tip_error *err)
{
	const struct tip_generation *newest;
	uint32_t n;

	if (tip_record_get_u32(in) != magic)
		return tip_error_set(err, "not a record of an authority, or of another version");
	if (!tip_record_get_equal(in, e->trust_domain))
		return tip_error_set(err, "the record belongs to another trust domain");
	n = tip_record_get_u32(in);
	if (in->bad || !n || n > TIP_GENERATIONS_MAX)
		return tip_error_set(err, "the record is truncated");
	while (r->count < n)
		if (one(e, in, &r->list[r->count++], err) < 0)
			return -1;
	if (!tip_record_done(in))
		return tip_error_set(err, "bytes after the record");
	newest = &r->list[n - 1];
	if (!newest->key)
		return tip_error_set(err, "the newest authority has no key");
	if (now >= newest->not_after)
		return tip_error_set(err, "the authority has expired");
	return 0;
}

int tip_authority_embedded_load(struct tip_authority *a, enum tip_authority_record which,
				const void *data, size_t len, uint64_t now, struct tip_error *err)
{
	struct tip_embedded *e = tip_embedded_of(a);
	struct tip_rotation *r = which == TIP_AUTHORITY_JWT ? &e->jwt : &e->x509;
	struct tip_record_reader in = {.p = data, .left = len};
	int ret;

	tip_rotation_clear(r);
	if (which == TIP_AUTHORITY_JWT)
		ret = tip_embedded_load_jwt(e, &in, now, err);
	else
		ret = tip_embedded_load(e, r, RECORD_MAGIC, &in, now, load_ca, err);
	if (ret < 0)
		tip_rotation_clear(r);
	return ret;
}

/* ---- life ------------------------------------------------------------------------------- */

static void embedded_free(struct tip_authority *a)
{
	struct tip_embedded *e = tip_embedded_of(a);

	tip_rotation_clear(&e->x509);
	tip_rotation_clear(&e->jwt);
	free(e->trust_domain);
	free(e->uri);
	free(e);
}

static const struct tip_authority_ops embedded_ops = {
	.sign = embedded_sign,
	.bundle = embedded_bundle,
	.tick = embedded_tick,
	.sign_jwt = tip_embedded_sign_jwt,
	.jwks = tip_embedded_jwks,
	.record = embedded_record,
	.free = embedded_free,
};

struct tip_authority *tip_authority_embedded_new(const char *trust_domain, uint32_t ca_ttl)
{
	struct tip_embedded *e = tip_alloc(sizeof(*e));

	e->base.ops = &embedded_ops;
	e->trust_domain = tip_strdup(trust_domain);
	e->uri = tip_sprintf("spiffe://%s", trust_domain);
	e->ca_ttl = ca_ttl;
	e->x509 = (struct tip_rotation){.make = make_ca, .ctx = e};
	e->jwt = (struct tip_rotation){.make = tip_embedded_make_jwt, .ctx = e};
	return &e->base;
}
