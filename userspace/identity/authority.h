/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_IDENTITY_AUTHORITY_H
#define TIP_IDENTITY_AUTHORITY_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/error.h"

/*
 * Who signs SVIDs. The store knows only this interface: the embedded authority stands behind it,
 * and an upstream server can.
 */
struct tip_authority;

struct tip_sign_request {
	const char *spiffe_id;
	const char *const *dns_names;
	size_t ndns_names;
	EVP_PKEY *key; /* only its public half is used */
	uint32_t ttl;  /* seconds that are wished for */
	uint64_t now;  /* CLOCK_REALTIME, ns */
};

struct tip_jwt_request {
	const char *spiffe_id;
	const char *const *audiences; /* at least one */
	size_t naudiences;
	uint32_t ttl; /* seconds that are wished for */
	uint64_t now; /* CLOCK_REALTIME, ns */
};

/* What tick() found. */
#define TIP_AUTHORITY_BUNDLE     (1u << 0) /* the bundle changed */
#define TIP_AUTHORITY_RECORD     (1u << 1) /* the record has to be saved again */
#define TIP_AUTHORITY_JWT_BUNDLE (1u << 2) /* the same of the JWT keys */
#define TIP_AUTHORITY_JWT_RECORD (1u << 3)

/* What is kept of it, a record each: a bad one does not take the other with it. */
enum tip_authority_record { TIP_AUTHORITY_X509, TIP_AUTHORITY_JWT };

struct tip_authority_ops {
	/*
	 * Appends an X509-SVID: DER, leaf first, without the root. Its life never exceeds the
	 * authority's own. 0, or -1 with `err`.
	 */
	int (*sign)(struct tip_authority *a, const struct tip_sign_request *req,
		    struct tip_buf *chain, struct tip_error *err);
	/* Appends the trust bundle: concatenated DER. */
	void (*bundle)(struct tip_authority *a, struct tip_buf *out);
	/*
	 * Does what is due at `now`: TIP_AUTHORITY_* bits, `*next` the time to call again. -1 with
	 * `err` when there is no authority and none can be made, or a new one cannot; what did
	 * change is then told by the next call.
	 */
	int (*tick)(struct tip_authority *a, uint64_t now, uint64_t *next, struct tip_error *err);
	/*
	 * Appends a JWT-SVID and sets its `*expires` (ns), which never lies behind the end of the
	 * key that signed it. 0, or -1 with `err`.
	 */
	int (*sign_jwt)(struct tip_authority *a, const struct tip_jwt_request *req,
			struct tip_buf *token, uint64_t *expires, struct tip_error *err);
	/* Appends the keys that JWT-SVIDs are held against: a plain JWKS. 0, or -1 with `err`. */
	int (*jwks)(struct tip_authority *a, struct tip_buf *out, struct tip_error *err);
	/* Appends a record to be kept, with keys: wipe the buffer. 0, or -1 with `err`. */
	int (*record)(struct tip_authority *a, enum tip_authority_record which, struct tip_buf *out,
		      struct tip_error *err);
	void (*free)(struct tip_authority *a);
};

struct tip_authority {
	const struct tip_authority_ops *ops;
};

/*
 * The embedded authority: a self-signed P-256 CA, and a P-256 key for JWT-SVIDs. Both live `ca_ttl`
 * seconds, each on its own, and change as identity/rotation.h says. `trust_domain` is copied.
 */
struct tip_authority *tip_authority_embedded_new(const char *trust_domain, uint32_t ca_ttl);

/*
 * Takes over a record that was saved. All or nothing: 0, or -1 with `err` when it is truncated, for
 * another trust domain, expired, or a key and what was published of it do not belong together.
 */
int tip_authority_embedded_load(struct tip_authority *a, enum tip_authority_record which,
				const void *data, size_t len, uint64_t now, struct tip_error *err);

#endif
