/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TELEMETRY_POSTER_H
#define TIP_TELEMETRY_POSTER_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "tls/client.h"

/*
 * The front's half of the http sink: takes alerts from the keeper one at a time
 * (tipstaff/posting.h), posts each, and says what the server made of it. Connections come from the
 * keeper. The server is a stranger: whatever it says, or does not say, costs one request's time and
 * 80 KiB at most.
 */
struct tip_poster;

struct tip_poster_config {
	const char *head; /* of a request, without what depends on its body */
	bool gzip, keep_alive;
	bool echo; /* what the server answers goes to the log: 512 bytes, printable, 20 a second */
	uint32_t timeout_ms;        /* of one request, from the connection on */
	struct tip_tls_client *tls; /* NULL: in the clear; outlives the tip_poster */
};

struct tip_poster_ops {
	/*
	 * A request is to be made: `tls` is to show and to trust what holds now. 0; 1: that is
	 * something else than before; -1: it cannot be, for now (which is logged by who says so).
	 */
	int (*prepare)(void *ctx);
	void (*ended)(void *ctx); /* the keeper has closed the channel; may free the tip_poster */
	void *ctx;
};

struct tip_poster *tip_poster_new(struct event_base *base, const struct tip_poster_config *config,
				  const struct tip_poster_ops *ops);
void tip_poster_free(struct tip_poster *p); /* NULL is fine */
/* Takes the front's end of the channel, in place of the one before. */
void tip_poster_channel(struct tip_poster *p, int fd);
bool tip_poster_open(const struct tip_poster *p); /* it has one */

#endif
