/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any record of JWT keys from the cache: what is signed afterwards holds against what is published
 * afterwards. Input: the record.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "identity/authority.h"
#include "identity/jwt.h"
#include "identity/x509.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

#define NOW (1800000000 * TIP_NSEC_PER_SEC)
#define ID  "spiffe://fuzz.test/w"

static void check_signs(struct tip_authority *a, uint64_t now)
{
	const char *const audience = "me";
	const struct tip_jwt_request req = {ID, &audience, 1, 300, now};
	struct tip_buf token = {0}, jwks = {0};
	struct tip_jwks keys;
	struct tip_error err;
	struct tip_jwt jwt;
	uint64_t expires;

	CHECK(!a->ops->sign_jwt(a, &req, &token, &expires, &err));
	CHECK(!a->ops->jwks(a, &jwks, &err));
	CHECK(!tip_jwks_parse(jwks.data, jwks.len, TIP_JWKS_PLAIN, &keys, &err));
	/* A key may end within this second: then so does the token. */
	if (expires > now) {
		CHECK(!tip_jwt_verify(token.data, token.len, audience, "fuzz.test", &keys, now,
				      &jwt, &err));
		tip_jwt_clear(&jwt);
	}
	tip_jwks_clear(&keys);
	tip_buf_free(&token);
	tip_buf_free(&jwks);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct tip_authority *a;
	struct tip_error err = {0};
	uint64_t next = 0;

	tip_log_init("fuzz", TIP_LOG_ERROR);
	tip_x509_init();
	a = tip_authority_embedded_new("fuzz.test", 86400);
	if (tip_authority_embedded_load(a, TIP_AUTHORITY_JWT, data, size, NOW, &err) < 0)
		CHECK(err.text[0]);
	CHECK(a->ops->tick(a, NOW, &next, &err) >= 0 && next > NOW);
	check_signs(a, NOW);
	CHECK(a->ops->tick(a, next, &next, &err) >= 0);
	a->ops->free(a);
	return 0;
}
