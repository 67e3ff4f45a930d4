/* SPDX-License-Identifier: Apache-2.0 */
/* What is a JWT-SVID and what is not: tokens that were forged in every way that we know of. */
#include "identity/jwt.h"

#include "forge.h"

#include "base/clock.h"
#include "identity/x509.h"

#define NOW    1780000000
#define HEADER "{\"alg\": \"ES256\", \"kid\": \"ec\", \"typ\": \"JWT\"}"
#define CLAIMS                                                                                     \
	"{\"sub\": \"" SUB "\", \"aud\": [\"x\", \"" AUD "\"], \"exp\": 1780000300, \"iat\": "     \
	"1780000000}"

static EVP_PKEY *ec, *stranger, *p384, *p521, *rsa;
static struct tip_jwks keys;
static char why[800];

static int setup(void **state)
{
	char *list[] = {forge_jwk(ec, "\"kid\": \"ec\""), forge_jwk(p384, "\"kid\": \"p384\""),
			forge_jwk(p521, "\"kid\": \"p521\""), forge_jwk(rsa, "\"kid\": \"rsa\"")};
	char *text =
		tip_sprintf("{\"keys\": [%s, %s, %s, %s]}", list[0], list[1], list[2], list[3]);
	struct tip_error err;

	assert_int_equal(tip_jwks_parse(text, strlen(text), TIP_JWKS_PLAIN, &keys, &err), 0);
	assert_int_equal(keys.count, 4);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(list); i++)
		free(list[i]);
	free(text);
	return 0;
}

static int teardown(void **state)
{
	tip_jwks_clear(&keys);
	return 0;
}

static bool holds_at(const char *token, double now, struct tip_jwt *out)
{
	struct tip_error err = {0};
	bool ok = !tip_jwt_verify(token, strlen(token), AUD, TD, &keys,
				  (uint64_t)(now * TIP_NSEC_PER_SEC), out, &err);

	snprintf(why, sizeof(why), "%s", err.text);
	if (!ok) {
		assert_null(out->spiffe_id);
		assert_null(out->claims);
	}
	return ok;
}

/* Takes the token. */
static bool holds(char *token)
{
	struct tip_jwt jwt;
	bool ok = holds_at(token, NOW, &jwt);

	tip_jwt_clear(&jwt);
	free(token);
	return ok;
}

static void refuse(char *token, const char *because)
{
	if (holds(token))
		fail_msg("accepted, and should not be: %s", because);
	if (!strstr(why, because))
		fail_msg("refused because \"%s\", not \"%s\"", why, because);
}

/* Signed by the right key. */
static char *with_header(const char *header)
{
	return forge("ES256", ec, header, CLAIMS);
}

static char *with_claims(const char *claims)
{
	return forge("ES256", ec, HEADER, claims);
}

static void holds_as_it_is(void **state)
{
	char *token = forge("ES256", ec, HEADER, CLAIMS);
	struct tip_jwt jwt;

	assert_true(holds_at(token, NOW, &jwt));
	assert_string_equal(jwt.spiffe_id, SUB);
	assert_int_equal(json_array_size(json_object_get(jwt.claims, "aud")), 2);
	assert_int_equal(json_integer_value(json_object_get(jwt.claims, "iat")), NOW);
	tip_jwt_clear(&jwt);
	free(token);
}

static void what_is_made_holds(void **state)
{
	const char *const audiences[] = {"one", AUD, "caf\xc3\xa9 \"quoted\""};
	struct tip_jwt_spec spec = {SUB, audiences, 3, NOW, NOW + 300};
	struct tip_buf token = {0};
	struct tip_error err;
	struct tip_jwt jwt;
	json_t *aud;

	assert_int_equal(tip_jwt_sign(&spec, ec, "ec", &token, &err), 0);
	assert_true(holds_at(token.data, NOW, &jwt));
	aud = json_object_get(jwt.claims, "aud");
	assert_int_equal(json_array_size(aud), 3);
	assert_string_equal(json_string_value(json_array_get(aud, 2)), audiences[2]);
	assert_int_equal(json_integer_value(json_object_get(jwt.claims, "exp")), NOW + 300);
	assert_int_equal(json_object_size(jwt.claims), 4); /* aud, exp, iat, sub */
	tip_jwt_clear(&jwt);

	/* The audience is not text, the token would be too long: nothing is appended. */
	tip_buf_reset(&token);
	spec.audiences = (const char *const[]){"\xff"};
	spec.naudiences = 1;
	assert_int_equal(tip_jwt_sign(&spec, ec, "ec", &token, &err), -1);
	char *long_one = tip_alloc(TIP_JWT_MAX + 1);

	memset(long_one, 'a', TIP_JWT_MAX);
	spec.audiences = (const char *const[]){long_one};
	assert_int_equal(tip_jwt_sign(&spec, ec, "ec", &token, &err), -1);
	assert_int_equal(token.len, 0);
	free(long_one);
	tip_buf_free(&token);
}

