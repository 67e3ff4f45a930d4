/* SPDX-License-Identifier: Apache-2.0 */
#include "alert/out.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

/*
 * Not syslog(3): that one is shared by the whole process, blocks without a limit, and does not tell
 * whether the message was taken.
 */
#define POLL_MS 100

struct out_syslog {
	struct tip_out out;
	struct sockaddr_un addr;
	int facility;
	int fd; /* -1: not connected */
};

static int connect_to(struct out_syslog *o)
{
	int error;

	o->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (o->fd < 0)
		return errno;
	if (connect(o->fd, (struct sockaddr *)&o->addr, sizeof(o->addr)) == 0)
		return 0;
	error = errno;
	close(o->fd);
	o->fd = -1;
	return error;
}

/* "<27>Nov 22 18:00:00 tipstaffd[123]: " */
static size_t header(const struct out_syslog *o, const struct tip_line *line, char *buf,
		     size_t size)
{
	static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t now = (time_t)(tip_clock_real() / TIP_NSEC_PER_SEC);
	struct tm tm = {0};
	int n;

	localtime_r(&now, &tm);
	/* The priorities of rules are the severities of syslog, in the same order. */
	n = snprintf(buf, size,
		     "<%d>%s %2d %02d:%02d:%02d tipstaffd[%d]: ", o->facility | line->priority,
		     months[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		     (int)getpid());
	return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

/* 0, or the errno of one try. */
static int send_line(struct out_syslog *o, const struct tip_line *line)
{
	char head[80];
	struct iovec iov[] = {{head, header(o, line, head, sizeof(head))},
			      {(char *)line->text, line->len - 1}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	int error = o->fd < 0 ? connect_to(o) : 0;

	if (error)
		return error;
	if (sendmsg(o->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		return 0;
	error = errno;
	if (error != EAGAIN && error != EINTR && error != EMSGSIZE && error != ENOBUFS) {
		/* The syslog daemon was started anew: its socket is another one. */
		close(o->fd);
		o->fd = -1;
	}
	return error == ENOBUFS ? EAGAIN : error;
}

static int deliver(struct tip_out *out, struct tip_line *const *lines, size_t n, size_t *taken,
		   const struct tip_out_pace *pace)
{
	struct out_syslog *o = (struct out_syslog *)out;
	uint64_t since = tip_clock_monotonic();
	bool again = true; /* a lost connection is made anew once */
	int error;

	*taken = 0;
	while (*taken < n) {
		struct pollfd p = {.events = POLLOUT};

		error = send_line(o, lines[*taken]);
		if (error == 0) {
			++*taken;
			since = tip_clock_monotonic();
			again = true;
			continue;
		}
		if (error == EMSGSIZE)
			return error;
		if (error != EAGAIN && error != EINTR) {
			if (!again)
				return error;
			again = false;
			continue;
		}
		if (pace->late(pace->ctx))
			return ECANCELED;
		if (tip_clock_monotonic() - since >= pace->timeout_ns)
			return EAGAIN;
		p.fd = o->fd;
		poll(&p, 1, POLL_MS);
	}
	return 0;
}

static void close_syslog(struct tip_out *out, uint64_t deadline_ns)
{
	struct out_syslog *o = (struct out_syslog *)out;

	if (o->fd >= 0)
		close(o->fd);
	free(o);
}

static const struct tip_out_ops syslog_ops = {.deliver = deliver, .close = close_syslog};

struct tip_out *tip_out_syslog(const char *path, int facility)
{
	struct out_syslog *o = tip_alloc(sizeof(*o));

	o->out.ops = &syslog_ops;
	o->fd = -1;
	o->facility = facility;
	o->addr.sun_family = AF_UNIX;
	snprintf(o->addr.sun_path, sizeof(o->addr.sun_path), "%s", path);
	return &o->out;
}
