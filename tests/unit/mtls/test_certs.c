/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer may not show: each bad certificate, in both roles, ends with its own cause. */
#include "pair.h"

#include <openssl/ssl.h>

/* An end that knows nothing of our rules: OpenSSL with the certificates that a test gives it. */
struct raw {
	SSL_CTX *ctx;
	SSL *ssl;
};

static int accept_all(X509_STORE_CTX *store, void *arg)
{
	return 1;
}

static struct raw raw_end(bool server, const struct pki *leaf, const struct pki *const *via, int fd)
{
	struct raw r = {.ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method())};

	SSL_CTX_set_security_level(r.ctx, 0);
	SSL_CTX_set_verify(r.ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(r.ctx, accept_all, NULL);
	if (leaf) {
		assert_int_equal(SSL_CTX_use_certificate(r.ctx, leaf->cert), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey(r.ctx, leaf->key), 1);
	}
	for (; via && *via; via++)
		assert_int_equal(SSL_CTX_add1_chain_cert(r.ctx, (*via)->cert), 1);
	r.ssl = SSL_new(r.ctx);
	SSL_set_fd(r.ssl, fd);
	if (server)
		SSL_set_accept_state(r.ssl);
	else
		SSL_set_connect_state(r.ssl);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return r;
}

static void raw_free(struct raw *r, int fd)
{
	SSL_free(r->ssl);
	SSL_CTX_free(r->ctx);
	close(fd);
}

/* Our session against a raw end until ours has stopped. */
static enum tip_step against(struct tip_session *s, struct raw *r)
{
	for (int i = 0; i < 20000; i++) {
		enum tip_step step;

		(void)SSL_do_handshake(r->ssl);
		step = tip_session_step(s);
		if (step == TIP_STEP_JUDGED)
			tip_session_verdict(s, TIP_VERDICT_OK, 0);
		if (step == TIP_STEP_DONE || step == TIP_STEP_FAILED)
			return step;
		usleep(100);
	}
	return TIP_STEP_WANT_READ;
}

/* What comes of `leaf` in both roles; TIP_MTLS_NONE: it is let in. */
static void expect_cause(struct world *w, const struct pki *leaf, const struct pki *const *via,
			 enum tip_mtls_cause cause)
{
	for (int server = 0; server < 2; server++) {
		struct ask a = {.answer = TIP_VERDICT_OK};
		struct tip_session *s;
		enum tip_step step;
		struct raw r;
		int ends[2];

		tcp_pair(ends);
		s = server ? server_of(w, ends[1], NULL, &a)
			   : client_of(w, ends[1], NULL, FRONTEND);
		r = raw_end(!server, leaf, via, ends[0]);
		step = against(s, &r);
		if (tip_session_cause(s) != cause)
			print_error("role %d: %s\n", server, tip_session_text(s));
		assert_int_equal(tip_session_cause(s), cause);
		assert_int_equal(step, cause ? TIP_STEP_FAILED : TIP_STEP_DONE);
		assert_int_equal(a.asked, server && !cause);
		tip_session_free(s);
		raw_free(&r, ends[0]);
	}
}

static void expect_spec(struct world *w, const struct pki_spec *spec, enum tip_mtls_cause cause)
{
	struct pki leaf = pki_make(spec);

	expect_cause(w, &leaf, NULL, cause);
	pki_free(&leaf);
}

/* A good leaf, but for what a test says otherwise. */
#pragma GCC diagnostic ignored "-Woverride-init"
#define SPEC(...)                                                                                  \
	(&(struct pki_spec){.names = "URI:" FRONTEND,                                              \
			    .usage = PKI_LEAF_USAGE,                                               \
			    .from = -60,                                                           \
			    .to = PKI_HOUR,                                                        \
			    .issuer = &w->ca_a,                                                    \
			    __VA_ARGS__})

static void test_good_ones(void **state)
{
	struct world *w = *state;

	expect_spec(w, SPEC(), TIP_MTLS_NONE);
	expect_spec(w, SPEC(.names = "URI:" FRONTEND ",DNS:frontend,DNS:www"), TIP_MTLS_NONE);
	expect_spec(w, SPEC(.usage = "digitalSignature"), TIP_MTLS_NONE);
	expect_spec(w, SPEC(.curve = "P-384"), TIP_MTLS_NONE);
	expect_spec(w, SPEC(.curve = "RSA"), TIP_MTLS_NONE);
}

