/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_IDENTITY_JWT_H
#define TIP_IDENTITY_JWT_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "base/buf.h"
#include "base/error.h"
#include "identity/jwk.h"

/* JWT-SVIDs: tokens in the compact serialization of JWS, made and judged. */

/* Bytes of a token: it travels in a header, and servers take no longer ones than this. */
#define TIP_JWT_MAX 8192

struct tip_jwt_spec {
	const char *spiffe_id;
	const char *const *audiences; /* UTF-8, at least one */
	size_t naudiences;
	uint64_t issued, expires; /* seconds since the epoch */
};

/*
 * Appends a token signed with a P-256 key (ES256) that is published under `kid`. 0, or -1 with
 * `err` and nothing appended.
 */
int tip_jwt_sign(const struct tip_jwt_spec *spec, EVP_PKEY *key, const char *kid,
		 struct tip_buf *token, struct tip_error *err);

/* A token that holds. */
struct tip_jwt {
	char *spiffe_id; /* its subject */
	json_t *claims;  /* all of them, an object; "aud" is a list, also where it was a string */
};
void tip_jwt_clear(struct tip_jwt *t);

/*
 * Whether `token` is a JWT-SVID for `audience` that holds at `now` (ns since the epoch), signed by
 * one of `keys`, the keys of `trust_domain`: a subject of another trust domain is refused. `token`
 * need not end in a NUL. 0 with `out` filled, or -1 with `err`.
 */
int tip_jwt_verify(const char *token, size_t len, const char *audience, const char *trust_domain,
		   const struct tip_jwks *keys, uint64_t now, struct tip_jwt *out,
		   struct tip_error *err);

#endif
