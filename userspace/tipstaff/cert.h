/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFF_CERT_H
#define TIP_TIPSTAFF_CERT_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "base/error.h"

/* Certificates as the Workload API hands them out: DER, concatenated. */
struct cert_chain {
	X509 **certs;
	size_t count;
};

/* At least one certificate and nothing else. 0, or -1 with `err`. */
int cert_chain_parse(const uint8_t *der, size_t len, struct cert_chain *out, struct tip_error *err);
void cert_chain_free(struct cert_chain *c);

/* As PEM; the caller frees. */
char *cert_chain_pem(const struct cert_chain *c);
/* Written atomically, 0644. */
int cert_chain_write(const char *path, const struct cert_chain *c, struct tip_error *err);
/* A PKCS#8 key as PEM, 0600. */
int cert_key_write(const char *path, const uint8_t *der, size_t len, struct tip_error *err);

struct cert_info {
	char serial[64];
	char key[64]; /* "EC prime256v1", "RSA 2048" */
	int64_t not_after;
	char not_before_text[32], not_after_text[32];
};
void cert_info(const struct cert_chain *c, size_t index, struct cert_info *out);

#endif
