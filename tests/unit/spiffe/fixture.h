/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TEST_SPIFFE_FIXTURE_H
#define TIP_TEST_SPIFFE_FIXTURE_H

#include "../rpc/peer.h"

#include "proto/workload.pb-c.h"
#include "spiffe/workload.h"

/*
 * The Workload API over a socketpair: the test is the keeper and the store. `auto_check` answers
 * every check at once; without it a test answers by hand.
 */
#define EXEC 77
#define KEY  "-----key of frontend-----"

struct fixture {
	struct event_base *base;
	struct tip_workload *w;
	struct peer p;
	uint64_t next_id;

	/* The store. */
	enum tip_fetch fetch;
	struct tip_svid svids[3];
	size_t count;
	char bundle[32];
	struct tip_jwt_svid jwts[3];
	size_t njwts;
	char jwks[64];
	char asked[128];    /* the last query for a JWT-SVID, or token to be validated */
	const char *claims; /* of a token that holds; NULL: none does */
	enum tip_standing standing;
	size_t fetches;

	/* The keeper. */
	bool auto_check, auto_ok;
	size_t checks;
	uint64_t check_id;
	uint32_t check_ask;
	size_t refused, closed;
	char cause[64];
	uint64_t closed_id;
};

static inline enum tip_fetch fake_fetch(void *ctx, uint64_t exec_id, struct tip_svid *out,
					size_t max, size_t *count)
{
	struct fixture *f = ctx;

	assert_int_equal(exec_id, EXEC);
	f->fetches++;
	*count = 0;
	if (f->fetch != TIP_FETCH_OK)
		return f->fetch;
	assert_true(f->count <= max);
	memcpy(out, f->svids, f->count * sizeof(*out));
	*count = f->count;
	return TIP_FETCH_OK;
}

static inline const uint8_t *fake_bundle(void *ctx, size_t *len)
{
	struct fixture *f = ctx;

	*len = strlen(f->bundle);
	return (const uint8_t *)f->bundle;
}

static inline enum tip_standing fake_standing(void *ctx, uint64_t exec_id)
{
	struct fixture *f = ctx;

	assert_int_equal(exec_id, EXEC);
	return f->standing;
}

static inline enum tip_fetch fake_fetch_jwt(void *ctx, uint64_t exec_id,
					    const struct tip_jwt_query *query,
					    struct tip_jwt_svid *out, size_t max, size_t *count)
{
	struct fixture *f = ctx;

	assert_int_equal(exec_id, EXEC);
	f->fetches++;
	*count = 0;
	snprintf(f->asked, sizeof(f->asked), "%zu %s %s", query->naudiences, query->audiences[0],
		 query->spiffe_id ? query->spiffe_id : "any");
	if (f->fetch != TIP_FETCH_OK)
		return f->fetch;
	assert_true(f->njwts <= max);
	memcpy(out, f->jwts, f->njwts * sizeof(*out));
	*count = f->njwts;
	return TIP_FETCH_OK;
}

static inline const char *fake_jwks(void *ctx, size_t *len)
{
	struct fixture *f = ctx;

	*len = strlen(f->jwks);
	return f->jwks;
}

static inline int fake_validate_jwt(void *ctx, const char *audience, const char *token,
				    struct tip_jwt *out, struct tip_error *err)
{
	struct fixture *f = ctx;

	snprintf(f->asked, sizeof(f->asked), "%s %s", audience, token);
	if (!f->claims)
		return tip_error_set(err, "the token has expired");
	out->spiffe_id = tip_strdup("spiffe://example.org/peer");
	out->claims = json_loads(f->claims, 0, NULL);
	return 0;
}

static inline void fake_check(void *ctx, uint64_t id, uint32_t ask)
{
	struct fixture *f = ctx;

	f->checks++;
	f->check_id = id;
	f->check_ask = ask;
	assert_int_not_equal(ask, 0);
	if (f->auto_check)
		tip_workload_checked(f->w, id, ask, f->auto_ok);
}

static inline void fake_refused(void *ctx, uint64_t exec_id, uint32_t pid, const char *cause)
{
	struct fixture *f = ctx;

	assert_int_equal(exec_id, EXEC);
	assert_int_equal(pid, getpid());
	f->refused++;
	snprintf(f->cause, sizeof(f->cause), "%s", cause);
}

