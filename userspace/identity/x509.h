/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_IDENTITY_X509_H
#define TIP_IDENTITY_X509_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/buf.h"
#include "base/error.h"

/*
 * Keys and certificates, over OpenSSL's EVP interface only. Times are ns since the epoch, cut to
 * the second that a certificate can say.
 */

/* Readies OpenSSL without reading openssl.cnf: nobody's file decides about algorithms here. */
void tip_x509_init(void);

/* A new EC P-256 key, or NULL with `err`. */
EVP_PKEY *tip_key_new(struct tip_error *err);
/* PKCS#8 DER in memory of OpenSSL's, for tip_key_der_free(). 0, or -1 with `err`. */
int tip_key_to_der(EVP_PKEY *key, uint8_t **der, size_t *len, struct tip_error *err);
/* Reads exactly one EC private key in PKCS#8, and checks that its halves fit. NULL with `err`. */
EVP_PKEY *tip_key_from_der(const uint8_t *der, size_t len, struct tip_error *err);
/* Wipes and frees. NULL is fine. */
void tip_key_der_free(uint8_t *der, size_t len);

struct tip_cert_spec {
	const char *uri; /* SPIFFE ID; of a CA: of the trust domain */
	const char *const *dns_names;
	size_t ndns_names;
	EVP_PKEY *key; /* whose certificate: only its public half is used */
	uint64_t not_before, not_after;
	X509 *issuer; /* NULL: a self-signed CA, signed with `key` */
	EVP_PKEY *issuer_key;
};

/*
 * Makes a certificate of SPIFFE's X.509 profile: a leaf for both ends of TLS, or a CA. NULL with
 * `err`.
 */
X509 *tip_cert_new(const struct tip_cert_spec *spec, struct tip_error *err);

/* Appends the DER form. 0, or -1 with `err`. */
int tip_cert_add_der(const X509 *cert, struct tip_buf *out, struct tip_error *err);
/* Reads the next of concatenated certificates and moves `*der` and `*len` past it. NULL with `err`.
 */
X509 *tip_cert_next(const uint8_t **der, size_t *len, struct tip_error *err);

/* 0, or -1 when the time cannot be read. */
int tip_cert_times(const X509 *cert, uint64_t *not_before, uint64_t *not_after);
/* The certificate has exactly one URI name, and it is `uri`. */
bool tip_cert_has_uri(const X509 *cert, const char *uri);
/* `cert` is a self-signed CA of the trust domain whose ID is `uri`, and `key` (may be NULL) is its.
 */
int tip_cert_check_ca(X509 *cert, EVP_PKEY *key, const char *uri, struct tip_error *err);

/* The authorities that leaves are held against. */
struct tip_trust;
/* From concatenated DER. NULL with `err`. */
struct tip_trust *tip_trust_new(const uint8_t *bundle, size_t len, struct tip_error *err);
void tip_trust_free(struct tip_trust *t);
/*
 * Whether `chain` (DER, leaf first) is an X509-SVID of `uri` that one of the authorities signed and
 * that holds at `now`, and `key` is its. Returns the leaf, or NULL with `err`.
 */
X509 *tip_trust_check(struct tip_trust *t, const uint8_t *chain, size_t len, EVP_PKEY *key,
		      const char *uri, uint64_t now, struct tip_error *err);

/* Uniform in [0, bound). */
uint64_t tip_random_below(uint64_t bound);

#endif