static void test_names(void **state)
{
	static const struct {
		const char *names;
		enum tip_mtls_cause cause;
	} cases[] = {
		{NULL, TIP_MTLS_NO_URI},
		{"DNS:frontend", TIP_MTLS_NO_URI},
		{"URI:" FRONTEND ",URI:" ORDERS, TIP_MTLS_SEVERAL_URIS},
		{"URI:" FRONTEND ",URI:" FRONTEND, TIP_MTLS_SEVERAL_URIS},
		{"URI:https://a.test/frontend", TIP_MTLS_BAD_ID},
		{"URI:spiffe://a.test", TIP_MTLS_BAD_ID},
		{"URI:spiffe://a.test/", TIP_MTLS_BAD_ID},
		{"URI:spiffe://A.test/frontend", TIP_MTLS_BAD_ID},
		{"URI:spiffe://a.test:80/frontend", TIP_MTLS_BAD_ID},
		{"URI:spiffe://a.test/../frontend", TIP_MTLS_BAD_ID},
		{"URI:spiffe://c.test/frontend", TIP_MTLS_TRUST_DOMAIN},
		/* It names b, whose bundle we have, but a has signed it. */
		{"URI:spiffe://b.test/frontend", TIP_MTLS_UNTRUSTED},
	};
	struct world *w = *state;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++)
		expect_spec(w, SPEC(.names = cases[i].names), cases[i].cause);
}

/* A NUL in the middle ends the name for C, and not for who signed it. */
static void test_nul_in_name(void **state)
{
	static const char name[] = "spiffe://a.test/frontend\0.evil";
	struct world *w = *state;
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *n = GENERAL_NAME_new();
	ASN1_IA5STRING *s = ASN1_IA5STRING_new();
	struct pki leaf = pki_make(SPEC(.names = NULL));

	ASN1_STRING_set(s, name, sizeof(name) - 1);
	GENERAL_NAME_set0_value(n, GEN_URI, s);
	sk_GENERAL_NAME_push(names, n);
	X509_add1_ext_i2d(leaf.cert, NID_subject_alt_name, names, 0, 0);
	X509_sign(leaf.cert, w->ca_a.key, EVP_sha256());
	GENERAL_NAMES_free(names);
	expect_cause(w, &leaf, NULL, TIP_MTLS_BAD_ID);
	pki_free(&leaf);
}

static void test_profile(void **state)
{
	struct world *w = *state;

	expect_spec(w, SPEC(.ca = true), TIP_MTLS_LEAF_IS_CA);
	expect_spec(w, SPEC(.usage = NULL), TIP_MTLS_LEAF_USAGE);
	expect_spec(w, SPEC(.usage = "critical,digitalSignature,keyCertSign"), TIP_MTLS_LEAF_USAGE);
	expect_spec(w, SPEC(.usage = "critical,digitalSignature,cRLSign"), TIP_MTLS_LEAF_USAGE);
}

static void test_times(void **state)
{
	struct world *w = *state;

	expect_spec(w, SPEC(.from = -PKI_HOUR, .to = -1), TIP_MTLS_EXPIRED);
	expect_spec(w, SPEC(.from = PKI_HOUR, .to = 2 * PKI_HOUR), TIP_MTLS_NOT_YET_VALID);
}

static void test_no_certificate(void **state)
{
	struct world *w = *state;
	struct ask a = {.answer = TIP_VERDICT_OK};
	struct tip_session *s;
	struct raw r;
	int ends[2];

	tcp_pair(ends);
	s = server_of(w, ends[1], NULL, &a);
	r = raw_end(false, NULL, NULL, ends[0]);
	assert_int_equal(against(s, &r), TIP_STEP_FAILED);
	assert_int_equal(tip_session_cause(s), TIP_MTLS_NO_CERTIFICATE);
	tip_session_free(s);
	raw_free(&r, ends[0]);
}

