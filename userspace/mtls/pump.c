/* SPDX-License-Identifier: Apache-2.0 */
#include "mtls/pump.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <event2/event_struct.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mtls/internal.h"
#include "mtls/socket.h"

#define BUFFER_MIN 4096
#define BUFFER_MAX 262144
/* Bytes of one connection before the others have their turn. */
#define TURN_BYTES (256 * 1024)
/* A buffer that was not used between two looks is given back. */
#define IDLE_USEC 500000

enum { READABLE = 1, WRITABLE = 2 };

struct leg {
	struct event ev; /* edge-triggered, both ways, added once */
	int fd;
	unsigned int ready; /* as far as is known: an EAGAIN takes it back */
};

struct flow {
	LIST_ENTRY(flow) link; /* in holders, while cap */
	struct tip_pump_group *group;
	struct tip_pump *pump;
	uint8_t *data;
	size_t off, len, cap; /* what waits is data[off..off+len) */
	size_t want;          /* size of the next buffer */
	bool used;            /* since the last look */
	bool eof, shut;       /* the source has ended; so was the sink told */
	uint64_t bytes;
};
LIST_HEAD(flow_list, flow);

struct tip_pump {
	LIST_ENTRY(tip_pump) link;
	TAILQ_ENTRY(tip_pump) waiting;
	struct tip_pump_group *group;
	struct leg app, wire;
	struct tip_backend *backend;
	struct event again;      /* another turn, after the others */
	struct flow out, in;     /* to the wire, from the wire */
	unsigned int read_needs; /* of the wire, for its next read: TLS may have to write first */
	unsigned int write_needs;
	bool is_waiting;
	enum tip_mtls_cause cause; /* set: it is over */
	uint64_t started, moved;
	tip_pump_closed_fn closed;
	void *ctx;
};
LIST_HEAD(pump_list, tip_pump);
TAILQ_HEAD(pump_queue, tip_pump);

struct tip_pump_group {
	struct event_base *base;
	size_t limit;
	struct pump_list pumps;
	struct flow_list holders;
	struct pump_queue waiters; /* for a first buffer */
	struct event idle;
	struct tip_pump_group_stats stats;
};

/* ---- buffers ---- */

static void again(struct tip_pump *p)
{
	static const struct timeval now = {0, 0};

	/* A timer and no event_active(): that would run before the other connections' events. */
	event_add(&p->again, &now);
}

static void wait_for_buffer(struct tip_pump *p)
{
	if (p->is_waiting)
		return;
	p->is_waiting = true;
	p->group->stats.waits++;
	TAILQ_INSERT_TAIL(&p->group->waiters, p, waiting);
}

static void stop_waiting(struct tip_pump *p)
{
	if (!p->is_waiting)
		return;
	p->is_waiting = false;
	TAILQ_REMOVE(&p->group->waiters, p, waiting);
}

static void wake_waiter(struct tip_pump_group *g)
{
	struct tip_pump *p = TAILQ_FIRST(&g->waiters);

	if (!p || g->stats.buffers + BUFFER_MIN > g->limit)
		return;
	stop_waiting(p);
	again(p);
}

static void give_back(struct flow *f)
{
	struct tip_pump_group *g = f->group;

	if (!f->cap)
		return;
	/* It was plaintext. */
	explicit_bzero(f->data, f->cap);
	free(f->data);
	LIST_REMOVE(f, link);
	g->stats.buffers -= f->cap;
	f->data = NULL;
	f->cap = f->off = f->len = 0;
	f->want = BUFFER_MIN;
	wake_waiter(g);
}

static bool fits(const struct tip_pump_group *g, size_t cap, size_t more)
{
	size_t limit = cap > BUFFER_MIN ? g->limit / 2 : g->limit;

	return g->stats.buffers + more <= limit;
}

