/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

/* What the API says: messages, status codes, when a stream speaks and when it ends. */

static void test_fetch_svid(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s = call(f, PATH("FetchX509SVID"));
	X509SVIDResponse *r = svid_message(s, 0);

	assert_non_null(r);
	assert_int_equal(r->n_svids, 1);
	assert_int_equal(r->n_crl, 0);
	assert_int_equal(r->n_federated_bundles, 0);
	assert_string_equal(r->svids[0]->spiffe_id, "spiffe://example.org/frontend");
	assert_string_equal(r->svids[0]->hint, "web");
	assert_int_equal(r->svids[0]->x509_svid.len, 5);
	assert_memory_equal(r->svids[0]->x509_svid.data, "chain", 5);
	assert_memory_equal(r->svids[0]->x509_svid_key.data, KEY, strlen(KEY));
	assert_int_equal(r->svids[0]->bundle.len, 10);
	assert_memory_equal(r->svids[0]->bundle.data, "bundle one", 10);
	x509_svidresponse__free_unpacked(r, NULL);
	assert_false(s->closed);
	assert_int_equal(f->checks, 1);
	assert_int_equal(stats(f).streams, 1);
	assert_int_equal(stats(f).calls, 1);
}

static void test_several_svids(void **state)
{
	struct fixture *f = *state;
	X509SVIDResponse *r;

	f->count = 3;
	f->svids[1] = f->svids[0];
	f->svids[1].spiffe_id = "spiffe://example.org/second";
	f->svids[1].hint = NULL;
	f->svids[2] = f->svids[0]; /* the same hint once more: left out */
	f->svids[2].spiffe_id = "spiffe://example.org/third";
	r = svid_message(call(f, PATH("FetchX509SVID")), 0);
	assert_non_null(r);
	assert_int_equal(r->n_svids, 2);
	assert_string_equal(r->svids[0]->spiffe_id, "spiffe://example.org/frontend");
	assert_string_equal(r->svids[1]->spiffe_id, "spiffe://example.org/second");
	assert_string_equal(r->svids[1]->hint, "");
	x509_svidresponse__free_unpacked(r, NULL);
}

static void test_fetch_bundles(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s = call(f, PATH("FetchX509Bundles"));
	X509BundlesResponse *r;
	const uint8_t *m;
	size_t len;

	m = peer_message(s, 0, &len);
	assert_non_null(m);
	r = x509_bundles_response__unpack(NULL, len, m);
	assert_non_null(r);
	assert_int_equal(r->n_bundles, 1);
	assert_string_equal(r->bundles[0]->key, "spiffe://example.org");
	assert_memory_equal(r->bundles[0]->value.data, "bundle one", 10);
	x509_bundles_response__free_unpacked(r, NULL);
	assert_false(leaked(f));

	/* A rotated SVID says nothing new here; a new bundle does. */
	f->svids[0].chain = (const uint8_t *)"CHAIN";
	tip_workload_changed(f->w, EXEC);
	peer_pump(&f->p);
	assert_int_equal(messages(s), 1);
	strcpy(f->bundle, "bundle two");
	tip_workload_bundle_changed(f->w);
	peer_pump(&f->p);
	assert_int_equal(messages(s), 2);
}

static void test_security_header(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *first, *second;
	} bad[] = {
		{NULL, NULL},     {"True", NULL}, {"false", NULL},     {"", NULL},
		{"true", "true"}, {"true", "x"},  {"true,true", NULL},
	};
	static const char *const methods[] = {PATH("FetchX509SVID"), PATH("FetchX509Bundles"),
					      PATH("FetchJWTSVID"), PATH("FetchWITBundles")};

	for (size_t m = 0; m < TIP_ARRAY_SIZE(methods); m++) {
		for (size_t i = 0; i < TIP_ARRAY_SIZE(bad); i++) {
			struct peer_stream *s = call_body(f, methods[m], bad[i].first,
							  bad[i].second, "\0\0\0\0\0", 5);

			assert_true(s->closed);
			assert_int_equal(s->grpc, TIP_GRPC_INVALID_ARGUMENT);
			assert_string_equal(s->message, "security header missing from request");
		}
	}
	assert_int_equal(f->checks, 0);
	assert_int_equal(f->fetches, 0);
}

static void test_no_identity(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s;

	f->fetch = TIP_FETCH_DENIED;
	s = call(f, PATH("FetchX509SVID"));
	assert_true(s->closed);
	assert_int_equal(s->grpc, TIP_GRPC_PERMISSION_DENIED);
	assert_string_equal(s->message, "no identity issued");
	s = call(f, PATH("FetchX509Bundles"));
	assert_int_equal(s->grpc, TIP_GRPC_PERMISSION_DENIED);
	assert_string_equal(s->message, "no identity issued");
	assert_int_equal(stats(f).denied, 2);
	assert_false(f->p.eof);
}

