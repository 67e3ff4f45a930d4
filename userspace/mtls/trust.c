/* SPDX-License-Identifier: Apache-2.0 */
#include "mtls/trust.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "policy/spiffe_id.h"

#define DIGEST_LEN 32
/* Remembered chains of one bundle, by the first bits of their digest: a newcomer takes the place.
 */
#define MEMORY_SLOTS 256
/* 112 bits: no SHA-1, no RSA below 2048. */
#define SECURITY_LEVEL 2

struct memory {
	uint8_t digest[DIGEST_LEN];
	int64_t not_before, not_after; /* seconds; 0: an empty slot */
};

struct bundle {
	X509_STORE *store;
	struct memory *memory; /* made by the first peer */
};

struct tip_bundles {
	struct tip_map *by_domain;
	EVP_MD *sha256; /* fetched once: a fetch costs more than the digest */
	struct tip_bundles_stats stats;
};

static void bundle_free(void *p)
{
	struct bundle *b = p;

	if (!b)
		return;
	X509_STORE_free(b->store);
	free(b->memory);
	free(b);
}

struct tip_bundles *tip_bundles_new(void)
{
	struct tip_bundles *b = tip_alloc(sizeof(*b));

	b->by_domain = tip_map_new();
	b->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	return b;
}

void tip_bundles_free(struct tip_bundles *b)
{
	if (!b)
		return;
	tip_map_free(b->by_domain, bundle_free);
	EVP_MD_free(b->sha256);
	free(b);
}

/* 0, or -1 when the next certificate cannot be read or kept. */
static int add_next(struct bundle *b, const uint8_t **der, size_t *len)
{
	const unsigned char *p = *der;
	X509 *cert = *len <= LONG_MAX ? d2i_X509(NULL, &p, (long)*len) : NULL;
	int ok = cert != NULL;

	/*
	 * Every certificate of the store is an anchor (SPIFFE asks for no self-signed one), so what
	 * is not an authority must not get in: it would vouch for itself.
	 */
	if (ok && X509_check_ca(cert) == 1)
		ok = X509_STORE_add_cert(b->store, cert);
	X509_free(cert);
	if (ok != 1)
		return -1;
	*len -= (size_t)(p - *der);
	*der = p;
	return 0;
}

int tip_bundles_set(struct tip_bundles *b, const char *trust_domain, const uint8_t *der, size_t len,
		    struct tip_error *err)
{
	struct bundle *new;
	int n = 0;

	if (tip_trust_domain_check(trust_domain, err) < 0)
		return -1;
	new = tip_alloc(sizeof(*new));
	new->store = X509_STORE_new();
	if (!new->store) {
		bundle_free(new);
		return tip_error_set(err, "out of memory");
	}
	for (; len; n++) {
		if (!add_next(new, &der, &len))
			continue;
		bundle_free(new);
		return tip_error_set(err, "certificate %d of the bundle of %s cannot be read",
				     n + 1, trust_domain);
	}
	bundle_free(tip_map_puts(b->by_domain, trust_domain, new));
	return 0;
}

void tip_bundles_remove(struct tip_bundles *b, const char *trust_domain)
{
	bundle_free(tip_map_dels(b->by_domain, trust_domain));
}

void tip_bundles_stats(const struct tip_bundles *b, struct tip_bundles_stats *out)
{
	*out = b->stats;
	out->bundles = tip_map_count(b->by_domain);
}

/* ---- the leaf ---- */

static enum tip_mtls_cause only_uri(const X509 *leaf, char **uri)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	const ASN1_IA5STRING *found = NULL;
	int uris = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type != GEN_URI)
			continue;
		uris++;
		found = name->d.uniformResourceIdentifier;
	}
	if (uris == 1) {
		size_t len = (size_t)ASN1_STRING_length(found);

		/* A NUL would end the ID for us and not for whoever signed it. */
		if (!memchr(ASN1_STRING_get0_data(found), 0, len))
			*uri = tip_strndup((const char *)ASN1_STRING_get0_data(found), len);
	}
	GENERAL_NAMES_free(names);
	if (!uris)
		return TIP_MTLS_NO_URI;
	if (uris > 1)
		return TIP_MTLS_SEVERAL_URIS;
	return *uri ? TIP_MTLS_NONE : TIP_MTLS_BAD_ID;
}

static enum tip_mtls_cause leaf_profile(X509 *leaf)
{
	uint32_t usage = X509_get_key_usage(leaf);

	if (X509_get_extension_flags(leaf) & EXFLAG_INVALID)
		return TIP_MTLS_UNTRUSTED;
	/* The flag besides: X509_check_ca() lets CA:TRUE pass that has no keyCertSign. */
	if (X509_get_extension_flags(leaf) & EXFLAG_CA || X509_check_ca(leaf))
		return TIP_MTLS_LEAF_IS_CA;
	/* All bits set: there is no such extension, which the profile demands. */
	if (usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN) || !(usage & KU_DIGITAL_SIGNATURE))
		return TIP_MTLS_LEAF_USAGE;
	return TIP_MTLS_NONE;
}

enum tip_mtls_cause tip_leaf_id(X509 *leaf, char **id)
{
	enum tip_mtls_cause cause;
	struct tip_error err;

