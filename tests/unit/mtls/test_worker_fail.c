/* SPDX-License-Identifier: Apache-2.0 */
/* Two workers, or one and something strange: every way not to get through, and its cause. */
#include "duo.h"

#include <netinet/tcp.h>

/* One worker's end alone has ended with that. */
static void ends(struct duo *d, const struct fate *f, enum tip_mtls_cause cause)
{
	until(d, f->ended);
	assert_string_equal(tip_mtls_cause_name(f->end.cause), tip_mtls_cause_name(cause));
	assert_false(f->end.opened);
}

/* ---- the dial ---- */

static void test_closed_port(void **state)
{
	struct duo d;
	uint16_t port;

	duo_open(&d, *state, NULL, NULL);
	close(tcp_listen(&port));
	duo_outbound(&d, 1, dial(port));
	ends(&d, OUT(&d), TIP_MTLS_REFUSED);
	assert_int_equal(OUT(&d)->end.error, ECONNREFUSED);
	assert_non_null(strstr(OUT(&d)->end_text, "refused"));
	assert_string_equal(OUT(&d)->end_peer, "");
	duo_close(&d);
}

static void test_dial_hangs(void **state)
{
	const int soon = 100, once = 1;
	struct deaf deaf;
	struct duo d;
	int fd;

	duo_open(&d, *state, NULL, NULL);
	deaf_open(&deaf);
	fd = dial(deaf.port);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &soon, sizeof(soon));
	setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &once, sizeof(once));
	duo_outbound(&d, 1, fd);
	ends(&d, OUT(&d), TIP_MTLS_TIMEOUT);
	assert_int_equal(OUT(&d)->end.error, ETIMEDOUT);
	deaf_close(&deaf);
	duo_close(&d);
}

/* ---- this side's own reasons ---- */

static void test_policy_here(void **state)
{
	struct duo d;

	duo_open(&d, *state, NULL, NULL);
	d.out.expected = NULL;
	duo_outbound(&d, 1, dial(d.wire_port));
	assert_int_equal(OUT(&d)->ended, 1);
	assert_int_equal(OUT(&d)->end.cause, TIP_MTLS_DENIED);
	duo_close(&d);
}

static void test_no_identity(void **state)
{
	struct world *w = *state;
	struct duo d;
	int wire[2];

	for (int how = 0; how < 4; how++) {
		static const enum tip_mtls_cause causes[] = {
			TIP_MTLS_NO_IDENTITY,
			TIP_MTLS_NO_IDENTITY,
			TIP_MTLS_QUARANTINED,
			TIP_MTLS_NO_IDENTITY,
		};

		duo_open(&d, w, NULL, NULL);
		/* None at all; none to be had; withheld; another's. */
		d.in.svid = how == 3 ? w->client_svid : NULL;
		d.in.none = how == 2 ? TIP_MTLS_QUARANTINED : TIP_MTLS_NO_IDENTITY;
		tcp_pair(wire);
		duo_inbound_as(&d, 1, wire[1], how ? ORDERS : "");
		assert_int_equal(IN(&d)->ended, 1);
		assert_int_equal(IN(&d)->end.cause, causes[how]);
		is_reset(&d, wire[0]);
		close(wire[0]);
		duo_close(&d);
	}
	duo_open(&d, w, NULL, NULL);
	d.out.svid = NULL;
	d.out.none = TIP_MTLS_NO_IDENTITY;
	duo_outbound(&d, 1, dial(d.wire_port));
	assert_int_equal(OUT(&d)->end.cause, TIP_MTLS_NO_IDENTITY);
	duo_close(&d);
}

static void test_limits_out(void **state)
{
	struct tip_worker_limits limits = duo_limits();
	struct duo d;

	for (int how = 0; how < 3; how++) {
		limits.relays.handshakes = how == 0 ? 1 : 8;
		limits.relays.connections = how == 1 ? 1 : 8;
		limits.relays.per_identity = how == 2 ? 1 : 8;
		duo_open(&d, *state, &limits, NULL);
		d.out.join = false;
		duo_connect(&d, 1);
		until(&d, OUT(&d)->wanted);
		duo_outbound(&d, 2, dial(d.wire_port));
		assert_int_equal(d.out.fates[2].ended, 1);
		assert_int_equal(d.out.fates[2].end.cause, how == 0   ? TIP_MTLS_LIMIT_HANDSHAKES
							   : how == 1 ? TIP_MTLS_LIMIT_CONNECTIONS
								      : TIP_MTLS_LIMIT_IDENTITY);
		duo_close(&d);
	}
}