/* Sees to a buffer for the next read; only while nothing waits in it. */
static bool get_buffer(struct tip_pump *p, struct flow *f)
{
	struct tip_pump_group *g = f->group;
	static const struct timeval idle = {0, IDLE_USEC};
	size_t cap = f->want;

	f->used = true;
	f->off = 0;
	if (f->cap >= cap)
		return true;
	if (!fits(g, cap, cap - f->cap)) {
		if (f->cap)
			return true;
		cap = BUFFER_MIN;
		if (!fits(g, cap, cap)) {
			wait_for_buffer(p);
			return false;
		}
	}
	if (f->cap) {
		explicit_bzero(f->data, f->cap);
		free(f->data);
		LIST_REMOVE(f, link);
		g->stats.buffers -= f->cap;
	}
	f->data = malloc(cap);
	f->cap = f->data ? cap : 0;
	if (!f->data) {
		p->cause = TIP_MTLS_INTERNAL;
		return false;
	}
	if (LIST_EMPTY(&g->holders))
		event_add(&g->idle, &idle);
	LIST_INSERT_HEAD(&g->holders, f, link);
	g->stats.buffers += cap;
	if (g->stats.buffers > g->stats.buffers_peak)
		g->stats.buffers_peak = g->stats.buffers;
	return true;
}

/* A quiet moment, as good as any for the end that a worn key asks for. */
static void end_worn(struct tip_pump *p)
{
	const struct tip_backend_ops *ops = p->backend->ops;

	if (p->out.len || p->in.len || !ops->worn || !ops->worn(p->backend))
		return;
	p->cause = TIP_MTLS_BUDGET;
	again(p);
}

static void on_idle(evutil_socket_t fd, short what, void *arg)
{
	struct tip_pump_group *g = arg;
	struct flow *f, *next;

	for (f = LIST_FIRST(&g->holders); f; f = next) {
		next = LIST_NEXT(f, link);
		if (!f->len && !f->used) {
			give_back(f);
			end_worn(f->pump);
		}
		f->used = false;
	}
	if (LIST_EMPTY(&g->holders))
		event_del(&g->idle);
}

/* ---- the application's leg ---- */

