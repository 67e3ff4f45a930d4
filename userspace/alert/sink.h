/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_ALERT_SINK_H
#define TIP_ALERT_SINK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* One finished line, newline included, shared by all that hold it. */
struct tip_line {
	atomic_uint refs;
	size_t len;  /* with the newline */
	char text[]; /* NUL-terminated */
};

struct tip_line *tip_line_new(const char *text, size_t len); /* adds the newline */
struct tip_line *tip_line_ref(struct tip_line *line);
void tip_line_put(struct tip_line *line);

/*
 * A file descriptor behind a bounded queue with a writer thread of its own. Nothing here ever
 * blocks the caller: a full queue drops the line and counts it.
 */
struct tip_sink;

#define TIP_SINK_BYTES (16u << 20) /* text that may wait */

/* `name` is for the log. Takes `fd` over when `own`. */
struct tip_sink *tip_sink_new(const char *name, int fd, bool own, size_t queue);
/* Asks the thread to finish: it writes what waits until `deadline_ns` (CLOCK_MONOTONIC). */
void tip_sink_stop(struct tip_sink *s, uint64_t deadline_ns);
/* Joins the thread (after tip_sink_stop()) and frees. Lines still waiting are counted as dropped
 * and logged. */
void tip_sink_free(struct tip_sink *s);
/* A reference of its own is taken. */
void tip_sink_put(struct tip_sink *s, struct tip_line *line);
/* The thread changes over to `fd` before its next line. */
void tip_sink_set_fd(struct tip_sink *s, int fd);
size_t tip_sink_waiting(struct tip_sink *s); /* lines in the queue */
void tip_sink_stats(struct tip_sink *s, uint64_t *written, uint64_t *dropped);

/* Opens an alert file: appended, created 0600, no symlink, a regular file or a character device.
 * fd, or -1 with `err`. */
int tip_sink_open(const char *path, struct tip_error *err);

#endif