	*id = NULL;
	cause = only_uri(leaf, id);
	if (!cause && tip_spiffe_id_check(*id, true, &err) < 0)
		cause = TIP_MTLS_BAD_ID;
	if (!cause)
		cause = leaf_profile(leaf);
	if (cause) {
		free(*id);
		*id = NULL;
	}
	return cause;
}

/* ---- the chain ---- */

/* Seconds since the epoch; `bad` when it cannot be read, which then is never valid. */
static int64_t seconds_of(const ASN1_TIME *t, int64_t bad)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : bad;
}

static int digest_of(const struct tip_bundles *b, X509 *leaf, STACK_OF(X509) * sent,
		     uint8_t out[DIGEST_LEN])
{
	uint8_t all[(TIP_MTLS_CHAIN_MAX + 1) * DIGEST_LEN];
	size_t len = DIGEST_LEN;

	if (!b->sha256 || X509_digest(leaf, b->sha256, all, NULL) != 1)
		return -1;
	for (int i = 0; i < sk_X509_num(sent); i++, len += DIGEST_LEN)
		if (X509_digest(sk_X509_value(sent, i), b->sha256, all + len, NULL) != 1)
			return -1;
	return EVP_Digest(all, len, out, NULL, b->sha256, NULL) == 1 ? 0 : -1;
}

static struct memory *slot_of(struct bundle *b, const uint8_t digest[DIGEST_LEN])
{
	if (!b->memory)
		b->memory = tip_calloc(MEMORY_SLOTS, sizeof(*b->memory));
	return &b->memory[digest[0] % MEMORY_SLOTS];
}

/* Remembers a good chain for as long as all of its certificates hold. */
static void remember(struct bundle *b, const uint8_t digest[DIGEST_LEN], STACK_OF(X509) * chain)
{
	struct memory *m = slot_of(b, digest);

	memcpy(m->digest, digest, DIGEST_LEN);
	m->not_before = INT64_MIN;
	m->not_after = INT64_MAX;
	for (int i = 0; i < sk_X509_num(chain); i++) {
		const X509 *cert = sk_X509_value(chain, i);
		int64_t from = seconds_of(X509_get0_notBefore(cert), INT64_MAX);
		int64_t to = seconds_of(X509_get0_notAfter(cert), INT64_MIN);

		m->not_before = from > m->not_before ? from : m->not_before;
		m->not_after = to < m->not_after ? to : m->not_after;
	}
}

static enum tip_mtls_cause cause_of(int error)
{
	switch (error) {
	case X509_V_ERR_CERT_HAS_EXPIRED: return TIP_MTLS_EXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID: return TIP_MTLS_NOT_YET_VALID;
	case X509_V_ERR_CERT_CHAIN_TOO_LONG: return TIP_MTLS_CHAIN_LENGTH;
	case X509_V_ERR_OUT_OF_MEM: return TIP_MTLS_INTERNAL;
	default: return TIP_MTLS_UNTRUSTED;
	}
}

static enum tip_mtls_cause walk(struct bundle *b, X509 *leaf, STACK_OF(X509) * sent, time_t now,
				const uint8_t digest[DIGEST_LEN])
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	enum tip_mtls_cause cause = TIP_MTLS_INTERNAL;
	X509_VERIFY_PARAM *param;

	if (!ctx || X509_STORE_CTX_init(ctx, b->store, leaf, sent) != 1)
		goto out;
	param = X509_STORE_CTX_get0_param(ctx);
	/* Any certificate of a SPIFFE bundle is an anchor, self-signed or not. */
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	if (X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_ANY) != 1)
		goto out;
	X509_VERIFY_PARAM_set_depth(param, TIP_MTLS_CHAIN_MAX);
	X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
	X509_VERIFY_PARAM_set_time(param, now);
	if (X509_verify_cert(ctx) != 1) {
		cause = cause_of(X509_STORE_CTX_get_error(ctx));
		goto out;
	}
	remember(b, digest, X509_STORE_CTX_get0_chain(ctx));
	cause = TIP_MTLS_NONE;
out:
	X509_STORE_CTX_free(ctx);
	return cause;
}

enum tip_mtls_cause tip_bundles_judge(struct tip_bundles *b, X509 *leaf, STACK_OF(X509) * sent,
				      char **id)
{
	time_t now = (time_t)(tip_clock_real() / TIP_NSEC_PER_SEC);
	uint8_t digest[DIGEST_LEN];
	enum tip_mtls_cause cause;
	const struct memory *m;
	struct bundle *bundle;
	char domain[256];
	const char *start;
	size_t len;

	*id = NULL;
	if (sk_X509_num(sent) > TIP_MTLS_CHAIN_MAX)
		return TIP_MTLS_CHAIN_LENGTH;
	cause = tip_leaf_id(leaf, id);
	if (cause)
		return cause;
	start = tip_spiffe_id_domain(*id, &len);
	memcpy(domain, start, len);
	domain[len] = '\0';
	bundle = tip_map_gets(b->by_domain, domain);
	if (!bundle)
		return TIP_MTLS_TRUST_DOMAIN;
	if (digest_of(b, leaf, sent, digest) < 0)
		return TIP_MTLS_INTERNAL;
	m = slot_of(bundle, digest);
	if (m->not_after && !memcmp(m->digest, digest, DIGEST_LEN) && now >= m->not_before &&
	    now < m->not_after) {
		b->stats.remembered++;
		return TIP_MTLS_NONE;
	}
	b->stats.verified++;
	return walk(bundle, leaf, sent, now, digest);
}