static void test_signing_fails(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s;

	f->fetch = TIP_FETCH_ERROR;
	s = call(f, PATH("FetchX509SVID"));
	assert_int_equal(s->grpc, TIP_GRPC_UNAVAILABLE);
	f->fetch = TIP_FETCH_OK;
	f->bundle[0] = '\0';
	s = call(f, PATH("FetchX509SVID"));
	assert_int_equal(s->grpc, TIP_GRPC_UNAVAILABLE);
	strcpy(f->bundle, "bundle");
	f->svids[0].key_len = 0;
	s = call(f, PATH("FetchX509SVID"));
	assert_int_equal(s->grpc, TIP_GRPC_UNAVAILABLE);
	assert_int_equal(s->len, 0);
	assert_true(stats(f).errors >= 3);
}

static void test_unserved(void **state)
{
	struct fixture *f = *state;
	static const char *const methods[] = {PATH("FetchWITSVID"), PATH("FetchWITBundles"),
					      PATH("FetchEverything"),
					      "/grpc.health.v1.Health/Check"};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(methods); i++)
		assert_int_equal(call(f, methods[i])->grpc, TIP_GRPC_UNIMPLEMENTED);
	assert_int_equal(f->checks, 0);
}

static void test_malformed_request(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s;

	/* A length-delimited field that ends outside the message. */
	s = call_body(f, PATH("FetchX509SVID"), "true", NULL, "\0\0\0\0\2\x0a\x7f", 7);
	assert_int_equal(s->grpc, TIP_GRPC_INVALID_ARGUMENT);
	assert_string_equal(s->message, "malformed request");
	/* A field of a later version is skipped. */
	s = call_body(f, PATH("FetchX509SVID"), "true", NULL, "\0\0\0\0\3\x0a\x01x", 8);
	assert_int_equal(messages(s), 1);
}

static void test_rotation(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s = call(f, PATH("FetchX509SVID"));
	X509SVIDResponse *r;

	/* Nothing new: nothing is sent, but it was looked at. */
	tip_workload_changed(f->w, EXEC);
	peer_pump(&f->p);
	assert_int_equal(f->fetches, 2);
	assert_int_equal(messages(s), 1);
	tip_workload_changed(f->w, EXEC + 1);
	assert_int_equal(f->fetches, 2);

	f->svids[0].chain = (const uint8_t *)"renew";
	tip_workload_changed(f->w, EXEC);
	peer_pump(&f->p);
	assert_int_equal(messages(s), 2);
	r = svid_message(s, 1);
	assert_memory_equal(r->svids[0]->x509_svid.data, "renew", 5);
	x509_svidresponse__free_unpacked(r, NULL);
	/* One check for each message. */
	assert_int_equal(f->checks, f->fetches);
}

static void test_redaction(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s = call(f, PATH("FetchX509SVID"));
	struct peer_stream *b = call(f, PATH("FetchX509Bundles"));
	size_t fetches;

	assert_int_equal(messages(s), 1);
	f->fetch = TIP_FETCH_DENIED;
	tip_workload_changed(f->w, EXEC);
	peer_pump(&f->p);
	assert_true(s->closed && b->closed);
	assert_int_equal(s->grpc, TIP_GRPC_PERMISSION_DENIED);
	assert_int_equal(b->grpc, TIP_GRPC_PERMISSION_DENIED);
	assert_int_equal(messages(s), 1);
	assert_int_equal(stats(f).streams, 0);
	fetches = f->fetches;
	tip_workload_changed(f->w, EXEC);
	assert_int_equal(f->fetches, fetches);
}

static void test_pending(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s;

	/* Resolved in time. */
	f->fetch = TIP_FETCH_PENDING;
	s = call(f, PATH("FetchX509SVID"));
	assert_false(s->closed);
	assert_int_equal(s->len, 0);
	f->fetch = TIP_FETCH_OK;
	tip_workload_changed(f->w, EXEC);
	peer_pump(&f->p);
	assert_int_equal(messages(s), 1);
	usleep(80000);
	peer_pump(&f->p);
	assert_false(s->closed);

	/* Never resolved; news that change nothing do not prolong the wait. */
	f->fetch = TIP_FETCH_PENDING;
	s = call(f, PATH("FetchX509SVID"));
	usleep(40000);
	tip_workload_changed(f->w, EXEC);
	peer_pump(&f->p);
	assert_false(s->closed);
	usleep(30000);
	peer_pump(&f->p);
	assert_true(s->closed);
	assert_int_equal(s->grpc, TIP_GRPC_PERMISSION_DENIED);
	assert_string_equal(s->message, "no identity issued");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_fetch_svid),      T(test_several_svids),     T(test_fetch_bundles),
		T(test_security_header), T(test_no_identity),       T(test_signing_fails),
		T(test_unserved),        T(test_malformed_request), T(test_rotation),
		T(test_redaction),       T(test_pending),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
