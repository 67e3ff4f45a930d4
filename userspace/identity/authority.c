/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/authority.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "identity/record.h"
#include "identity/x509.h"

#define RECORD_MAGIC 0x31434154u /* "TAC1" */

/* Enough for an old, a current and a next one, and one that a clock set wrong has left. */
#define CAS_MAX 4

/* Certificates hold from a little earlier on, for peers whose clocks are behind. */
#define BACKDATE (10 * TIP_NSEC_PER_SEC)

struct ca {
	X509 *cert;
	EVP_PKEY *key; /* NULL: retired, only its certificate is still needed */
	uint64_t not_before, not_after;
};

struct embedded {
	struct tip_authority base;
	char *trust_domain;
	char *uri;
	uint32_t ca_ttl;
	struct ca cas[CAS_MAX]; /* oldest first */
	size_t count;
};

static struct embedded *from_base(struct tip_authority *a)
{
	return TIP_CONTAINER_OF(a, struct embedded, base);
}

static void ca_free(struct ca *ca)
{
	X509_free(ca->cert);
	EVP_PKEY_free(ca->key); /* wipes the private half */
	*ca = (struct ca){0};
}

static void remove_ca(struct embedded *e, size_t i)
{
	ca_free(&e->cas[i]);
	e->count--;
	memmove(&e->cas[i], &e->cas[i + 1], (e->count - i) * sizeof(e->cas[0]));
	e->cas[e->count] = (struct ca){0};
}

static uint64_t made_at(const struct ca *ca)
{
	return ca->not_before + BACKDATE;
}

static uint64_t lifetime(const struct ca *ca)
{
	return ca->not_after - made_at(ca);
}

/* From here on it may sign: it has been in the bundle for a sixth of its life. */
static uint64_t known_at(const struct ca *ca)
{
	return made_at(ca) + lifetime(ca) / 6;
}

static bool can_sign(const struct ca *ca, uint64_t now)
{
	return ca->key && ca->not_before <= now && now < ca->not_after;
}

/* Too little is left of it for leaves of a decent life. */
static bool is_ending(const struct ca *ca, uint64_t now)
{
	return ca->not_after - now < lifetime(ca) / 6;
}

/*
 * The newest that has been published long enough; where there is none, the oldest that holds,
 * unless that is about to end (the daemon was away when it should have made a successor).
 */
static struct ca *signer(struct embedded *e, uint64_t now)
{
	struct ca *choice = NULL;

	for (size_t i = e->count; i-- > 0;) {
		struct ca *ca = &e->cas[i];

		if (!can_sign(ca, now))
			continue;
		if (choice && is_ending(ca, now))
			break;
		choice = ca;
		if (known_at(ca) <= now)
			break;
	}
	return choice;
}

static int make_ca(struct embedded *e, uint64_t now, struct tip_error *err)
{
	struct ca ca = {.not_after = now + e->ca_ttl * TIP_NSEC_PER_SEC};
	struct tip_cert_spec spec = {.uri = e->uri};

	ca.not_before = now > BACKDATE ? now - BACKDATE : 0;
	ca.key = tip_key_new(err);
	if (!ca.key)
		return -1;
	spec.key = ca.key;
	spec.not_before = ca.not_before;
	spec.not_after = ca.not_after;
	ca.cert = tip_cert_new(&spec, err);
	/* What counts is the second that the certificate says, also after a restart. */
	if (!ca.cert || tip_cert_times(ca.cert, &ca.not_before, &ca.not_after) < 0) {
		ca_free(&ca);
		return -1;
	}
	if (e->count == CAS_MAX) {
		tip_warn("identity",
			 "more than %d authorities at once: the clock went back and "
			 "forth. The oldest is dropped",
			 CAS_MAX);
		remove_ca(e, 0);
	}
	e->cas[e->count++] = ca;
	tip_info("identity", "new authority for %s, for %u seconds", e->uri, e->ca_ttl);
	return 0;
}

static bool drop_expired(struct embedded *e, uint64_t now)
{
	bool dropped = false;

	for (size_t i = e->count; i-- > 0;) {
		if (now < e->cas[i].not_after)
			continue;
		remove_ca(e, i);
		dropped = true;
	}
	return dropped;
}

/* The keys of those before the one that signs will not be needed again, unless a clock that is
 * behind chose it. */
static bool retire(struct embedded *e, const struct ca *current, uint64_t now)
{
	bool retired = false;

	for (struct ca *ca = e->cas; ca < current; ca++) {
		if (!ca->key || ca->not_before > now)
			continue;
		EVP_PKEY_free(ca->key);
		ca->key = NULL;
		retired = true;
	}
	return retired;
}

/* The next point in time at which tick() has something to do. */
static uint64_t next_event(const struct embedded *e, uint64_t now)
{
	const struct ca *newest = &e->cas[e->count - 1];
	uint64_t next = made_at(newest) + lifetime(newest) / 2;

	if (known_at(newest) > now && known_at(newest) < next)
		next = known_at(newest);
	for (size_t i = 0; i < e->count; i++)
		if (e->cas[i].not_after < next)
			next = e->cas[i].not_after;
	return next;
}