static void nine_algorithms(void **state)
{
	for (size_t i = 0; i < TIP_ARRAY_SIZE(forge_algs); i++) {
		const char *alg = forge_algs[i].name;
		EVP_PKEY *key = alg[0] != 'E'   ? rsa
				: alg[2] == '2' ? ec
				: alg[2] == '3' ? p384
						: p521;
		const char *kid = alg[0] != 'E'   ? "rsa"
				  : alg[2] == '2' ? "ec"
				  : alg[2] == '3' ? "p384"
						  : "p521";
		char *header = tip_sprintf("{\"alg\": \"%s\", \"kid\": \"%s\"}", alg, kid);
		char *input = forge_input(header, CLAIMS), *bad;
		uint8_t sig[1024];
		size_t len = forge_sign(&forge_algs[i], key, input, sig, sizeof(sig));

		assert_true(holds(forge_join(tip_strdup(input), sig, len)));
		/* Every byte of the signature counts. */
		for (size_t at = 0; at < len; at += 7) {
			sig[at] ^= 1;
			refuse(forge_join(tip_strdup(input), sig, len), "signature is not right");
			sig[at] ^= 1;
		}
		/* Its length too. */
		sig[len] = 0;
		refuse(forge_join(tip_strdup(input), sig, len + 1), "signature is not right");
		refuse(forge_join(tip_strdup(input), sig, len - 1), "signature is not right");
		refuse(forge_join(tip_strdup(input), sig, 0), "not base64url");
		bad = tip_sprintf("{\"alg\": \"%s\"}", alg);
		assert_true(holds(forge(alg, key, bad, CLAIMS))); /* kid is optional */
		free(bad);
		free(input);
		free(header);
	}
}

static void algorithms_that_are_none(void **state)
{
	static const char *const bad[] = {
		"{\"kid\": \"ec\"}",
		"{\"alg\": \"none\", \"kid\": \"ec\"}",
		"{\"alg\": \"None\", \"kid\": \"ec\"}",
		"{\"alg\": \"nOnE\"}",
		"{\"alg\": \"\"}",
		"{\"alg\": null}",
		"{\"alg\": [\"ES256\"]}",
		"{\"alg\": \"es256\"}",
		"{\"alg\": \"ES256K\"}",
		"{\"alg\": \"EdDSA\"}",
		"{\"alg\": \"HS256\"}",
		"{\"alg\": \"HS384\"}",
		"{\"alg\": \"HS512\"}",
		"{\"alg\": \"RSA-OAEP\"}",
		"{\"alg\": \"ES256 \"}",
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(bad); i++)
		refuse(with_header(bad[i]), "algorithm is not one");
	refuse(tip_strdup("eyJhbGciOiJub25lIn0.e30."), "not base64url");
	refuse(tip_strdup("eyJhbGciOiJub25lIn0.e30.AA"), "algorithm is not one");
}

/* The public key is known to everybody: as the secret of an HMAC it would sign for anybody. */
static void public_key_as_a_secret(void **state)
{
	unsigned char *der = NULL, mac[EVP_MAX_MD_SIZE];
	int der_len = i2d_PUBKEY(ec, &der);
	char *input = forge_input("{\"alg\": \"HS256\", \"kid\": \"ec\"}", CLAIMS);
	unsigned int len;

	HMAC(EVP_sha256(), der, der_len, (unsigned char *)input, strlen(input), mac, &len);
	OPENSSL_free(der);
	refuse(forge_join(input, mac, len), "algorithm is not one");
}

