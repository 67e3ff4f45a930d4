/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TEST_MTLS_DUO_H
#define TIP_TEST_MTLS_DUO_H

#include "relay.h"

#include <dirent.h>

#include "mtls/worker.h"

/*
 * Two workers as on two nodes, on one loop: what a keeper does for them is done here, with real
 * connections on the loopback. client - out ==TLS== in - server.
 */

/* What became of a flow. */
struct fate {
	int wanted, ended;
	char peer[256]; /* as `wanted` said */
	struct tip_worker_end end;
	char end_own[256], end_peer[256], end_text[512];
};

struct side {
	struct tip_worker *worker;
	struct duo *duo;
	bool inbound;
	/* What the ops answer. */
	struct tip_tls_svid *svid; /* NULL: `none` says why */
	enum tip_mtls_cause none;
	const char *expected; /* NULL: nobody */
	enum tip_verdict verdict;
	enum tip_mtls_cause keeps; /* TIP_MTLS_NONE: it goes on */
	bool join;                 /* at once, in ops.wanted() */
	int asked;
	struct fate fates[8]; /* by ID */
};

struct duo {
	struct event_base *base;
	struct world *world;
	struct side out, in;
	int wire_listener, app_listener;
	uint16_t wire_port, app_port;
	int client, server; /* the applications' ends, once there are any */
	size_t fds;         /* of this process, before */
};

#define OUT(d) (&(d)->out.fates[1])
#define IN(d)  (&(d)->in.fates[1])

static inline struct tip_tls_svid *duo_svid(void *ctx, uint64_t exec_id, const char *own_id,
					    enum tip_mtls_cause *why)
{
	struct side *s = ctx;

	assert_int_equal(exec_id, s->inbound ? 22 : 11);
	if (s->svid)
		return tip_tls_svid_ref(s->svid);
	*why = s->none;
	return NULL;
}

static inline size_t duo_expected(void *ctx, const struct tip_worker_flow *f, const char **out,
				  size_t max)
{
	struct side *s = ctx;

	assert_false(s->inbound);
	assert_int_equal(f->remote_port, s->duo->wire_port);
	assert_true(max > 1);
	s->asked++;
	out[0] = "spiffe://a.test/another";
	out[1] = s->expected;
	return s->expected ? 2 : 0;
}

static inline enum tip_verdict duo_authorise(void *ctx, const struct tip_worker_flow *f,
					     const char *peer_id, uint16_t *reason)
{
	struct side *s = ctx;

	assert_true(s->inbound);
	assert_string_equal(f->own_id, ORDERS);
	s->asked++;
	*reason = TIP_REASON_NO_RULE;
	return s->verdict;
}

static inline enum tip_mtls_cause duo_keeps(void *ctx, const struct tip_worker_flow *f,
					    const char *peer_id, bool inbound)
{
	struct side *s = ctx;

	assert_int_equal(inbound, s->inbound);
	assert_string_equal(f->own_id, inbound ? ORDERS : FRONTEND);
	assert_string_equal(peer_id, inbound ? FRONTEND : ORDERS);
	return s->keeps;
}

/* A dial that goes on by itself. */
static inline int dial(uint16_t port)
{
	const struct sockaddr_in a = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				      .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(!connect(fd, (const struct sockaddr *)&a, sizeof(a)) || errno == EINPROGRESS);
	return fd;
}

/* The application's leg, as the keeper makes it. */
static inline void duo_join(struct side *s, uint64_t id)
{
	int app[2];

	if (s->inbound) {
		tip_worker_join(s->worker, id, dial(s->duo->app_port));
		return;
	}
	tcp_pair(app);
	s->duo->client = app[0];
	tip_worker_join(s->worker, id, app[1]);
}

static inline void duo_wanted(void *ctx, uint64_t id, const char *peer_id)
{
	struct side *s = ctx;
	struct fate *f = &s->fates[id];

	f->wanted++;
	assert_int_equal(f->ended, 0);
	(void)snprintf(f->peer, sizeof(f->peer), "%s", peer_id);
	if (s->join)
		duo_join(s, id);
}

static inline void duo_ended(void *ctx, const struct tip_worker_end *end)
{
	struct side *s = ctx;
	struct fate *f = &s->fates[end->id];

	assert_int_equal(end->inbound, s->inbound);
	assert_int_equal(f->ended++, 0);
	f->end = *end;
	(void)snprintf(f->end_own, sizeof(f->end_own), "%s", end->own_id);
	(void)snprintf(f->end_peer, sizeof(f->end_peer), "%s", end->peer_id);
	(void)snprintf(f->end_text, sizeof(f->end_text), "%s", end->text);
	assert_true(*end->text);
}

static inline struct tip_worker_limits duo_limits(void)
{
	return (struct tip_worker_limits){
		.relays = {.handshakes = 16,
			   .handshakes_per_identity = 8,
			   .connections = 8,
			   .per_identity = 8},
		.buffers = 1048576,
		.records = records,
	};
}

