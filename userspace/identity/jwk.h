/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_IDENTITY_JWK_H
#define TIP_IDENTITY_JWK_H

#include <stddef.h>

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/error.h"
#include "identity/jws.h"

/* The public keys that JWT-SVIDs are held against, and their form in JSON (RFC 7517). */

#define TIP_JWKS_MAX (256u << 10) /* bytes of a set */
#define TIP_JWK_MAX  64           /* keys of a set that are kept */

struct tip_jwk {
	char *kid;                     /* NULL: it has none */
	EVP_PKEY *key;                 /* public half only */
	const struct tip_jws_alg *alg; /* the only one that it is for; NULL: any that fits */
};

struct tip_jwks {
	struct tip_jwk *keys;
	size_t count;
};

enum tip_jwks_form {
	TIP_JWKS_PLAIN, /* the Workload API's: JWT keys only, without "use" */
	/* A SPIFFE bundle's: JWT keys have "use": "jwt-svid" and a kid; others stand beside them.
	 */
	TIP_JWKS_BUNDLE,
};

/*
 * Reads a set. Keys of another type or use are passed over, as the standard has it; a key that says
 * it is ours and is not sound refuses the whole, as do a member that is there twice and a kid that
 * two keys have. 0, or -1 with `err` and `out` empty.
 */
int tip_jwks_parse(const char *text, size_t len, enum tip_jwks_form form, struct tip_jwks *out,
		   struct tip_error *err);
void tip_jwks_clear(struct tip_jwks *set);

/*
 * The public half of a P-256 key, with its thumbprint (RFC 7638) for a kid: two keys never have the
 * same. 0, or -1 with `err`.
 */
int tip_jwk_from_key(EVP_PKEY *key, struct tip_jwk *out, struct tip_error *err);
void tip_jwk_clear(struct tip_jwk *k);

/* Appends keys of tip_jwk_from_key() as a set. 0, or -1 with `err`. */
int tip_jwks_write(const struct tip_jwk *const *keys, size_t count, enum tip_jwks_form form,
		   struct tip_buf *out, struct tip_error *err);

#endif
