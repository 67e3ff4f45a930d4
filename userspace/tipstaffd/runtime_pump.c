/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/runtime_pump.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

#define PUMPS_MAX   64 /* the front asks sixteen questions at a time */
#define ENDLESS_MAX 16 /* one for each runtime */
#define BYTES_MAX   (1u << 20)
#define SECONDS     15

struct pump {
	LIST_ENTRY(pump) link;
	struct tip_pumps *all;
	int from, to;
	struct event *readable, *writable, *hung_up, *timer;
	bool endless;
	size_t total, len, off;
	char buf[16384];
};

struct tip_pumps {
	struct event_base *base;
	LIST_HEAD(, pump) list;
	size_t count[2]; /* [1]: endless ones */
};

struct tip_pumps *tip_pumps_new(struct event_base *base)
{
	struct tip_pumps *p = tip_alloc(sizeof(*p));

	p->base = base;
	LIST_INIT(&p->list);
	return p;
}

static void pump_free(struct pump *p)
{
	LIST_REMOVE(p, link);
	p->all->count[p->endless]--;
	event_free(p->readable);
	event_free(p->writable);
	event_free(p->hung_up);
	event_free(p->timer);
	close(p->from);
	close(p->to);
	free(p);
}

void tip_pumps_free(struct tip_pumps *p)
{
	struct pump *one, *next;

	if (!p)
		return;
	for (one = LIST_FIRST(&p->list); one; one = next) {
		next = LIST_NEXT(one, link);
		pump_free(one);
	}
	free(p);
}

static bool later(void)
{
	return errno == EAGAIN || errno == EINTR;
}

/* Writes what was read; reads on when all of it is out. */
static void push(struct pump *p)
{
	ssize_t n = send(p->to, p->buf + p->off, p->len - p->off, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && !later()) {
		pump_free(p);
		return;
	}
	p->off += n > 0 ? (size_t)n : 0;
	if (p->off < p->len) {
		event_del(p->readable);
		event_add(p->writable, NULL);
		return;
	}
	event_del(p->writable);
	event_add(p->readable, NULL);
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
	push(ctx);
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct pump *p = ctx;
	ssize_t n = recv(fd, p->buf, sizeof(p->buf), MSG_DONTWAIT);

	if (n < 0 && later())
		return;
	if (n <= 0 || ((p->total += (size_t)n) > BYTES_MAX && !p->endless)) {
		pump_free(p);
		return;
	}
	p->len = (size_t)n;
	p->off = 0;
	push(p);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	pump_free(ctx);
}

/* Who reads has nothing to say: the socket is readable when it is closed. */
static void on_hung_up(evutil_socket_t fd, short what, void *ctx)
{
	pump_free(ctx);
}

int tip_pump_start(struct tip_pumps *all, int from, bool endless)
{
	const struct timeval tv = {SECONDS, 0};
	bool full = all->count[endless] >= (endless ? ENDLESS_MAX : PUMPS_MAX);
	struct pump *p;
	int sv[2];

	if (full || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv) < 0) {
		errno = full ? EMFILE : errno;
		close(from);
		return -1;
	}
	p = tip_alloc(sizeof(*p));
	p->all = all;
	p->from = from;
	p->to = sv[0];
	p->readable = event_new(all->base, from, EV_READ | EV_PERSIST, on_readable, p);
	p->writable = event_new(all->base, p->to, EV_WRITE | EV_PERSIST, on_writable, p);
	p->hung_up = event_new(all->base, p->to, EV_READ, on_hung_up, p);
	p->timer = event_new(all->base, -1, 0, on_timer, p);
	if (!p->readable || !p->writable || !p->hung_up || !p->timer)
		abort();
	p->endless = endless;
	LIST_INSERT_HEAD(&all->list, p, link);
	all->count[endless]++;
	event_add(p->readable, NULL);
	event_add(p->hung_up, NULL);
	if (!endless)
		event_add(p->timer, &tv);
	return sv[1];
}
