/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"

static void send_all(struct tip_backend *b, const char *text)
{
	assert_int_equal(b->ops->write(b, text, strlen(text)), strlen(text));
}

static void expect(struct tip_backend *b, const char *text)
{
	char got[64] = "";
	ssize_t n;

	do {
		wait_for(b->fd, POLLIN, 1000);
		n = b->ops->read(b, got, sizeof(got));
	} while (n == TIP_IO_WANT_READ);
	assert_int_equal(n, strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

static void close_backend(struct tip_backend *b)
{
	int fd = b->fd;

	b->ops->close(b);
	close(fd);
}

static void test_good(void **state)
{
	struct world *w = *state;
	struct ask a = {.answer = TIP_VERDICT_OK};
	struct tip_backend *cb, *sb;
	struct tip_session *c, *s;
	enum tip_step cs, ss;
	int ends[2];

	tcp_pair(ends);
	c = client_of(w, ends[0], NULL, ORDERS);
	s = server_of(w, ends[1], NULL, &a);
	shake_hands(c, s, TIP_VERDICT_OK, &cs, &ss);
	assert_int_equal(cs, TIP_STEP_DONE);
	assert_int_equal(ss, TIP_STEP_DONE);
	assert_int_equal(a.asked, 1);
	assert_string_equal(a.peer, FRONTEND);
	assert_string_equal(tip_session_peer_id(c), ORDERS);
	assert_string_equal(tip_session_peer_id(s), FRONTEND);
	assert_true(tip_session_has_verdict(c) && tip_session_has_verdict(s));
	assert_int_equal(tip_session_reason(c), 7);
	cb = tip_session_take(c);
	sb = tip_session_take(s);
	assert_null(tip_session_take(c));
	tip_session_free(c);
	tip_session_free(s);
	assert_string_equal(cb->ops->name, over_kernel() ? "kernel" : "user");
	assert_string_equal(sb->ops->name, cb->ops->name);
	send_all(cb, "to the server");
	expect(sb, "to the server");
	send_all(sb, "to the client");
	expect(cb, "to the client");
	assert_int_equal(cb->ops->rec_seq(cb), 1);
	/* Half-close, and the other direction lives on. */
	assert_int_equal(cb->ops->shutdown_write(cb), 0);
	assert_int_equal(cb->ops->shutdown_write(cb), 0);
	wait_for(sb->fd, POLLIN, 1000);
	assert_int_equal(sb->ops->read(sb, (char[8]){0}, 8), 0);
	send_all(sb, "late");
	expect(cb, "late");
	close_backend(cb);
	close_backend(sb);
}

static void test_verdicts(void **state)
{
	static const struct {
		enum tip_verdict policy, dial;
		enum tip_mtls_cause cause;
	} cases[] = {
		{TIP_VERDICT_OK, TIP_VERDICT_REFUSED, TIP_MTLS_REFUSED},
		{TIP_VERDICT_OK, TIP_VERDICT_UNREACHABLE, TIP_MTLS_UNREACHABLE},
		{TIP_VERDICT_DENIED, TIP_VERDICT_OK, TIP_MTLS_DENIED},
		{TIP_VERDICT_QUARANTINED, TIP_VERDICT_OK, TIP_MTLS_QUARANTINED},
	};
	struct world *w = *state;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
		struct ask a = {.answer = cases[i].policy, .reason = 7};
		struct tip_session *c, *s;
		enum tip_step cs, ss;
		int ends[2];

		tcp_pair(ends);
		c = client_of(w, ends[0], NULL, ORDERS);
		s = server_of(w, ends[1], NULL, &a);
		shake_hands(c, s, cases[i].dial, &cs, &ss);
		assert_int_equal(cs, TIP_STEP_FAILED);
		assert_int_equal(ss, TIP_STEP_FAILED);
		assert_int_equal(tip_session_cause(c), cases[i].cause);
		assert_int_equal(tip_session_cause(s), cases[i].cause);
		assert_int_equal(tip_session_reason(c), 7);
		assert_non_null(strstr(tip_session_text(s), FRONTEND));
		assert_null(tip_session_take(c));
		tip_session_free(s);
		tip_session_free(c);
	}
}

/* The verdict outlives the server: it is read though the server has closed long since. */
static void test_verdict_survives_close(void **state)
{
	struct world *w = *state;
	struct ask a = {.answer = TIP_VERDICT_DENIED, .reason = TIP_REASON_RULE};
	enum tip_step cs = TIP_STEP_WANT_READ, ss = TIP_STEP_WANT_READ;
	struct tip_session *c, *s;
	int ends[2];

	tcp_pair(ends);
	c = client_of(w, ends[0], NULL, ORDERS);
	s = server_of(w, ends[1], NULL, &a);
	/* The client's last flight is out, and the client does not look for a while. */
	while (ss != TIP_STEP_FAILED) {
		ss = tip_session_step(s);
		if (ss != TIP_STEP_FAILED && cs == TIP_STEP_WANT_READ)
			cs = tip_session_step(c);
	}
	tip_session_free(s);
	usleep(20000);
	assert_int_equal(finish_one(c, TIP_VERDICT_OK), TIP_STEP_FAILED);
	assert_int_equal(tip_session_cause(c), TIP_MTLS_DENIED);
	tip_session_free(c);
}

static void test_not_pinned(void **state)
{
	struct world *w = *state;
	struct ask a = {.answer = TIP_VERDICT_OK};
	struct tip_session *c, *s;
	enum tip_step cs, ss;
	int ends[2];

	tcp_pair(ends);
	c = client_of(w, ends[0], NULL, "spiffe://a.test/payments");
	s = server_of(w, ends[1], NULL, &a);
	shake_hands(c, s, TIP_VERDICT_OK, &cs, &ss);
	assert_int_equal(tip_session_cause(c), TIP_MTLS_NOT_PINNED);
	assert_non_null(strstr(tip_session_text(c), ORDERS));
	assert_int_equal(tip_session_cause(s), TIP_MTLS_PEER_ALERT);
	assert_int_equal(a.asked, 0);
	tip_session_free(c);
	tip_session_free(s);
}

/* The right server, but it does not ask who we are: strict means both. */
static void test_server_that_does_not_ask(void **state)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	enum tip_step step = TIP_STEP_WANT_READ;
	struct world *w = *state;
	struct tip_session *c;
	int ends[2], done = 0;
	SSL *ssl;

	tcp_pair(ends);
	SSL_CTX_use_certificate(ctx, w->server.cert);
	SSL_CTX_use_PrivateKey(ctx, w->server.key);
	ssl = SSL_new(ctx);
	assert_int_equal(tip_leg_prepare(ends[1]), 0);
	SSL_set_fd(ssl, ends[1]);
	c = client_of(w, ends[0], NULL, ORDERS);
	while (step != TIP_STEP_FAILED) {
		step = tip_session_step(c);
		assert_int_not_equal(step, TIP_STEP_DONE);
		if (done != 1)
			done = SSL_accept(ssl);
	}
	assert_int_equal(tip_session_cause(c), TIP_MTLS_NO_REQUEST);
	tip_session_free(c);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(ends[1]);
}

