/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_MTLS_PUMP_H
#define TIP_MTLS_PUMP_H

#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "mtls/backend.h"
#include "mtls/cause.h"

/*
 * Moves the bytes of open connections between the application's leg (plain TCP) and the wire leg (a
 * record backend), both ways, on a libevent loop. A side is never read while the other does not
 * take: that is all the flow control there is, and it bounds what a connection holds.
 *
 *   the application's FIN  <-> close_notify and FIN      (each direction by itself)
 *   the application's RST  <-> RST
 *   FIN without close_notify, a bad record, an alert  -> RST to the application
 */
struct tip_pump_group;
struct tip_pump;

/*
 * Pumps that share one bound on buffer bytes. A direction has no buffer while nothing moves, then
 * 4, 16, 64, 256 KB while reads fill it; it gives it back when idle. Nobody grows beyond 4 KB once
 * half of the bound is in use: twice 8 KB for each connection is a bound that starves nobody.
 */
struct tip_pump_group *tip_pump_group_new(struct event_base *base, size_t buffer_limit);
/* Aborts what is left. */
void tip_pump_group_free(struct tip_pump_group *g);

struct tip_pump_group_stats {
	size_t pumps;
	size_t buffers, buffers_peak; /* bytes */
	uint64_t waits;               /* times a direction had to wait for a buffer */
};
void tip_pump_group_stats(const struct tip_pump_group *g, struct tip_pump_group_stats *out);

struct tip_pump_stats {
	uint64_t sent, received; /* plaintext bytes to the wire, from the wire */
	uint64_t started, moved; /* CLOCK_MONOTONIC ns: of its start, of the last byte */
	size_t buffers;          /* bytes held now */
};

/*
 * The connection has ended and its sockets are closed: TIP_MTLS_CLEAN, or why it was reset. Called
 * once, from the loop, tip_pump_abort() or tip_pump_group_free(); the pump is gone afterwards.
 */
typedef void (*tip_pump_closed_fn)(void *ctx, enum tip_mtls_cause cause,
				   const struct tip_pump_stats *stats);

/*
 * Owns `app_fd`, `wire` and its socket from here on. The wire is as a session leaves it; `app_fd`
 * is made non-blocking with SO_LINGER {1,0}. Edge-triggered events of the caller on either socket
 * may go on until this returns (epoll is not told twice then). NULL (out of memory, bad
 * descriptor): everything is closed.
 */
struct tip_pump *tip_pump_new(struct tip_pump_group *g, int app_fd, struct tip_backend *wire,
			      tip_pump_closed_fn closed, void *ctx);

/* Resets both legs. */
void tip_pump_abort(struct tip_pump *p, enum tip_mtls_cause cause);

void tip_pump_stats(const struct tip_pump *p, struct tip_pump_stats *out);
/* The name of its record backend. */
const char *tip_pump_backend(const struct tip_pump *p);

#endif
