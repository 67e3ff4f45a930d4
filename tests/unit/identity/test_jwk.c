/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of keys: what is read, what is passed over, what refuses the whole. */
#include "identity/jwk.h"

#include "forge.h"

#include "identity/x509.h"

static EVP_PKEY *ec, *p384, *p521, *rsa;
static struct tip_jwks set;
static struct tip_error err;

static int teardown(void **state)
{
	tip_jwks_clear(&set);
	return 0;
}

static int parse(const char *text, enum tip_jwks_form form)
{
	tip_jwks_clear(&set);
	return tip_jwks_parse(text, strlen(text), form, &set, &err);
}

/* Takes the keys; NULL ends them. */
static int parse_keys(enum tip_jwks_form form, char *first, char *second)
{
	char *text = tip_sprintf("{\"keys\": [%s%s%s]}", first, second ? ", " : "",
				 second ? second : "");
	int ret = parse(text, form);

	free(text);
	free(first);
	free(second);
	return ret;
}

static void refuse(const char *text, const char *because)
{
	assert_int_equal(parse(text, TIP_JWKS_PLAIN), -1);
	if (!strstr(err.text, because))
		fail_msg("refused because \"%s\", not \"%s\"", err.text, because);
	assert_int_equal(set.count, 0);
	assert_null(set.keys);
}

static void every_kind(void **state)
{
	EVP_PKEY *const list[] = {ec, p384, p521, rsa};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(list); i++) {
		assert_int_equal(
			parse_keys(TIP_JWKS_PLAIN, forge_jwk(list[i], "\"kid\": \"k\""), NULL), 0);
		assert_int_equal(set.count, 1);
		assert_string_equal(set.keys[0].kid, "k");
		assert_int_equal(EVP_PKEY_eq(set.keys[0].key, list[i]), 1);
		assert_null(set.keys[0].alg);
	}
	assert_int_equal(parse("{\"keys\": []}", TIP_JWKS_PLAIN), 0);
	assert_int_equal(set.count, 0);
}

static void passed_over(void **state)
{
	static const char *const others[] = {
		"{\"kty\": \"oct\", \"k\": \"AAAA\", \"kid\": \"x\"}",
		"{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"AAAA\"}",
		"{\"kty\": \"EC\", \"use\": \"x509-svid\", \"x5c\": [\"AA==\"]}",
		"{\"kty\": \"EC\", \"use\": \"wit-svid\", \"kid\": \"x\"}",
		"{\"kty\": \"EC\", \"use\": \"sig\"}",
		"{\"kty\": \"EC\", \"use\": 7}",
		"{\"kty\": 7}",
		"{}",
		"7",
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(others); i++) {
		for (int form = TIP_JWKS_PLAIN; form <= TIP_JWKS_BUNDLE; form++) {
			char *mine = forge_jwk(ec, "\"kid\": \"k\", \"use\": \"jwt-svid\"");

			assert_int_equal(
				parse_keys((enum tip_jwks_form)form, tip_strdup(others[i]), mine),
				0);
			assert_int_equal(set.count, 1);
			assert_string_equal(set.keys[0].kid, "k");
		}
	}
}

static void what_a_bundle_asks_for(void **state)
{
	/* Without "use" a key of a bundle is none of ours; of the Workload API's it is. */
	assert_int_equal(parse_keys(TIP_JWKS_BUNDLE, forge_jwk(ec, "\"kid\": \"k\""), NULL), 0);
	assert_int_equal(set.count, 0);
	assert_int_equal(parse_keys(TIP_JWKS_BUNDLE, forge_jwk(ec, "\"use\": \"jwt-svid\""), NULL),
			 -1);
	assert_non_null(strstr(err.text, "without kid"));
	assert_int_equal(parse_keys(TIP_JWKS_PLAIN, forge_jwk(ec, ""), NULL), 0);
	assert_int_equal(set.count, 1);
	assert_null(set.keys[0].kid);
	/* Members of a bundle beside its keys. */
	assert_int_equal(
		parse("{\"spiffe_sequence\": 7, \"spiffe_refresh_hint\": 60, \"keys\": []}",
		      TIP_JWKS_BUNDLE),
		0);
}

