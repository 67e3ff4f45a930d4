/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_CONTAINER_HTTP_H
#define TIP_CONTAINER_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include <event2/event.h>

#include "base/buf.h"

/*
 * The answer to one GET, which somebody else has sent. evhttp of libevent 2.1 cannot take a socket
 * that is connected already, and libcurl costs four megabytes; what is wanted of HTTP/1.1 here is
 * the reading of one answer.
 */
#define TIP_HTTP_HEAD_MAX 16384 /* bytes of status line, headers and what stands around chunks */

/* Reads one answer (RFC 9112). Zero-initialise it and set `body_max`. */
struct tip_http_reader {
	size_t body_max;
	int status;
	struct tip_buf body;
	/* inside */
	int state;
	bool chunked, has_length;
	size_t left; /* of the body, or of this chunk */
	size_t head; /* bytes that are no body, so far */
	struct tip_buf line;
};

enum tip_http_state {
	TIP_HTTP_MORE,
	TIP_HTTP_DONE,
	TIP_HTTP_BAD,      /* no HTTP, or not of a kind that is understood */
	TIP_HTTP_TOO_LONG, /* `body_max`, or the head is too long */
};

/* Takes bytes. What follows a whole answer is not looked at. */
enum tip_http_state tip_http_feed(struct tip_http_reader *r, const void *data, size_t len);
/* The other side has ended. */
enum tip_http_state tip_http_end(const struct tip_http_reader *r);
void tip_http_reader_free(struct tip_http_reader *r);

struct tip_http;
/*
 * The answer: `status` of HTTP, or 0 with `why`; the body is valid during the call. Called once,
 * from the loop; the tip_http is gone behind it.
 */
typedef void (*tip_http_done_fn)(void *ctx, int status, const char *body, size_t len,
				 const char *why);

/* Reads one answer. Takes `fd`, non-blocking. */
struct tip_http *tip_http_read(struct event_base *base, int fd, unsigned int timeout_ms,
			       size_t body_max, tip_http_done_fn done, void *ctx);
/* Gives up; `done` is not called. NULL is fine. */
void tip_http_cancel(struct tip_http *h);

#endif
