/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "rpc/struct.h"

/* The JWT methods: what they ask for, what they say, and when they say nothing. */

#define OTHER "spiffe://example.org/other"

/* A request of our own making, framed. */
static struct peer_stream *ask(struct fixture *f, const char *path, const char *first_header,
			       const ProtobufCMessage *m)
{
	size_t len = protobuf_c_message_get_packed_size(m);
	uint8_t *frame = tip_alloc(5 + len);
	struct peer_stream *s;

	frame[3] = (uint8_t)(len >> 8);
	frame[4] = (uint8_t)len;
	protobuf_c_message_pack(m, frame + 5);
	s = call_body(f, path, first_header, NULL, frame, 5 + len);
	free(frame);
	return s;
}

static struct peer_stream *fetch_jwt(struct fixture *f, const char *const *audience, size_t n,
				     const char *spiffe_id)
{
	JWTSVIDRequest m = JWTSVIDREQUEST__INIT;

	m.audience = (char **)audience;
	m.n_audience = n;
	m.spiffe_id = (char *)spiffe_id;
	return ask(f, PATH("FetchJWTSVID"), "true", &m.base);
}

static struct peer_stream *fetch_one(struct fixture *f)
{
	return fetch_jwt(f, (const char *const[]){"them"}, 1, "");
}

static struct peer_stream *validate(struct fixture *f, const char *audience, const char *token)
{
	ValidateJWTSVIDRequest m = VALIDATE_JWTSVIDREQUEST__INIT;

	m.audience = (char *)audience;
	m.svid = (char *)token;
	return ask(f, PATH("ValidateJWTSVID"), "true", &m.base);
}

static void says(const struct peer_stream *s, int code, const char *text)
{
	assert_true(s->closed);
	assert_int_equal(s->grpc, code);
	assert_string_equal(s->message, text);
	assert_int_equal(messages(s), 0);
}

static void test_fetch(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s = fetch_jwt(f, (const char *const[]){"a", "b"}, 2, "");
	JWTSVIDResponse *r;
	const uint8_t *m;
	size_t len;

	assert_string_equal(f->asked, "2 a any");
	m = peer_message(s, 0, &len);
	assert_non_null(m);
	r = jwtsvidresponse__unpack(NULL, len, m);
	assert_int_equal(r->n_svids, 1);
	assert_string_equal(r->svids[0]->spiffe_id, "spiffe://example.org/frontend");
	assert_string_equal(r->svids[0]->svid, KEY);
	assert_string_equal(r->svids[0]->hint, "web");
	jwtsvidresponse__free_unpacked(r, NULL);
	/* A unary call: it ends, and well. */
	assert_true(s->closed);
	assert_int_equal(s->grpc, TIP_GRPC_OK);
	assert_int_equal(messages(s), 1);
	assert_int_equal(f->checks, 1);
	assert_int_equal(stats(f).errors, 0);
	assert_int_equal(stats(f).streams, 0);
	fetch_jwt(f, (const char *const[]){"a"}, 1, OTHER);
	assert_string_equal(f->asked, "1 a " OTHER);
}

static void test_several(void **state)
{
	struct fixture *f = *state;
	JWTSVIDResponse *r;
	const uint8_t *m;
	size_t len;

	f->njwts = 3;
	f->jwts[1] = (struct tip_jwt_svid){OTHER, "second", ""};
	f->jwts[2] = (struct tip_jwt_svid){OTHER, "third", "web"}; /* a hint that is taken */
	m = peer_message(fetch_one(f), 0, &len);
	assert_non_null(m);
	r = jwtsvidresponse__unpack(NULL, len, m);
	assert_int_equal(r->n_svids, 2);
	assert_string_equal(r->svids[1]->svid, "second");
	jwtsvidresponse__free_unpacked(r, NULL);
}

