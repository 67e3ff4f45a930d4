/* SPDX-License-Identifier: Apache-2.0 */
#include "link/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sock.h"

#define QUEUE_MAX (32u << 20) /* bytes that may wait for the other side */
#define BATCH     64          /* messages read before the loop gets its turn again */
#define FDS_MAX   4           /* more than any message has: a surplus is seen and refused */
#define SCRATCH   (TIP_LINK_MAX + 16)

struct queued {
	struct queued *next;
	int fd; /* -1: none */
	size_t len;
	char packet[];
};

struct tip_link {
	int fd;
	enum tip_link_side side;
	struct tip_link_ops ops;
	struct event *readable, *writable, *ending;
	uint32_t seq_out, seq_in;
	struct queued *head, **tail;
	size_t queued_bytes;
	bool ended;
	const char *why;
	char packet[TIP_LINK_MAX]; /* as it came */
	char scratch[SCRATCH];     /* its strings */
	char out[TIP_LINK_MAX];    /* being sent; not `packet`: handlers send while they read */
};

static void queue_drop(struct tip_link *l)
{
	struct queued *q = l->head;

	l->head = q->next;
	if (!l->head)
		l->tail = &l->head;
	l->queued_bytes -= q->len;
	if (q->fd >= 0)
		close(q->fd);
	explicit_bzero(q->packet, q->len); /* may hold a key */
	free(q);
}

/* Tells the owner from the loop, never from inside tip_link_send(): the owner may free the link
 * then. */
static void end(struct tip_link *l, const char *why)
{
	if (l->ended)
		return;
	l->ended = true;
	l->why = why;
	event_del(l->readable);
	event_del(l->writable);
	while (l->head)
		queue_drop(l);
	event_active(l->ending, EV_TIMEOUT, 0);
}

static void on_ending(evutil_socket_t fd, short what, void *ctx)
{
	struct tip_link *l = ctx;

	l->ops.ended(l->ops.ctx, l->why);
}

/* Sends one packet: 1 sent, 0 would block, -1 the link is broken. */
static int send_packet(struct tip_link *l, const void *packet, size_t len, int fd)
{
	const struct iovec iov = {(void *)packet, len};

	switch (tip_send_fd(l->fd, &iov, 1, fd, MSG_DONTWAIT)) {
	case 0: return 1;
	case EAGAIN:
	case ENOBUFS: /* these pass when the other side reads: descriptors are in flight */
	case ETOOMANYREFS: return 0;
	default: return -1;
	}
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
	struct tip_link *l = ctx;
	int ret = 1;

	while (l->head) {
		ret = send_packet(l, l->head->packet, l->head->len, l->head->fd);
		if (ret <= 0)
			break;
		queue_drop(l);
	}
	if (ret < 0)
		end(l, "the other side is gone");
	else if (!l->head)
		event_del(l->writable);
}

/* Sends or queues one encoded packet; `fd` -1: without a descriptor. */
static int submit(struct tip_link *l, const char *packet, size_t len, int fd)
{
	struct queued *q;
	int ret;

	if (!l->head) {
		ret = send_packet(l, packet, len, fd);
		if (ret > 0)
			return 0;
		if (ret < 0) {
			end(l, "the other side is gone");
			return -1;
		}
	}
	if (l->queued_bytes + len > QUEUE_MAX) {
		end(l, "the other side does not read");
		return -1;
	}
	q = tip_alloc(sizeof(*q) + len);
	q->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (fd >= 0 && q->fd < 0) {
		/* The sequence number is used up: the link cannot go on without the message. */
		free(q);
		end(l, "no descriptor is left");
		return -1;
	}
	q->len = len;
	memcpy(q->packet, packet, len);
	*l->tail = q;
	l->tail = &q->next;
	l->queued_bytes += q->len;
	event_add(l->writable, NULL);
	return 0;
}

int tip_link_send(struct tip_link *l, const struct tip_link_msg *msg)
{
	struct tip_link_hdr h;
	struct tip_error err;
	long len;
	int ret;

	if (l->ended)
		return -1;
	len = tip_link_encode(msg, l->seq_out, l->out, &err);
	if (len < 0) {
		tip_err("link", "%s", err.text);
		return -1;
	}
	l->seq_out++;
	memcpy(&h, l->out, sizeof(h));
	ret = submit(l, l->out, (size_t)len, h.nfds ? msg->fd : -1);
	explicit_bzero(l->out, (size_t)len);
	return ret;
}

/* Takes the descriptors out of `mh`; count, or -1 if there were more than we have room for. */
static int take_fds(struct msghdr *mh, int fds[FDS_MAX])
{
	struct cmsghdr *c;
	int count = 0;

	for (c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n && count < FDS_MAX; i++)
			memcpy(&fds[count++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	return count;
}

/* One packet. True when there may be more. */
static bool receive(struct tip_link *l)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	} control;
	struct iovec iov = {l->packet, sizeof(l->packet)};
	struct msghdr mh = {.msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.buf,
			    .msg_controllen = sizeof(control.buf)};
	struct tip_link_msg msg;
	struct tip_link_hdr h;
	struct tip_error err;
	int fds[FDS_MAX], nfds;
	ssize_t n;

	n = recvmsg(l->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			end(l, "the link broke");
		return false;
	}
	nfds = take_fds(&mh, fds);
	if (n == 0) {
		end(l, "the other side is gone");
		return false;
	}
	if (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		tip_error_set(&err, "a message was cut short");
		goto bad;
	}
	if (tip_link_decode(l->side, l->packet, (size_t)n, (size_t)nfds, l->scratch, &msg, &err) <
	    0)
		goto bad;
	memcpy(&h, l->packet, sizeof(h));
	if (h.seq != l->seq_in) {
		tip_error_set(&err, "message %u came where %u was due", h.seq, l->seq_in);
		goto bad;
	}
	l->seq_in++;
	if (nfds)
		msg.fd = fds[0];
	l->ops.message(l->ops.ctx, &msg);
	return !l->ended;
bad:
	for (int i = 0; i < nfds; i++)
		close(fds[i]);
	tip_err("link", "%s", err.text);
	end(l, "the other side broke the format");
	return false;
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct tip_link *l = ctx;

	for (int i = 0; i < BATCH && receive(l); i++)
		;
	/* Key material passes here. */
	explicit_bzero(l->packet, sizeof(l->packet));
	explicit_bzero(l->scratch, sizeof(l->scratch));
}

struct tip_link *tip_link_new(struct event_base *base, int fd, enum tip_link_side side,
			      const struct tip_link_ops *ops)
{
	struct tip_link *l = tip_alloc(sizeof(*l));

	l->fd = fd;
	l->side = side;
	l->ops = *ops;
	l->tail = &l->head;
	l->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, l);
	l->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, l);
	l->ending = event_new(base, -1, 0, on_ending, l);
	if (!l->readable || !l->writable || !l->ending)
		abort();
	event_add(l->readable, NULL);
	return l;
}

void tip_link_free(struct tip_link *l)
{
	if (!l)
		return;
	while (l->head)
		queue_drop(l);
	event_free(l->readable);
	event_free(l->writable);
	event_free(l->ending);
	close(l->fd);
	explicit_bzero(l, sizeof(*l));
	free(l);
}
