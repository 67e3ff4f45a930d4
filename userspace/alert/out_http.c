/* SPDX-License-Identifier: Apache-2.0 */
#include "alert/out.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "alert/dial.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sock.h"
#include "tipstaff/posting.h"

/*
 * The keeper's half of the http sink. It opens connections, since it may, and looks at nothing that
 * comes back on them: TLS and HTTP are the front's (telemetry/). One alert is on its way at a time,
 * so that what the server did not take is known, and in order.
 */
#define POLL_MS       100
#define BACKOFF_FIRST (TIP_NSEC_PER_SEC / 2) /* before a server that failed is asked again ... */
#define BACKOFF_LIMIT (30 * TIP_NSEC_PER_SEC)
#define WAIT_LIMIT_S  300 /* ... and if it says itself for how long */
/* Connections for one line: a kept one may have been closed. A front that wants more is no good. */
#define DIALS_MAX 2

struct out_http {
	struct tip_out out;
	struct tip_dialler *dialler;
	int fd;                 /* to the front, -1: there is none */
	uint64_t number;        /* of the line that was handed over last */
	struct tip_line *asked; /* that line, while no answer has come; NULL: none */
	uint32_t dials;         /* connections that it has cost */
	uint64_t not_before_ns, backoff_ns;
	uint32_t timeouts, max_timeouts; /* in a row, all about one line */
};

static void settle(struct out_http *o)
{
	tip_line_put(o->asked);
	o->asked = NULL;
}

/* The front is gone, and the line that it had with it. */
static void hang_up(struct out_http *o)
{
	if (o->fd >= 0)
		close(o->fd);
	o->fd = -1;
	settle(o);
}

static void back_off(struct out_http *o, uint32_t wait_s)
{
	const uint64_t asked = (wait_s < WAIT_LIMIT_S ? wait_s : WAIT_LIMIT_S) * TIP_NSEC_PER_SEC;

	o->backoff_ns = o->backoff_ns ? o->backoff_ns * 2 : BACKOFF_FIRST;
	if (o->backoff_ns > BACKOFF_LIMIT)
		o->backoff_ns = BACKOFF_LIMIT;
	o->not_before_ns = tip_clock_monotonic() + (asked > o->backoff_ns ? asked : o->backoff_ns);
	settle(o);
}

/* One packet to the front. 0 or an errno. */
static int say(const struct out_http *o, const struct tip_line *line, int fd)
{
	/* Without the newline, which is of no use in a request. */
	struct tip_posting_line head = {.number = o->number,
					.len = line ? (uint32_t)line->len - 1 : 0};
	struct iovec iov[] = {{&head, sizeof(head)}, {line ? (char *)line->text : NULL, head.len}};

	return tip_send_fd(o->fd, iov, line ? 2 : 1, fd, MSG_DONTWAIT);
}

/* The front has no connection: it gets one. 0, or EAGAIN. */
static int dial(struct out_http *o, const struct tip_out_pace *pace)
{
	int fd = -1, error;

	if (o->dials++ < DIALS_MAX)
		fd = tip_dialler_connect(o->dialler, pace->late, pace->ctx);
	if (fd < 0) {
		back_off(o, 0);
		return EAGAIN;
	}
	error = say(o, NULL, fd);
	close(fd);
	if (error) {
		hang_up(o);
		return EAGAIN;
	}
	return 0;
}

/* 0: wait on. -1: it is taken. Otherwise an errno of deliver(). */
static int on_answer(struct out_http *o, const struct tip_posting_answer *a,
		     const struct tip_out_pace *pace)
{
	if (!o->asked || a->number != o->number)
		return 0; /* about a line that was given up */
	switch (a->outcome) {
	case TIP_POSTING_TAKEN:
		o->backoff_ns = o->timeouts = 0;
		settle(o);
		return -1;
	case TIP_POSTING_REFUSED:
		o->backoff_ns = o->timeouts = 0;
		settle(o);
		return EBADMSG;
	case TIP_POSTING_DIAL: return dial(o, pace);
	default:
		tip_dialler_failed(o->dialler);
		back_off(o, a->wait_s);
		if (a->outcome != TIP_POSTING_TIMED_OUT)
			o->timeouts = 0;
		else if (o->timeouts++ >= o->max_timeouts) {
			o->timeouts = 0;
			return EBADMSG;
		}
		return EAGAIN;
	}
}

/* Is this the line of which the answer is awaited? From a spool it comes as another copy. */
static bool is_asked(const struct out_http *o, const struct tip_line *line)
{
	return o->asked && (o->asked == line || (o->asked->len == line->len &&
						 !memcmp(o->asked->text, line->text, line->len)));
}

static int hand_over(struct out_http *o, struct tip_line *line)
{
	int error;

	settle(o);
	if (line->len - 1 > TIP_POSTING_MAX)
		return EMSGSIZE;
	o->number++;
	o->dials = 0;
	error = say(o, line, -1);
	if (error == EAGAIN) /* the front is still busy with lines that were given up */
		return EAGAIN;
	if (error) {
		hang_up(o);
		return EAGAIN;
	}
	o->asked = tip_line_ref(line);
	return 0;
}

static int deliver_one(struct out_http *o, struct tip_line *line, const struct tip_out_pace *pace)
{
	const uint64_t since = tip_clock_monotonic();
	struct tip_posting_answer answer;
	int error;

	if (o->fd < 0 || since < o->not_before_ns)
		return EAGAIN;
	error = is_asked(o, line) ? 0 : hand_over(o, line);
	while (!error) {
		struct pollfd p = {.fd = o->fd, .events = POLLIN};
		const ssize_t n = recv(o->fd, &answer, sizeof(answer), MSG_DONTWAIT);

		if (n == (ssize_t)sizeof(answer)) {
			error = on_answer(o, &answer, pace);
			continue;
		}
		if (n >= 0 || (errno != EAGAIN && errno != EINTR)) {
			hang_up(o);
			return EAGAIN;
		}
		if (pace->late(pace->ctx))
			return ECANCELED;
		if (tip_clock_monotonic() - since >= pace->timeout_ns)
			return EAGAIN;
		poll(&p, 1, POLL_MS);
	}
	return error < 0 ? 0 : error;
}

static int deliver(struct tip_out *out, struct tip_line *const *lines, size_t n, size_t *taken,
		   const struct tip_out_pace *pace)
{
	struct out_http *o = (struct out_http *)out;

	for (*taken = 0; *taken < n; ++*taken) {
		int error = deliver_one(o, lines[*taken], pace);

		if (error)
			return error;
	}
	return 0;
}

static void set_fd(struct tip_out *out, int fd)
{
	struct out_http *o = (struct out_http *)out;

	hang_up(o);
	o->fd = fd;
}

static void close_http(struct tip_out *out, uint64_t deadline_ns)
{
	struct out_http *o = (struct out_http *)out;

	hang_up(o);
	tip_dialler_free(o->dialler);
	free(o);
}

static const struct tip_out_ops http_ops = {.deliver = deliver,
					    .set_fd = set_fd,
					    .close = close_http};

struct tip_out *tip_out_http(const char *host, uint16_t port, const char *resolver,
			     uint32_t max_timeouts)
{
	struct out_http *o = tip_alloc(sizeof(*o));

	o->out.ops = &http_ops;
	o->fd = -1;
	o->max_timeouts = max_timeouts;
	o->dialler = tip_dialler_new(host, port, resolver);
	return &o->out;
}