static inline void side_open(struct side *s, struct duo *d, bool inbound,
			     const struct tip_worker_limits *limits)
{
	const struct tip_worker_ops ops = {.svid = duo_svid,
					   .expected = duo_expected,
					   .authorise = duo_authorise,
					   .keeps = duo_keeps,
					   .wanted = duo_wanted,
					   .ended = duo_ended,
					   .ctx = s};

	const struct tip_worker_limits usual = duo_limits();

	s->duo = d;
	s->inbound = inbound;
	s->svid = inbound ? d->world->server_svid : d->world->client_svid;
	s->expected = ORDERS;
	s->verdict = TIP_VERDICT_OK;
	s->join = true;
	s->worker = tip_worker_new(d->base, d->world->bundles, limits ? limits : &usual, &ops);
}

static inline size_t count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static inline void duo_open(struct duo *d, struct world *w, const struct tip_worker_limits *out,
			    const struct tip_worker_limits *in)
{
	*d = (struct duo){.world = w, .client = -1, .server = -1, .fds = count_fds()};
	d->base = event_base_new();
	d->wire_listener = tcp_listen(&d->wire_port);
	d->app_listener = tcp_listen(&d->app_port);
	side_open(&d->out, d, false, out);
	side_open(&d->in, d, true, in);
}

static inline void drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline void duo_close(struct duo *d)
{
	tip_worker_free(d->out.worker);
	tip_worker_free(d->in.worker);
	drop(&d->client);
	drop(&d->server);
	drop(&d->wire_listener);
	drop(&d->app_listener);
	event_base_free(d->base);
	/* Whatever happened, no socket was lost. */
	assert_int_equal(count_fds(), d->fds);
}

static inline void spin(struct duo *d)
{
	const struct timeval tick = {0, 2000};

	event_base_loopexit(d->base, &tick);
	event_base_loop(d->base, EVLOOP_ONCE);
}

/* Runs the loop until it is so. */
#define until(d, condition)                                                                        \
	do {                                                                                       \
		uint64_t give_up_ = tip_clock_monotonic() + 20 * TIP_NSEC_PER_SEC;                 \
		while (!(condition)) {                                                             \
			if (tip_clock_monotonic() > give_up_)                                      \
				fail_msg("in vain: %s", #condition);                               \
			spin(d);                                                                   \
		}                                                                                  \
	} while (0)

static inline void duo_outbound(struct duo *d, uint64_t id, int fd)
{
	const struct tip_worker_flow f = {.id = id,
					  .exec_id = 11,
					  .own_id = FRONTEND,
					  .remote = htonl(INADDR_LOOPBACK),
					  .remote_port = d->wire_port};

	tip_worker_outbound(d->out.worker, &f, fd);
}

static inline void duo_inbound_as(struct duo *d, uint64_t id, int fd, const char *own_id)
{
	const struct tip_worker_flow f = {.id = id,
					  .exec_id = 22,
					  .own_id = own_id,
					  .local = htonl(INADDR_LOOPBACK),
					  .local_port = d->app_port};

	tip_worker_inbound(d->in.worker, &f, fd);
}

static inline void duo_inbound(struct duo *d, uint64_t id, int fd)
{
	duo_inbound_as(d, id, fd, ORDERS);
}

/* A new connection of the two, both with that ID. */
static inline void duo_connect(struct duo *d, uint64_t id)
{
	duo_outbound(d, id, dial(d->wire_port));
	duo_inbound(d, id, accept4(d->wire_listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

static inline size_t open_flows(const struct side *s)
{
	struct tip_worker_stats stats;

	tip_worker_stats(s->worker, &stats);
	return stats.relays.open;
}

/* ... and both ends open, with `client` and `server`. */
static inline void duo_up(struct duo *d)
{
	duo_connect(d, 1);
	until(d, open_flows(&d->out) == 1 && open_flows(&d->in) == 1);
	d->server = accept4(d->app_listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(d->client >= 0 && d->server >= 0);
	assert_string_equal(OUT(d)->peer, ORDERS);
	assert_string_equal(IN(d)->peer, FRONTEND);
}

/* Both have ended with these. */
static inline void duo_ends(struct duo *d, enum tip_mtls_cause out, enum tip_mtls_cause in)
{
	until(d, OUT(d)->ended && IN(d)->ended);
	assert_string_equal(tip_mtls_cause_name(OUT(d)->end.cause), tip_mtls_cause_name(out));
	assert_string_equal(tip_mtls_cause_name(IN(d)->end.cause), tip_mtls_cause_name(in));
}

static inline bool has_reset(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0 && p.revents & POLLERR;
}

/* A reset, and before it not one byte. */
static inline void is_reset(struct duo *d, int fd)
{
	char c;

	until(d, has_reset(fd));
	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, ECONNRESET);
}

/* A listener on which every dial hangs; its backlog is filled by `fill`. */
struct deaf {
	int listener, fill[8];
	uint16_t port;
};

static inline void deaf_open(struct deaf *x)
{
	x->listener = tcp_listen(&x->port);
	assert_int_equal(listen(x->listener, 0), 0);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(x->fill); i++)
		x->fill[i] = dial(x->port);
}

static inline void deaf_close(struct deaf *x)
{
	close(x->listener);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(x->fill); i++)
		close(x->fill[i]);
}

#endif
