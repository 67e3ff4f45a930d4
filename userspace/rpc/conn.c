/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

/* Chunks taken from one connection before the others have their turn. */
#define READS_A_TURN 4
/* A peer that leaves our output in the socket for so long does not read. */
#define STALL_NS (30 * TIP_NSEC_PER_SEC)
/* A request that is begun is complete within this time. */
#define REQUEST_NS (10 * TIP_NSEC_PER_SEC)

static void teardown(struct tip_rpc_conn *c)
{
	struct tip_rpc_server *s = c->server;
	struct tip_rpc_call *call;

	/* Callbacks below may ask for this connection to be closed once more. */
	c->busy++;
	tip_rpc_conn_kill(c);
	while ((call = LIST_FIRST(&c->calls)))
		tip_rpc_call_free(call);
	if (c->ops.closed)
		c->ops.closed(c->ctx, c);
	nghttp2_session_del(c->session);
	tip_rpc_wipe_free(c->pend, c->pend_len);
	event_del(&c->kick);
	LIST_REMOVE(c, link);
	s->stats.connections--;
	free(c);
}

void tip_rpc_conn_kill(struct tip_rpc_conn *c)
{
	if (c->fd < 0)
		return;
	event_del(&c->rd);
	event_del(&c->wr);
	close(c->fd);
	c->fd = -1;
	tip_rpc_conn_kick(c);
}

void tip_rpc_conn_close(struct tip_rpc_conn *c)
{
	tip_rpc_conn_kill(c);
	if (!c->busy)
		teardown(c);
}

void tip_rpc_conn_kick(struct tip_rpc_conn *c)
{
	/* Inside its own callback a connection looks after its output before it returns. */
	if (!c->busy)
		event_active(&c->kick, EV_TIMEOUT, 0);
}

