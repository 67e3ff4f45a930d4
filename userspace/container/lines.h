/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_CONTAINER_LINES_H
#define TIP_CONTAINER_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/*
 * Lines of a stream that does not end. One that is too long is left out whole, and the next one is
 * a line again: nobody blinds the reader with a long one. Zero-initialise it and set `max`.
 */
struct tip_lines {
	size_t max; /* bytes of one line */
	/* inside */
	struct tip_buf rest; /* of a line that has not ended */
	bool skipping;
};

/* A line without its end, not terminated; NULL: one was too long. */
typedef void (*tip_lines_fn)(void *ctx, const char *line, size_t len);

void tip_lines_feed(struct tip_lines *l, const char *data, size_t len, tip_lines_fn take,
		    void *ctx);
void tip_lines_free(struct tip_lines *l);

#endif