static void test_self_made(void **state)
{
	struct world *w = *state;
	struct pki other = pki_ca("a.test");

	/* Signed by itself; and by an authority that only calls itself the right one. */
	expect_spec(w, SPEC(.issuer = NULL), TIP_MTLS_UNTRUSTED);
	expect_spec(w, SPEC(.issuer = &other), TIP_MTLS_UNTRUSTED);
	/* The leaf as its own issuer's issuer: a leaf signs nothing. */
	expect_spec(w, SPEC(.issuer = &w->client), TIP_MTLS_UNTRUSTED);
	pki_free(&other);
}

static void test_chains(void **state)
{
	struct world *w = *state;
	const struct pki_spec spec = {.names = "URI:spiffe://a.test",
				      .usage = "critical,keyCertSign",
				      .ca = true,
				      .from = -60,
				      .to = PKI_HOUR,
				      .issuer = &w->ca_a};
	const struct pki_spec old = {.usage = "critical,keyCertSign",
				     .ca = true,
				     .from = -PKI_HOUR,
				     .to = -60,
				     .issuer = &w->ca_a};
	struct pki mid = pki_make(&spec), late = pki_make(&old);
	const struct pki *via[] = {&mid, NULL}, *via_late[] = {&late, NULL};
	const struct pki *via_leaf[] = {&w->client, NULL};
	const struct pki *many[TIP_MTLS_CHAIN_MAX + 2] = {0};
	struct pki leaf = pki_make(SPEC(.issuer = &mid));
	struct pki stale = pki_make(SPEC(.issuer = &late));
	struct pki forged = pki_make(SPEC(.issuer = &w->client));

	expect_cause(w, &leaf, via, TIP_MTLS_NONE);
	expect_cause(w, &leaf, NULL, TIP_MTLS_UNTRUSTED);
	expect_cause(w, &stale, via_late, TIP_MTLS_EXPIRED);
	expect_cause(w, &forged, via_leaf, TIP_MTLS_UNTRUSTED);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(many) - 1; i++)
		many[i] = &mid;
	expect_cause(w, &leaf, many, TIP_MTLS_CHAIN_LENGTH);
	pki_free(&leaf);
	pki_free(&stale);
	pki_free(&forged);
	pki_free(&mid);
	pki_free(&late);
}

/* A bundle may hold an authority that is not signed by itself. */
static void test_partial_chain(void **state)
{
	struct world *w = *state;
	const struct pki_spec spec = {.usage = "critical,keyCertSign",
				      .ca = true,
				      .from = -60,
				      .to = PKI_HOUR,
				      .issuer = &w->ca_b};
	struct pki mid = pki_make(&spec);
	struct pki leaf = pki_make(SPEC(.names = "URI:spiffe://partial.test/x", .issuer = &mid));
	STACK_OF(X509) *sent = sk_X509_new_null();
	char *id = NULL;

	sk_X509_push(sent, leaf.cert);
	pki_trust(w->bundles, "partial.test", &mid);
	assert_int_equal(tip_bundles_judge(w->bundles, leaf.cert, sent, &id), TIP_MTLS_NONE);
	assert_string_equal(id, "spiffe://partial.test/x");
	free(id);
	tip_bundles_remove(w->bundles, "partial.test");
	assert_int_equal(tip_bundles_judge(w->bundles, leaf.cert, sent, &id),
			 TIP_MTLS_TRUST_DOMAIN);
	free(id);
	/* A leaf in the bundle vouches for nobody, itself neither. */
	pki_trust(w->bundles, "partial.test", &leaf);
	assert_int_equal(tip_bundles_judge(w->bundles, leaf.cert, sent, &id), TIP_MTLS_UNTRUSTED);
	free(id);
	tip_bundles_remove(w->bundles, "partial.test");
	sk_X509_free(sent);
	pki_free(&leaf);
	pki_free(&mid);
}

