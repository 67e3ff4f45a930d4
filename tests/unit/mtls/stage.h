/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TEST_MTLS_STAGE_H
#define TIP_TEST_MTLS_STAGE_H

#include "relay.h"

#include <openssl/ssl.h>

/* A client made of OpenSSL, an inbound pump, and the application behind it. */
struct stage {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
	struct event_base *base;
	struct tip_pump_group *group;
	struct hop hop;
	int app;
	uint8_t secret[32]; /* the client's first traffic secret, with SHA-256 */
};

static struct stage *current;

static inline int accept_all(X509_STORE_CTX *store, void *arg)
{
	return 1;
}

static inline void on_keylog(const SSL *ssl, const char *line)
{
	static const char label[] = "CLIENT_TRAFFIC_SECRET_0 ";
	const char *hex;

	if (strncmp(line, label, sizeof(label) - 1) != 0)
		return;
	hex = strrchr(line, ' ') + 1;
	for (size_t i = 0; i < sizeof(current->secret); i++) {
		unsigned int byte = 0;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		current->secret[i] = (uint8_t)byte;
	}
}

static inline void stage_open_with(struct stage *g, struct world *w, const char *suite)
{
	struct ask a = {.answer = TIP_VERDICT_OK};
	enum tip_step step = TIP_STEP_WANT_READ;
	struct tip_session *s;
	int ends[2], apps[2], done = 0;

	*g = (struct stage){.ctx = SSL_CTX_new(TLS_client_method()), .base = event_base_new()};
	current = g;
	SSL_CTX_set_verify(g->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(g->ctx, accept_all, NULL);
	SSL_CTX_use_certificate(g->ctx, w->client.cert);
	SSL_CTX_use_PrivateKey(g->ctx, w->client.key);
	SSL_CTX_set_ciphersuites(g->ctx, suite);
	SSL_CTX_set_keylog_callback(g->ctx, on_keylog);
	tcp_pair(ends);
	tcp_pair(apps);
	g->fd = ends[0];
	/* No Nagle here either: the last flight waits 40 ms for its ACK. */
	assert_int_equal(tip_leg_prepare(g->fd), 0);
	g->ssl = SSL_new(g->ctx);
	SSL_set_fd(g->ssl, g->fd);
	s = server_of(w, ends[1], NULL, &a);
	while (step != TIP_STEP_DONE || done != 1) {
		if (done != 1)
			done = SSL_connect(g->ssl);
		step = tip_session_step(s);
		if (step == TIP_STEP_FAILED)
			fail_msg("%s: %s", suite, tip_session_text(s));
		if (step == TIP_STEP_JUDGED)
			tip_session_verdict(s, TIP_VERDICT_OK, 0);
	}
	assert_false(tip_session_has_verdict(s));
	g->group = tip_pump_group_new(g->base, 1048576);
	g->hop.pump = tip_pump_new(g->group, apps[0], tip_session_take(s), on_hop_closed, &g->hop);
	g->app = apps[1];
	tip_session_free(s);
}

static inline void stage_open(struct stage *g, struct world *w)
{
	stage_open_with(g, w, "TLS_AES_128_GCM_SHA256");
}

static inline void stage_close(struct stage *g)
{
	SSL_free(g->ssl);
	SSL_CTX_free(g->ctx);
	if (g->fd >= 0)
		close(g->fd);
	close(g->app);
	tip_pump_group_free(g->group);
	event_base_free(g->base);
}

static inline void stage_run(struct stage *g, int ms)
{
	uint64_t until = tip_clock_monotonic() + (uint64_t)ms * 1000000;
	const struct timeval tick = {0, 2000};

	while (g->hop.pump && tip_clock_monotonic() < until) {
		event_base_loopexit(g->base, &tick);
		event_base_loop(g->base, EVLOOP_ONCE);
	}
}

static inline void app_gets(struct stage *g, const char *text)
{
	char got[64];

	stage_run(g, 20);
	assert_int_equal(recv(g->app, got, sizeof(got), MSG_DONTWAIT), strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

static inline void app_is_reset(struct stage *g, enum tip_mtls_cause cause)
{
	char c;

	stage_run(g, 1000);
	assert_null(g->hop.pump);
	assert_int_equal(g->hop.cause, cause);
	assert_int_equal(recv(g->app, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, ECONNRESET);
}

#endif
