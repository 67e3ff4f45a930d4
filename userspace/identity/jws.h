/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_IDENTITY_JWS_H
#define TIP_IDENTITY_JWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "base/error.h"

/*
 * JSON Web Signatures over OpenSSL's EVP interface: the nine algorithms of JWT-SVIDs (section 2.1)
 * and no other. "none", the HMACs and EdDSA are not known here, so no token can ask for them.
 */
struct tip_jws_alg;

/* By its name in a header, "ES256"; NULL: not one of the nine. */
const struct tip_jws_alg *tip_jws_alg(const char *name);

/* The key is of the algorithm's kind: an RSA key of at least 2048 bits, or a key on its curve. */
bool tip_jws_fits(const struct tip_jws_alg *alg, EVP_PKEY *key);

/* Whether `sig` is a signature of `data` by `key`. The key fits (tip_jws_fits()), or it is not. */
bool tip_jws_verify(const struct tip_jws_alg *alg, EVP_PKEY *key, const void *data, size_t len,
		    const uint8_t *sig, size_t sig_len);

#define TIP_JWS_ES256_SIZE 64 /* r and s, 32 bytes each */

/* Signs with ES256; `key` is a P-256 key. 0, or -1 with `err`. */
int tip_jws_sign(EVP_PKEY *key, const void *data, size_t len, uint8_t sig[TIP_JWS_ES256_SIZE],
		 struct tip_error *err);

#endif
