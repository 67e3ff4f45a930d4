/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TEST_MTLS_PAIR_H
#define TIP_TEST_MTLS_PAIR_H

#include "records.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "mtls/session.h"
#include "mtls/socket.h"

/* Two ends of a real TCP connection, a world of identities, and handshakes between the two. */

#define PAIR_TIMEOUT (5 * TIP_NSEC_PER_SEC)
#define FRONTEND     "spiffe://a.test/frontend"
#define ORDERS       "spiffe://a.test/orders"

static inline int tcp_listen(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static inline int tcp_connect(uint16_t port)
{
	const struct sockaddr_in a = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				      .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* ends[0] has connected to ends[1]; both block. */
static inline void tcp_pair(int ends[2])
{
	uint16_t port;
	int l = tcp_listen(&port);

	ends[0] = tcp_connect(port);
	ends[1] = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	assert_true(ends[0] >= 0 && ends[1] >= 0);
	close(l);
}

/* Two trust domains; a client and a server in the first. */
struct world {
	struct pki ca_a, ca_b, client, server;
	struct tip_tls_svid *client_svid, *server_svid;
	struct tip_bundles *bundles;
};

static inline int world_set_up(void **state)
{
	struct world *w = tip_alloc(sizeof(*w));

	(void)signal(SIGPIPE, SIG_IGN);
	w->ca_a = pki_ca("a.test");
	w->ca_b = pki_ca("b.test");
	w->client = pki_leaf(&w->ca_a, FRONTEND);
	w->server = pki_leaf(&w->ca_a, ORDERS);
	w->client_svid = pki_svid(&w->client, NULL);
	w->server_svid = pki_svid(&w->server, NULL);
	w->bundles = tip_bundles_new();
	pki_trust(w->bundles, "a.test", &w->ca_a);
	pki_trust(w->bundles, "b.test", &w->ca_b);
	*state = w;
	return 0;
}

static inline int world_tear_down(void **state)
{
	struct world *w = *state;

	pki_free(&w->ca_a);
	pki_free(&w->ca_b);
	pki_free(&w->client);
	pki_free(&w->server);
	tip_tls_svid_put(w->client_svid);
	tip_tls_svid_put(w->server_svid);
	tip_bundles_free(w->bundles);
	free(w);
	return 0;
}

struct ask {
	enum tip_verdict answer;
	uint16_t reason;
	int asked;
	char peer[256];
};

static inline enum tip_verdict ask(void *ctx, const char *peer_id, uint16_t *reason)
{
	struct ask *a = ctx;

	a->asked++;
	(void)snprintf(a->peer, sizeof(a->peer), "%s", peer_id);
	*reason = a->reason;
	return a->answer;
}

static inline struct tip_session *client_of(struct world *w, int fd, struct tip_tls_svid *svid,
					    const char *expected)
{
	const struct tip_session_config config = {
		.svid = svid ? svid : w->client_svid,
		.bundles = w->bundles,
		.expected = &expected,
		.nexpected = 1,
		.timeout_ns = PAIR_TIMEOUT,
		.records = &records,
	};
	struct tip_error err;
	struct tip_session *s = tip_session_new(fd, &config, &err);

	assert_non_null(s);
	return s;
}

static inline struct tip_session *server_of(struct world *w, int fd, struct tip_tls_svid *svid,
					    struct ask *a)
{
	const struct tip_session_config config = {
		.svid = svid ? svid : w->server_svid,
		.bundles = w->bundles,
		.server = true,
		.authorise = ask,
		.ctx = a,
		.timeout_ns = PAIR_TIMEOUT,
		.records = &records,
	};
	struct tip_error err;
	struct tip_session *s = tip_session_new(fd, &config, &err);

	assert_non_null(s);
	return s;
}

static inline void wait_for(int fd, short events, int ms)
{
	struct pollfd p = {.fd = fd, .events = events};

	(void)poll(&p, 1, ms);
}

/* Steps one session until it stops; `verdict` is what a JUDGED server says. */
static inline enum tip_step finish_one(struct tip_session *s, enum tip_verdict verdict)
{
	for (;;) {
		enum tip_step step = tip_session_step(s);

		if (step == TIP_STEP_DONE || step == TIP_STEP_FAILED)
			return step;
		if (step == TIP_STEP_JUDGED)
			tip_session_verdict(s, verdict, 7);
		else
			wait_for(tip_session_fd(s), step == TIP_STEP_WANT_READ ? POLLIN : POLLOUT,
				 100);
	}
}

/* Steps both until both have stopped. A side that fails closes at once, as its owner would. */
static inline void shake_hands(struct tip_session *c, struct tip_session *s,
			       enum tip_verdict verdict, enum tip_step *client,
			       enum tip_step *server)
{
	bool c_over = false, s_over = false;

	while (!c_over || !s_over) {
		if (!c_over) {
			*client = tip_session_step(c);
			c_over = *client == TIP_STEP_DONE || *client == TIP_STEP_FAILED;
			if (*client == TIP_STEP_FAILED)
				shutdown(tip_session_fd(c), SHUT_WR);
		}
		if (!s_over) {
			*server = tip_session_step(s);
			if (*server == TIP_STEP_JUDGED)
				tip_session_verdict(s, verdict, 7);
			s_over = *server == TIP_STEP_DONE || *server == TIP_STEP_FAILED;
			if (*server == TIP_STEP_FAILED)
				shutdown(tip_session_fd(s), SHUT_WR);
		}
		if (!c_over || !s_over)
			usleep(200);
	}
}

#endif