/* Remembered: until it expires, until the bundle changes, and for exactly those certificates. */
static void test_memory(void **state)
{
	struct world *w = *state;
	struct pki leaf = pki_make(SPEC(.to = 2)), other = pki_leaf(&w->ca_a, FRONTEND);
	struct tip_bundles *b = tip_bundles_new();
	STACK_OF(X509) *sent = sk_X509_new_null();
	struct tip_bundles_stats stats;
	uint64_t start = tip_clock_monotonic();
	char *id = NULL;

	pki_trust(b, "a.test", &w->ca_a);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(tip_bundles_judge(b, leaf.cert, sent, &id), TIP_MTLS_NONE);
		free(id);
	}
	tip_bundles_stats(b, &stats);
	assert_int_equal(stats.verified, 1);
	assert_int_equal(stats.remembered, 2);
	assert_int_equal(tip_bundles_judge(b, other.cert, sent, &id), TIP_MTLS_NONE);
	free(id);
	pki_trust(b, "a.test", &w->ca_b);
	assert_int_equal(tip_bundles_judge(b, other.cert, sent, &id), TIP_MTLS_UNTRUSTED);
	free(id);
	pki_trust(b, "a.test", &w->ca_a);
	assert_int_equal(tip_bundles_judge(b, leaf.cert, sent, &id), TIP_MTLS_NONE);
	free(id);
	while (tip_clock_monotonic() - start < 4 * TIP_NSEC_PER_SEC)
		usleep(100000);
	assert_int_equal(tip_bundles_judge(b, leaf.cert, sent, &id), TIP_MTLS_EXPIRED);
	free(id);
	sk_X509_free(sent);
	tip_bundles_free(b);
	pki_free(&leaf);
	pki_free(&other);
}

static void test_bad_bundles(void **state)
{
	struct world *w = *state;
	struct tip_buf der = {0};
	struct tip_error err;

	pki_der(w->ca_a.cert, &der);
	tip_buf_add(&der, "rest", 4);
	assert_int_equal(tip_bundles_set(w->bundles, "a.test", (uint8_t *)der.data, der.len, &err),
			 -1);
	assert_non_null(strstr(err.text, "certificate 2"));
	assert_int_equal(tip_bundles_set(w->bundles, "A", NULL, 0, &err), -1);
	/* The former one is still there. */
	expect_spec(w, SPEC(), TIP_MTLS_NONE);
	tip_buf_free(&der);
}

static void test_old_tls(void **state)
{
	struct world *w = *state;

	for (int server = 0; server < 2; server++) {
		struct ask a = {.answer = TIP_VERDICT_OK};
		struct tip_session *s;
		struct raw r;
		int ends[2];

		tcp_pair(ends);
		s = server ? server_of(w, ends[1], NULL, &a)
			   : client_of(w, ends[1], NULL, FRONTEND);
		r = raw_end(!server, &w->client, NULL, ends[0]);
		SSL_set_max_proto_version(r.ssl, TLS1_2_VERSION);
		assert_int_equal(against(s, &r), TIP_STEP_FAILED);
		assert_int_equal(tip_session_cause(s), TIP_MTLS_TLS_VERSION);
		tip_session_free(s);
		raw_free(&r, ends[0]);
	}
}

static void test_no_common_group(void **state)
{
	struct world *w = *state;
	struct ask a = {.answer = TIP_VERDICT_OK};
	struct tip_session *s;
	struct raw r;
	int ends[2];

	tcp_pair(ends);
	s = server_of(w, ends[1], NULL, &a);
	r = raw_end(false, &w->client, NULL, ends[0]);
	SSL_set1_groups_list(r.ssl, "P-521");
	assert_int_equal(against(s, &r), TIP_STEP_FAILED);
	assert_int_equal(tip_session_cause(s), TIP_MTLS_NO_COMMON);
	tip_session_free(s);
	raw_free(&r, ends[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_ones),       cmocka_unit_test(test_names),
		cmocka_unit_test(test_nul_in_name),     cmocka_unit_test(test_profile),
		cmocka_unit_test(test_times),           cmocka_unit_test(test_no_certificate),
		cmocka_unit_test(test_self_made),       cmocka_unit_test(test_chains),
		cmocka_unit_test(test_partial_chain),   cmocka_unit_test(test_memory),
		cmocka_unit_test(test_bad_bundles),     cmocka_unit_test(test_old_tls),
		cmocka_unit_test(test_no_common_group),
	};

	return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}
