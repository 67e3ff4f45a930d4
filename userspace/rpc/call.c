/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define NV(n, v, vlen)                                                                             \
	((nghttp2_nv){.name = (uint8_t *)(n),                                                      \
		      .value = (uint8_t *)(v),                                                     \
		      .namelen = strlen(n),                                                        \
		      .valuelen = (vlen)})

struct tip_rpc_call *tip_rpc_call_new(struct tip_rpc_conn *c, int32_t stream_id)
{
	struct tip_rpc_call *call = tip_alloc(sizeof(*call));

	call->conn = c;
	call->stream_id = stream_id;
	call->born = tip_clock_monotonic();
	call->reader.max = c->server->config.max_request;
	STAILQ_INIT(&call->queue);
	LIST_INSERT_HEAD(&c->calls, call, link);
	c->ncalls++;
	return call;
}

static void message_free(struct tip_rpc_call *call, struct tip_rpc_message *m)
{
	call->queued -= m->len - m->sent;
	call->conn->queued -= m->len - m->sent;
	tip_rpc_wipe_free(m, sizeof(*m) + m->len);
}

static void request_free(struct tip_rpc_call *call)
{
	tip_grpc_reader_next(&call->reader);
	if (call->headers.data)
		explicit_bzero(call->headers.data, call->headers.len);
	tip_buf_free(&call->headers);
}

void tip_rpc_call_free(struct tip_rpc_call *call)
{
	struct tip_rpc_conn *c = call->conn;
	struct tip_rpc_message *m;

	call->finished = true; /* nothing can be sent from `closed` */
	if (call->running && call->method->closed)
		call->method->closed(call->method->ctx, call);
	if (call->has_timeout)
		event_del(&call->timeout);
	while ((m = STAILQ_FIRST(&call->queue))) {
		STAILQ_REMOVE_HEAD(&call->queue, link);
		message_free(call, m);
	}
	request_free(call);
	free(call->message);
	LIST_REMOVE(call, link);
	c->ncalls--;
	if (call->running) {
		c->nrunning--;
		c->server->stats.streams--;
		c->active = tip_clock_monotonic();
	}
	free(call);
}

/* ---- the request ---- */

void tip_rpc_call_header_add(struct tip_rpc_call *call, const uint8_t *name, size_t namelen,
			     const uint8_t *value, size_t valuelen)
{
	call->header_list += namelen + valuelen + 32;
	if (call->header_list > TIP_RPC_HEADER_LIST) {
		call->too_many = true;
		return;
	}
	/* nghttp2 lets no NUL through; a header that had one could pass for two. */
	if (memchr(name, 0, namelen) || memchr(value, 0, valuelen))
		return;
	tip_buf_add(&call->headers, name, namelen);
	tip_buf_addc(&call->headers, '\0');
	tip_buf_add(&call->headers, value, valuelen);
	tip_buf_addc(&call->headers, '\0');
}

const char *tip_rpc_call_header(const struct tip_rpc_call *call, const char *name, size_t *count)
{
	const char *p = call->headers.data, *end = p ? p + call->headers.len : p;
	const char *first = NULL;
	size_t n = 0;

	while (p < end) {
		const char *value = p + strlen(p) + 1;

		if (!strcmp(p, name)) {
			first = first ? first : value;
			n++;
		}
		p = value + strlen(value) + 1;
	}
	if (count)
		*count = n;
	return first;
}

/* What does not speak gRPC gets an HTTP status that says so. */
static void refuse_http(struct tip_rpc_call *call, const char *status)
{
	const nghttp2_nv nv[] = {NV(":status", status, strlen(status))};

	call->finished = true;
	nghttp2_submit_response(call->conn->session, call->stream_id, nv, TIP_ARRAY_SIZE(nv), NULL);
}

static bool content_type_ok(const char *type)
{
	static const char grpc[] = "application/grpc";
	size_t n = sizeof(grpc) - 1;

	return type && !strncmp(type, grpc, n) &&
	       (type[n] == '\0' || type[n] == '+' || type[n] == ';');
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	tip_rpc_finish(arg, TIP_GRPC_DEADLINE_EXCEEDED, "deadline exceeded");
}

static int arm_timeout(struct tip_rpc_call *call, const char *text)
{
	struct timeval tv;
	uint64_t ns;

	if (tip_grpc_timeout_parse(text, &ns))
		return -1;
	tv.tv_sec = (time_t)(ns / TIP_NSEC_PER_SEC);
	tv.tv_usec = (suseconds_t)(ns % TIP_NSEC_PER_SEC / 1000);
	evtimer_assign(&call->timeout, call->conn->server->base, on_timeout, call);
	evtimer_add(&call->timeout, &tv);
	call->has_timeout = true;
	return 0;
}

