/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/poster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/http1.h"
#include "telemetry/gzip.h"
#include "tls/tcp.h"
#include "tipstaff/posting.h"

#define READ_SIZE   4096
#define BODY_MAX    (64u << 10) /* of an answer; nobody reads it, but the next one is behind it */
#define ECHO_MAX    512         /* bytes of an answer that are in the log ... */
#define ECHO_LINES  20          /* ... and so many answers a second */
#define COMPLAIN_NS (60 * TIP_NSEC_PER_SEC)
#define PACKET_MAX  (sizeof(struct tip_posting_line) + TIP_POSTING_MAX)

enum state {
	IDLE,
	DIALLING,  /* a line is there, and no connection */
	BEGINNING, /* the connection comes up */
	WRITING,
	READING,
};

struct tip_poster {
	struct event_base *base;
	struct tip_poster_config config;
	struct tip_poster_ops ops;
	char *head;
	int channel;
	struct event *line; /* the channel can be read from */
	char *packet;

	enum state state;
	uint64_t number;
	struct tip_buf request, body;
	size_t written;
	bool broken; /* the request could not be written to its end */

	struct tip_tcp stream;
	bool fresh; /* nothing was posted on it before */
	struct event *readable, *writable, *timer;
	struct tip_http_reader answer;

	char said[160]; /* the last complaint, "" when all is well */
	uint64_t said_ns;
	uint64_t echo_second;
	uint32_t echoed; /* in it */
};

static void step(struct tip_poster *p);

/* ---- the log -------------------------------------------------------------------------------- */

static void complain(struct tip_poster *p, const char *why)
{
	uint64_t now = tip_clock_monotonic();

	if (strcmp(p->said, why) == 0 && now - p->said_ns < COMPLAIN_NS)
		return;
	snprintf(p->said, sizeof(p->said), "%s", why);
	p->said_ns = now;
	tip_warn("http", "an alert is not taken: %s", why);
}

static void well(struct tip_poster *p)
{
	if (p->said[0])
		tip_info("http", "alerts are taken again");
	p->said[0] = '\0';
}

/* For whoever sets up a server. It is a stranger's text: nothing in it reaches a terminal. */
static void echo(struct tip_poster *p)
{
	const uint64_t second = tip_clock_monotonic() / TIP_NSEC_PER_SEC;
	const struct tip_buf *body = &p->answer.body;
	const size_t max = body->len < ECHO_MAX ? body->len : ECHO_MAX;
	struct tip_buf text = {0};

	if (second != p->echo_second)
		p->echoed = 0;
	p->echo_second = second;
	if (p->echoed++ >= ECHO_LINES)
		return;
	for (size_t i = 0; i < max; i++) {
		const unsigned char c = (unsigned char)body->data[i];

		if (c >= ' ' && c <= '~')
			tip_buf_addc(&text, (char)c);
		else
			tip_buf_addf(&text, "\\x%02x", c);
	}
	tip_info("http", "the server answers %d: %s%s", p->answer.status, text.len ? text.data : "",
		 body->len > max ? " ..." : "");
	tip_buf_free(&text);
}

/* ---- the connection ------------------------------------------------------------------------- */

static void drop_stream(struct tip_poster *p)
{
	if (p->readable)
		event_free(p->readable);
	if (p->writable)
		event_free(p->writable);
	p->readable = p->writable = NULL;
	tip_tcp_close(&p->stream);
}

static void await(struct tip_poster *p, enum tip_tcp_wants wants)
{
	event_del(p->readable);
	event_del(p->writable);
	event_add(wants == TIP_TCP_READ ? p->readable : p->writable, NULL);
}

/* Nothing is asked: what comes is the end, or a ticket of TLS, or not HTTP. */
static void on_idle(struct tip_poster *p)
{
	struct tip_error err;
	char buf[64];
	size_t n;

	switch (tip_tcp_read(&p->stream, buf, sizeof(buf), &n, &err)) {
	case TIP_TCP_READ: await(p, TIP_TCP_READ); break;
	default: drop_stream(p); break;
	}
}

static void on_stream(evutil_socket_t fd, short what, void *ctx)
{
	struct tip_poster *p = ctx;

	if (p->state == IDLE)
		on_idle(p);
	else
		step(p);
}

/* ---- what became of a line ------------------------------------------------------------------- */

static void close_channel(struct tip_poster *p)
{
	if (p->line)
		event_free(p->line);
	p->line = NULL;
	if (p->channel >= 0)
		close(p->channel);
	p->channel = -1;
}

static void begin_idle(struct tip_poster *p)
{
	event_del(p->timer);
	tip_http_reader_free(&p->answer);
	tip_buf_reset(&p->request);
	p->state = IDLE;
	if (p->readable)
		await(p, TIP_TCP_READ);
	if (p->line)
		event_add(p->line, NULL);
}

