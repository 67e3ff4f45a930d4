/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_ALERT_SINK_H
#define TIP_ALERT_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alert/line.h"
#include "alert/out.h"
#include "alert/spool.h"

/*
 * A way out behind a bounded queue with a thread of its own. Nothing here ever blocks the caller: a
 * full queue drops the line and counts it.
 */
struct tip_sink;

#define TIP_SINK_BYTES (16u << 20) /* text that may wait */

struct tip_sink_config {
	size_t queue;        /* lines that may wait */
	uint64_t timeout_ns; /* after which a way out that takes nothing is complained of */
	bool buffered;       /* lines wait for company: 64 KiB of it, or one second */
	/*
	 * Where lines go that were not taken, and those that come behind them, until they are.
	 * NULL: none, they are dropped. Taken over.
	 */
	struct tip_spool *spool;
};

struct tip_sink_stats {
	uint64_t written;                    /* lines that the way out took */
	uint64_t dropped;                    /* lines that are lost to it */
	uint64_t refused;                    /* of these, lines that it will never take */
	uint64_t timeouts;                   /* how often it took nothing for the timeout */
	size_t waiting;                      /* lines in the queue */
	uint64_t spooled;                    /* lines in the spool */
	uint64_t spool_bytes, spool_damaged; /* see struct tip_spool_stats */
};

/* `name` is for the log. Takes `out` over. */
struct tip_sink *tip_sink_new(const char *name, struct tip_out *out,
			      const struct tip_sink_config *config);
/* Asks the thread to finish: it hands over what waits until `deadline_ns` (CLOCK_MONOTONIC). */
void tip_sink_stop(struct tip_sink *s, uint64_t deadline_ns);
/* Joins the thread (after tip_sink_stop()) and frees. Lines still waiting are counted as dropped
 * and logged. */
void tip_sink_free(struct tip_sink *s);
/* A reference of its own is taken. */
void tip_sink_put(struct tip_sink *s, struct tip_line *line);
/* The thread changes over to `fd` before its next line. */
void tip_sink_set_fd(struct tip_sink *s, int fd);
size_t tip_sink_waiting(struct tip_sink *s); /* lines in the queue, and those in hand */
void tip_sink_stats(struct tip_sink *s, struct tip_sink_stats *out);

#endif