static void test_needs_pins(void **state)
{
	struct world *w = *state;
	const struct tip_session_config config = {.svid = w->client_svid, .bundles = w->bundles};
	struct tip_error err;
	int ends[2];

	tcp_pair(ends);
	assert_null(tip_session_new(ends[0], &config, &err));
	close(ends[0]);
	close(ends[1]);
}

/* Reads until the end; how many bytes came, and errno (0: a clean end). */
static size_t read_out(int fd, int *error)
{
	char buf[512];
	size_t all = 0;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		all += (size_t)n;
	*error = n < 0 ? errno : 0;
	return all;
}

static void test_plaintext_client(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} said[] = {
		{"GET / HTTP/1.1\r\n\r\n", 18},  {"\x16\x03\x01", 3}, {"\x80", 1},
		{"\x16\x03\x01\x00\x05\x02", 6}, {"\x16G", 2},
	};
	struct world *w = *state;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(said); i++) {
		struct ask a = {.answer = TIP_VERDICT_OK};
		struct tip_session *s;
		int ends[2], error;

		tcp_pair(ends);
		s = server_of(w, ends[1], NULL, &a);
		assert_int_equal(write(ends[0], said[i].bytes, said[i].len), said[i].len);
		if (i == 1) {
			/* So far it could be TLS: nobody spins, and the end decides. */
			wait_for(ends[1], POLLIN, 100);
			assert_int_equal(tip_session_step(s), TIP_STEP_WANT_READ);
			struct pollfd p = {.fd = ends[1], .events = POLLIN};

			assert_int_equal(poll(&p, 1, 20), 0);
			shutdown(ends[0], SHUT_WR);
		}
		assert_int_equal(finish_one(s, TIP_VERDICT_OK), TIP_STEP_FAILED);
		assert_int_equal(tip_session_cause(s),
				 i == 1 ? TIP_MTLS_CLOSED : TIP_MTLS_PLAINTEXT);
		tip_session_free(s);
		/* Not one byte, then a reset. */
		assert_int_equal(read_out(ends[0], &error), 0);
		assert_int_equal(error, ECONNRESET);
		close(ends[0]);
	}
}

