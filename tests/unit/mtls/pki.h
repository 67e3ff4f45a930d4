/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TEST_MTLS_PKI_H
#define TIP_TEST_MTLS_PKI_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "base/mem.h"
#include "mtls/svid.h"
#include "mtls/trust.h"

/* Authorities and leaves, good and bad, made with OpenSSL alone. */

struct pki {
	X509 *cert;
	EVP_PKEY *key;
};

struct pki_spec {
	const char *names; /* as subjectAltName of openssl.cnf has them; NULL: none */
	const char *usage; /* NULL: no such extension */
	bool ca;
	long from, to;            /* seconds from now */
	const struct pki *issuer; /* NULL: itself */
	const char *curve;        /* NULL: P-256; "RSA": 2048 bits */
};

#define PKI_HOUR       3600L
#define PKI_LEAF_USAGE "critical,digitalSignature,keyAgreement"

static inline void pki_add(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *e;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	assert_int_equal(X509_add_ext(cert, e, -1), 1);
	X509_EXTENSION_free(e);
}

static inline struct pki pki_make(const struct pki_spec *spec)
{
	static long serial = 1;
	struct pki p = {.cert = X509_new()};
	const struct pki *issuer = spec->issuer ? spec->issuer : &p;
	char name[32];

	if (spec->curve && !strcmp(spec->curve, "RSA"))
		p.key = EVP_RSA_gen(2048);
	else
		p.key = EVP_EC_gen(spec->curve ? spec->curve : "P-256");
	assert_non_null(p.key);
	X509_set_version(p.cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(p.cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(p.cert), spec->from);
	X509_gmtime_adj(X509_getm_notAfter(p.cert), spec->to);
	(void)snprintf(name, sizeof(name), "n%ld", serial);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(p.cert), "CN", MBSTRING_ASC,
				   (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(p.cert, X509_get_subject_name(issuer->cert));
	X509_set_pubkey(p.cert, p.key);
	pki_add(p.cert, NID_basic_constraints, spec->ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
	if (spec->usage)
		pki_add(p.cert, NID_key_usage, spec->usage);
	if (spec->names)
		pki_add(p.cert, NID_subject_alt_name, spec->names);
	assert_true(X509_sign(p.cert, issuer->key, EVP_sha256()) > 0);
	return p;
}

static inline struct pki pki_ca(const char *domain)
{
	char names[300];
	const struct pki_spec spec = {.names = names,
				      .usage = "critical,keyCertSign,cRLSign",
				      .ca = true,
				      .from = -PKI_HOUR,
				      .to = 24 * PKI_HOUR};

	(void)snprintf(names, sizeof(names), "URI:spiffe://%s", domain);
	return pki_make(&spec);
}

static inline struct pki pki_leaf(const struct pki *ca, const char *id)
{
	char names[400];
	const struct pki_spec spec = {
		.names = names, .usage = PKI_LEAF_USAGE, .from = -60, .to = PKI_HOUR, .issuer = ca};

	(void)snprintf(names, sizeof(names), "URI:%s", id);
	return pki_make(&spec);
}

static inline void pki_free(struct pki *p)
{
	X509_free(p->cert);
	EVP_PKEY_free(p->key);
}

static inline void pki_der(const X509 *cert, struct tip_buf *out)
{
	unsigned char *der = NULL;
	int len = i2d_X509(cert, &der);

	assert_true(len > 0);
	tip_buf_add(out, der, (size_t)len);
	OPENSSL_free(der);
}

static inline size_t pki_key_der(EVP_PKEY *key, unsigned char **der)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	int len = i2d_PKCS8_PRIV_KEY_INFO(info, der);

	PKCS8_PRIV_KEY_INFO_free(info);
	assert_true(len > 0);
	return (size_t)len;
}

/* As the SVID store hands it out; `via` (may be NULL) is an intermediate. */
static inline struct tip_tls_svid *pki_svid(const struct pki *leaf, const struct pki *via)
{
	struct tip_buf chain = {0};
	unsigned char *key = NULL;
	struct tip_tls_svid *s;
	struct tip_error err;
	size_t len = pki_key_der(leaf->key, &key);

	pki_der(leaf->cert, &chain);
	if (via)
		pki_der(via->cert, &chain);
	s = tip_tls_svid_new((uint8_t *)chain.data, chain.len, key, len, &err);
	assert_non_null(s);
	tip_buf_free(&chain);
	OPENSSL_free(key);
	return s;
}

static inline void pki_trust(struct tip_bundles *b, const char *domain, const struct pki *ca)
{
	struct tip_buf der = {0};
	struct tip_error err;

	pki_der(ca->cert, &der);
	assert_int_equal(tip_bundles_set(b, domain, (uint8_t *)der.data, der.len, &err), 0);
	tip_buf_free(&der);
}

#endif