/* Who is beyond a limit of connections is told so, in a handshake of its own. */
static void test_limits_in(void **state)
{
	struct tip_worker_limits limits = duo_limits();
	struct tip_worker_stats stats;
	struct duo d;

	for (int how = 0; how < 2; how++) {
		enum tip_mtls_cause cause =
			how ? TIP_MTLS_LIMIT_CONNECTIONS : TIP_MTLS_LIMIT_IDENTITY;
		const struct fate *out, *in;

		limits.relays.connections = how ? 1 : 8;
		limits.relays.per_identity = how ? 8 : 1;
		duo_open(&d, *state, NULL, &limits);
		duo_up(&d);
		out = &d.out.fates[2];
		in = &d.in.fates[2];
		d.out.join = false;
		duo_connect(&d, 2);
		until(&d, out->ended && in->ended);
		assert_int_equal(out->end.cause, TIP_MTLS_UNREACHABLE);
		assert_non_null(strstr(out->end_text, "reason 4"));
		assert_int_equal(in->end.cause, cause);
		assert_string_equal(in->end_peer, FRONTEND);
		assert_int_equal(out->wanted + in->wanted, 0);
		tip_worker_stats(d.in.worker, &stats);
		assert_int_equal(stats.relays.ended[cause], 1);
		assert_int_equal(stats.relays.open, 1);
		/* Policy comes first: nobody learns of limits who may not even ask. */
		d.in.verdict = TIP_VERDICT_DENIED;
		duo_connect(&d, 3);
		until(&d, d.out.fates[3].ended && d.in.fates[3].ended);
		assert_int_equal(d.in.fates[3].end.cause, TIP_MTLS_DENIED);
		assert_int_equal(d.out.fates[3].end.cause, TIP_MTLS_DENIED);
		duo_close(&d);
	}
}

static void test_limit_of_handshakes_in(void **state)
{
	struct tip_worker_limits limits = duo_limits();
	int wire[2], more[2];
	struct duo d;

	limits.relays.handshakes = 1;
	duo_open(&d, *state, NULL, &limits);
	tcp_pair(wire);
	tcp_pair(more);
	duo_inbound(&d, 1, wire[1]);
	duo_inbound(&d, 2, more[1]);
	assert_int_equal(d.in.fates[2].end.cause, TIP_MTLS_LIMIT_HANDSHAKES);
	is_reset(&d, more[0]);
	close(wire[0]);
	close(more[0]);
	duo_close(&d);
}

/* ---- what is not Tipstaff ---- */

static void test_plaintext_client(void **state)
{
	struct duo d;
	int wire[2];

	duo_open(&d, *state, NULL, NULL);
	tcp_pair(wire);
	duo_inbound(&d, 1, wire[1]);
	assert_int_equal(send(wire[0], "GET / HTTP/1.0\r\n\r\n", 18, 0), 18);
	ends(&d, IN(&d), TIP_MTLS_PLAINTEXT);
	is_reset(&d, wire[0]);
	close(wire[0]);
	duo_close(&d);
}

/* A server in plaintext; one that closes at once; one that resets. */
static void test_strange_server(void **state)
{
	static const enum tip_mtls_cause causes[] = {TIP_MTLS_PLAINTEXT, TIP_MTLS_CLOSED,
						     TIP_MTLS_RESET};

	for (size_t how = 0; how < TIP_ARRAY_SIZE(causes); how++) {
		uint8_t hello[2048];
		struct duo d;
		int fd;

		duo_open(&d, *state, NULL, NULL);
		duo_outbound(&d, 1, dial(d.wire_port));
		fd = accept4(d.wire_listener, NULL, NULL, SOCK_CLOEXEC);
		until(&d, recv(fd, hello, sizeof(hello), MSG_DONTWAIT) > 0);
		if (how == 0)
			assert_int_equal(send(fd, "220 mail ready\r\n", 16, 0), 16);
		if (how == 1)
			shutdown(fd, SHUT_WR);
		if (how == 2)
			tip_leg_close(fd, false);
		ends(&d, OUT(&d), causes[how]);
		assert_int_equal(OUT(&d)->wanted, 0);
		assert_int_equal(OUT(&d)->end.error, 0);
		if (how != 2)
			close(fd);
		duo_close(&d);
	}
}

