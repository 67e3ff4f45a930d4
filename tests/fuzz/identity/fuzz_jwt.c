/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text for a token: it is refused with a reason, or it says what a JWT-SVID has to say. Input:
 * a byte, then the text. With a first byte of 'S' the text is "header.claims" in the clear, and is
 * signed: what stands behind the signature is reached too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/mem.h"
#include "identity/jwt.h"
#include "identity/x509.h"
#include "policy/spiffe_id.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

#define NOW      (1800000000 * TIP_NSEC_PER_SEC)
#define AUDIENCE "me"

static EVP_PKEY *key;
static struct tip_jwk jwk;

static void init(void)
{
	struct tip_error err;

	if (key)
		return;
	tip_x509_init();
	key = tip_key_new(&err);
	CHECK(key && !tip_jwk_from_key(key, &jwk, &err));
	/* A name that an input can know. */
	free(jwk.kid);
	jwk.kid = tip_strdup("k");
}

static void judge(const char *text, size_t len)
{
	const struct tip_jwks keys = {&jwk, 1};
	struct tip_error err = {0};
	struct tip_jwt jwt;
	json_t *aud;
	bool named = false;

	if (tip_jwt_verify(text, len, AUDIENCE, "fuzz.test", &keys, NOW, &jwt, &err) < 0) {
		CHECK(err.text[0] && !jwt.spiffe_id && !jwt.claims);
		return;
	}
	CHECK(len <= TIP_JWT_MAX);
	CHECK(!tip_spiffe_id_check(jwt.spiffe_id, true, &err));
	CHECK(tip_spiffe_id_in(jwt.spiffe_id, "fuzz.test"));
	CHECK(!strcmp(json_string_value(json_object_get(jwt.claims, "sub")), jwt.spiffe_id));
	CHECK(json_number_value(json_object_get(jwt.claims, "exp")) > 1800000000);
	aud = json_object_get(jwt.claims, "aud");
	for (size_t i = 0; i < json_array_size(aud); i++)
		named = named || !strcmp(json_string_value(json_array_get(aud, i)), AUDIENCE);
	CHECK(named);
	tip_jwt_clear(&jwt);
}

/* "header.claims" -> a token. */
static void sign_and_judge(const char *text, size_t len)
{
	const char *dot = memchr(text, '.', len);
	size_t first = dot ? (size_t)(dot - text) : len;
	uint8_t sig[TIP_JWS_ES256_SIZE];
	struct tip_buf b = {0};
	struct tip_error err;

	tip_base64url_encode(text, first, &b);
	tip_buf_addc(&b, '.');
	if (dot)
		tip_base64url_encode(dot + 1, len - first - 1, &b);
	CHECK(!tip_jws_sign(key, b.data, b.len, sig, &err));
	tip_buf_addc(&b, '.');
	tip_base64url_encode(sig, sizeof(sig), &b);
	judge(b.data, b.len);
	tip_buf_free(&b);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	/* Exactly its size: a byte that is read behind it is found. */
	char *text = size > 1 ? malloc(size - 1) : NULL;

	if (!text)
		return 0;
	init();
	memcpy(text, data + 1, size - 1);
	if (data[0] == 'S')
		sign_and_judge(text, size - 1);
	else
		judge(text, size - 1);
	free(text);
	return 0;
}
