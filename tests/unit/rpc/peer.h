/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TEST_RPC_PEER_H
#define TIP_TEST_RPC_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>
#include <nghttp2/nghttp2.h>

#include "base/mem.h"
#include "rpc/frame.h"
#include "rpc/server.h"

/*
 * A client that says what a test wants it to say, well-behaved through nghttp2 or raw, on one end
 * of a socketpair, in the thread of the server: peer_pump() lets both ends run until nothing moves.
 */
#define PEER_STREAMS 64

struct peer_stream {
	int32_t id;
	int http, grpc;
	char message[1024];
	uint8_t *data;
	size_t len;
	bool closed;
	uint32_t code;
};

struct peer {
	struct event_base *base;
	int fd;
	nghttp2_session *session;
	struct peer_stream streams[PEER_STREAMS];
	size_t nstreams;
	bool eof, goaway;
	uint32_t goaway_code;
	size_t received; /* bytes */
	/* The request body being sent. */
	const uint8_t *body;
	size_t body_len;
	bool body_open; /* no END_STREAM after it */
};

static inline struct peer_stream *peer_stream(struct peer *p, int32_t id)
{
	for (size_t i = 0; i < p->nstreams; i++) {
		if (p->streams[i].id == id)
			return &p->streams[i];
	}
	return NULL;
}

static inline int peer_on_header(nghttp2_session *session, const nghttp2_frame *frame,
				 const uint8_t *name, size_t namelen, const uint8_t *value,
				 size_t valuelen, uint8_t flags, void *arg)
{
	struct peer_stream *s = peer_stream(arg, frame->hd.stream_id);

	(void)session;
	(void)flags;
	if (!s)
		return 0;
	if (namelen == 7 && !memcmp(name, ":status", 7))
		s->http = atoi((const char *)value);
	if (namelen == 11 && !memcmp(name, "grpc-status", 11))
		s->grpc = atoi((const char *)value);
	if (namelen == 12 && !memcmp(name, "grpc-message", 12))
		snprintf(s->message, sizeof(s->message), "%.*s", (int)valuelen,
			 (const char *)value);
	return 0;
}

static inline int peer_on_data(nghttp2_session *session, uint8_t flags, int32_t id,
			       const uint8_t *data, size_t len, void *arg)
{
	struct peer_stream *s = peer_stream(arg, id);

	(void)session;
	(void)flags;
	if (!s)
		return 0;
	s->data = tip_realloc(s->data, s->len + len, 1);
	memcpy(s->data + s->len, data, len);
	s->len += len;
	return 0;
}

static inline int peer_on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct peer_stream *s = peer_stream(arg, id);

	(void)session;
	if (s) {
		s->closed = true;
		s->code = code;
	}
	return 0;
}

static inline int peer_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct peer *p = arg;

	(void)session;
	if (frame->hd.type == NGHTTP2_GOAWAY) {
		p->goaway = true;
		p->goaway_code = frame->goaway.error_code;
	}
	return 0;
}

static inline ssize_t peer_read_body(nghttp2_session *session, int32_t id, uint8_t *buf,
				     size_t length, uint32_t *flags, nghttp2_data_source *source,
				     void *arg)
{
	struct peer *p = arg;
	size_t n = p->body_len < length ? p->body_len : length;

	(void)session;
	(void)id;
	(void)source;
	if (!n && p->body_open)
		return NGHTTP2_ERR_DEFERRED;
	if (n)
		memcpy(buf, p->body, n);
	p->body += n;
	p->body_len -= n;
	if (!p->body_len && !p->body_open)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

/* `window`: the stream window that this peer grants, 0: the default. */
static inline void peer_open(struct peer *p, struct event_base *base, int fd, uint32_t window)
{
	nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window}};
	nghttp2_session_callbacks *cb;
	nghttp2_option *option;

	memset(p, 0, sizeof(*p));
	p->base = base;
	p->fd = fd;
	assert_int_equal(nghttp2_session_callbacks_new(&cb), 0);
	assert_int_equal(nghttp2_option_new(&option), 0);
	if (window)
		nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_session_callbacks_set_on_header_callback(cb, peer_on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, peer_on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, peer_on_close);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, peer_on_frame);
	assert_int_equal(nghttp2_session_client_new2(&p->session, cb, p, option), 0);
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(option);
	assert_int_equal(nghttp2_submit_settings(p->session, 0, settings, window ? 1 : 0), 0);
}

static inline void peer_close(struct peer *p)
{
	for (size_t i = 0; i < p->nstreams; i++)
		free(p->streams[i].data);
	nghttp2_session_del(p->session);
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	event_base_loop(p->base, EVLOOP_NONBLOCK);
	event_base_loop(p->base, EVLOOP_NONBLOCK);
}