static void refused(void **state)
{
	refuse("", "not JSON");
	refuse("{", "not JSON");
	refuse("[]", "no list");
	refuse("{}", "no list");
	refuse("{\"keys\": {}}", "no list");
	refuse("{\"keys\": [], \"keys\": []}", "not JSON");
	refuse("{\"keys\": [{\"kty\": \"EC\", \"kty\": \"RSA\"}]}", "not JSON");
	refuse("{\"keys\": [{\"kty\": \"EC\"}]}", "not a sound EC key");
	refuse("{\"keys\": [{\"kty\": \"RSA\"}]}", "not a sound RSA key");
	refuse("{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-192\", \"x\": \"AA\", \"y\": \"AA\"}]}",
	       "not a sound");
	refuse("{\"keys\": [{\"kty\": \"EC\", \"kid\": \"\"}]}", "a kid is");
	refuse("{\"keys\": [{\"kty\": \"EC\", \"kid\": 7}]}", "a kid is");
	assert_int_equal(parse_keys(TIP_JWKS_PLAIN, forge_jwk(ec, "\"alg\": \"HS256\""), NULL), -1);
	assert_int_equal(parse_keys(TIP_JWKS_PLAIN, forge_jwk(ec, "\"alg\": 7"), NULL), -1);
	assert_int_equal(parse_keys(TIP_JWKS_PLAIN, forge_jwk(ec, "\"kid\": \"k\""),
				    forge_jwk(rsa, "\"kid\": \"k\"")),
			 -1);
	assert_non_null(strstr(err.text, "same kid"));
	assert_int_equal(parse_keys(TIP_JWKS_PLAIN, forge_jwk(ec, "\"alg\": \"ES256\""), NULL), 0);
	assert_ptr_equal(set.keys[0].alg, tip_jws_alg("ES256"));
}

/* Points that are not on the curve, numbers of the wrong length, exponents that keep us busy. */
static void unsound_keys(void **state)
{
	char *x = forge_number(ec, OSSL_PKEY_PARAM_EC_PUB_X, 32);
	char *y = forge_number(ec, OSSL_PKEY_PARAM_EC_PUB_Y, 32);
	char *longer = forge_number(ec, OSSL_PKEY_PARAM_EC_PUB_X, 33);
	char *n = forge_number(rsa, OSSL_PKEY_PARAM_RSA_N, 0);
	uint8_t big[1100] = {1};
	char *huge = forge_b64(big, sizeof(big)), *e = forge_b64(big, 9);
	char *list[] = {
		tip_sprintf("\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"%s\", \"y\": \"%s\"", x,
			    x),
		tip_sprintf("\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"%s\", \"y\": \"%s\"",
			    longer, y),
		tip_sprintf("\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"%s=\", \"y\": \"%s\"", x,
			    y),
		tip_sprintf("\"kty\": \"EC\", \"crv\": \"P-384\", \"x\": \"%s\", \"y\": \"%s\"", x,
			    y),
		tip_sprintf("\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"%s\"", x),
		tip_sprintf("\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"\", \"y\": \"%s\"", y),
		tip_sprintf("\"kty\": \"RSA\", \"n\": \"%s\", \"e\": \"AQAB\"", huge),
		tip_sprintf("\"kty\": \"RSA\", \"n\": \"%s\", \"e\": \"%s\"", n, e),
		tip_sprintf("\"kty\": \"RSA\", \"n\": \"AQAB\""),
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(list); i++) {
		char *text = tip_sprintf("{\"keys\": [{%s}]}", list[i]);

		refuse(text, "not a sound");
		free(text);
		free(list[i]);
	}
	free(x);
	free(y);
	free(longer);
	free(n);
	free(e);
	free(huge);
}