/* A true signature, by a key that is for another algorithm. */
static void key_of_another_algorithm(void **state)
{
	refuse(forge("ES256", ec, "{\"alg\": \"ES384\", \"kid\": \"ec\"}", CLAIMS), "not right");
	refuse(forge("ES256", ec, "{\"alg\": \"RS256\", \"kid\": \"ec\"}", CLAIMS), "not right");
	refuse(forge("RS256", rsa, "{\"alg\": \"PS256\", \"kid\": \"rsa\"}", CLAIMS), "not right");
	refuse(forge("PS256", rsa, "{\"alg\": \"RS256\", \"kid\": \"rsa\"}", CLAIMS), "not right");
	refuse(forge("RS256", rsa, "{\"alg\": \"RS512\", \"kid\": \"rsa\"}", CLAIMS), "not right");
	refuse(forge("RS256", rsa, "{\"alg\": \"RS256\", \"kid\": \"ec\"}", CLAIMS), "not right");
	refuse(forge("ES384", p384, "{\"alg\": \"ES384\", \"kid\": \"ec\"}", CLAIMS), "not right");
	/* A salt of another length is another algorithm (RFC 7518, section 3.5). */
	{
		char *input = forge_input("{\"alg\": \"PS256\", \"kid\": \"rsa\"}", CLAIMS);
		EVP_MD_CTX *md = EVP_MD_CTX_new();
		EVP_PKEY_CTX *ctx;
		uint8_t sig[512];
		size_t len = sizeof(sig);

		EVP_DigestSignInit_ex(md, &ctx, "SHA256", NULL, NULL, rsa, NULL);
		EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, 20);
		assert_int_equal(EVP_DigestSign(md, sig, &len, (uint8_t *)input, strlen(input)), 1);
		EVP_MD_CTX_free(md);
		refuse(forge_join(input, sig, len), "not right");
	}
}

static void keys_by_name(void **state)
{
	refuse(forge("ES256", stranger, HEADER, CLAIMS), "signature is not right");
	refuse(forge("ES256", stranger, "{\"alg\": \"ES256\"}", CLAIMS), "signature is not right");
	refuse(with_header("{\"alg\": \"ES256\", \"kid\": \"other\"}"), "not in the bundle");
	refuse(with_header("{\"alg\": \"ES256\", \"kid\": \"\"}"), "not in the bundle");
	refuse(with_header("{\"alg\": \"ES256\", \"kid\": 7}"), "key id is not a text");
	refuse(with_header("{\"alg\": \"ES256\", \"kid\": null}"), "key id is not a text");
	assert_true(holds(with_header("{\"alg\": \"ES256\"}")));
	/* A key without a name is never meant by one. */
	free(keys.keys[0].kid);
	keys.keys[0].kid = NULL;
	refuse(with_header(HEADER), "not in the bundle");
	assert_true(holds(with_header("{\"alg\": \"ES256\"}")));
	/* A key that is for one algorithm is for no other. */
	keys.keys[3].alg = tip_jws_alg("PS256");
	refuse(forge("RS256", rsa, "{\"alg\": \"RS256\"}", CLAIMS), "not right");
	assert_true(holds(forge("PS256", rsa, "{\"alg\": \"PS256\"}", CLAIMS)));
	tip_jwks_clear(&keys);
	refuse(with_header("{\"alg\": \"ES256\"}"), "not right");
	refuse(with_header(HEADER), "not in the bundle");
}