static void say(struct tip_poster *p, enum tip_posting_outcome outcome, uint32_t wait_s)
{
	const struct tip_posting_answer a = {p->number, outcome, wait_s};

	/* It has room: the keeper is owed one answer. Whoever does not take it hears no more. */
	if (send(p->channel, &a, sizeof(a), MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)sizeof(a))
		shutdown(p->channel, SHUT_RDWR);
}

static void give_up(struct tip_poster *p, enum tip_posting_outcome outcome, const char *why)
{
	complain(p, why);
	drop_stream(p);
	say(p, outcome, 0);
	begin_idle(p);
}

static void later(struct tip_poster *p, const char *why)
{
	give_up(p, TIP_POSTING_LATER, why);
}

/* The server has said what it has to say. `again`: it can be asked the next thing. */
static void conclude(struct tip_poster *p, bool again)
{
	const int status = p->answer.status;
	const uint32_t wait_s = p->answer.retry_after;
	char why[64];

	if (p->config.echo)
		echo(p);
	if (!again || p->broken || p->answer.last || !p->config.keep_alive)
		drop_stream(p);
	snprintf(why, sizeof(why), "the server says %d", status);
	if (status >= 200 && status < 300) {
		well(p);
		say(p, TIP_POSTING_TAKEN, 0);
	} else if (status >= 500 || status == 408 || status == 425 || status == 429) {
		complain(p, why);
		say(p, TIP_POSTING_LATER, wait_s);
	} else {
		complain(p, why);
		say(p, TIP_POSTING_REFUSED, 0);
	}
	begin_idle(p);
}

/* The connection is of no use, or the answer makes no sense. */
static void fail(struct tip_poster *p, const char *why)
{
	if (p->answer.headed) {
		conclude(p, false);
		return;
	}
	if (p->fresh || p->answer.head) {
		later(p, why);
		return;
	}
	/* A kept connection that the server closed just now: that is nobody's fault. */
	drop_stream(p);
	event_del(p->timer);
	tip_http_reader_free(&p->answer);
	p->state = DIALLING;
	say(p, TIP_POSTING_DIAL, 0);
	event_add(p->line, NULL);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct tip_poster *p = ctx;

	if (p->answer.headed)
		conclude(p, false);
	else
		give_up(p, TIP_POSTING_TIMED_OUT,
			p->state == BEGINNING ? "no connection in time" : "no answer in time");
}

/* ---- a request ------------------------------------------------------------------------------- */

/* True: go on. */
static bool begin(struct tip_poster *p)
{
	struct tip_error err;
	const enum tip_tcp_wants wants = tip_tcp_begin(&p->stream, &err);

	if (wants == TIP_TCP_DONE) {
		p->state = WRITING;
		return true;
	}
	if (wants == TIP_TCP_READ || wants == TIP_TCP_WRITE)
		await(p, wants);
	else
		fail(p, wants == TIP_TCP_ENDED ? "the server hung up" : err.text);
	return false;
}

static bool write_some(struct tip_poster *p)
{
	struct tip_error err;
	size_t n;
	const enum tip_tcp_wants wants = tip_tcp_write(&p->stream, p->request.data + p->written,
						       p->request.len - p->written, &n, &err);

	p->written += n;
	if (wants == TIP_TCP_READ || wants == TIP_TCP_WRITE) {
		await(p, wants);
		return false;
	}
	/* A server that does not read on may have said why. */
	p->broken = wants != TIP_TCP_DONE;
	if (p->broken || p->written == p->request.len)
		p->state = READING;
	return true;
}

static bool read_some(struct tip_poster *p)
{
	struct tip_error err;
	char buf[READ_SIZE];
	enum tip_tcp_wants wants;
	size_t n;

	wants = tip_tcp_read(&p->stream, buf, sizeof(buf), &n, &err);
	if ((wants == TIP_TCP_READ || wants == TIP_TCP_WRITE) && !p->broken) {
		await(p, wants);
		return false;
	}
	if (wants != TIP_TCP_DONE) {
		if (wants == TIP_TCP_ENDED && tip_http_end(&p->answer) == TIP_HTTP_DONE)
			conclude(p, false);
		else
			fail(p, wants == TIP_TCP_FAILED ? err.text : "the server hung up");
		return false;
	}
	switch (tip_http_feed(&p->answer, buf, n)) {
	case TIP_HTTP_MORE: return true;
	case TIP_HTTP_DONE: conclude(p, true); break;
	case TIP_HTTP_BAD: fail(p, "the answer is not HTTP"); break;
	case TIP_HTTP_TOO_LONG: fail(p, "the answer is too long"); break;
	}
	return false;
}

static void step(struct tip_poster *p)
{
	bool on = true;

	while (on) {
		switch (p->state) {
		case BEGINNING: on = begin(p); break;
		case WRITING: on = write_some(p); break;
		case READING: on = read_some(p); break;
		default: on = false; break;
		}
	}
}