void tip_rpc_call_headers_done(struct tip_rpc_call *call)
{
	const struct tip_rpc_server *s = call->conn->server;
	const char *method = tip_rpc_call_header(call, ":method", NULL);
	const char *path = tip_rpc_call_header(call, ":path", NULL);
	const char *timeout = tip_rpc_call_header(call, "grpc-timeout", NULL);
	char text[256];

	if (call->too_many) {
		tip_rpc_finish(call, TIP_GRPC_RESOURCE_EXHAUSTED, "request headers are too large");
		return;
	}
	if (!method || strcmp(method, "POST")) {
		refuse_http(call, "405");
		return;
	}
	if (!content_type_ok(tip_rpc_call_header(call, "content-type", NULL))) {
		refuse_http(call, "415");
		return;
	}
	for (size_t i = 0; path && i < s->nmethods && !call->method; i++) {
		if (!strcmp(s->methods[i].path, path))
			call->method = &s->methods[i];
	}
	if (!call->method) {
		snprintf(text, sizeof(text), "unknown method %.200s", path ? path : "");
		tip_rpc_finish(call, TIP_GRPC_UNIMPLEMENTED, text);
		return;
	}
	if (timeout && arm_timeout(call, timeout))
		tip_rpc_finish(call, TIP_GRPC_INTERNAL, "malformed grpc-timeout");
}

void tip_rpc_call_body(struct tip_rpc_call *call, const uint8_t *data, size_t len)
{
	char text[96];

	while (len && !call->finished) {
		if (call->whole) {
			tip_rpc_finish(call, TIP_GRPC_UNIMPLEMENTED,
				       "more than one request message");
			return;
		}
		switch (tip_grpc_reader_feed(&call->reader, &data, &len)) {
		case TIP_GRPC_READ_MORE: break;
		case TIP_GRPC_READ_MESSAGE: call->whole = true; break;
		case TIP_GRPC_READ_COMPRESSED:
			tip_rpc_finish(call, TIP_GRPC_UNIMPLEMENTED,
				       "compressed messages are not supported");
			return;
		case TIP_GRPC_READ_BAD_FLAG:
			tip_rpc_finish(call, TIP_GRPC_INTERNAL, "malformed message prefix");
			return;
		case TIP_GRPC_READ_TOO_LONG:
			snprintf(text, sizeof(text), "request of %zu bytes, at most %zu are taken",
				 call->reader.len, call->reader.max);
			tip_rpc_finish(call, TIP_GRPC_RESOURCE_EXHAUSTED, text);
			return;
		}
	}
}

void tip_rpc_call_end(struct tip_rpc_call *call)
{
	struct tip_rpc_conn *c = call->conn;

	if (call->finished || call->running)
		return;
	if (!call->whole) {
		if (tip_grpc_reader_clean(&call->reader))
			tip_rpc_finish(call, TIP_GRPC_UNIMPLEMENTED, "no request message");
		else
			tip_rpc_finish(call, TIP_GRPC_INTERNAL,
				       "the request ends within a message");
		return;
	}
	call->running = true;
	c->nrunning++;
	c->server->stats.streams++;
	c->server->stats.calls++;
	call->method->call(call->method->ctx, call, call->reader.msg, call->reader.len);
	/* A stream may stay for days: without what only its beginning needed. */
	request_free(call);
}

/* ---- the answer ---- */

void tip_rpc_call_take(struct tip_rpc_call *call, uint8_t *out, size_t len)
{
	struct tip_rpc_message *m;
	size_t n;

	call->promised = 0;
	while (len && (m = STAILQ_FIRST(&call->queue))) {
		n = m->len - m->sent;
		n = len < n ? len : n;
		memcpy(out, m->data + m->sent, n);
		m->sent += n;
		out += n;
		len -= n;
		call->queued -= n;
		call->conn->queued -= n;
		if (m->sent == m->len) {
			STAILQ_REMOVE_HEAD(&call->queue, link);
			message_free(call, m);
		}
	}
}

static int submit_trailers(struct tip_rpc_call *call)
{
	char status[12];
	nghttp2_nv nv[2];
	size_t n = 0;

	snprintf(status, sizeof(status), "%d", (int)call->status);
	nv[n++] = NV("grpc-status", status, strlen(status));
	if (call->message)
		nv[n++] = NV("grpc-message", call->message, strlen(call->message));
	return nghttp2_submit_trailer(call->conn->session, call->stream_id, nv, n);
}