static inline void peer_write(struct peer *p, const void *data, size_t len)
{
	const uint8_t *d = data;

	while (len) {
		ssize_t n = send(p->fd, d, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			event_base_loop(p->base, EVLOOP_NONBLOCK);
			continue;
		}
		if (n < 0)
			return; /* closed by the server, which is for the test to see */
		d += n;
		len -= (size_t)n;
	}
}

/* True when something moved. */
static inline bool peer_step(struct peer *p)
{
	const uint8_t *out;
	uint8_t in[16384];
	bool moved = false;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(p->session, &out)) > 0) {
		peer_write(p, out, (size_t)n);
		moved = true;
	}
	event_base_loop(p->base, EVLOOP_NONBLOCK);
	n = recv(p->fd, in, sizeof(in), MSG_DONTWAIT);
	if (n > 0) {
		p->received += (size_t)n;
		if (nghttp2_session_mem_recv(p->session, in, (size_t)n) < 0)
			fail_msg("the server's output is not HTTP/2");
		moved = true;
	} else if (n == 0 || errno != EAGAIN) {
		p->eof = true;
	}
	return moved;
}

static inline void peer_pump(struct peer *p)
{
	for (int quiet = 0; quiet < 3 && !p->eof;)
		quiet = peer_step(p) ? 0 : quiet + 1;
}

/* Pumps for at most `ms` until `*flag`. */
static inline bool peer_wait(struct peer *p, const bool *flag, int ms)
{
	for (int i = 0; i < ms && !*flag; i++) {
		struct timespec ts = {.tv_nsec = 1000000};

		peer_pump(p);
		nanosleep(&ts, NULL);
	}
	return *flag;
}

/* A request; `headers` are name, value, ..., NULL. With `open` it does not end after the body. */
static inline struct peer_stream *peer_request_raw(struct peer *p, const char *const *headers,
						   const void *body, size_t len, bool open)
{
	nghttp2_data_provider data = {.read_callback = peer_read_body};
	struct peer_stream *s = &p->streams[p->nstreams++];
	nghttp2_nv nv[32];
	size_t n = 0;

	assert_true(p->nstreams <= PEER_STREAMS);
	for (; headers[0]; headers += 2)
		nv[n++] = (nghttp2_nv){.name = (uint8_t *)headers[0],
				       .value = (uint8_t *)headers[1],
				       .namelen = strlen(headers[0]),
				       .valuelen = strlen(headers[1])};
	p->body = body;
	p->body_len = len;
	p->body_open = open;
	s->grpc = -1;
	s->id = nghttp2_submit_request(p->session, NULL, nv, n, &data, NULL);
	assert_true(s->id > 0);
	return s;
}

static inline struct peer_stream *peer_request(struct peer *p, const char *path, const void *body,
					       size_t len)
{
	const char *const headers[] = {
		":method", "POST",       ":scheme",   "http",         ":path",
		path,      ":authority", "localhost", "content-type", "application/grpc",
		"te",      "trailers",   NULL};
	struct peer_stream *s = peer_request_raw(p, headers, body, len, false);

	peer_pump(p);
	return s;
}

/* An HTTP/2 frame as it is on the wire. Returns its length. */
static inline size_t raw_frame(uint8_t *out, uint8_t type, uint8_t flags, uint32_t stream,
			       const void *payload, size_t len)
{
	out[0] = (uint8_t)(len >> 16);
	out[1] = (uint8_t)(len >> 8);
	out[2] = (uint8_t)len;
	out[3] = type;
	out[4] = flags;
	out[5] = (uint8_t)(stream >> 24);
	out[6] = (uint8_t)(stream >> 16);
	out[7] = (uint8_t)(stream >> 8);
	out[8] = (uint8_t)stream;
	if (len)
		memcpy(out + 9, payload, len);
	return 9 + len;
}

static inline void peer_raw_frame(struct peer *p, uint8_t type, uint8_t flags, uint32_t stream,
				  const void *payload, size_t len)
{
	uint8_t buf[9 + 16384];

	peer_write(p, buf, raw_frame(buf, type, flags, stream, payload, len));
}

/* Message `index` of a stream's data: its length and place, or NULL. */
static inline const uint8_t *peer_message(const struct peer_stream *s, size_t index, size_t *len)
{
	size_t at = 0;

	while (at + TIP_GRPC_PREFIX <= s->len) {
		const uint8_t *d = s->data + at;

		*len = (size_t)d[1] << 24 | (size_t)d[2] << 16 | (size_t)d[3] << 8 | d[4];
		if (at + TIP_GRPC_PREFIX + *len > s->len)
			return NULL;
		if (!index--)
			return d + TIP_GRPC_PREFIX;
		at += TIP_GRPC_PREFIX + *len;
	}
	return NULL;
}

#endif