static void headers(void **state)
{
	assert_true(holds(with_header("{\"alg\": \"ES256\", \"typ\": \"JWT\"}")));
	assert_true(holds(with_header("{\"alg\": \"ES256\", \"typ\": \"JOSE\"}")));
	refuse(with_header("{\"alg\": \"ES256\", \"typ\": \"at+jwt\"}"), "neither JWT nor JOSE");
	refuse(with_header("{\"alg\": \"ES256\", \"typ\": \"wit+jwt\"}"), "neither JWT nor JOSE");
	refuse(with_header("{\"alg\": \"ES256\", \"typ\": 1}"), "neither JWT nor JOSE");
	refuse(with_header("{\"alg\": \"ES256\", \"crit\": [\"exp\"], \"exp\": 1}"), "other than");
	refuse(with_header("{\"alg\": \"ES256\", \"crit\": [\"b64\"], \"b64\": false}"),
	       "other than");
	refuse(with_header("{\"alg\": \"ES256\", \"crit\": []}"), "other than");
	refuse(with_header("{\"alg\": \"ES256\", \"jku\": \"https://evil\"}"), "other than");
	refuse(with_header("{\"alg\": \"ES256\", \"zip\": \"DEF\"}"), "other than");
	refuse(with_header("{\"alg\": \"none\", \"alg\": \"ES256\"}"),
	       "header is not a JSON object");
	refuse(with_header("[\"ES256\"]"), "header is not a JSON object");
	refuse(with_header("{\"alg\": \"ES256\"} x"), "header is not a JSON object");
	refuse(with_header("{\"alg\": \"ES256\\u0000\"}"), "header is not a JSON object");
}

/* The token brings its own key, and is signed with it. */
static void key_in_the_header(void **state)
{
	char *jwk = forge_jwk(stranger, "\"kid\": \"ec\"");
	char *header = tip_sprintf("{\"alg\": \"ES256\", \"kid\": \"ec\", \"jwk\": %s}", jwk);

	refuse(forge("ES256", stranger, header, CLAIMS), "other than");
	free(header);
	free(jwk);
}

static void times(void **state)
{
	char *token = with_claims(CLAIMS);
	struct tip_jwt jwt;

	assert_true(holds_at(token, NOW + 299.9, &jwt));
	tip_jwt_clear(&jwt);
	assert_false(holds_at(token, NOW + 300, &jwt));
	assert_string_equal(why, "the token has expired");
	free(token);
#define WITH(times) with_claims("{\"sub\": \"" SUB "\", \"aud\": \"" AUD "\"" times "}")
	refuse(WITH(""), "does not say when it expires");
	refuse(WITH(", \"exp\": \"1780000300\""), "does not say when it expires");
	refuse(WITH(", \"exp\": null"), "does not say when it expires");
	refuse(WITH(", \"exp\": true"), "does not say when it expires");
	refuse(WITH(", \"exp\": -1"), "does not say when it expires");
	refuse(WITH(", \"exp\": 0"), "expired");
	refuse(WITH(", \"exp\": 1e400"), "not a JSON object");
	refuse(WITH(", \"exp\": 99999999999999999999999"), "not a JSON object");
	refuse(WITH(", \"exp\": 1779999999"), "expired");
	assert_true(holds(WITH(", \"exp\": 1780000000.5")));
	assert_true(holds(WITH(", \"exp\": 9007199254740993")));
	assert_true(holds(WITH(", \"exp\": 1780000300, \"nbf\": 1780000010")));
	refuse(WITH(", \"exp\": 1780000300, \"nbf\": 1780000011"), "does not hold yet");
	refuse(WITH(", \"exp\": 1780000300, \"nbf\": \"now\""), "nbf is not a time");
	/* iat says nothing about whether it holds (RFC 7519, 4.1.6). */
	assert_true(holds(WITH(", \"exp\": 1780000300, \"iat\": 1880000000")));
}

static void subjects(void **state)
{
	static const struct {
		const char *sub, *because;
	} bad[] = {
		{"null", "has no subject"},
		{"7", "has no subject"},
		{"[\"" SUB "\"]", "has no subject"},
		{"\"\"", "not a SPIFFE ID"},
		{"\"spiffe://" TD "\"", "not a SPIFFE ID"},
		{"\"spiffe://" TD "/\"", "not a SPIFFE ID"},
		{"\"https://" TD "/peer\"", "not a SPIFFE ID"},
		{"\"spiffe://Example.org/peer\"", "not a SPIFFE ID"},
		{"\"spiffe://" TD "/../peer\"", "not a SPIFFE ID"},
		{"\"spiffe://example.com/peer\"", "no keys are known"},
		{"\"spiffe://" TD ".evil/peer\"", "no keys are known"},
		{"\"spiffe://evil." TD "/peer\"", "no keys are known"},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(bad); i++) {
		char *claims = tip_sprintf(
			"{\"sub\": %s, \"aud\": \"" AUD "\", \"exp\": 1780000300}", bad[i].sub);

		refuse(with_claims(claims), bad[i].because);
		free(claims);
	}
	refuse(with_claims("{\"aud\": \"" AUD "\", \"exp\": 1780000300}"), "has no subject");
	refuse(with_claims("{\"sub\": \"" SUB "\", \"sub\": \"spiffe://" TD
			   "/admin\", \"aud\": \"" AUD "\", \"exp\": 1780000300}"),
	       "not a JSON object");
}