/* A ClientHello in single bytes is a ClientHello. */
static void test_dribble(void **state)
{
	struct world *w = *state;
	struct ask a = {.answer = TIP_VERDICT_OK};
	struct tip_session *c, *s;
	int left[2], right[2];
	enum tip_step cs, ss;
	uint8_t hello[4096];
	ssize_t n;

	tcp_pair(left);
	tcp_pair(right);
	c = client_of(w, left[0], NULL, ORDERS);
	s = server_of(w, right[1], NULL, &a);
	assert_int_equal(tip_session_step(c), TIP_STEP_WANT_READ);
	n = recv(left[1], hello, sizeof(hello), 0);
	assert_true(n > 100);
	for (ssize_t i = 0; i < n; i++) {
		assert_int_equal(send(right[0], hello + i, 1, 0), 1);
		if (i < 12) {
			usleep(1000);
			assert_int_equal(tip_session_step(s), TIP_STEP_WANT_READ);
		}
	}
	cs = TIP_STEP_WANT_READ;
	ss = TIP_STEP_WANT_READ;
	/* From here on a plain relay between the two. */
	while ((cs != TIP_STEP_DONE && cs != TIP_STEP_FAILED) ||
	       (ss != TIP_STEP_DONE && ss != TIP_STEP_FAILED)) {
		ss = tip_session_step(s);
		if (ss == TIP_STEP_JUDGED)
			tip_session_verdict(s, TIP_VERDICT_OK, 0);
		while ((n = recv(right[0], hello, sizeof(hello), MSG_DONTWAIT)) > 0)
			assert_int_equal(send(left[1], hello, (size_t)n, 0), n);
		cs = tip_session_step(c);
		while ((n = recv(left[1], hello, sizeof(hello), MSG_DONTWAIT)) > 0)
			assert_int_equal(send(right[0], hello, (size_t)n, 0), n);
	}
	assert_int_equal(cs, TIP_STEP_DONE);
	assert_int_equal(ss, TIP_STEP_DONE);
	tip_session_free(c);
	tip_session_free(s);
	close(left[1]);
	close(right[0]);
}

static void test_plaintext_server(void **state)
{
	struct world *w = *state;
	struct tip_session *c;
	int ends[2];

	tcp_pair(ends);
	c = client_of(w, ends[0], NULL, ORDERS);
	assert_int_equal(write(ends[1], "220 mail ready\r\n", 16), 16);
	assert_int_equal(finish_one(c, TIP_VERDICT_OK), TIP_STEP_FAILED);
	assert_int_equal(tip_session_cause(c), TIP_MTLS_PLAINTEXT);
	tip_session_free(c);
	close(ends[1]);
}

static void test_closed_and_reset(void **state)
{
	struct world *w = *state;

	for (int hard = 0; hard < 2; hard++) {
		struct ask a = {.answer = TIP_VERDICT_OK};
		struct tip_session *c, *s;
		int ends[2];

		tcp_pair(ends);
		s = server_of(w, ends[1], NULL, &a);
		tip_leg_close(ends[0], !hard);
		assert_int_equal(finish_one(s, TIP_VERDICT_OK), TIP_STEP_FAILED);
		assert_int_equal(tip_session_cause(s), hard ? TIP_MTLS_RESET : TIP_MTLS_CLOSED);
		tip_session_free(s);
		/* And in the middle: the server has the hello, and goes. */
		tcp_pair(ends);
		c = client_of(w, ends[0], NULL, ORDERS);
		assert_int_equal(tip_session_step(c), TIP_STEP_WANT_READ);
		wait_for(ends[1], POLLIN, 1000);
		assert_true(recv(ends[1], (char[4096]){0}, 4096, 0) > 0);
		tip_leg_close(ends[1], !hard);
		assert_int_equal(finish_one(c, TIP_VERDICT_OK), TIP_STEP_FAILED);
		assert_int_equal(tip_session_cause(c), hard ? TIP_MTLS_RESET : TIP_MTLS_CLOSED);
		tip_session_free(c);
	}
}