/* The connection is there, or coming up. */
static void start(struct tip_poster *p, enum state state)
{
	const struct timeval tv = {p->config.timeout_ms / 1000,
				   (suseconds_t)(p->config.timeout_ms % 1000) * 1000};

	event_del(p->line);
	p->state = state;
	p->written = 0;
	p->broken = false;
	p->answer = (struct tip_http_reader){.body_max = BODY_MAX};
	event_add(p->timer, &tv);
	step(p);
}

/* ---- what the keeper sends ------------------------------------------------------------------- */

static void on_socket(struct tip_poster *p, int fd)
{
	struct tip_error err;

	drop_stream(p);
	if (tip_tcp_open(&p->stream, fd, p->config.tls, &err) < 0) {
		later(p, err.text);
		return;
	}
	p->readable = event_new(p->base, fd, EV_READ, on_stream, p);
	p->writable = event_new(p->base, fd, EV_WRITE, on_stream, p);
	if (!p->readable || !p->writable)
		abort();
	p->fresh = true;
	start(p, BEGINNING);
}

static int write_request(struct tip_poster *p, const char *line, size_t len)
{
	const void *body = line;

	tip_buf_reset(&p->request);
	tip_buf_adds(&p->request, p->head);
	if (p->config.gzip) {
		tip_buf_reset(&p->body);
		if (tip_gzip(line, len, &p->body) < 0)
			return -1;
		tip_buf_adds(&p->request, "Content-Encoding: gzip\r\n");
		body = p->body.data;
		len = p->body.len;
	}
	if (!p->config.keep_alive)
		tip_buf_adds(&p->request, "Connection: close\r\n");
	tip_buf_addf(&p->request, "Content-Length: %zu\r\n\r\n", len);
	tip_buf_add(&p->request, body, len);
	return 0;
}

static void on_new_line(struct tip_poster *p, uint64_t number, const char *line, size_t len)
{
	int ready;

	p->number = number;
	ready = p->ops.prepare(p->ops.ctx);
	if (ready < 0 || write_request(p, line, len) < 0) {
		later(p, "the request cannot be prepared");
		return;
	}
	if (ready > 0) /* the server is to see who it is now */
		drop_stream(p);
	if (p->readable) {
		p->fresh = false;
		start(p, WRITING);
		return;
	}
	p->state = DIALLING;
	say(p, TIP_POSTING_DIAL, 0);
}

/* One packet; its length, 0 at the end, -1 for nothing now. `*fd`: what came with it, or -1. */
static ssize_t receive(struct tip_poster *p, int *fd)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {p->packet, PACKET_MAX};
	struct msghdr mh = {.msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.buf,
			    .msg_controllen = sizeof(control.buf)};
	const struct cmsghdr *c;
	ssize_t n;

	*fd = -1;
	n = recvmsg(p->channel, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -1 : 0;
	c = CMSG_FIRSTHDR(&mh);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return n;
}

static void on_line(evutil_socket_t channel, short what, void *ctx)
{
	struct tip_poster *p = ctx;
	struct tip_posting_line head;
	ssize_t n;
	int fd;

	n = receive(p, &fd);
	if (n < 0)
		return;
	if (n < (ssize_t)sizeof(head)) {
		drop_stream(p);
		close_channel(p);
		p->state = IDLE;
		p->ops.ended(p->ops.ctx);
		return;
	}
	memcpy(&head, p->packet, sizeof(head));
	if (fd < 0 && head.len && (size_t)n == sizeof(head) + head.len)
		on_new_line(p, head.number, p->packet + sizeof(head), head.len);
	else if (fd >= 0 && p->state == DIALLING && head.number == p->number)
		on_socket(p, fd);
	else if (fd >= 0) /* for a line that was given up */
		close(fd);
}

/* ---- life ------------------------------------------------------------------------------------ */

void tip_poster_channel(struct tip_poster *p, int fd)
{
	drop_stream(p);
	close_channel(p);
	p->channel = fd;
	p->line = event_new(p->base, fd, EV_READ | EV_PERSIST, on_line, p);
	if (!p->line)
		abort();
	begin_idle(p);
}

bool tip_poster_open(const struct tip_poster *p)
{
	return p->channel >= 0;
}

struct tip_poster *tip_poster_new(struct event_base *base, const struct tip_poster_config *config,
				  const struct tip_poster_ops *ops)
{
	struct tip_poster *p = tip_alloc(sizeof(*p));

	p->base = base;
	p->config = *config;
	p->ops = *ops;
	p->head = tip_strdup(config->head);
	p->config.head = p->head;
	p->channel = p->stream.fd = -1;
	p->packet = tip_alloc(PACKET_MAX);
	p->timer = event_new(base, -1, 0, on_timer, p);
	if (!p->timer)
		abort();
	return p;
}

void tip_poster_free(struct tip_poster *p)
{
	if (!p)
		return;
	drop_stream(p);
	close_channel(p);
	event_free(p->timer);
	tip_http_reader_free(&p->answer);
	tip_buf_free(&p->request);
	tip_buf_free(&p->body);
	free(p->packet);
	free(p->head);
	free(p);
}
