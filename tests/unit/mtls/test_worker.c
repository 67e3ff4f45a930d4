/* SPDX-License-Identifier: Apache-2.0 */
/* Two workers, end to end: what goes well. */
#include "duo.h"

#define MEGABYTE (1024 * (size_t)1024)

/* Both directions at once, to the end. */
static void duo_converse(struct duo *d, size_t up, size_t down)
{
	struct talk cw = {.fd = d->client, .bytes = up, .seed = 11, .ends = true};
	struct talk sr = {.fd = d->server, .seed = 11};
	struct talk sw = {.fd = d->server, .bytes = down, .seed = 22, .ends = true};
	struct talk cr = {.fd = d->client, .seed = 22};

	talk_start(&cw, talk_write);
	talk_start(&sr, talk_read);
	talk_start(&sw, talk_write);
	talk_start(&cr, talk_read);
	duo_ends(d, TIP_MTLS_CLEAN, TIP_MTLS_CLEAN);
	talk_join(&cw);
	talk_join(&sr);
	talk_join(&sw);
	talk_join(&cr);
	assert_true(sr.eof && cr.eof && !sr.wrong && !cr.wrong);
	assert_int_equal(sr.done, up);
	assert_int_equal(cr.done, down);
}

static void test_bytes(void **state)
{
	static const size_t sizes[] = {0, 1, 100, 16385, 65537, 4 * MEGABYTE};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(sizes); i++) {
		size_t up = sizes[i], down = sizes[TIP_ARRAY_SIZE(sizes) - 1 - i];
		struct tip_worker_stats stats;
		struct duo d;

		duo_open(&d, *state, NULL, NULL);
		duo_up(&d);
		duo_converse(&d, up, down);
		assert_true(OUT(&d)->end.opened && IN(&d)->end.opened);
		assert_int_equal(OUT(&d)->wanted + IN(&d)->wanted, 2);
		assert_int_equal(OUT(&d)->end.sent, up);
		assert_int_equal(OUT(&d)->end.received, down);
		assert_int_equal(IN(&d)->end.sent, down);
		assert_int_equal(IN(&d)->end.received, up);
		assert_string_equal(OUT(&d)->end_own, FRONTEND);
		assert_string_equal(OUT(&d)->end_peer, ORDERS);
		assert_string_equal(IN(&d)->end_own, ORDERS);
		assert_string_equal(IN(&d)->end_peer, FRONTEND);
		tip_worker_stats(d.out.worker, &stats);
		assert_int_equal(stats.relays.handshakes + stats.relays.open, 0);
		assert_int_equal(stats.relays.opened, 1);
		assert_int_equal(stats.relays.ended[TIP_MTLS_CLEAN], 1);
		assert_int_equal(stats.pumps.pumps, 0);
		duo_close(&d);
	}
}

static void get(struct duo *d, int fd, const char *text)
{
	size_t len = strlen(text);
	char got[64];

	until(d, recv(fd, got, len, MSG_PEEK | MSG_DONTWAIT) == (ssize_t)len);
	assert_int_equal(recv(fd, got, len, 0), len);
	assert_memory_equal(got, text, len);
}

static void test_half_close(void **state)
{
	struct duo d;
	char c;

	duo_open(&d, *state, NULL, NULL);
	duo_up(&d);
	assert_int_equal(send(d.client, "question", 8, 0), 8);
	shutdown(d.client, SHUT_WR);
	get(&d, d.server, "question");
	until(&d, recv(d.server, &c, 1, MSG_DONTWAIT) == 0);
	assert_int_equal(send(d.server, "answer", 6, 0), 6);
	get(&d, d.client, "answer");
	assert_int_equal(OUT(&d)->ended + IN(&d)->ended, 0);
	shutdown(d.server, SHUT_WR);
	duo_ends(&d, TIP_MTLS_CLEAN, TIP_MTLS_CLEAN);
	assert_int_equal(recv(d.client, &c, 1, MSG_DONTWAIT), 0);
	duo_close(&d);
}