/* Bytes written, 0 when the socket is full, -1 when it is broken. */
static ssize_t push(struct tip_rpc_conn *c, const uint8_t *data, size_t len)
{
	ssize_t n;

	do {
		n = send(c->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0 : -1;
}

/*
 * The peer does not take our output: nothing more is read from it, so that requests
 * whose answers wait here cannot pile up.
 */
static void set_blocked(struct tip_rpc_conn *c, bool blocked)
{
	if (blocked == (c->blocked != 0))
		return;
	if (blocked) {
		c->blocked = tip_clock_monotonic();
		event_del(&c->rd);
		event_add(&c->wr, NULL);
	} else {
		c->blocked = 0;
		event_del(&c->wr);
		event_add(&c->rd, NULL);
	}
}

/* Writes what `pend` holds. 1: all of it, 0: the socket is full, -1: broken. */
static int flush_pend(struct tip_rpc_conn *c)
{
	ssize_t n;

	if (!c->pend)
		return 1;
	n = push(c, c->pend + c->pend_off, c->pend_len - c->pend_off);
	if (n < 0)
		return -1;
	c->pend_off += (size_t)n;
	if (n && c->blocked)
		c->blocked = tip_clock_monotonic();
	if (c->pend_off < c->pend_len)
		return 0;
	tip_rpc_wipe_free(c->pend, c->pend_len);
	c->pend = NULL;
	c->pend_len = c->pend_off = 0;
	return 1;
}

/* Keeps the part of the server's output buffer that the socket did not take. */
static void keep_rest(struct tip_rpc_conn *c, const uint8_t *data, size_t len)
{
	c->pend = tip_alloc(len);
	memcpy(c->pend, data, len);
	c->pend_len = len;
	c->pend_off = 0;
}

/* Writes all that nghttp2 has to say. 0, or -1 when the connection is to end. */
static int flush_session(struct tip_rpc_conn *c)
{
	struct tip_rpc_server *s = c->server;
	ssize_t n;
	int rv;

	for (;;) {
		rv = flush_pend(c);
		if (rv < 0)
			return -1;
		if (!rv) {
			set_blocked(c, true);
			return 0;
		}
		s->out_len = 0;
		rv = nghttp2_session_send(c->session);
		if (rv || c->fd < 0) {
			explicit_bzero(s->out, s->out_len);
			return -1;
		}
		if (!s->out_len)
			break;
		n = push(c, s->out, s->out_len);
		if (n >= 0 && (size_t)n < s->out_len)
			keep_rest(c, s->out + n, s->out_len - (size_t)n);
		explicit_bzero(s->out, s->out_len);
		if (n < 0)
			return -1;
	}
	set_blocked(c, false);
	if (c->going ||
	    (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session)))
		return -1;
	return 0;
}

/* Every event of a connection begins and ends so. */
static void enter(struct tip_rpc_conn *c)
{
	c->busy++;
}

static void leave(struct tip_rpc_conn *c)
{
	if (c->fd >= 0 && flush_session(c))
		tip_rpc_conn_kill(c);
	c->busy--;
	if (c->fd < 0)
		teardown(c);
}

/*
 * One chunk with its writer. The control buffer has room for the credentials and nothing else:
 * descriptors that somebody sends are dropped by the kernel (MSG_CTRUNC) before they become ours.
 */
static ssize_t read_chunk(struct tip_rpc_conn *c, struct ucred *cred, bool *descriptors)
{
	union {
		struct cmsghdr align;
		char data[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec iov = {.iov_base = c->server->in, .iov_len = sizeof(c->server->in)};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *h;
	ssize_t n;

	cred->pid = -1;
	cred->uid = (uid_t)-1;
	cred->gid = (gid_t)-1;
	*descriptors = false;
	do {
		n = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return n;
	for (h = CMSG_FIRSTHDR(&msg); h; h = CMSG_NXTHDR(&msg, h)) {
		if (h->cmsg_level != SOL_SOCKET)
			continue;
		if (h->cmsg_type == SCM_CREDENTIALS && h->cmsg_len == CMSG_LEN(sizeof(*cred))) {
			memcpy(cred, CMSG_DATA(h), sizeof(*cred));
		} else if (h->cmsg_type == SCM_RIGHTS) {
			int fds[sizeof(control) / sizeof(int)];
			size_t bytes = h->cmsg_len - CMSG_LEN(0);

			memcpy(fds, CMSG_DATA(h), bytes);
			for (size_t i = 0; i < bytes / sizeof(int); i++)
				close(fds[i]);
			*descriptors = true;
		}
	}
	if (msg.msg_flags & MSG_CTRUNC)
		*descriptors = true;
	return n;
}

/* One chunk. False: nothing more to read now (or ever). */
static bool read_once(struct tip_rpc_conn *c)
{
	struct tip_rpc_server *s = c->server;
	struct ucred cred;
	bool descriptors;
	ssize_t n = read_chunk(c, &cred, &descriptors);

	if (n < 0) {
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			tip_rpc_conn_kill(c);
		return false;
	}
	if (n == 0 && !descriptors) {
		/* The end of the stream was written by nobody. */
		tip_rpc_conn_kill(c);
		return false;
	}
	if (c->ops.writer_ok && !c->ops.writer_ok(c->ctx, c, &cred)) {
		s->stats.foreign_writers++;
		tip_rpc_conn_kill(c);
		return false;
	}
	if (descriptors) {
		/* gRPC has no use for descriptors. */
		s->stats.protocol_errors++;
		tip_rpc_conn_kill(c);
		return false;
	}
	if (c->fd < 0)
		return false;
	if (nghttp2_session_mem_recv(c->session, s->in, (size_t)n) < 0 && c->fd >= 0) {
		s->stats.protocol_errors++;
		tip_rpc_conn_kill(c);
	}
	return c->fd >= 0;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct tip_rpc_conn *c = arg;

	(void)fd;
	(void)what;
	enter(c);
	for (int i = 0; i < READS_A_TURN && read_once(c); i++) {
		/* Answers go out between chunks, so a full socket stops the reading too. */
		if (flush_session(c)) {
			tip_rpc_conn_kill(c);
			break;
		}
		if (c->blocked)
			break;
	}
	leave(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct tip_rpc_conn *c = arg;

	(void)fd;
	(void)what;
	enter(c);
	leave(c);
}

struct tip_rpc_conn *tip_rpc_conn_add(struct tip_rpc_server *s, int fd,
				      const struct tip_rpc_conn_ops *ops, void *ctx)
{
	struct tip_rpc_conn *c;
	int on = 1;

	if (s->stats.connections >= s->config.max_connections)
		goto refuse;
	/* Whoever made the listener asked for it too: bytes that came before this line carry it. */
	if (ops && ops->writer_ok && setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)))
		goto refuse;
	c = tip_alloc(sizeof(*c));
	c->server = s;
	if (ops)
		c->ops = *ops;
	c->ctx = ctx;
	c->fd = fd;
	c->active = c->tokens_at = tip_clock_monotonic();
	LIST_INIT(&c->calls);
	if (tip_rpc_session_new(c)) {
		free(c);
		goto refuse;
	}
	event_assign(&c->rd, s->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	event_assign(&c->wr, s->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
	event_assign(&c->kick, s->base, -1, EV_TIMEOUT, on_writable, c);
	event_add(&c->rd, NULL);
	LIST_INSERT_HEAD(&s->conns, c, link);
	s->stats.connections++;
	s->stats.accepted++;
	tip_rpc_conn_kick(c); /* our SETTINGS */
	return c;
refuse:
	s->stats.refused++;
	close(fd);
	return NULL;
}

void *tip_rpc_conn_ctx(const struct tip_rpc_conn *c)
{
	return c->ctx;
}

size_t tip_rpc_buffered(const struct tip_rpc_conn *c)
{
	return c->queued + (c->pend_len - c->pend_off);
}

/* Requests that never become whole, peers that do not read, connections that nobody uses. */
void tip_rpc_conn_sweep(struct tip_rpc_conn *c, uint64_t now)
{
	uint64_t idle = c->server->config.idle_timeout_s * TIP_NSEC_PER_SEC;
	struct tip_rpc_call *call;

	enter(c);
	if (c->blocked && now > c->blocked + STALL_NS) {
		tip_debug("rpc", "closing a connection whose peer takes no output");
		tip_rpc_conn_kill(c);
	}
	for (call = LIST_FIRST(&c->calls); call; call = LIST_NEXT(call, link)) {
		if (!call->running && !call->finished && now > call->born + REQUEST_NS)
			tip_rpc_finish(call, TIP_GRPC_DEADLINE_EXCEEDED,
				       "the request did not become complete in time");
	}
	if (c->nrunning)
		c->active = now;
	if (idle && now > c->active + idle && c->fd >= 0) {
		/* GOAWAY first: a client opens a new connection without calling it an error. */
		nghttp2_session_terminate_session(c->session, NGHTTP2_NO_ERROR);
		c->going = true;
	}
	leave(c);
}
