/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_SPIFFE_MESSAGE_JWT_H
#define TIP_SPIFFE_MESSAGE_JWT_H

#include "spiffe/message.h"

/* The JWT half of the Workload API's messages. */

/* What a caller asks for: an audience and perhaps an identity, or a token and an audience. */
struct tip_jwt_ask;

/*
 * Read a JWTSVIDRequest and a ValidateJWTSVIDRequest. NULL with `*why`, which the caller frees: the
 * text of an InvalidArgument.
 */
struct tip_jwt_ask *tip_jwt_ask_fetch(const uint8_t *req, size_t len, char **why);
struct tip_jwt_ask *tip_jwt_ask_validate(const uint8_t *req, size_t len, char **why);
void tip_jwt_ask_free(struct tip_jwt_ask *a); /* NULL is fine */

/* Of tip_jwt_ask_fetch(). Lives as long as `a`. */
struct tip_jwt_query tip_jwt_ask_query(const struct tip_jwt_ask *a);
/* Of tip_jwt_ask_validate(). They live as long as `a`. */
const char *tip_jwt_ask_audience(const struct tip_jwt_ask *a);
const char *tip_jwt_ask_token(const struct tip_jwt_ask *a);

/* JWTSVIDResponse, in their order; of several with one hint the first stays. */
void tip_message_jwt_svids(const struct tip_jwt_svid *svids, size_t count, struct tip_message *out);
/* JWTBundlesResponse: the one bundle of `trust_domain` (bare name). */
void tip_message_jwt_bundles(const char *trust_domain, const char *jwks, size_t len,
			     struct tip_message *out);
/* ValidateJWTSVIDResponse. False (nothing to free): the claims are nested too deeply. */
bool tip_message_jwt_claims(const struct tip_jwt *jwt, struct tip_message *out);

#endif