/* The client goes away while the server dials. */
static void test_gone_while_judged(void **state)
{
	struct world *w = *state;
	struct ask a = {.answer = TIP_VERDICT_OK};
	struct tip_session *c, *s;
	enum tip_step step;
	int ends[2];

	tcp_pair(ends);
	c = client_of(w, ends[0], NULL, ORDERS);
	s = server_of(w, ends[1], NULL, &a);
	do {
		(void)tip_session_step(c);
		step = tip_session_step(s);
	} while (step != TIP_STEP_JUDGED && step != TIP_STEP_FAILED);
	assert_int_equal(step, TIP_STEP_JUDGED);
	assert_int_equal(tip_session_step(s), TIP_STEP_JUDGED);
	tip_session_free(c);
	wait_for(ends[1], POLLIN, 1000);
	assert_int_equal(tip_session_step(s), TIP_STEP_FAILED);
	assert_int_equal(tip_session_cause(s), TIP_MTLS_RESET);
	tip_session_free(s);
}

static void test_timeout(void **state)
{
	struct world *w = *state;
	const struct tip_session_config config = {.svid = w->server_svid,
						  .bundles = w->bundles,
						  .server = true,
						  .authorise = ask,
						  .timeout_ns = TIP_NSEC_PER_SEC / 20};
	uint64_t start = tip_clock_monotonic();
	struct tip_session *s;
	struct tip_error err;
	int ends[2];

	tcp_pair(ends);
	s = tip_session_new(ends[1], &config, &err);
	assert_non_null(s);
	assert_true(tip_session_deadline(s) > start);
	assert_int_equal(finish_one(s, TIP_VERDICT_OK), TIP_STEP_FAILED);
	assert_int_equal(tip_session_cause(s), TIP_MTLS_TIMEOUT);
	assert_true(tip_clock_monotonic() - start >= TIP_NSEC_PER_SEC / 20);
	tip_session_free(s);
	close(ends[0]);
}

static void test_context_is_cached(void **state)
{
	struct world *w = *state;

	assert_ptr_equal(tip_tls_svid_ctx(w->client_svid, false),
			 tip_tls_svid_ctx(w->client_svid, false));
	assert_ptr_not_equal(tip_tls_svid_ctx(w->client_svid, false),
			     tip_tls_svid_ctx(w->client_svid, true));
	assert_string_equal(tip_tls_svid_id(w->client_svid), FRONTEND);
}

static void test_bad_svids(void **state)
{
	struct world *w = *state;
	struct tip_buf chain = {0};
	unsigned char *key = NULL;
	struct tip_error err;
	size_t len = pki_key_der(w->server.key, &key);

	pki_der(w->client.cert, &chain);
	assert_null(tip_tls_svid_new((uint8_t *)chain.data, chain.len, key, len, &err));
	assert_non_null(strstr(err.text, "does not belong"));
	assert_null(tip_tls_svid_new((uint8_t *)chain.data, chain.len - 1, key, len, &err));
	assert_null(tip_tls_svid_new((uint8_t *)chain.data, 0, key, len, &err));
	assert_null(tip_tls_svid_new((uint8_t *)chain.data, chain.len, key, len - 1, &err));
	tip_buf_reset(&chain);
	pki_der(w->ca_a.cert, &chain);
	assert_null(tip_tls_svid_new((uint8_t *)chain.data, chain.len, key, len, &err));
	tip_buf_free(&chain);
	OPENSSL_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_verdict_survives_close),
		cmocka_unit_test(test_not_pinned),
		cmocka_unit_test(test_server_that_does_not_ask),
		cmocka_unit_test(test_needs_pins),
		cmocka_unit_test(test_plaintext_client),
		cmocka_unit_test(test_dribble),
		cmocka_unit_test(test_plaintext_server),
		cmocka_unit_test(test_closed_and_reset),
		cmocka_unit_test(test_gone_while_judged),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_context_is_cached),
		cmocka_unit_test(test_bad_svids),
	};

	return run_over_backends(tests, world_set_up, world_tear_down);
}
