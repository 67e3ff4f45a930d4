/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text for a set of keys, read as both forms: refused with a reason and nothing left, or every
 * key is one that a signature can be held against. Input: the text.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "identity/jwk.h"
#include "identity/x509.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

static void one(const char *text, size_t len, enum tip_jwks_form form)
{
	static const char *const algs[] = {"RS256", "PS512", "ES256", "ES384", "ES512"};
	static const uint8_t nothing[64];
	struct tip_error err = {0};
	struct tip_jwks set;

	if (tip_jwks_parse(text, len, form, &set, &err) < 0) {
		CHECK(err.text[0] && !set.keys && !set.count);
		return;
	}
	CHECK(set.count <= TIP_JWK_MAX);
	for (size_t i = 0; i < set.count; i++) {
		const struct tip_jwk *k = &set.keys[i];

		CHECK(k->key && (k->kid || form == TIP_JWKS_PLAIN));
		for (size_t a = 0; a < TIP_ARRAY_SIZE(algs); a++)
			CHECK(!tip_jws_verify(tip_jws_alg(algs[a]), k->key, "x", 1, nothing,
					      sizeof(nothing)));
	}
	tip_jwks_clear(&set);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	tip_x509_init();
	memcpy(text, data, size);
	one(text, size, TIP_JWKS_PLAIN);
	one(text, size, TIP_JWKS_BUNDLE);
	free(text);
	return 0;
}