static int no_alpn_of_ours(SSL *ssl, const unsigned char **out, unsigned char *out_len,
			   const unsigned char *in, unsigned int in_len, void *arg)
{
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* As a Go server does that has an ALPN list. */
static void test_alpn_refused(void **state)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	struct world *w = *state;
	struct duo d;
	SSL *ssl;
	int fd;

	SSL_CTX_use_certificate(ctx, w->server.cert);
	SSL_CTX_use_PrivateKey(ctx, w->server.key);
	SSL_CTX_set_alpn_select_cb(ctx, no_alpn_of_ours, NULL);
	ssl = SSL_new(ctx);
	duo_open(&d, w, NULL, NULL);
	duo_outbound(&d, 1, dial(d.wire_port));
	fd = accept4(d.wire_listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	SSL_set_fd(ssl, fd);
	until(&d, SSL_accept(ssl) < 0 && OUT(&d)->ended);
	ends(&d, OUT(&d), TIP_MTLS_ALPN_REFUSED);
	assert_non_null(strstr(OUT(&d)->end_text, "ALPN"));
	assert_non_null(strstr(OUT(&d)->end_text, "alert 120"));
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
	duo_close(&d);
}

/* ---- who it is ---- */

static void test_wrong_server(void **state)
{
	struct duo d;

	duo_open(&d, *state, NULL, NULL);
	d.out.expected = "spiffe://a.test/payments";
	duo_connect(&d, 1);
	duo_ends(&d, TIP_MTLS_NOT_PINNED, TIP_MTLS_PEER_ALERT);
	assert_string_equal(OUT(&d)->end_peer, ORDERS);
	assert_non_null(strstr(OUT(&d)->end_text, ORDERS));
	assert_int_equal(OUT(&d)->wanted + IN(&d)->wanted, 0);
	duo_close(&d);
}

static void test_untrusted_client(void **state)
{
	struct world *w = *state;
	struct pki ca = pki_ca("a.test"), forged = pki_leaf(&ca, FRONTEND);
	struct duo d;

	duo_open(&d, w, NULL, NULL);
	d.out.svid = pki_svid(&forged, NULL);
	duo_connect(&d, 1);
	/* The client is done before it is judged: it learns of it instead of the verdict. */
	duo_ends(&d, TIP_MTLS_PEER_ALERT, TIP_MTLS_UNTRUSTED);
	assert_string_equal(IN(&d)->end_peer, FRONTEND);
	assert_int_equal(d.in.asked, 0);
	assert_int_equal(OUT(&d)->wanted, 0);
	duo_close(&d);
	tip_tls_svid_put(d.out.svid);
	pki_free(&ca);
	pki_free(&forged);
}

static void test_policy_there(void **state)
{
	static const struct {
		enum tip_verdict verdict;
		enum tip_mtls_cause cause;
	} cases[] = {{TIP_VERDICT_DENIED, TIP_MTLS_DENIED},
		     {TIP_VERDICT_QUARANTINED, TIP_MTLS_QUARANTINED}};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
		struct duo d;

		duo_open(&d, *state, NULL, NULL);
		d.in.verdict = cases[i].verdict;
		duo_connect(&d, 1);
		duo_ends(&d, cases[i].cause, cases[i].cause);
		assert_string_equal(IN(&d)->end_peer, FRONTEND);
		assert_non_null(strstr(OUT(&d)->end_text, "reason 1"));
		assert_int_equal(IN(&d)->wanted + OUT(&d)->wanted, 0);
		duo_close(&d);
	}
}

/* ---- the application there ---- */

static void test_application_refuses(void **state)
{
	struct duo d;

	duo_open(&d, *state, NULL, NULL);
	close(d.app_listener);
	d.app_listener = -1;
	duo_connect(&d, 1);
	duo_ends(&d, TIP_MTLS_REFUSED, TIP_MTLS_REFUSED);
	assert_int_equal(IN(&d)->end.error, ECONNREFUSED);
	assert_int_equal(OUT(&d)->end.error, 0);
	assert_int_equal(IN(&d)->wanted, 1);
	assert_int_equal(OUT(&d)->wanted, 0);
	duo_close(&d);
}

