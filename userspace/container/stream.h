/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_CONTAINER_STREAM_H
#define TIP_CONTAINER_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "base/buf.h"
#include "tipstaff/facts.h"

/*
 * The events of one runtime, listened to for as long as it runs: tells of each container that is
 * made or started. When the runtime ends, or is not there yet, it is called again, after 1 to 16
 * seconds; one that has no events, after some minutes.
 */
struct tip_stream_ops {
	/* Ask the runtime that, and call tip_stream_dialled(), not from within. Its number. */
	uint64_t (*dial)(void *ctx, uint32_t number, enum tip_runtime_question question);
	/* What an event says of container `id`; more may be added to it. */
	void (*created)(void *ctx, uint32_t number, const char *id, struct tip_buf *facts);
	/* What a runtime of the CRI calls itself. */
	void (*named)(void *ctx, uint32_t number, const char *name);
	void *ctx;
};

struct tip_stream;
struct tip_stream *tip_stream_new(struct event_base *base, uint32_t number, enum tip_runtime kind,
				  const struct tip_stream_ops *ops);
void tip_stream_free(struct tip_stream *s); /* NULL is fine */
/* False: that dial is not this one's. `fd` is taken, -1: `error` is the errno. */
bool tip_stream_dialled(struct tip_stream *s, uint64_t dial, int fd, int error);
/* Somebody listens now. */
bool tip_stream_is_open(const struct tip_stream *s);

struct tip_stream_stats {
	uint64_t events; /* of containers that were made or started */
	uint64_t bad;    /* no event, or too long to be one that is taken */
	uint64_t breaks; /* connections that ended */
};
/* Adds its counts to `sum`. */
void tip_stream_stats(const struct tip_stream *s, struct tip_stream_stats *sum);

#endif