static void audiences(void **state)
{
	static const struct {
		const char *aud, *because;
	} list[] = {
		{"\"" AUD "\"", NULL},
		{"[\"" AUD "\"]", NULL},
		{"[\"a\", \"b\", \"" AUD "\"]", NULL},
		{"\"other\"", "another audience"},
		{"\"" AUD "/\"", "another audience"},
		{"[\"other\"]", "another audience"},
		{"\"\"", "another audience"},
		{"[]", "no audience"},
		{"null", "no audience"},
		{"{\"" AUD "\": 1}", "no audience"},
		{"[\"" AUD "\", 7]", "not a text"},
		{"[[\"" AUD "\"]]", "not a text"},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(list); i++) {
		char *claims = tip_sprintf(
			"{\"sub\": \"" SUB "\", \"aud\": %s, \"exp\": 1780000300}", list[i].aud);

		if (list[i].because)
			refuse(with_claims(claims), list[i].because);
		else
			assert_true(holds(with_claims(claims)));
		free(claims);
	}
	refuse(with_claims("{\"sub\": \"" SUB "\", \"exp\": 1780000300}"), "no audience");

	/* What was a text is a list in what is handed on. */
	char *token =
		with_claims("{\"sub\": \"" SUB "\", \"aud\": \"" AUD "\", \"exp\": 1780000300}");
	struct tip_jwt jwt;

	assert_true(holds_at(token, NOW, &jwt));
	assert_true(json_is_array(json_object_get(jwt.claims, "aud")));
	tip_jwt_clear(&jwt);
	free(token);
}

/* One byte more or less, another spelling, another form. */
static void spellings(void **state)
{
	char *token = with_header(HEADER), *first = strchr(token, '.') + 1;
	char *second = strchr(first, '.') + 1;
	size_t len = strlen(token);

	refuse(tip_strdup(""), "three parts");
	refuse(tip_strdup("."), "three parts");
	refuse(tip_strdup(".."), "header is not base64url");
	refuse(tip_strdup("a.b"), "three parts");
	refuse(tip_sprintf("%s.", token), "three parts");
	refuse(tip_sprintf("%s.e30", token), "three parts");
	refuse(tip_sprintf(".%s", token), "three parts");
	refuse(tip_sprintf("%s=", token), "signature is not base64url");
	refuse(tip_sprintf("%s==", token), "signature is not base64url");
	refuse(tip_sprintf("%s\n", token), "signature is not base64url");
	refuse(tip_sprintf(" %s", token), "header is not base64url");
	refuse(tip_sprintf("%.*s%s", (int)(first - token), token, second), "three parts");
	refuse(tip_sprintf("%.*s.%s", (int)(first - token), token, second),
	       "payload is not base64url");
	refuse(tip_sprintf("%.*s", (int)(second - token), token), "signature is not base64url");
	refuse(tip_sprintf("{\"protected\": \"%s\"}", token), "header is not base64url");
	/* 64 bytes leave four unused bits in the last character: another one decodes to the same.
	 */
	for (const char *p = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"; *p; p++) {
		char *other = tip_strdup(token);

		if (other[len - 1] == *p) {
			free(other);
			continue;
		}
		other[len - 1] = *p;
		assert_false(holds(other));
	}
	/* Cut anywhere, changed anywhere: never accepted. */
	for (size_t i = 0; i < len; i++) {
		char *other = tip_strndup(token, i);

		assert_false(holds(other));
		other = tip_strdup(token);
		other[i] = other[i] == 'A' ? 'B' : 'A';
		assert_false(holds(other));
	}
	free(token);
}

