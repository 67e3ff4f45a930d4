/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_ALERT_LINE_H
#define TIP_ALERT_LINE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* One finished line, newline included, shared by all that hold it. */
struct tip_line {
	atomic_uint refs;
	uint8_t priority; /* enum tip_priority: what syslog makes its severity of */
	size_t len;       /* with the newline */
	char text[];      /* NUL-terminated */
};

struct tip_line *tip_line_new(const char *text, size_t len, uint8_t priority); /* adds newline */
struct tip_line *tip_line_ref(struct tip_line *line);
void tip_line_put(struct tip_line *line); /* NULL is fine */

#endif
