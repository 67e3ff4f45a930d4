/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/log.h"
#include "base/mem.h"
#include "spiffe/internal.h"
#include "spiffe/message.h"
#include "spiffe/message_jwt.h"

/* What one connection may have open or waiting. The longest request holds a token of TIP_JWT_MAX
 * and an audience. */
#define MAX_STREAMS  32
#define MAX_REQUEST  (12 << 10)
#define MAX_BUFFERED (512 << 10)
#define IDLE_S       300

static struct tip_workload_conn *conn_of(const struct tip_rpc_call *call)
{
	return tip_rpc_conn_ctx(tip_rpc_call_conn(call));
}

/* ---- one stream ---- */

void tip_workload_stream_settled(struct tip_workload_stream *s)
{
	event_del(&s->pending);
}

void tip_workload_stream_finish(struct tip_workload_stream *s, enum tip_grpc_status status,
				const char *text)
{
	struct tip_workload *w = s->conn->workload;

	if (status == TIP_GRPC_PERMISSION_DENIED)
		w->stats.denied++;
	else if (status != TIP_GRPC_OK)
		w->stats.errors++;
	tip_workload_stream_settled(s);
	s->over = true;
	s->dirty = false;
	s->ask = 0;
	tip_rpc_finish(s->call, status, text);
}

void tip_workload_stream_deny(struct tip_workload_stream *s)
{
	tip_workload_stream_finish(s, TIP_GRPC_PERMISSION_DENIED, "no identity issued");
}

static void on_pending_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	tip_workload_stream_deny(arg);
}

void tip_workload_stream_wait(struct tip_workload_stream *s)
{
	const uint32_t ms = s->conn->workload->config.pending_ms;
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	/* One wait from its beginning: a change that leaves it pending does not prolong it. */
	if (!event_pending(&s->pending, EV_TIMEOUT, NULL))
		evtimer_add(&s->pending, &tv);
}

static bool build_svids(struct tip_workload *w, const struct tip_svid *svids, size_t count,
			const struct tip_buf *bundle, struct tip_message *m)
{
	const char *why;

	if (tip_message_svids(svids, count, (const uint8_t *)bundle->data, bundle->len, m, &why))
		return true;
	w->stats.errors++;
	tip_err("workload-api", "cannot answer for %s: the store gave %s",
		svids[0].spiffe_id ? svids[0].spiffe_id : "?", why);
	return false;
}

void tip_workload_stream_send(struct tip_workload_stream *s, const struct tip_message *m)
{
	uint8_t digest[TIP_DIGEST_SIZE];

	if (!EVP_Digest(m->data, m->len, digest, NULL, EVP_sha256(), NULL)) {
		/* Without a digest it is sent: once too often rather than not at all. */
		memset(digest, 0, sizeof(digest));
		s->sent = false;
	}
	if (s->sent && !memcmp(digest, s->last, sizeof(digest)))
		return;
	if (!tip_rpc_send(s->call, m->data, m->len))
		return;
	memcpy(s->last, digest, sizeof(digest));
	s->sent = true;
}

static void serve_x509(struct tip_workload_stream *s)
{
	struct tip_workload *w = s->conn->workload;
	struct tip_svid svids[TIP_WORKLOAD_MAX_SVIDS];
	struct tip_message m = {0};
	struct tip_buf bundle = {0};
	const uint8_t *der;
	size_t len = 0, count = 0;

	/* The store's pointers live until the next call into it: the bundle first, copied. */
	der = w->ops.bundle(w->ops.ctx, &len);
	if (der && len)
		tip_buf_add(&bundle, der, len);

	switch (w->ops.fetch(w->ops.ctx, s->conn->peer.exec_id, svids, TIP_WORKLOAD_MAX_SVIDS,
			     &count)) {
	case TIP_FETCH_OK:
		tip_workload_stream_settled(s);
		if (!count || !bundle.len)
			tip_workload_stream_finish(s, TIP_GRPC_UNAVAILABLE,
						   "could not fetch X.509-SVID: not ready");
		else if (s->kind == TIP_WORKLOAD_BUNDLES)
			tip_message_bundles(w->trust_domain, (const uint8_t *)bundle.data,
					    bundle.len, &m);
		else if (!build_svids(w, svids, count, &bundle, &m))
			tip_workload_stream_finish(s, TIP_GRPC_UNAVAILABLE,
						   "could not fetch X.509-SVID: bad record");
		if (m.data)
			tip_workload_stream_send(s, &m);
		break;
	case TIP_FETCH_DENIED: tip_workload_stream_deny(s); break;
	case TIP_FETCH_PENDING: tip_workload_stream_wait(s); break;
	case TIP_FETCH_ERROR:
		tip_workload_stream_finish(s, TIP_GRPC_UNAVAILABLE,
					   "could not fetch X.509-SVID: signing failed");
		break;
	}
	tip_message_free(&m);
	tip_buf_free(&bundle);
}

void tip_workload_stream_serve(struct tip_workload_stream *s)
{
	if (s->kind == TIP_WORKLOAD_SVIDS || s->kind == TIP_WORKLOAD_BUNDLES)
		serve_x509(s);
	else
		tip_workload_stream_serve_jwt(s);
}

/* ---- methods ---- */

/* Section 4.2 of SPIFFE_Workload_Endpoint: exactly this value, exactly once. */
static bool header_ok(struct tip_rpc_call *call)
{
	size_t count;
	const char *value = tip_rpc_call_header(call, "workload.spiffe.io", &count);

	return count == 1 && !strcmp(value, "true");
}