static void test_bad_requests(void **state)
{
	struct fixture *f = *state;
	char big[2050];
	const char *many[17];

	says(fetch_jwt(f, NULL, 0, ""), TIP_GRPC_INVALID_ARGUMENT, "audience must be specified");
	says(fetch_jwt(f, (const char *const[]){"a", ""}, 2, ""), TIP_GRPC_INVALID_ARGUMENT,
	     "audience must be specified");
	says(fetch_jwt(f, (const char *const[]){"\xff"}, 1, ""), TIP_GRPC_INVALID_ARGUMENT,
	     "malformed request");
	says(fetch_jwt(f, (const char *const[]){"a\nb"}, 1, ""), TIP_GRPC_INVALID_ARGUMENT,
	     "an audience has a control character");
	for (size_t i = 0; i < TIP_ARRAY_SIZE(many); i++)
		many[i] = "a";
	says(fetch_jwt(f, many, 17, ""), TIP_GRPC_INVALID_ARGUMENT, "more than 16 audiences");
	memset(big, 'x', sizeof(big));
	big[2049] = '\0';
	says(fetch_jwt(f, (const char *const[]){big}, 1, ""), TIP_GRPC_INVALID_ARGUMENT,
	     "audiences of more than 2048 bytes");
	assert_int_equal(fetch_jwt(f, many, 16, "")->grpc, TIP_GRPC_OK);

	says(validate(f, "", "t"), TIP_GRPC_INVALID_ARGUMENT, "audience must be specified");
	says(validate(f, "a", ""), TIP_GRPC_INVALID_ARGUMENT, "svid must be specified");
	says(call(f, PATH("ValidateJWTSVID")), TIP_GRPC_INVALID_ARGUMENT,
	     "audience must be specified");
	for (int i = 0; i < 3; i++)
		says(call_body(f,
			       (const char *const[]){PATH("FetchJWTSVID"), PATH("ValidateJWTSVID"),
						     PATH("FetchJWTBundles")}[i],
			       "true", NULL, "\0\0\0\0\2\x0a\x7f", 7),
		     TIP_GRPC_INVALID_ARGUMENT, "malformed request");
	/* Of all these only one reached the store. */
	assert_int_equal(f->fetches, 1);
	assert_int_equal(f->checks, 1);
}

static void test_requested_id(void **state)
{
	static const char *const bad[] = {"x", "https://example.org/a", "spiffe://example.org/a/",
					  "spiffe://Example.org/a", "spiffe://"};
	struct fixture *f = *state;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(bad); i++) {
		struct peer_stream *s = fetch_jwt(f, (const char *const[]){"a"}, 1, bad[i]);

		assert_int_equal(s->grpc, TIP_GRPC_INVALID_ARGUMENT);
		assert_non_null(strstr(s->message, "invalid requested SPIFFE ID: "));
	}
	assert_int_equal(f->checks, 0);
}

static void test_security_header(void **state)
{
	struct fixture *f = *state;
	JWTSVIDRequest m = JWTSVIDREQUEST__INIT;

	/* The header is asked for before anything else. */
	says(ask(f, PATH("FetchJWTSVID"), NULL, &m.base), TIP_GRPC_INVALID_ARGUMENT,
	     "security header missing from request");
	says(ask(f, PATH("ValidateJWTSVID"), "True", &m.base), TIP_GRPC_INVALID_ARGUMENT,
	     "security header missing from request");
	says(ask(f, PATH("FetchJWTBundles"), "false", &m.base), TIP_GRPC_INVALID_ARGUMENT,
	     "security header missing from request");
	assert_int_equal(f->checks, 0);
}

static void test_no_identity(void **state)
{
	struct fixture *f = *state;

	f->fetch = TIP_FETCH_DENIED;
	f->standing = TIP_STANDING_NONE;
	says(fetch_one(f), TIP_GRPC_PERMISSION_DENIED, "no identity issued");
	says(call(f, PATH("FetchJWTBundles")), TIP_GRPC_PERMISSION_DENIED, "no identity issued");
	/* Who has no identity may verify others. */
	assert_int_equal(validate(f, "me", "t")->grpc, TIP_GRPC_OK);
	assert_int_equal(stats(f).denied, 2);
	f->standing = TIP_STANDING_WITHHELD;
	says(fetch_one(f), TIP_GRPC_PERMISSION_DENIED, "no identity issued");
	says(call(f, PATH("FetchJWTBundles")), TIP_GRPC_PERMISSION_DENIED, "no identity issued");
	says(validate(f, "me", "t"), TIP_GRPC_PERMISSION_DENIED, "no identity issued");
	assert_false(leaked(f));
}

static void test_signing_fails(void **state)
{
	struct fixture *f = *state;

	f->fetch = TIP_FETCH_ERROR;
	says(fetch_one(f), TIP_GRPC_UNAVAILABLE, "could not fetch JWT-SVID: signing failed");
	f->jwks[0] = '\0';
	says(call(f, PATH("FetchJWTBundles")), TIP_GRPC_UNAVAILABLE,
	     "could not fetch JWT-SVID: not ready");
}

