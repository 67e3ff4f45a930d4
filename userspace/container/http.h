/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_CONTAINER_HTTP_H
#define TIP_CONTAINER_HTTP_H

#include <stddef.h>

#include <event2/event.h>

#include "container/lines.h"
#include "rpc/http1.h"

/*
 * The answer to one GET, which somebody else has sent.
 */
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
/*
 * Reads an answer whose body goes on and is made of lines, of at most `line_max` bytes. The head
 * has to be there in time; nothing is awaited after that. `line` may not end it. `done` is called
 * when it is over, without a body; `why` is NULL when the runtime ended it.
 */
struct tip_http *tip_http_follow(struct event_base *base, int fd, unsigned int timeout_ms,
				 size_t line_max, tip_lines_fn line, tip_http_done_fn done,
				 void *ctx);
/* Gives up; `done` is not called. NULL is fine. */
void tip_http_cancel(struct tip_http *h);

#endif