static void payloads(void **state)
{
	refuse(with_claims("[]"), "payload is not a JSON object");
	refuse(with_claims("\"" SUB "\""), "payload is not a JSON object");
	refuse(with_claims(""), "payload is not base64url");
	refuse(with_claims("{"), "payload is not a JSON object");
	refuse(with_claims("{\"a\": \"\xff\"}"), "payload is not a JSON object");
	refuse(with_claims("{\"a\": {\"b\": 1, \"b\": 2}}"), "payload is not a JSON object");
	refuse(with_claims("{}"), "no subject");
}

static void sizes(void **state)
{
	char *pad = tip_alloc(TIP_JWT_MAX), *claims;

	memset(pad, 'x', TIP_JWT_MAX - 1);
	claims = tip_sprintf("{\"sub\": \"" SUB "\", \"aud\": \"" AUD "\", \"exp\": 1780000300, "
			     "\"pad\": \"%.5700s\"}",
			     pad);
	assert_true(holds(with_claims(claims)));
	free(claims);
	claims = tip_sprintf("{\"sub\": \"" SUB "\", \"aud\": \"" AUD "\", \"exp\": 1780000300, "
			     "\"pad\": \"%.6100s\"}",
			     pad);
	refuse(with_claims(claims), "larger than 8192 bytes");
	free(claims);
	/* Nesting as deep as it fits. */
	memset(pad, '[', 3000);
	pad[3000] = '\0';
	claims = tip_sprintf("{\"a\": %s", pad);
	refuse(with_claims(claims), "payload is not a JSON object");
	free(claims);
	free(pad);
}

/* s and n - s sign the same: RFC 7518 takes both, and nothing of ours takes a token for a name. */
static void upper_half_of_s(void **state)
{
	char *input = forge_input(HEADER, CLAIMS);
	uint8_t sig[64];
	BIGNUM *order = NULL, *s;

	forge_sign(forge_alg("ES256"), ec, input, sig, sizeof(sig));
	BN_hex2bn(&order, "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551");
	s = BN_bin2bn(sig + 32, 32, NULL);
	assert_true(holds(forge_join(tip_strdup(input), sig, 64)));
	BN_sub(s, order, s);
	BN_bn2binpad(s, sig + 32, 32);
	assert_true(holds(forge_join(tip_strdup(input), sig, 64)));
	/* s + n is the same number modulo n and not a signature; nor is zero. */
	BN_copy(s, order);
	BN_bn2binpad(s, sig + 32, 32);
	refuse(forge_join(tip_strdup(input), sig, 64), "not right");
	memset(sig, 0, sizeof(sig));
	refuse(forge_join(tip_strdup(input), sig, 64), "not right");
	memset(sig, 0xff, sizeof(sig));
	refuse(forge_join(tip_strdup(input), sig, 64), "not right");
	/* The DER form that OpenSSL speaks is not the one of a token. */
	{
		uint8_t der[128];
		EVP_MD_CTX *md = EVP_MD_CTX_new();
		size_t len = sizeof(der);

		EVP_DigestSignInit_ex(md, NULL, "SHA256", NULL, NULL, ec, NULL);
		EVP_DigestSign(md, der, &len, (uint8_t *)input, strlen(input));
		EVP_MD_CTX_free(md);
		refuse(forge_join(tip_strdup(input), der, len), "not right");
	}
	BN_free(s);
	BN_free(order);
	free(input);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(holds_as_it_is),
		T(what_is_made_holds),
		T(nine_algorithms),
		T(algorithms_that_are_none),
		T(public_key_as_a_secret),
		T(key_of_another_algorithm),
		T(keys_by_name),
		T(headers),
		T(key_in_the_header),
		T(times),
		T(subjects),
		T(audiences),
		T(spellings),
		T(payloads),
		T(sizes),
		T(upper_half_of_s),
	};
	int ret;

	tip_x509_init();
	ec = EVP_EC_gen("P-256");
	stranger = EVP_EC_gen("P-256");
	p384 = EVP_EC_gen("P-384");
	p521 = EVP_EC_gen("P-521");
	rsa = EVP_RSA_gen(2048);
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(stranger);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(p521);
	EVP_PKEY_free(rsa);
	return ret;
}