static void test_bundles(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s = call(f, PATH("FetchJWTBundles"));
	JWTBundlesResponse *r;
	const uint8_t *m;
	size_t len;

	m = peer_message(s, 0, &len);
	assert_non_null(m);
	r = jwtbundles_response__unpack(NULL, len, m);
	assert_int_equal(r->n_bundles, 1);
	assert_string_equal(r->bundles[0]->key, "spiffe://example.org");
	assert_int_equal(r->bundles[0]->value.len, strlen(f->jwks));
	assert_memory_equal(r->bundles[0]->value.data, f->jwks, strlen(f->jwks));
	jwtbundles_response__free_unpacked(r, NULL);
	assert_false(s->closed);

	/* Said again when it differs, and only then. */
	tip_workload_bundle_changed(f->w);
	tip_workload_changed(f->w, EXEC);
	peer_pump(&f->p);
	assert_int_equal(messages(s), 1);
	strcpy(f->jwks, "{\"keys\":[{}]}");
	tip_workload_bundle_changed(f->w);
	peer_pump(&f->p);
	assert_int_equal(messages(s), 2);

	/* Withdrawn. */
	f->standing = TIP_STANDING_WITHHELD;
	tip_workload_changed(f->w, EXEC);
	peer_pump(&f->p);
	assert_true(s->closed);
	assert_int_equal(s->grpc, TIP_GRPC_PERMISSION_DENIED);
	assert_int_equal(stats(f).streams, 0);
}

static void test_validate(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s = validate(f, "me", "a.token.x");
	ValidateJWTSVIDResponse *r;
	const uint8_t *m;
	json_t *claims;
	size_t len;

	assert_string_equal(f->asked, "me a.token.x");
	m = peer_message(s, 0, &len);
	assert_non_null(m);
	r = validate_jwtsvidresponse__unpack(NULL, len, m);
	assert_string_equal(r->spiffe_id, "spiffe://example.org/peer");
	claims = tip_struct_unpack(r->claims.data, r->claims.len);
	assert_int_equal(json_integer_value(json_object_get(claims, "n")), 5);
	assert_int_equal(json_array_size(json_object_get(claims, "aud")), 1);
	json_decref(claims);
	validate_jwtsvidresponse__free_unpacked(r, NULL);
	assert_int_equal(s->grpc, TIP_GRPC_OK);
	assert_int_equal(messages(s), 1);

	f->claims = NULL;
	says(validate(f, "me", "t"), TIP_GRPC_INVALID_ARGUMENT, "the token has expired");
	f->claims =
		"{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}";
	says(validate(f, "me", "t"), TIP_GRPC_INVALID_ARGUMENT,
	     "the token's claims are nested too deeply");
}

static void test_pending(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s, *b, *v;

	f->fetch = TIP_FETCH_PENDING;
	f->standing = TIP_STANDING_PENDING;
	s = fetch_one(f);
	b = call(f, PATH("FetchJWTBundles"));
	v = validate(f, "me", "t");
	assert_false(s->closed || b->closed || v->closed);
	f->fetch = TIP_FETCH_OK;
	f->standing = TIP_STANDING_HOLDS;
	tip_workload_changed(f->w, EXEC);
	peer_pump(&f->p);
	assert_int_equal(s->grpc, TIP_GRPC_OK);
	assert_int_equal(v->grpc, TIP_GRPC_OK);
	assert_int_equal(messages(b), 1);
	usleep(80000); /* longer than a call waits: the stream waits for nothing any more */
	peer_pump(&f->p);
	assert_false(b->closed);

	f->fetch = TIP_FETCH_PENDING;
	f->standing = TIP_STANDING_PENDING;
	s = fetch_one(f);
	v = validate(f, "me", "t");
	usleep(80000);
	peer_pump(&f->p);
	says(s, TIP_GRPC_PERMISSION_DENIED, "no identity issued");
	says(v, TIP_GRPC_PERMISSION_DENIED, "no identity issued");
}

/* No token leaves before the keeper has said that the process is still the one that connected. */
static void test_checked_first(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s;

	f->auto_check = false;
	s = fetch_one(f);
	assert_int_equal(f->checks, 1);
	assert_int_equal(f->fetches, 0);
	assert_int_equal(s->len, 0);
	tip_workload_checked(f->w, f->check_id, f->check_ask + 1, 1); /* another question's */
	peer_pump(&f->p);
	assert_int_equal(f->fetches, 0);
	tip_workload_checked(f->w, f->check_id, f->check_ask, 0);
	peer_pump(&f->p);
	assert_int_equal(f->fetches, 0);
	assert_int_equal(f->refused, 1);
	assert_string_equal(f->cause, "exec");
	assert_true(f->p.eof);
	assert_false(leaked(f));
}

/* The caller goes while its call waits: nothing of it stays. */
static void test_caller_goes(void **state)
{
	struct fixture *f = *state;

	f->auto_check = false;
	fetch_one(f);
	validate(f, "me", "t");
	assert_int_equal(stats(f).streams, 2);
	tip_workload_exec_gone(f->w, EXEC);
	peer_pump(&f->p);
	assert_int_equal(stats(f).streams, 0);
	assert_false(leaked(f));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_fetch),         T(test_several),       T(test_bad_requests),
		T(test_requested_id),  T(test_no_identity),   T(test_security_header),
		T(test_signing_fails), T(test_bundles),       T(test_validate),
		T(test_pending),       T(test_checked_first), T(test_caller_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