/* nghttp2 asks for DATA: how much there is; on_send_data() moves it. */
static ssize_t on_read(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t length,
		       uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct tip_rpc_call *call = source->ptr;
	size_t n = call->queued;

	(void)session;
	(void)stream_id;
	(void)buf;
	(void)arg;
	n = n < length ? n : length;
	n = n < TIP_RPC_DATA_SIZE ? n : TIP_RPC_DATA_SIZE;
	if (!n && !call->finished) {
		call->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	call->promised = n;
	if (n)
		*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (call->finished && n == call->queued) {
		*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
		if (submit_trailers(call))
			return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	return (ssize_t)n;
}

static int submit_headers(struct tip_rpc_call *call)
{
	static const char type[] = "application/grpc", encoding[] = "identity";
	const nghttp2_nv nv[] = {
		NV(":status", "200", 3),
		NV("content-type", type, sizeof(type) - 1),
		NV("grpc-accept-encoding", encoding, sizeof(encoding) - 1),
	};
	const nghttp2_data_provider data = {.source = {.ptr = call}, .read_callback = on_read};

	call->answering = true;
	return nghttp2_submit_response(call->conn->session, call->stream_id, nv, TIP_ARRAY_SIZE(nv),
				       &data);
}

static int submit_trailers_only(struct tip_rpc_call *call)
{
	static const char type[] = "application/grpc", encoding[] = "identity";
	char status[12];
	nghttp2_nv nv[5];
	size_t n = 0;

	snprintf(status, sizeof(status), "%d", (int)call->status);
	nv[n++] = NV(":status", "200", 3);
	nv[n++] = NV("content-type", type, sizeof(type) - 1);
	nv[n++] = NV("grpc-accept-encoding", encoding, sizeof(encoding) - 1);
	nv[n++] = NV("grpc-status", status, strlen(status));
	if (call->message)
		nv[n++] = NV("grpc-message", call->message, strlen(call->message));
	return nghttp2_submit_response(call->conn->session, call->stream_id, nv, n, NULL);
}

static void resume(struct tip_rpc_call *call)
{
	if (call->deferred) {
		call->deferred = false;
		nghttp2_session_resume_data(call->conn->session, call->stream_id);
	}
	tip_rpc_conn_kick(call->conn);
}

/* Messages of which nothing was put on the wire are not sent any more. */
static void drop_unsent(struct tip_rpc_call *call)
{
	STAILQ_HEAD(, tip_rpc_message) keep = STAILQ_HEAD_INITIALIZER(keep);
	size_t promised = call->promised;
	struct tip_rpc_message *m;

	while ((m = STAILQ_FIRST(&call->queue))) {
		size_t left = m->len - m->sent;

		STAILQ_REMOVE_HEAD(&call->queue, link);
		if (m->sent || promised) {
			promised -= promised < left ? promised : left;
			STAILQ_INSERT_TAIL(&keep, m, link);
		} else {
			message_free(call, m);
		}
	}
	STAILQ_CONCAT(&call->queue, &keep);
}

bool tip_rpc_send(struct tip_rpc_call *call, const void *msg, size_t len)
{
	struct tip_rpc_conn *c = call->conn;
	struct tip_rpc_message *m;

	if (call->finished || c->fd < 0)
		return false;
	if (len > UINT32_MAX ||
	    len + TIP_GRPC_PREFIX + tip_rpc_buffered(c) > c->server->config.max_buffered) {
		tip_rpc_conn_kill(c);
		return false;
	}
	m = tip_alloc(sizeof(*m) + TIP_GRPC_PREFIX + len);
	m->len = TIP_GRPC_PREFIX + len;
	tip_grpc_prefix(m->data, len);
	if (len)
		memcpy(m->data + TIP_GRPC_PREFIX, msg, len);
	STAILQ_INSERT_TAIL(&call->queue, m, link);
	call->queued += m->len;
	c->queued += m->len;
	if (!call->answering && submit_headers(call)) {
		tip_rpc_conn_kill(c);
		return false;
	}
	resume(call);
	return true;
}

void tip_rpc_finish(struct tip_rpc_call *call, enum tip_grpc_status status, const char *message)
{
	if (call->finished || call->conn->fd < 0)
		return;
	call->finished = true;
	call->status = status;
	if (message && *message) {
		call->message = tip_alloc(3 * TIP_GRPC_MESSAGE + 1);
		tip_grpc_message_encode(message, call->message);
	}
	if (!call->answering) {
		if (submit_trailers_only(call))
			tip_rpc_conn_kill(call->conn);
	} else if (status != TIP_GRPC_OK) {
		drop_unsent(call);
	}
	resume(call);
}

struct tip_rpc_conn *tip_rpc_call_conn(const struct tip_rpc_call *call)
{
	return call->conn;
}

void tip_rpc_set_data(struct tip_rpc_call *call, void *data)
{
	call->data = data;
}

void *tip_rpc_data(const struct tip_rpc_call *call)
{
	return call->data;
}
