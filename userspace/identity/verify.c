/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/x509.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/x509v3.h>

#include "base/clock.h"
#include "base/mem.h"

#define CHAIN_MAX 8

struct tip_trust {
	X509_STORE *store;
};

X509 *tip_cert_next(const uint8_t **der, size_t *len, struct tip_error *err)
{
	const unsigned char *p = *der;
	X509 *cert = NULL;

	if (*len && *len <= LONG_MAX)
		cert = d2i_X509(NULL, &p, (long)*len);
	if (!cert) {
		tip_error_set(err, "not a certificate");
		return NULL;
	}
	*len -= (size_t)(p - *der);
	*der = p;
	return cert;
}

static int read_time(const ASN1_TIME *t, uint64_t *ns)
{
	struct tm tm;
	time_t s;

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return -1;
	s = timegm(&tm);
	if (s < 0 || (uint64_t)s > UINT64_MAX / TIP_NSEC_PER_SEC)
		return -1;
	*ns = (uint64_t)s * TIP_NSEC_PER_SEC;
	return 0;
}

int tip_cert_times(const X509 *cert, uint64_t *not_before, uint64_t *not_after)
{
	if (read_time(X509_get0_notBefore(cert), not_before) < 0)
		return -1;
	return read_time(X509_get0_notAfter(cert), not_after);
}

bool tip_cert_has_uri(const X509 *cert, const char *uri)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	bool same = false;
	int uris = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		const ASN1_IA5STRING *value;

		if (name->type != GEN_URI)
			continue;
		uris++;
		value = name->d.uniformResourceIdentifier;
		same = (size_t)ASN1_STRING_length(value) == strlen(uri) &&
		       !memcmp(ASN1_STRING_get0_data(value), uri, strlen(uri));
	}
	GENERAL_NAMES_free(names);
	return uris == 1 && same;
}

int tip_cert_check_ca(X509 *cert, EVP_PKEY *key, const char *uri, struct tip_error *err)
{
	if (X509_check_ca(cert) != 1 || !(X509_get_key_usage(cert) & KU_KEY_CERT_SIGN))
		return tip_error_set(err, "not the certificate of an authority");
	if (!tip_cert_has_uri(cert, uri))
		return tip_error_set(err, "the certificate is not of %s", uri);
	if (X509_self_signed(cert, 1) != 1)
		return tip_error_set(err, "the certificate is not signed by itself");
	if (key && X509_check_private_key(cert, key) != 1)
		return tip_error_set(err, "the key does not belong to the certificate");
	return 0;
}

struct tip_trust *tip_trust_new(const uint8_t *bundle, size_t len, struct tip_error *err)
{
	struct tip_trust *t = tip_alloc(sizeof(*t));

	t->store = X509_STORE_new();
	while (t->store && len) {
		X509 *cert = tip_cert_next(&bundle, &len, err);
		int added = cert ? X509_STORE_add_cert(t->store, cert) : 0;

		X509_free(cert);
		if (added != 1)
			goto fail;
	}
	if (t->store)
		return t;
fail:
	tip_trust_free(t);
	tip_error_set(err, "the trust bundle cannot be read");
	return NULL;
}

void tip_trust_free(struct tip_trust *t)
{
	if (!t)
		return;
	X509_STORE_free(t->store);
	free(t);
}

static int verify(struct tip_trust *t, X509 *leaf, STACK_OF(X509) * rest, uint64_t now,
		  struct tip_error *err)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int ret = -1;

	if (!ctx || X509_STORE_CTX_init(ctx, t->store, leaf, rest) != 1) {
		tip_error_set(err, "out of memory");
		goto out;
	}
	/* Any certificate of a SPIFFE bundle is an anchor, self-signed or not. */
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_PARTIAL_CHAIN);
	X509_STORE_CTX_set_time(ctx, 0, (time_t)(now / TIP_NSEC_PER_SEC));
	if (X509_verify_cert(ctx) != 1) {
		tip_error_set(err, "%s",
			      X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
		goto out;
	}
	ret = 0;
out:
	X509_STORE_CTX_free(ctx);
	return ret;
}

static int check_leaf(X509 *leaf, EVP_PKEY *key, const char *uri, struct tip_error *err)
{
	uint32_t usage = X509_get_key_usage(leaf);

	if (X509_get_extension_flags(leaf) & EXFLAG_CA ||
	    usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN) || !(usage & KU_DIGITAL_SIGNATURE) ||
	    usage == UINT32_MAX)
		return tip_error_set(err, "not the certificate of a workload");
	if (!tip_cert_has_uri(leaf, uri))
		return tip_error_set(err, "the certificate is not of %s", uri);
	if (X509_check_private_key(leaf, key) != 1)
		return tip_error_set(err, "the key does not belong to the certificate");
	return 0;
}

X509 *tip_trust_check(struct tip_trust *t, const uint8_t *chain, size_t len, EVP_PKEY *key,
		      const char *uri, uint64_t now, struct tip_error *err)
{
	X509 *leaf = tip_cert_next(&chain, &len, err);
	STACK_OF(X509) *rest = sk_X509_new_null();
	bool ok = leaf && rest;

	while (ok && len) {
		X509 *cert = tip_cert_next(&chain, &len, err);

		ok = cert && sk_X509_num(rest) < CHAIN_MAX && sk_X509_push(rest, cert) > 0;
		if (!ok) {
			X509_free(cert);
			tip_error_set(err, "the certificate chain cannot be read");
		}
	}
	ok = ok && !check_leaf(leaf, key, uri, err) && !verify(t, leaf, rest, now, err);
	sk_X509_pop_free(rest, X509_free);
	if (ok)
		return leaf;
	X509_free(leaf);
	return NULL;
}