static inline void fake_closed(void *ctx, uint64_t id)
{
	struct fixture *f = ctx;

	f->closed++;
	f->closed_id = id;
}

static inline int connect_as(struct fixture *f, uint32_t uid)
{
	struct tip_workload_peer peer = {
		.id = f->next_id++,
		.exec_id = EXEC,
		.pid = (uint32_t)getpid(),
		.uid = uid,
	};
	int fds[2], on = 1;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	tip_workload_conn(f->w, fds[0], &peer);
	return fds[1];
}

static inline int setup(void **state)
{
	static const struct tip_workload_config config = {
		.trust_domain = "example.org",
		.max_connections = 4,
		.max_connections_per_uid = 2,
		.pending_ms = 60,
	};
	struct fixture *f = tip_alloc(sizeof(*f));
	const struct tip_workload_ops ops = {
		.fetch = fake_fetch,
		.bundle = fake_bundle,
		.standing = fake_standing,
		.fetch_jwt = fake_fetch_jwt,
		.jwks = fake_jwks,
		.validate_jwt = fake_validate_jwt,
		.check = fake_check,
		.refused = fake_refused,
		.closed = fake_closed,
		.ctx = f,
	};

	f->base = event_base_new();
	f->w = tip_workload_new(f->base, &config, &ops);
	f->next_id = 1000;
	f->auto_check = f->auto_ok = true;
	f->count = 1;
	f->svids[0] = (struct tip_svid){
		.spiffe_id = "spiffe://example.org/frontend",
		.chain = (const uint8_t *)"chain",
		.chain_len = 5,
		.key = (const uint8_t *)KEY,
		.key_len = strlen(KEY),
		.hint = "web",
	};
	strcpy(f->bundle, "bundle one");
	f->standing = TIP_STANDING_HOLDS;
	f->njwts = 1;
	f->jwts[0] = (struct tip_jwt_svid){"spiffe://example.org/frontend", KEY, "web"};
	strcpy(f->jwks, "{\"keys\":[]}");
	f->claims = "{\"aud\": [\"me\"], \"n\": 5}";
	peer_open(&f->p, f->base, connect_as(f, 1000), 0);
	*state = f;
	return 0;
}

static inline struct tip_workload_stats stats(struct fixture *f)
{
	struct tip_workload_stats s;

	tip_workload_stats(f->w, &s);
	return s;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	peer_close(&f->p);
	assert_int_equal(stats(f).connections, 0);
	assert_int_equal(stats(f).streams, 0);
	assert_int_equal(f->closed, f->next_id - 1000);
	tip_workload_free(f->w);
	event_base_free(f->base);
	free(f);
	return 0;
}

#define PATH(method) "/SpiffeWorkloadAPI/" method

static inline struct peer_stream *call_body(struct fixture *f, const char *path, const char *v1,
					    const char *v2, const void *body, size_t len)
{
	const char *headers[20] = {
		":method", "POST",       ":scheme",   "http",         ":path",
		path,      ":authority", "localhost", "content-type", "application/grpc",
		"te",      "trailers"};
	struct peer_stream *s;
	size_t n = 12;

	if (v1) {
		headers[n++] = "workload.spiffe.io";
		headers[n++] = v1;
	}
	if (v2) {
		headers[n++] = "workload.spiffe.io";
		headers[n++] = v2;
	}
	s = peer_request_raw(&f->p, headers, body, len, false);
	peer_pump(&f->p);
	return s;
}

static inline struct peer_stream *call(struct fixture *f, const char *path)
{
	return call_body(f, path, "true", NULL, "\0\0\0\0\0", 5);
}

static inline X509SVIDResponse *svid_message(const struct peer_stream *s, size_t index)
{
	X509SVIDResponse *r;
	const uint8_t *m;
	size_t len;

	m = peer_message(s, index, &len);
	if (!m)
		return NULL;
	r = x509_svidresponse__unpack(NULL, len, m);
	assert_non_null(r);
	return r;
}

static inline size_t messages(const struct peer_stream *s)
{
	size_t n = 0, len;

	while (peer_message(s, n, &len))
		n++;
	return n;
}

static inline bool leaked(const struct fixture *f)
{
	for (size_t i = 0; i < f->p.nstreams; i++) {
		const struct peer_stream *s = &f->p.streams[i];

		if (s->len && memmem(s->data, s->len, KEY, strlen(KEY)))
			return true;
	}
	return false;
}

#endif
