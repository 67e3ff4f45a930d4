/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_RPC_HTTP1_H
#define TIP_RPC_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * Answers of HTTP/1.1. evhttp of libevent 2.1 cannot take a socket that is connected already, and
 * libcurl costs four megabytes; what is wanted of HTTP/1.1 in this daemon is the reading of one
 * answer after another.
 */
#define TIP_HTTP_HEAD_MAX 16384 /* bytes of status line, headers and what stands around chunks */

/* Reads one answer (RFC 9112). Zero-initialise it and set `body_max`. */
struct tip_http_reader {
	size_t body_max;
	int status;
	struct tip_buf body;
	bool headed;          /* status and headers are whole: what is above and below holds */
	bool last;            /* the connection is of no use behind this answer */
	uint32_t retry_after; /* seconds, 0: not said, or as a date */
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

/* Takes bytes. What follows a whole answer is not looked at; it makes it the last. */
enum tip_http_state tip_http_feed(struct tip_http_reader *r, const void *data, size_t len);
/*
 * The body so far is taken: an answer that goes on may be of any length, and what stands around its
 * chunks.
 */
void tip_http_taken(struct tip_http_reader *r);
/* The other side has ended. */
enum tip_http_state tip_http_end(const struct tip_http_reader *r);
void tip_http_reader_free(struct tip_http_reader *r);

#endif