/* Bytes, 0 at its end, TIP_IO_*. */
static ssize_t app_read(struct tip_pump *p, uint8_t *data, size_t len)
{
	ssize_t n;

	do {
		n = recv(p->app.fd, data, len, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	if (errno == EAGAIN) {
		p->app.ready &= ~(unsigned int)READABLE;
		return TIP_IO_WANT_READ;
	}
	p->cause = TIP_MTLS_APP_RESET;
	return TIP_IO_FAILED;
}

static ssize_t app_write(struct tip_pump *p, const uint8_t *data, size_t len)
{
	ssize_t n;

	do {
		n = send(p->app.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	if (errno == EAGAIN) {
		p->app.ready &= ~(unsigned int)WRITABLE;
		return TIP_IO_WANT_WRITE;
	}
	p->cause = TIP_MTLS_APP_RESET;
	return TIP_IO_FAILED;
}

static ssize_t app_shutdown(struct tip_pump *p)
{
	if (!shutdown(p->app.fd, SHUT_WR))
		return 0;
	p->cause = TIP_MTLS_APP_RESET;
	return TIP_IO_FAILED;
}

/* ---- the wire leg ---- */

/* Remembers what the backend waits for; `needs` is that of the operation. */
static ssize_t wire_result(struct tip_pump *p, ssize_t n, unsigned int *needs, unsigned int usual)
{
	*needs = usual;
	if (n >= 0)
		return n;
	if (n == TIP_IO_FAILED) {
		p->cause = p->backend->cause ? p->backend->cause : TIP_MTLS_INTERNAL;
		return n;
	}
	*needs = n == TIP_IO_WANT_READ ? READABLE : WRITABLE;
	p->wire.ready &= ~*needs;
	return n;
}

static ssize_t wire_read(struct tip_pump *p, uint8_t *data, size_t len)
{
	return wire_result(p, p->backend->ops->read(p->backend, data, len), &p->read_needs,
			   READABLE);
}

static ssize_t wire_write(struct tip_pump *p, const uint8_t *data, size_t len)
{
	return wire_result(p, p->backend->ops->write(p->backend, data, len), &p->write_needs,
			   WRITABLE);
}

static ssize_t wire_shutdown(struct tip_pump *p)
{
	return wire_result(p, p->backend->ops->shutdown_write(p->backend), &p->write_needs,
			   WRITABLE);
}

/* ---- one direction ---- */

static bool can_read(const struct tip_pump *p, const struct flow *f)
{
	if (f == &p->out)
		return p->app.ready & READABLE;
	return p->wire.ready & p->read_needs;
}

static bool can_write(const struct tip_pump *p, const struct flow *f)
{
	if (f == &p->out)
		return p->wire.ready & p->write_needs;
	return p->app.ready & WRITABLE;
}

/*
 * Fills the empty buffer. TLS gives a record at a time: go on while they come in full, so that the
 * application gets them in one piece; a short one goes on at once.
 */
static void fill(struct tip_pump *p, struct flow *f)
{
	ssize_t n = BUFFER_MIN;

	if (!get_buffer(p, f))
		return;
	while (n >= BUFFER_MIN && f->len < f->cap && can_read(p, f)) {
		uint8_t *to = f->data + f->len;
		size_t room = f->cap - f->len;

		n = f == &p->out ? app_read(p, to, room) : wire_read(p, to, room);
		if (!n)
			f->eof = true;
		if (n > 0)
			f->len += (size_t)n;
	}
	if (f->len == f->cap && f->want < BUFFER_MAX)
		f->want *= 4;
}

static size_t drain(struct tip_pump *p, struct flow *f)
{
	size_t moved = 0;

	while (f->len && can_write(p, f)) {
		const uint8_t *from = f->data + f->off;
		ssize_t n = f == &p->out ? wire_write(p, from, f->len) : app_write(p, from, f->len);

		if (n <= 0)
			break;
		f->off += (size_t)n;
		f->len -= (size_t)n;
		f->bytes += (size_t)n;
		moved += (size_t)n;
	}
	return moved;
}

static bool end_flow(struct tip_pump *p, struct flow *f)
{
	ssize_t n = f == &p->out ? wire_shutdown(p) : app_shutdown(p);

	if (n)
		return false;
	f->shut = true;
	give_back(f);
	return true;
}

/* Bytes moved (1 for an end passed on). */
static size_t flow_turn(struct tip_pump *p, struct flow *f)
{
	size_t moved = drain(p, f);

	if (p->cause)
		return moved;
	if (!f->len && !f->eof && can_read(p, f) && can_write(p, f)) {
		fill(p, f);
		if (!p->cause)
			moved += drain(p, f);
	}
	if (!p->cause && !f->len && f->eof && !f->shut && can_write(p, f))
		moved += end_flow(p, f);
	return moved;
}

/* ---- the whole ---- */

static void finish(struct tip_pump *p)
{
	bool clean = p->cause == TIP_MTLS_CLEAN;
	struct tip_pump_stats stats;
	int wire_fd = p->wire.fd;

	tip_pump_stats(p, &stats);
	event_del(&p->app.ev);
	event_del(&p->wire.ev);
	event_del(&p->again);
	LIST_REMOVE(p, link);
	p->group->stats.pumps--;
	stop_waiting(p);
	p->backend->ops->close(p->backend);
	tip_leg_close(wire_fd, clean);
	tip_leg_close(p->app.fd, clean);
	give_back(&p->out);
	give_back(&p->in);
	/* Memory that was promised to a waiter that is gone goes to the next. */
	wake_waiter(p->group);
	p->closed(p->ctx, p->cause, &stats);
	free(p);
}

static void run(struct tip_pump *p)
{
	size_t moved = 0, n;

	do {
		n = flow_turn(p, &p->out);
		if (!p->cause)
			n += flow_turn(p, &p->in);
		moved += n;
	} while (n && !p->cause && moved < TURN_BYTES);
	if (moved)
		p->moved = tip_clock_monotonic();
	if (!p->cause && p->out.shut && p->in.shut)
		p->cause = TIP_MTLS_CLEAN;
	if (p->cause)
		return;
	if (n)
		again(p);
	if (TAILQ_EMPTY(&p->group->waiters))
		return;
	/* Others wait for memory: keep none for comfort. */
	if (!p->out.len)
		give_back(&p->out);
	if (!p->in.len)
		give_back(&p->in);
	/* What was kept free for this one, and was not needed, is the next one's. */
	wake_waiter(p->group);
}

/*
 * A reset makes a socket readable and writable. The side that is held back is not read, and would
 * hide it for as long as the other side does not move.
 */
static void look_for_reset(struct tip_pump *p, struct leg *leg, short what)
{
	int error;

	if (what != (EV_READ | EV_WRITE) || !(leg->ready & READABLE))
		return;
	error = tip_leg_error(leg->fd);
	if (error)
		p->cause = leg == &p->app ? TIP_MTLS_APP_RESET : tip_errno_cause(error);
}

static void on_leg(struct tip_pump *p, struct leg *leg, short what)
{
	if (what & EV_READ)
		leg->ready |= READABLE;
	if (what & EV_WRITE)
		leg->ready |= WRITABLE;
	run(p);
	if (!p->cause)
		look_for_reset(p, leg, what & (EV_READ | EV_WRITE));
	if (p->cause)
		finish(p);
}

static void on_app(evutil_socket_t fd, short what, void *arg)
{
	struct tip_pump *p = arg;

	on_leg(p, &p->app, what);
}

static void on_wire(evutil_socket_t fd, short what, void *arg)
{
	struct tip_pump *p = arg;

	on_leg(p, &p->wire, what);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct tip_pump *p = arg;

	if (!p->cause)
		run(p);
	if (p->cause)
		finish(p);
}

static int watch(struct tip_pump *p, struct leg *leg, int fd, event_callback_fn fn)
{
	leg->fd = fd;
	event_assign(&leg->ev, p->group->base, fd, EV_READ | EV_WRITE | EV_ET | EV_PERSIST, fn, p);
	return event_add(&leg->ev, NULL);
}

struct tip_pump *tip_pump_new(struct tip_pump_group *g, int app_fd, struct tip_backend *wire,
			      tip_pump_closed_fn closed, void *ctx)
{
	struct tip_pump *p = tip_alloc(sizeof(*p));
	int wire_fd = wire->fd;

	p->group = g;
	p->backend = wire;
	p->out.group = p->in.group = g;
	p->out.pump = p->in.pump = p;
	p->out.want = p->in.want = BUFFER_MIN;
	p->read_needs = READABLE;
	p->write_needs = WRITABLE;
	p->started = p->moved = tip_clock_monotonic();
	p->closed = closed;
	p->ctx = ctx;
	event_assign(&p->again, g->base, -1, 0, on_again, p);
	event_assign(&p->app.ev, g->base, -1, 0, on_app, p);
	event_assign(&p->wire.ev, g->base, -1, 0, on_wire, p);
	if (tip_leg_prepare(app_fd) < 0 || watch(p, &p->app, app_fd, on_app) < 0 ||
	    watch(p, &p->wire, wire_fd, on_wire) < 0)
		goto fail;
	/*
	 * The caller may have watched the sockets, so their edges may be spent; and nobody tells
	 * what the backend holds. Try everything once.
	 */
	p->app.ready = p->wire.ready = READABLE | WRITABLE;
	again(p);
	LIST_INSERT_HEAD(&g->pumps, p, link);
	g->stats.pumps++;
	return p;
fail:
	event_del(&p->app.ev);
	event_del(&p->wire.ev);
	wire->ops->close(wire);
	tip_leg_close(wire_fd, false);
	tip_leg_close(app_fd, false);
	free(p);
	return NULL;
}

void tip_pump_abort(struct tip_pump *p, enum tip_mtls_cause cause)
{
	p->cause = cause && cause != TIP_MTLS_CLEAN ? cause : TIP_MTLS_ABORTED;
	finish(p);
}

void tip_pump_stats(const struct tip_pump *p, struct tip_pump_stats *out)
{
	out->sent = p->out.bytes;
	out->received = p->in.bytes;
	out->started = p->started;
	out->moved = p->moved;
	out->buffers = p->out.cap + p->in.cap;
}

const char *tip_pump_backend(const struct tip_pump *p)
{
	return p->backend->ops->name;
}

struct tip_pump_group *tip_pump_group_new(struct event_base *base, size_t buffer_limit)
{
	struct tip_pump_group *g = tip_alloc(sizeof(*g));

	g->base = base;
	g->limit = buffer_limit > 2 * BUFFER_MIN ? buffer_limit : 2 * (size_t)BUFFER_MIN;
	LIST_INIT(&g->pumps);
	LIST_INIT(&g->holders);
	TAILQ_INIT(&g->waiters);
	event_assign(&g->idle, base, -1, EV_PERSIST, on_idle, g);
	return g;
}

void tip_pump_group_free(struct tip_pump_group *g)
{
	struct tip_pump *p;

	if (!g)
		return;
	while ((p = LIST_FIRST(&g->pumps)))
		/* finish() has taken the former one out of the list. */
		tip_pump_abort(p, TIP_MTLS_ABORTED); // NOLINT(clang-analyzer-unix.Malloc)
	event_del(&g->idle);
	free(g);
}

void tip_pump_group_stats(const struct tip_pump_group *g, struct tip_pump_group_stats *out)
{
	*out = g->stats;
}
