/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/client.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "rpc/frame.h"

/* As much as gRPC clients take by default. */
#define MAX_MESSAGE (4u << 20)
#define MAX_HEADERS 32
/* Half of the widest window that HTTP/2 has: nobody widens it while a stream is followed. */
#define MAX_FOLLOWED (1ull << 30)

struct client {
	const struct tip_rpc_client_call *call;
	int fd;
	int32_t stream_id;
	uint64_t deadline; /* CLOCK_MONOTONIC, 0: none */
	struct tip_error *err;

	uint8_t request[TIP_GRPC_PREFIX];
	size_t sent; /* of prefix and request */

	struct tip_grpc_reader reader;
	bool lenient;    /* a message that is too long is left out */
	size_t skip;     /* bytes of one that are still to come */
	int http_status; /* -1: no answer yet */
	bool has_status, stopped, closed, broken;
	int status;
	char message[TIP_GRPC_MESSAGE + 1];
	uint32_t reset; /* HTTP/2 error code that closed the stream */
};

static ssize_t read_request(nghttp2_session *session, int32_t stream_id, uint8_t *buf,
			    size_t length, uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct client *cl = arg;
	const struct tip_rpc_client_call *call = cl->call;
	size_t total = TIP_GRPC_PREFIX + call->request_len, n = 0;

	(void)session;
	(void)stream_id;
	(void)source;
	while (n < length && cl->sent < TIP_GRPC_PREFIX)
		buf[n++] = cl->request[cl->sent++];
	if (n < length && cl->sent < total) {
		size_t left = total - cl->sent;

		left = left < length - n ? left : length - n;
		memcpy(buf + n, (const uint8_t *)call->request + (cl->sent - TIP_GRPC_PREFIX),
		       left);
		cl->sent += left;
		n += left;
	}
	if (cl->sent == total)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static bool is(const uint8_t *name, size_t len, const char *want)
{
	return len == strlen(want) && !memcmp(name, want, len);
}

/* A small decimal number, or -1. */
static int number(const uint8_t *s, size_t len)
{
	int v = 0;

	if (!len || len > 3)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = v * 10 + (s[i] - '0');
	}
	return v;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t namelen, const uint8_t *value, size_t valuelen, uint8_t flags,
		     void *arg)
{
	struct client *cl = arg;

	(void)session;
	(void)flags;
	if (frame->hd.stream_id != cl->stream_id)
		return 0;
	if (is(name, namelen, ":status")) {
		cl->http_status = number(value, valuelen);
	} else if (is(name, namelen, "grpc-status")) {
		cl->status = number(value, valuelen);
		/* What is not a number is a status nobody knows. */
		cl->status = cl->status < 0 ? TIP_GRPC_UNKNOWN : cl->status;
		cl->has_status = true;
	} else if (is(name, namelen, "grpc-message")) {
		tip_grpc_message_decode((const char *)value, valuelen, cl->message,
					sizeof(cl->message));
		/* It goes to a terminal. */
		for (char *p = cl->message; *p; p++) {
			if ((unsigned char)*p < ' ' || *p == 127)
				*p = '?';
		}
	}
	return 0;
}

static int give_up(struct client *cl, const char *what)
{
	cl->broken = true;
	return tip_error_set(cl->err, "%s", what);
}

/* Bytes of a message that is left out. */
static void skip(struct client *cl, const uint8_t **data, size_t *len)
{
	size_t n = cl->skip < *len ? cl->skip : *len;

	cl->skip -= n;
	*data += n;
	*len -= n;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t stream_id,
			 const uint8_t *data, size_t len, void *arg)
{
	struct client *cl = arg;

	(void)flags;
	if (stream_id != cl->stream_id)
		return 0;
	while (len && !cl->stopped && !cl->broken) {
		if (cl->skip) {
			skip(cl, &data, &len);
			continue;
		}
		switch (tip_grpc_reader_feed(&cl->reader, &data, &len)) {
		case TIP_GRPC_READ_MORE: break;
		case TIP_GRPC_READ_MESSAGE:
			if (cl->call->message &&
			    !cl->call->message(cl->call->ctx, cl->reader.msg, cl->reader.len))
				cl->stopped = true;
			tip_grpc_reader_next(&cl->reader);
			break;
		case TIP_GRPC_READ_COMPRESSED:
			give_up(cl,
				"the server sent a compressed message, which was not asked for");
			break;
		case TIP_GRPC_READ_BAD_FLAG:
			give_up(cl, "the server sent a malformed message prefix");
			break;
		case TIP_GRPC_READ_TOO_LONG:
			if (cl->lenient) {
				cl->skip = cl->reader.len;
				tip_grpc_reader_next(&cl->reader);
				cl->call->message(cl->call->ctx, NULL, 0);
				break;
			}
			give_up(cl, "the server sent a message that is too long");
			break;
		}
	}
	if (cl->stopped)
		return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream_id,
						 NGHTTP2_CANCEL);
	return cl->broken ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *arg)
{
	struct client *cl = arg;

	(void)session;
	if (stream_id == cl->stream_id) {
		cl->closed = true;
		cl->reset = code;
	}
	return 0;
}

