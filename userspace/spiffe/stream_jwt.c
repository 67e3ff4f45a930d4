/* SPDX-License-Identifier: Apache-2.0 */
#include "spiffe/internal.h"
#include "spiffe/message_jwt.h"

/* The JWT methods, once a call was admitted and its process checked. */

#define NOT_FETCHED "could not fetch JWT-SVID: "

/* The one answer of a unary call. */
static void answer(struct tip_workload_stream *s, struct tip_message *m)
{
	tip_workload_stream_send(s, m);
	tip_workload_stream_finish(s, TIP_GRPC_OK, NULL);
	tip_message_free(m);
}

static void serve_svids(struct tip_workload_stream *s)
{
	struct tip_workload *w = s->conn->workload;
	struct tip_jwt_svid svids[TIP_WORKLOAD_MAX_SVIDS];
	const struct tip_jwt_query query = tip_jwt_ask_query(s->ask_jwt);
	struct tip_message m = {0};
	size_t count = 0;

	switch (w->ops.fetch_jwt(w->ops.ctx, s->conn->peer.exec_id, &query, svids,
				 TIP_WORKLOAD_MAX_SVIDS, &count)) {
	case TIP_FETCH_OK:
		tip_message_jwt_svids(svids, count, &m);
		answer(s, &m);
		break;
	case TIP_FETCH_DENIED: tip_workload_stream_deny(s); break;
	case TIP_FETCH_PENDING: tip_workload_stream_wait(s); break;
	case TIP_FETCH_ERROR:
		tip_workload_stream_finish(s, TIP_GRPC_UNAVAILABLE, NOT_FETCHED "signing failed");
		break;
	}
}

static void serve_bundles(struct tip_workload_stream *s)
{
	struct tip_workload *w = s->conn->workload;
	struct tip_message m = {0};
	const char *jwks;
	size_t len = 0;

	jwks = w->ops.jwks(w->ops.ctx, &len);
	if (!len) {
		tip_workload_stream_finish(s, TIP_GRPC_UNAVAILABLE, NOT_FETCHED "not ready");
		return;
	}
	tip_message_jwt_bundles(w->trust_domain, jwks, len, &m);
	tip_workload_stream_send(s, &m);
	tip_message_free(&m);
}

static void serve_validation(struct tip_workload_stream *s)
{
	struct tip_workload *w = s->conn->workload;
	struct tip_message m = {0};
	struct tip_jwt jwt = {0};
	struct tip_error err;

	if (w->ops.validate_jwt(w->ops.ctx, tip_jwt_ask_audience(s->ask_jwt),
				tip_jwt_ask_token(s->ask_jwt), &jwt, &err) < 0)
		tip_workload_stream_finish(s, TIP_GRPC_INVALID_ARGUMENT, err.text);
	else if (!tip_message_jwt_claims(&jwt, &m))
		tip_workload_stream_finish(s, TIP_GRPC_INVALID_ARGUMENT,
					   "the token's claims are nested too deeply");
	else
		answer(s, &m);
	tip_jwt_clear(&jwt);
}

void tip_workload_stream_serve_jwt(struct tip_workload_stream *s)
{
	struct tip_workload *w = s->conn->workload;
	enum tip_standing standing = w->ops.standing(w->ops.ctx, s->conn->peer.exec_id);

	if (s->kind == TIP_WORKLOAD_JWT_SVIDS) {
		serve_svids(s);
	} else if (standing == TIP_STANDING_PENDING) {
		tip_workload_stream_wait(s);
	} else if (standing == TIP_STANDING_WITHHELD) {
		tip_workload_stream_deny(s);
	} else if (s->kind == TIP_WORKLOAD_VALIDATION) {
		/* Who verifies others need not be somebody. */
		serve_validation(s);
	} else if (standing == TIP_STANDING_NONE) {
		tip_workload_stream_deny(s);
	} else {
		tip_workload_stream_settled(s);
		serve_bundles(s);
	}
}