static int embedded_tick(struct tip_authority *a, uint64_t now, uint64_t *next,
			 struct tip_error *err)
{
	struct embedded *e = from_base(a);
	const struct ca *newest;
	unsigned int changes = 0;
	bool due;

	if (drop_expired(e, now))
		changes |= TIP_AUTHORITY_BUNDLE | TIP_AUTHORITY_RECORD;
	newest = e->count ? &e->cas[e->count - 1] : NULL;
	due = newest && newest->key && now >= made_at(newest) + lifetime(newest) / 2;
	/* A clock that runs before all of them needs one of its own day. */
	if (due || !signer(e, now)) {
		if (make_ca(e, now, err) < 0)
			return -1;
		changes |= TIP_AUTHORITY_BUNDLE | TIP_AUTHORITY_RECORD;
	}
	if (retire(e, signer(e, now), now))
		changes |= TIP_AUTHORITY_RECORD;
	*next = next_event(e, now);
	return (int)changes;
}

static int embedded_sign(struct tip_authority *a, const struct tip_sign_request *req,
			 struct tip_buf *chain, struct tip_error *err)
{
	struct embedded *e = from_base(a);
	const struct ca *ca = signer(e, req->now);
	struct tip_cert_spec spec = {
		.uri = req->spiffe_id,
		.dns_names = req->dns_names,
		.ndns_names = req->ndns_names,
		.key = req->key,
		.not_before = req->now > BACKDATE ? req->now - BACKDATE : 0,
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
	struct embedded *e = from_base(a);
	struct tip_error err;

	for (size_t i = 0; i < e->count; i++)
		if (tip_cert_add_der(e->cas[i].cert, out, &err) < 0)
			tip_err("identity", "the trust bundle is incomplete: %s", err.text);
}

static int record_ca(const struct ca *ca, struct tip_buf *out, struct tip_error *err)
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

static int embedded_record(struct tip_authority *a, struct tip_buf *out, struct tip_error *err)
{
	struct embedded *e = from_base(a);

	/* Room for all of it at once: a buffer that moves leaves a key behind. */
	tip_buf_reserve(out, TIP_RECORD_MAX);
	tip_record_put_u32(out, RECORD_MAGIC);
	tip_record_put_bytes(out, e->trust_domain, strlen(e->trust_domain));
	tip_record_put_u32(out, (uint32_t)e->count);
	for (size_t i = 0; i < e->count; i++)
		if (record_ca(&e->cas[i], out, err) < 0)
			return -1;
	return 0;
}

/* Reads one certificate and key. `ca` is valid to be freed either way. */
static int load_ca(struct embedded *e, struct tip_record_reader *r, struct ca *ca,
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
	    made_at(ca) >= ca->not_after)
		return tip_error_set(err, "a certificate without a life");
	return 0;
}

static int load_cas(struct embedded *e, struct tip_record_reader *r, uint64_t now,
		    struct tip_error *err)
{
	uint32_t n;

	if (tip_record_get_u32(r) != RECORD_MAGIC)
		return tip_error_set(err, "not a record of an authority, or of another version");
	if (!tip_record_get_equal(r, e->trust_domain))
		return tip_error_set(err, "the record belongs to another trust domain");
	n = tip_record_get_u32(r);
	if (r->bad || !n || n > CAS_MAX)
		return tip_error_set(err, "the record is truncated");
	while (e->count < n) {
		struct ca *ca = &e->cas[e->count++];

		if (load_ca(e, r, ca, err) < 0)
			return -1;
	}
	if (!tip_record_done(r))
		return tip_error_set(err, "bytes after the record");
	if (!e->cas[n - 1].key)
		return tip_error_set(err, "the newest authority has no key");
	if (now >= e->cas[n - 1].not_after)
		return tip_error_set(err, "the authority has expired");
	return 0;
}

int tip_authority_embedded_load(struct tip_authority *a, const void *data, size_t len, uint64_t now,
				struct tip_error *err)
{
	struct embedded *e = from_base(a);
	struct tip_record_reader r = {.p = data, .left = len};

	while (e->count)
		remove_ca(e, e->count - 1);
	if (!load_cas(e, &r, now, err))
		return 0;
	while (e->count)
		remove_ca(e, e->count - 1);
	return -1;
}

static void embedded_free(struct tip_authority *a)
{
	struct embedded *e = from_base(a);

	while (e->count)
		remove_ca(e, e->count - 1);
	free(e->trust_domain);
	free(e->uri);
	free(e);
}

static const struct tip_authority_ops embedded_ops = {
	.sign = embedded_sign,
	.bundle = embedded_bundle,
	.tick = embedded_tick,
	.record = embedded_record,
	.free = embedded_free,
};

struct tip_authority *tip_authority_embedded_new(const char *trust_domain, uint32_t ca_ttl)
{
	struct embedded *e = tip_alloc(sizeof(*e));

	e->base.ops = &embedded_ops;
	e->trust_domain = tip_strdup(trust_domain);
	e->uri = tip_sprintf("spiffe://%s", trust_domain);
	e->ca_ttl = ca_ttl;
	return &e->base;
}
