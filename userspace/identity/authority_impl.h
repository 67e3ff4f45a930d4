/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_IDENTITY_AUTHORITY_IMPL_H
#define TIP_IDENTITY_AUTHORITY_IMPL_H

/* The inside of the embedded authority: authority.c, and authority_jwt.c for its JWT keys. */

#include "base/mem.h"
#include "identity/authority.h"
#include "identity/record.h"
#include "identity/rotation.h"

struct tip_embedded {
	struct tip_authority base;
	char *trust_domain;
	char *uri;
	uint32_t ca_ttl;
	struct tip_rotation x509, jwt;
	unsigned int changes; /* TIP_AUTHORITY_*, not told yet */
};

static inline struct tip_embedded *tip_embedded_of(struct tip_authority *a)
{
	return TIP_CONTAINER_OF(a, struct tip_embedded, base);
}

/*
 * Reads the generations of a record with `one`: everything that both kinds have in common. 0, or -1
 * with `err`; what was read is in `r` then too.
 */
int tip_embedded_load(struct tip_embedded *e, struct tip_rotation *r, uint32_t magic,
		      struct tip_record_reader *in, uint64_t now,
		      int (*one)(struct tip_embedded *e, struct tip_record_reader *in,
				 struct tip_generation *g, struct tip_error *err),
		      struct tip_error *err);
/* Begins a record. */
void tip_embedded_record(const struct tip_embedded *e, const struct tip_rotation *r, uint32_t magic,
			 struct tip_buf *out);

/* authority_jwt.c */
int tip_embedded_make_jwt(void *ctx, uint64_t now, struct tip_generation *out,
			  struct tip_error *err);
int tip_embedded_sign_jwt(struct tip_authority *a, const struct tip_jwt_request *req,
			  struct tip_buf *token, uint64_t *expires, struct tip_error *err);
int tip_embedded_jwks(struct tip_authority *a, struct tip_buf *out, struct tip_error *err);
int tip_embedded_record_jwt(struct tip_embedded *e, struct tip_buf *out, struct tip_error *err);
int tip_embedded_load_jwt(struct tip_embedded *e, struct tip_record_reader *in, uint64_t now,
			  struct tip_error *err);

#endif
