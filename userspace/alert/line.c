/* SPDX-License-Identifier: Apache-2.0 */
#include "alert/line.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct tip_line *tip_line_new(const char *text, size_t len, uint8_t priority)
{
	struct tip_line *line = tip_alloc(sizeof(*line) + len + 2);

	atomic_init(&line->refs, 1);
	memcpy(line->text, text, len);
	line->text[len] = '\n';
	line->len = len + 1;
	line->priority = priority;
	return line;
}

struct tip_line *tip_line_ref(struct tip_line *line)
{
	atomic_fetch_add_explicit(&line->refs, 1, memory_order_relaxed);
	return line;
}

void tip_line_put(struct tip_line *line)
{
	if (line && atomic_fetch_sub_explicit(&line->refs, 1, memory_order_acq_rel) == 1)
		free(line);
}