static void limits(void **state)
{
	char *key = forge_jwk(ec, ""), *kid = tip_alloc(300);
	struct tip_buf b = {0};

	for (int n = 64; n <= 65; n++) {
		tip_buf_reset(&b);
		tip_buf_adds(&b, "{\"keys\": [");
		for (int i = 0; i < n; i++)
			tip_buf_addf(&b, "%s%s", i ? "," : "", key);
		tip_buf_adds(&b, "]}");
		assert_int_equal(parse(b.data, TIP_JWKS_PLAIN), n == 64 ? 0 : -1);
	}
	tip_buf_reset(&b);
	tip_buf_addf(&b, "{\"keys\": []%*s}", TIP_JWKS_MAX, "");
	refuse(b.data, "more than");
	memset(kid, 'k', 257);
	tip_buf_reset(&b);
	tip_buf_addf(&b, "\"kid\": \"%s\"", kid);
	assert_int_equal(parse_keys(TIP_JWKS_PLAIN, forge_jwk(ec, b.data), NULL), -1);
	tip_buf_free(&b);
	free(kid);
	free(key);
}

/* The P-256 key of RFC 7517 (A.1), and SHA-256 over what RFC 7638 makes of it. */
static void thumbprint(void **state)
{
	static const char text[] = "{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-256\", "
				   "\"x\": \"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\", "
				   "\"y\": \"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}]}";
	struct tip_jwk k;

	assert_int_equal(parse(text, TIP_JWKS_PLAIN), 0);
	assert_int_equal(tip_jwk_from_key(set.keys[0].key, &k, &err), 0);
	assert_string_equal(k.kid, "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s");
	tip_jwk_clear(&k);
	assert_int_equal(tip_jwk_from_key(rsa, &k, &err), -1);
	assert_int_equal(tip_jwk_from_key(p384, &k, &err), -1);
}

static void written_and_read(void **state)
{
	struct tip_jwk k, other;
	const struct tip_jwk *list[] = {&k, &other};
	struct tip_buf b = {0};
	EVP_PKEY *second = EVP_EC_gen("P-256");

	assert_int_equal(tip_jwk_from_key(ec, &k, &err), 0);
	assert_int_equal(tip_jwk_from_key(second, &other, &err), 0);
	for (int form = TIP_JWKS_PLAIN; form <= TIP_JWKS_BUNDLE; form++) {
		tip_buf_reset(&b);
		assert_int_equal(tip_jwks_write(list, 2, (enum tip_jwks_form)form, &b, &err), 0);
		assert_int_equal(strstr(b.data, "\"use\"") != NULL, form == TIP_JWKS_BUNDLE);
		assert_null(strstr(b.data, "\"d\""));
		assert_int_equal(parse(b.data, (enum tip_jwks_form)form), 0);
		assert_int_equal(set.count, 2);
		assert_string_equal(set.keys[1].kid, other.kid);
		assert_int_equal(EVP_PKEY_eq(set.keys[0].key, ec), 1);
	}
	tip_buf_reset(&b);
	assert_int_equal(tip_jwks_write(list, 0, TIP_JWKS_PLAIN, &b, &err), 0);
	assert_string_equal(b.data, "{\"keys\":[]}");
	tip_buf_free(&b);
	tip_jwk_clear(&k);
	tip_jwk_clear(&other);
	EVP_PKEY_free(second);
}

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, teardown)
	const struct CMUnitTest tests[] = {
		T(every_kind), T(passed_over),      T(what_a_bundle_asks_for),
		T(refused),    T(unsound_keys),     T(limits),
		T(thumbprint), T(written_and_read),
	};
	int ret;

	tip_x509_init();
	ec = EVP_EC_gen("P-256");
	p384 = EVP_EC_gen("P-384");
	p521 = EVP_EC_gen("P-521");
	rsa = EVP_RSA_gen(2048);
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(p521);
	EVP_PKEY_free(rsa);
	return ret;
}
