/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TEST_MTLS_RELAY_H
#define TIP_TEST_MTLS_RELAY_H

#include "pair.h"

#include <pthread.h>

#include <event2/event.h>

#include "mtls/pump.h"

/*
 * Two hops as on two nodes: application ends (blocking sockets, for a test or its threads) and two
 * pumps on one loop. client <-> pump ==TLS== pump <-> server.
 */
struct hop {
	struct tip_pump *pump; /* NULL once it has ended */
	enum tip_mtls_cause cause;
	struct tip_pump_stats stats;
};

struct relay {
	struct event_base *base;
	struct tip_pump_group *group;
	struct hop out, in;
	int client, server; /* the applications */
};

static inline void on_hop_closed(void *ctx, enum tip_mtls_cause cause,
				 const struct tip_pump_stats *stats)
{
	struct hop *h = ctx;

	h->pump = NULL;
	h->cause = cause;
	h->stats = *stats;
}

/* Handshakes over a new TCP connection; `wires` are its two ends, client first. */
static inline void wires_open(struct world *w, struct tip_backend *wires[2])
{
	struct ask a = {.answer = TIP_VERDICT_OK};
	struct tip_session *c, *s;
	enum tip_step cs, ss;
	int ends[2];

	tcp_pair(ends);
	c = client_of(w, ends[0], NULL, ORDERS);
	s = server_of(w, ends[1], NULL, &a);
	shake_hands(c, s, TIP_VERDICT_OK, &cs, &ss);
	assert_int_equal(cs, TIP_STEP_DONE);
	assert_int_equal(ss, TIP_STEP_DONE);
	wires[0] = tip_session_take(c);
	wires[1] = tip_session_take(s);
	tip_session_free(c);
	tip_session_free(s);
}

static inline void relay_on(struct relay *r, struct world *w, struct event_base *base,
			    struct tip_pump_group *group)
{
	struct tip_backend *wires[2];
	int left[2], right[2];

	*r = (struct relay){.base = base, .group = group};
	wires_open(w, wires);
	tcp_pair(left);
	tcp_pair(right);
	r->client = left[0];
	r->server = right[1];
	r->out.pump = tip_pump_new(group, left[1], wires[0], on_hop_closed, &r->out);
	r->in.pump = tip_pump_new(group, right[0], wires[1], on_hop_closed, &r->in);
	assert_true(r->out.pump && r->in.pump);
}

static inline void relay_open(struct relay *r, struct world *w, size_t buffer_limit)
{
	struct event_base *base = event_base_new();

	relay_on(r, w, base, tip_pump_group_new(base, buffer_limit));
}

static inline void relay_close(struct relay *r)
{
	close(r->client);
	close(r->server);
	tip_pump_group_free(r->group);
	event_base_free(r->base);
}

/* Runs the loop for so long, or until both hops have ended. */
static inline void relay_run(struct relay *r, int ms)
{
	uint64_t until = tip_clock_monotonic() + (uint64_t)ms * 1000000;
	const struct timeval tick = {0, 5000};

	while ((r->out.pump || r->in.pump) && tip_clock_monotonic() < until) {
		event_base_loopexit(r->base, &tick);
		event_base_loop(r->base, EVLOOP_ONCE);
	}
}

/* One application's half of a conversation, in its own thread: bytes of a seeded sequence. */
struct talk {
	int fd;
	size_t bytes;
	unsigned int seed;
	useconds_t pause; /* after each call */
	bool ends;        /* writers: FIN at the end */
	size_t done;
	bool wrong; /* readers: a byte that was not sent, or one too many */
	int error;
	bool eof;
	pthread_t thread;
};

static inline uint8_t talk_byte(unsigned int seed, size_t at)
{
	uint32_t x = (uint32_t)at * 2654435761u ^ seed * 40503u;

	return (uint8_t)(x >> 24 ^ x >> 11 ^ x);
}

/* 1 byte to 64 KB, small ones as often as large ones. */
static inline size_t talk_size(unsigned int *dice)
{
	unsigned int r = (unsigned int)rand_r(dice);

	return 1 + (size_t)(rand_r(dice)) % ((size_t)1 << (1 + r % 16));
}

static inline void *talk_write(void *arg)
{
	static _Thread_local uint8_t chunk[65536];
	struct talk *t = arg;
	unsigned int dice = t->seed;

	while (t->done < t->bytes) {
		size_t n = talk_size(&dice);
		ssize_t sent;

		n = n > t->bytes - t->done ? t->bytes - t->done : n;
		for (size_t i = 0; i < n; i++)
			chunk[i] = talk_byte(t->seed, t->done + i);
		sent = send(t->fd, chunk, n, MSG_NOSIGNAL);
		if (sent < 0) {
			t->error = errno;
			return NULL;
		}
		t->done += (size_t)sent;
		if (t->pause)
			usleep(t->pause);
	}
	if (t->ends)
		shutdown(t->fd, SHUT_WR);
	return NULL;
}

static inline void *talk_read(void *arg)
{
	static _Thread_local uint8_t chunk[65536];
	struct talk *t = arg;
	unsigned int dice = t->seed + 1;

	for (;;) {
		ssize_t n = recv(t->fd, chunk, talk_size(&dice), 0);

		if (n <= 0) {
			t->error = n < 0 ? errno : 0;
			t->eof = !n;
			return NULL;
		}
		for (ssize_t i = 0; i < n; i++)
			t->wrong |= chunk[i] != talk_byte(t->seed, t->done + (size_t)i);
		t->done += (size_t)n;
		if (t->pause)
			usleep(t->pause);
	}
}

static inline void talk_start(struct talk *t, void *(*fn)(void *))
{
	assert_int_equal(pthread_create(&t->thread, NULL, fn, t), 0);
}

static inline void talk_join(struct talk *t)
{
	assert_int_equal(pthread_join(t->thread, NULL), 0);
}

/* Both directions at once, `bytes` each, to the end. */
static inline void converse(struct relay *r, size_t up, size_t down, useconds_t pause)
{
	struct talk cw = {.fd = r->client, .bytes = up, .seed = 11, .ends = true};
	struct talk sr = {.fd = r->server, .bytes = up, .seed = 11, .pause = pause};
	struct talk sw = {.fd = r->server, .bytes = down, .seed = 22, .ends = true};
	struct talk cr = {.fd = r->client, .bytes = down, .seed = 22};

	talk_start(&cw, talk_write);
	talk_start(&sr, talk_read);
	talk_start(&sw, talk_write);
	talk_start(&cr, talk_read);
	relay_run(r, 60000);
	talk_join(&cw);
	talk_join(&sr);
	talk_join(&sw);
	talk_join(&cr);
	assert_int_equal(r->out.cause, TIP_MTLS_CLEAN);
	assert_int_equal(r->in.cause, TIP_MTLS_CLEAN);
	assert_true(sr.eof && cr.eof && !sr.wrong && !cr.wrong);
	assert_int_equal(sr.done, up);
	assert_int_equal(cr.done, down);
	assert_int_equal(r->out.stats.sent, up);
	assert_int_equal(r->in.stats.received, up);
	assert_int_equal(r->in.stats.sent, down);
	assert_int_equal(r->out.stats.received, down);
}

#endif