/* A server that speaks first, and may have said everything before anybody listens. */
static void test_server_first(void **state)
{
	for (int ends = 0; ends < 2; ends++) {
		struct duo d;
		char c;

		duo_open(&d, *state, NULL, NULL);
		d.out.join = false;
		duo_connect(&d, 1);
		until(&d, OUT(&d)->wanted && open_flows(&d.in) == 1);
		d.server = accept4(d.app_listener, NULL, NULL, SOCK_CLOEXEC);
		assert_int_equal(send(d.server, "220 ready", 9, 0), 9);
		if (ends)
			shutdown(d.server, SHUT_WR);
		/* It is on the wire, and the client's worker has seen it come. */
		for (int i = 0; i < 10; i++)
			spin(&d);
		assert_int_equal(OUT(&d)->ended, 0);
		duo_join(&d.out, 1);
		get(&d, d.client, "220 ready");
		if (ends)
			until(&d, recv(d.client, &c, 1, MSG_DONTWAIT) == 0);
		assert_int_equal(send(d.client, "HELO", 4, 0), 4);
		get(&d, d.server, "HELO");
		shutdown(d.client, SHUT_WR);
		shutdown(d.server, SHUT_WR);
		duo_ends(&d, TIP_MTLS_CLEAN, TIP_MTLS_CLEAN);
		duo_close(&d);
	}
}

/* The client's first bytes are at its worker before that worker has its leg. */
static void test_client_first(void **state)
{
	struct duo d;
	int app[2];

	duo_open(&d, *state, NULL, NULL);
	d.out.join = false;
	duo_connect(&d, 1);
	until(&d, OUT(&d)->wanted && open_flows(&d.in) == 1);
	d.server = accept4(d.app_listener, NULL, NULL, SOCK_CLOEXEC);
	tcp_pair(app);
	d.client = app[0];
	assert_int_equal(send(d.client, "GET", 3, 0), 3);
	tip_worker_join(d.out.worker, 1, app[1]);
	get(&d, d.server, "GET");
	duo_close(&d);
}

/* A client without our ALPN waits for no verdict: its data is here before its server is dialled. */
static void test_foreign_client(void **state)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct world *w = *state;
	int wire[2];
	struct duo d;
	SSL *ssl;
	char c;

	duo_open(&d, w, NULL, NULL);
	d.in.join = false;
	SSL_CTX_use_certificate(ctx, w->client.cert);
	SSL_CTX_use_PrivateKey(ctx, w->client.key);
	ssl = SSL_new(ctx);
	tcp_pair(wire);
	assert_int_equal(tip_leg_prepare(wire[0]), 0);
	SSL_set_fd(ssl, wire[0]);
	duo_inbound(&d, 1, wire[1]);
	until(&d, SSL_connect(ssl) == 1);
	assert_int_equal(SSL_write(ssl, "early", 5), 5);
	until(&d, IN(&d)->wanted);
	for (int i = 0; i < 3; i++)
		spin(&d);
	duo_join(&d.in, 1);
	until(&d, open_flows(&d.in) == 1);
	d.server = accept4(d.app_listener, NULL, NULL, SOCK_CLOEXEC);
	get(&d, d.server, "early");
	assert_int_equal(send(d.server, "late", 4, 0), 4);
	until(&d, SSL_read(ssl, &c, 1) == 1);
	assert_int_equal(c, 'l');
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(wire[0]);
	duo_close(&d);
}

struct moves {
	int calls;
	uint64_t sent, received;
};

static void on_moved(void *ctx, uint64_t id, const char *backend, uint64_t sent, uint64_t received)
{
	struct moves *m = ctx;

	assert_int_equal(id, 1);
	assert_string_equal(backend, over_kernel() ? "kernel" : "user");
	m->calls++;
	m->sent = sent;
	m->received = received;
}