static int submit(struct client *cl, nghttp2_session *session)
{
	const struct tip_rpc_client_call *call = cl->call;
	nghttp2_data_provider data = {.read_callback = read_request};
	nghttp2_nv nv[MAX_HEADERS];
	char timeout[16];
	size_t n = 0;

#define ADD(k, v)                                                                                  \
	(nv[n++] = (nghttp2_nv){.name = (uint8_t *)(k),                                            \
				.value = (uint8_t *)(v),                                           \
				.namelen = strlen(k),                                              \
				.valuelen = strlen(v)})
	ADD(":method", "POST");
	ADD(":scheme", "http");
	ADD(":path", call->path);
	ADD(":authority", call->authority);
	ADD("content-type", "application/grpc");
	ADD("te", "trailers");
	if (call->timeout_ms > 0) {
		/* At most 8 digits. */
		snprintf(timeout, sizeof(timeout), "%dm",
			 call->timeout_ms < 99999999 ? call->timeout_ms : 99999999);
		ADD("grpc-timeout", timeout);
	}
	for (const char *const *h = call->headers; h && h[0] && h[1]; h += 2) {
		if (n == MAX_HEADERS)
			return tip_error_set(cl->err, "too many request headers");
		ADD(h[0], h[1]);
	}
#undef ADD
	cl->stream_id = nghttp2_submit_request(session, NULL, nv, n, &data, NULL);
	if (cl->stream_id < 0)
		return tip_error_set(cl->err, "cannot make the request: %s",
				     nghttp2_strerror(cl->stream_id));
	return 0;
}

/* Waits until the socket is ready. 1: it is, 0: out of time, -1: `err`. */
static int wait_for(struct client *cl, short events)
{
	struct pollfd p = {.fd = cl->fd, .events = events};

	for (;;) {
		uint64_t now = tip_clock_monotonic();
		int ms = -1, n;

		if (cl->deadline) {
			if (now >= cl->deadline)
				return 0;
			ms = (int)((cl->deadline - now) / 1000000) + 1;
		}
		n = poll(&p, 1, ms);
		if (n > 0)
			return 1;
		if (n < 0 && errno != EINTR)
			return tip_error_set(cl->err, "poll: %s", strerror(errno));
	}
}

