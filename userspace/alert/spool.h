/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_ALERT_SPOOL_H
#define TIP_ALERT_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alert/line.h"
#include "base/error.h"

/*
 * Lines that a sink did not take, on disk, in order: a folder of segments, each a row of framed
 * records, and a file with the position of the next one to be read. It belongs to one thread.
 *
 * A process never writes to a segment of an earlier one: what a crash tore off is then always the
 * end of a segment, and a record whose checksum is wrong ends the reading of its segment. The
 * position is written now and then and at the end, so a line may be delivered twice after a crash,
 * and is never left out.
 */
struct tip_spool;

/* Opens or makes `folder` (0700); at most `max` bytes are kept there. NULL with `err`. */
struct tip_spool *tip_spool_open(const char *folder, uint64_t max, struct tip_error *err);
/* Writes the position, closes, frees. What is not read stays. */
void tip_spool_close(struct tip_spool *s);

/* Appends a line. 0, or the errno that was in the way; ENOSPC: it is full. */
int tip_spool_put(struct tip_spool *s, const struct tip_line *line);
/* Makes what was appended durable. */
void tip_spool_sync(struct tip_spool *s);
/* The line at the position, for as long as it is not taken: a reference of the caller's. NULL:
 * there is none. */
struct tip_line *tip_spool_next(struct tip_spool *s);
/* That line was delivered. */
void tip_spool_take(struct tip_spool *s);

struct tip_spool_stats {
	uint64_t lines;   /* that wait in it */
	uint64_t bytes;   /* on disk */
	uint64_t damaged; /* ends of segments that could not be read, since the start */
};
void tip_spool_stats(const struct tip_spool *s, struct tip_spool_stats *out);

/* ---- records, apart for the tests --------------------------------------------------------------
 */

#define TIP_SPOOL_HEAD     9u          /* length, checksum, priority */
#define TIP_SPOOL_LINE_MAX (16u << 20) /* bytes of one line */

/* Writes the head of a record for a line. */
void tip_spool_head(const struct tip_line *line, unsigned char head[TIP_SPOOL_HEAD]);
/*
 * Looks at the record at the front of `data`. Its size, 0 if it is not whole, or -1 if it is none;
 * `*text` and `*len` are the line without its newline.
 */
int64_t tip_spool_record(const unsigned char *data, size_t size, const char **text, size_t *len,
			 uint8_t *priority);

#endif