/* What every method asks first. False: answered. */
static bool admit(struct tip_workload *w, struct tip_rpc_call *call)
{
	w->stats.calls++;
	if (header_ok(call))
		return true;
	w->stats.errors++;
	tip_rpc_finish(call, TIP_GRPC_INVALID_ARGUMENT, "security header missing from request");
	return false;
}

static void refuse(struct tip_workload *w, struct tip_rpc_call *call, const char *text)
{
	w->stats.errors++;
	tip_rpc_finish(call, TIP_GRPC_INVALID_ARGUMENT, text);
}

/* A call that is to be served, once its process was checked. Owns `ask`. */
static void start(struct tip_workload *w, struct tip_rpc_call *call, enum tip_workload_kind kind,
		  struct tip_jwt_ask *ask)
{
	struct tip_workload_stream *s = tip_alloc(sizeof(*s));

	s->conn = conn_of(call);
	s->call = call;
	s->kind = kind;
	s->ask_jwt = ask;
	s->dirty = true;
	evtimer_assign(&s->pending, w->base, on_pending_over, s);
	LIST_INSERT_HEAD(&s->conn->streams, s, link);
	tip_rpc_set_data(call, s);
	w->stats.streams++;
	tip_workload_ask(s->conn);
}

/* Methods whose request is empty. */
static void start_plain(struct tip_workload *w, struct tip_rpc_call *call, const uint8_t *req,
			size_t len, enum tip_workload_kind kind)
{
	if (!admit(w, call))
		return;
	if (tip_message_request_ok(req, len))
		start(w, call, kind, NULL);
	else
		refuse(w, call, "malformed request");
}

/* Methods that ask for something. */
static void start_jwt(struct tip_workload *w, struct tip_rpc_call *call, const uint8_t *req,
		      size_t len, enum tip_workload_kind kind,
		      struct tip_jwt_ask *(*read)(const uint8_t *req, size_t len, char **why))
{
	struct tip_jwt_ask *ask;
	char *why = NULL;

	if (!admit(w, call))
		return;
	ask = read(req, len, &why);
	if (ask)
		start(w, call, kind, ask);
	else
		refuse(w, call, why);
	free(why);
}

static void fetch_svids(void *ctx, struct tip_rpc_call *call, const uint8_t *req, size_t len)
{
	start_plain(ctx, call, req, len, TIP_WORKLOAD_SVIDS);
}

static void fetch_bundles(void *ctx, struct tip_rpc_call *call, const uint8_t *req, size_t len)
{
	start_plain(ctx, call, req, len, TIP_WORKLOAD_BUNDLES);
}

static void fetch_jwt_svids(void *ctx, struct tip_rpc_call *call, const uint8_t *req, size_t len)
{
	start_jwt(ctx, call, req, len, TIP_WORKLOAD_JWT_SVIDS, tip_jwt_ask_fetch);
}

static void fetch_jwt_bundles(void *ctx, struct tip_rpc_call *call, const uint8_t *req, size_t len)
{
	start_plain(ctx, call, req, len, TIP_WORKLOAD_JWT_BUNDLES);
}

static void validate_jwt(void *ctx, struct tip_rpc_call *call, const uint8_t *req, size_t len)
{
	start_jwt(ctx, call, req, len, TIP_WORKLOAD_VALIDATION, tip_jwt_ask_validate);
}

static void on_call_closed(void *ctx, struct tip_rpc_call *call)
{
	struct tip_workload *w = ctx;
	struct tip_workload_stream *s = tip_rpc_data(call);

	if (!s)
		return;
	tip_workload_stream_settled(s);
	LIST_REMOVE(s, link);
	w->stats.streams--;
	tip_jwt_ask_free(s->ask_jwt);
	free(s);
}

static void no_wit(void *ctx, struct tip_rpc_call *call, const uint8_t *req, size_t len)
{
	(void)req;
	(void)len;
	if (admit(ctx, call))
		tip_rpc_finish(call, TIP_GRPC_UNIMPLEMENTED,
			       "WIT-SVIDs are not served by this version of Tipstaff");
}

struct tip_rpc_server *tip_workload_rpc(struct tip_workload *w)
{
	const struct tip_rpc_method methods[] = {
		{"/SpiffeWorkloadAPI/FetchX509SVID", fetch_svids, on_call_closed, w},
		{"/SpiffeWorkloadAPI/FetchX509Bundles", fetch_bundles, on_call_closed, w},
		{"/SpiffeWorkloadAPI/FetchJWTSVID", fetch_jwt_svids, on_call_closed, w},
		{"/SpiffeWorkloadAPI/FetchJWTBundles", fetch_jwt_bundles, on_call_closed, w},
		{"/SpiffeWorkloadAPI/ValidateJWTSVID", validate_jwt, on_call_closed, w},
		{"/SpiffeWorkloadAPI/FetchWITSVID", no_wit, NULL, w},
		{"/SpiffeWorkloadAPI/FetchWITBundles", no_wit, NULL, w},
	};
	const struct tip_rpc_server_config config = {
		.max_connections = w->config.max_connections,
		.max_streams = MAX_STREAMS,
		.max_request = MAX_REQUEST,
		.max_buffered = MAX_BUFFERED,
		.idle_timeout_s = IDLE_S,
	};

	return tip_rpc_server_new(w->base, &config, methods, TIP_ARRAY_SIZE(methods));
}