/* 1: written, 0: out of time, -1: `err`. */
static int write_all(struct client *cl, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = send(cl->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		int rv;

		if (n >= 0) {
			data += n;
			len -= (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			return tip_error_set(cl->err, "the server closed the connection (%s)",
					     strerror(errno));
		rv = wait_for(cl, POLLOUT);
		if (rv <= 0)
			return rv;
	}
	return 1;
}

/* Until the stream is closed. 1: it is, 0: out of time, -1: `err`. */
static int run(struct client *cl, nghttp2_session *session)
{
	uint8_t in[16384];
	const uint8_t *out;
	int res = -1;

	for (;;) {
		ssize_t n;

		while ((n = nghttp2_session_mem_send(session, &out)) > 0) {
			res = write_all(cl, out, (size_t)n);
			if (res <= 0) {
				/* With the answer here, the server may be gone before the rest. */
				if (cl->closed || cl->stopped)
					res = 1;
				goto done;
			}
		}
		if (cl->closed || cl->stopped) {
			res = 1;
			break;
		}
		res = wait_for(cl, POLLIN);
		if (res <= 0)
			break;
		n = recv(cl->fd, in, sizeof(in), MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
			continue;
		if (n <= 0) {
			res = tip_error_set(cl->err, "the server closed the connection before it "
						     "answered");
			break;
		}
		n = nghttp2_session_mem_recv(session, in, (size_t)n);
		if (n < 0) {
			/* Our own callbacks have said why already. */
			res = cl->broken ? -1
					 : tip_error_set(cl->err, "not HTTP/2 from the server: %s",
							 nghttp2_strerror((int)n));
			break;
		}
	}
done:
	explicit_bzero(in, sizeof(in));
	return res;
}

/* What a closed stream means. */
static int outcome(struct client *cl)
{
	if (cl->stopped)
		return 0;
	if (cl->has_status) {
		if (cl->status == TIP_GRPC_OK && !tip_grpc_reader_clean(&cl->reader))
			return tip_error_set(cl->err, "the answer ends within a message");
		if (cl->status)
			tip_error_set(cl->err, "%s",
				      cl->message[0] ? cl->message : "no reason given");
		return cl->status;
	}
	if (cl->reset)
		return tip_error_set(cl->err, "the server reset the call: %s",
				     nghttp2_http2_strerror(cl->reset));
	return tip_error_set(cl->err, "no gRPC status in the answer (HTTP status %d)",
			     cl->http_status);
}

static nghttp2_session *session_new(struct client *cl)
{
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_session *session = NULL;
	nghttp2_option *option = NULL;
	const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};

	if (nghttp2_session_callbacks_new(&cb) || nghttp2_option_new(&option))
		goto out;
	nghttp2_option_set_no_closed_streams(option, 1);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	if (nghttp2_session_client_new2(&session, cb, cl, option))
		goto out;
	if (nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings,
				    TIP_ARRAY_SIZE(settings))) {
		nghttp2_session_del(session);
		session = NULL;
	}
out:
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(cb);
	return session;
}

int tip_rpc_client_call(int fd, const struct tip_rpc_client_call *call, struct tip_error *err)
{
	struct client cl = {
		.call = call,
		.fd = fd,
		.err = err,
		.http_status = -1,
		.reader = {.max = MAX_MESSAGE},
	};
	nghttp2_session *session = NULL;
	int res = -1;

	if (call->request_len > MAX_MESSAGE)
		return tip_error_set(err, "a request of more than 4 MiB");
	tip_grpc_prefix(cl.request, call->request_len);
	if (call->timeout_ms > 0)
		cl.deadline = tip_clock_monotonic() + (uint64_t)call->timeout_ms * 1000000;
	session = session_new(&cl);
	if (!session)
		return tip_error_set(err, "cannot make an HTTP/2 session");
	if (submit(&cl, session))
		goto out;
	res = run(&cl, session);
	if (!res) {
		tip_error_set(err, "no answer within %d ms", call->timeout_ms);
		res = TIP_GRPC_DEADLINE_EXCEEDED;
	} else if (res > 0) {
		res = outcome(&cl);
	}
out:
	tip_grpc_reader_next(&cl.reader);
	nghttp2_session_del(session);
	return res;
}

/* ---- from an event loop --------------------------------------------------------------------- */

struct tip_rpc_ask {
	struct client cl;
	struct tip_rpc_client_call call;
	struct tip_error err;
	nghttp2_session *session;
	struct event *readable, *timer;
	struct tip_buf answer;
	bool answered;
	tip_rpc_message_fn message; /* of a stream, NULL: there is one answer */
	uint64_t followed;          /* bytes of a stream */
	tip_rpc_done_fn done;
	void *ctx;
};

static void event_drop(struct event *ev)
{
	if (ev)
		event_free(ev);
}

void tip_rpc_ask_cancel(struct tip_rpc_ask *a)
{
	if (!a)
		return;
	event_drop(a->readable);
	event_drop(a->timer);
	tip_grpc_reader_next(&a->cl.reader);
	nghttp2_session_del(a->session);
	close(a->cl.fd);
	tip_buf_free(&a->answer);
	free(a);
}

static void end(struct tip_rpc_ask *a, int result)
{
	const struct tip_buf *b = &a->answer;

	if (!result && !a->answered && !a->message)
		result = tip_error_set(&a->err, "the answer has no message");
	a->done(a->ctx, result, (const uint8_t *)(b->len ? b->data : ""), b->len, &a->err);
	tip_rpc_ask_cancel(a);
}

/* The answer is whole when the call has ended: a second message is not for a unary call. */
static bool on_answer(void *ctx, const uint8_t *msg, size_t len)
{
	struct tip_rpc_ask *a = ctx;

	if (a->answered)
		give_up(&a->cl, "the server sent a second answer");
	else
		tip_buf_add(&a->answer, msg, len);
	a->answered = true;
	return true;
}

static bool on_message(void *ctx, const uint8_t *msg, size_t len)
{
	struct tip_rpc_ask *a = ctx;

	a->message(a->ctx, msg, len);
	return true;
}

/* What the session would say: its own view of the call goes on as if it had been said. */
static void say_nothing(struct tip_rpc_ask *a)
{
	const uint8_t *data;

	while (nghttp2_session_mem_send(a->session, &data) > 0)
		;
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct tip_rpc_ask *a = ctx;
	uint8_t in[16384];
	ssize_t n = recv(fd, in, sizeof(in), MSG_DONTWAIT);

	if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
		return;
	if (n <= 0) {
		end(a, tip_error_set(&a->err, "the server closed the connection before it "
					      "answered"));
		return;
	}
	a->followed += (uint64_t)n;
	n = nghttp2_session_mem_recv(a->session, in, (size_t)n);
	if (n < 0) {
		if (!a->cl.broken)
			tip_error_set(&a->err, "not HTTP/2 from the server: %s",
				      nghttp2_strerror((int)n));
		end(a, -1);
	} else if (a->cl.closed) {
		end(a, outcome(&a->cl));
	} else {
		say_nothing(a);
		/* It has said goodbye to what made no sense. */
		if (!nghttp2_session_want_read(a->session))
			end(a, tip_error_set(&a->err, "not HTTP/2 from the server"));
		else if (a->message && a->followed > MAX_FOLLOWED)
			end(a, tip_error_set(&a->err, "the stream has to begin anew"));
	}
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct tip_rpc_ask *a = ctx;

	tip_error_set(&a->err, "no answer within %d ms", a->call.timeout_ms);
	end(a, TIP_GRPC_DEADLINE_EXCEEDED);
}

/* `timeout_ms` 0: none. */
static struct tip_rpc_ask *begin(struct event_base *base, int fd, int timeout_ms, size_t max,
				 tip_rpc_message_fn message, tip_rpc_done_fn done, void *ctx,
				 struct tip_error *err)
{
	const struct timeval tv = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
	struct tip_rpc_ask *a = tip_alloc(sizeof(*a));

	a->call = (struct tip_rpc_client_call){
		.authority = "localhost",
		.path = "/",
		.timeout_ms = timeout_ms,
		.message = message ? on_message : on_answer,
		.ctx = a,
	};
	a->message = message;
	a->done = done;
	a->ctx = ctx;
	a->cl = (struct client){
		.call = &a->call,
		.fd = fd,
		.err = &a->err,
		.http_status = -1,
		.reader = {.max = max},
		.lenient = message != NULL,
	};
	tip_grpc_prefix(a->cl.request, 0);
	a->session = session_new(&a->cl);
	if (!a->session || submit(&a->cl, a->session) < 0) {
		tip_error_set(err, "cannot make an HTTP/2 session");
		tip_rpc_ask_cancel(a);
		return NULL;
	}
	say_nothing(a);
	a->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, a);
	a->timer = event_new(base, -1, 0, on_timer, a);
	if (!a->readable || !a->timer)
		abort();
	event_add(a->readable, NULL);
	if (timeout_ms > 0)
		event_add(a->timer, &tv);
	return a;
}

struct tip_rpc_ask *tip_rpc_read(struct event_base *base, int fd, int timeout_ms, size_t max_answer,
				 tip_rpc_done_fn done, void *ctx, struct tip_error *err)
{
	return begin(base, fd, timeout_ms, max_answer, NULL, done, ctx, err);
}

struct tip_rpc_ask *tip_rpc_follow(struct event_base *base, int fd, size_t max_message,
				   tip_rpc_message_fn message, tip_rpc_done_fn done, void *ctx,
				   struct tip_error *err)
{
	return begin(base, fd, 0, max_message, message, done, ctx, err);
}