static void test_moved(void **state)
{
	struct moves m = {0};
	struct duo d;

	duo_open(&d, *state, NULL, NULL);
	d.out.join = false;
	duo_connect(&d, 1);
	until(&d, OUT(&d)->wanted && open_flows(&d.in) == 1);
	tip_worker_moved(d.out.worker, on_moved, &m);
	assert_int_equal(m.calls, 0);
	duo_join(&d.out, 1);
	d.server = accept4(d.app_listener, NULL, NULL, SOCK_CLOEXEC);
	/* New, although nothing has moved. */
	tip_worker_moved(d.out.worker, on_moved, &m);
	assert_int_equal(m.calls, 1);
	assert_int_equal(m.sent + m.received, 0);
	tip_worker_moved(d.out.worker, on_moved, &m);
	assert_int_equal(m.calls, 1);
	assert_int_equal(send(d.client, "abc", 3, 0), 3);
	assert_int_equal(send(d.server, "defgh", 5, 0), 5);
	get(&d, d.server, "abc");
	get(&d, d.client, "defgh");
	tip_worker_moved(d.out.worker, on_moved, &m);
	assert_int_equal(m.calls, 2);
	assert_int_equal(m.sent, 3);
	assert_int_equal(m.received, 5);
	tip_worker_moved(d.out.worker, on_moved, &m);
	assert_int_equal(m.calls, 2);
	duo_close(&d);
}

/* The next connection has the new certificate, the open one lives on with the old. */
static void test_renewal(void **state)
{
	struct world *w = *state;
	struct pki renewed = pki_leaf(&w->ca_a, FRONTEND);
	struct tip_tls_svid *svid = pki_svid(&renewed, NULL);
	struct tip_bundles_stats before, after;
	struct duo d;
	int old;

	duo_open(&d, w, NULL, NULL);
	duo_up(&d);
	old = d.client;
	tip_bundles_stats(w->bundles, &before);
	d.out.svid = svid;
	duo_connect(&d, 2);
	until(&d, open_flows(&d.out) == 2 && open_flows(&d.in) == 2);
	/* A chain that was not seen before: it was walked. */
	tip_bundles_stats(w->bundles, &after);
	assert_int_equal(after.verified, before.verified + 1);
	assert_int_equal(send(old, "still", 5, 0), 5);
	get(&d, d.server, "still");
	close(old);
	duo_close(&d);
	tip_tls_svid_put(svid);
	pki_free(&renewed);
}

/* More flows than one at a time, one of which ends. */
static void test_several(void **state)
{
	struct duo d;

	duo_open(&d, *state, NULL, NULL);
	d.out.join = false;
	for (uint64_t id = 1; id < 6; id++)
		duo_connect(&d, id);
	for (uint64_t id = 1; id < 6; id++)
		until(&d, d.out.fates[id].wanted && d.in.fates[id].wanted);
	tip_worker_cut(d.out.worker, 3, TIP_MTLS_ABORTED);
	until(&d, d.out.fates[3].ended && d.in.fates[3].ended);
	assert_int_equal(d.in.fates[3].end.cause, TIP_MTLS_RESET);
	assert_int_equal(open_flows(&d.in), 4);
	duo_close(&d);
}

/* IDs that are not known, or known already, cost whoever brings them the socket. */
static void test_strange_ids(void **state)
{
	struct duo d;
	int ends[2];

	duo_open(&d, *state, NULL, NULL);
	tcp_pair(ends);
	tip_worker_join(d.out.worker, 7, ends[1]);
	is_reset(&d, ends[0]);
	close(ends[0]);
	tip_worker_cut(d.out.worker, 7, TIP_MTLS_ABORTED);
	duo_up(&d);
	tcp_pair(ends);
	duo_outbound(&d, 1, ends[1]);
	is_reset(&d, ends[0]);
	close(ends[0]);
	/* Nor does an open one take another leg. */
	tcp_pair(ends);
	tip_worker_join(d.out.worker, 1, ends[1]);
	is_reset(&d, ends[0]);
	close(ends[0]);
	assert_int_equal(send(d.client, "still", 5, 0), 5);
	get(&d, d.server, "still");
	duo_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),          cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_server_first),   cmocka_unit_test(test_client_first),
		cmocka_unit_test(test_foreign_client), cmocka_unit_test(test_moved),
		cmocka_unit_test(test_renewal),        cmocka_unit_test(test_several),
		cmocka_unit_test(test_strange_ids),
	};

	return run_over_backends(tests, world_set_up, world_tear_down);
}
