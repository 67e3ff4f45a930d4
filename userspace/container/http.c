/* SPDX-License-Identifier: Apache-2.0 */
#include "container/http.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

#define READ_SIZE 16384

struct tip_http {
	int fd;
	struct event *readable, *timer;
	struct tip_http_reader reader;
	struct tip_lines lines;
	tip_lines_fn line; /* NULL: it is read whole */
	tip_http_done_fn done;
	void *ctx;
};

void tip_http_cancel(struct tip_http *h)
{
	if (!h)
		return;
	event_free(h->readable);
	event_free(h->timer);
	close(h->fd);
	tip_http_reader_free(&h->reader);
	tip_lines_free(&h->lines);
	free(h);
}

static void finish(struct tip_http *h, const char *why)
{
	const struct tip_buf *body = &h->reader.body;

	if (h->line)
		tip_http_taken(&h->reader);
	h->done(h->ctx, why ? 0 : h->reader.status, body->len ? body->data : "", body->len, why);
	tip_http_cancel(h);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	finish(ctx, "no answer in time");
}

/*
 * Of an answer that goes on: what came of the body is lines, and is kept no longer. False: the
 * runtime has refused, and why is of no interest.
 */
static bool follow(struct tip_http *h)
{
	struct tip_http_reader *r = &h->reader;

	if (!r->headed)
		return true;
	if (r->status != 200)
		return false;
	event_del(h->timer);
	tip_lines_feed(&h->lines, r->body.data, r->body.len, h->line, h->ctx);
	tip_http_taken(r);
	return true;
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	enum tip_http_state state;
	struct tip_http *h = ctx;
	char buf[READ_SIZE];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		finish(h, "the runtime hung up");
		return;
	}
	state = n ? tip_http_feed(&h->reader, buf, (size_t)n) : tip_http_end(&h->reader);
	if (h->line && !follow(h))
		state = TIP_HTTP_DONE;
	switch (state) {
	case TIP_HTTP_MORE: break;
	case TIP_HTTP_DONE: finish(h, NULL); break;
	case TIP_HTTP_BAD: finish(h, "the answer is not HTTP, or is cut short"); break;
	case TIP_HTTP_TOO_LONG: finish(h, "the answer is too long"); break;
	}
}

static struct tip_http *begin(struct event_base *base, int fd, unsigned int timeout_ms,
			      size_t body_max, tip_http_done_fn done, void *ctx)
{
	const struct timeval tv = {timeout_ms / 1000, (suseconds_t)(timeout_ms % 1000) * 1000};
	struct tip_http *h = tip_alloc(sizeof(*h));

	h->fd = fd;
	h->reader.body_max = body_max;
	h->done = done;
	h->ctx = ctx;
	h->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, h);
	h->timer = event_new(base, -1, 0, on_timer, h);
	if (!h->readable || !h->timer)
		abort();
	event_add(h->readable, NULL);
	event_add(h->timer, &tv);
	return h;
}

struct tip_http *tip_http_read(struct event_base *base, int fd, unsigned int timeout_ms,
			       size_t body_max, tip_http_done_fn done, void *ctx)
{
	return begin(base, fd, timeout_ms, body_max, done, ctx);
}

struct tip_http *tip_http_follow(struct event_base *base, int fd, unsigned int timeout_ms,
				 size_t line_max, tip_lines_fn line, tip_http_done_fn done,
				 void *ctx)
{
	/* Of the body there is never more at a time than was read at once. */
	struct tip_http *h = begin(base, fd, timeout_ms, SIZE_MAX, done, ctx);

	h->lines.max = line_max;
	h->line = line;
	return h;
}