static void test_application_hangs(void **state)
{
	const int soon = 100, once = 1;
	struct deaf deaf;
	struct duo d;
	int fd;

	duo_open(&d, *state, NULL, NULL);
	d.in.join = false;
	deaf_open(&deaf);
	duo_connect(&d, 1);
	until(&d, IN(&d)->wanted);
	fd = dial(deaf.port);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &soon, sizeof(soon));
	setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &once, sizeof(once));
	tip_worker_join(d.in.worker, 1, fd);
	duo_ends(&d, TIP_MTLS_UNREACHABLE, TIP_MTLS_UNREACHABLE);
	assert_int_equal(IN(&d)->end.error, ETIMEDOUT);
	assert_non_null(strstr(OUT(&d)->end_text, "reason 3"));
	deaf_close(&deaf);
	duo_close(&d);
}

/* ---- deadlines ---- */

/*
 * All at once, since it takes ten seconds: a dial that hangs, a server and a client that never say
 * anything, an application that is not brought, and one whose leg hangs.
 */
static void test_deadlines(void **state)
{
	int silent_client[2], silent_server[2];
	struct tip_worker_stats stats;
	struct deaf deaf;
	struct duo d;

	duo_open(&d, *state, NULL, NULL);
	d.out.join = d.in.join = false;
	deaf_open(&deaf);
	duo_outbound(&d, 1, dial(deaf.port));
	tcp_pair(silent_server);
	duo_outbound(&d, 2, silent_server[0]);
	tcp_pair(silent_client);
	duo_inbound(&d, 1, silent_client[1]);
	duo_connect(&d, 3);
	until(&d, d.in.fates[3].wanted);
	duo_join(&d.in, 3);
	until(&d, d.out.fates[3].wanted);
	duo_connect(&d, 4);
	until(&d, d.in.fates[4].wanted);
	tip_worker_join(d.in.worker, 4, dial(deaf.port));
	until(&d, OUT(&d)->ended && d.out.fates[2].ended && IN(&d)->ended && d.out.fates[3].ended &&
			  d.in.fates[4].ended);
	assert_int_equal(OUT(&d)->end.cause, TIP_MTLS_TIMEOUT);
	assert_int_equal(OUT(&d)->end.error, ETIMEDOUT);
	assert_int_equal(d.out.fates[2].end.cause, TIP_MTLS_TIMEOUT);
	assert_int_equal(d.out.fates[2].end.error, 0);
	assert_int_equal(IN(&d)->end.cause, TIP_MTLS_TIMEOUT);
	is_reset(&d, silent_client[0]);
	assert_int_equal(d.out.fates[3].end.cause, TIP_MTLS_ABORTED);
	/* Its client may have been the one to lose patience. */
	assert_true(d.in.fates[4].end.cause == TIP_MTLS_TIMEOUT ||
		    d.in.fates[4].end.cause == TIP_MTLS_RESET);
	until(&d, d.in.fates[3].ended && d.out.fates[4].ended);
	tip_worker_stats(d.out.worker, &stats);
	assert_int_equal(stats.relays.handshakes + stats.relays.open, 0);
	close(silent_client[0]);
	close(silent_server[1]);
	deaf_close(&deaf);
	duo_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_closed_port),
		cmocka_unit_test(test_dial_hangs),
		cmocka_unit_test(test_policy_here),
		cmocka_unit_test(test_no_identity),
		cmocka_unit_test(test_limits_out),
		cmocka_unit_test(test_limits_in),
		cmocka_unit_test(test_limit_of_handshakes_in),
		cmocka_unit_test(test_plaintext_client),
		cmocka_unit_test(test_strange_server),
		cmocka_unit_test(test_alpn_refused),
		cmocka_unit_test(test_wrong_server),
		cmocka_unit_test(test_untrusted_client),
		cmocka_unit_test(test_policy_there),
		cmocka_unit_test(test_application_refuses),
		cmocka_unit_test(test_application_hangs),
		cmocka_unit_test(test_deadlines),
	};

	return run_over_backends(tests, world_set_up, world_tear_down);
}
