/* SPDX-License-Identifier: Apache-2.0 */
#include "container/lines.h"

#include <string.h>

/* Bytes of a line, which may have begun before. */
static void add(struct tip_lines *l, const char *data, size_t len)
{
	if (l->skipping || len > l->max - l->rest.len)
		l->skipping = true;
	else
		tip_buf_add(&l->rest, data, len);
}

static void end_line(struct tip_lines *l, tip_lines_fn take, void *ctx)
{
	if (l->skipping)
		take(ctx, NULL, 0);
	else
		take(ctx, l->rest.len ? l->rest.data : "", l->rest.len);
	l->skipping = false;
	tip_buf_reset(&l->rest);
}

void tip_lines_feed(struct tip_lines *l, const char *data, size_t len, tip_lines_fn take, void *ctx)
{
	while (len) {
		const char *lf = memchr(data, '\n', len);
		size_t n = lf ? (size_t)(lf - data) : len;

		add(l, data, n);
		if (lf)
			end_line(l, take, ctx);
		n += lf ? 1 : 0;
		data += n;
		len -= n;
	}
}

void tip_lines_free(struct tip_lines *l)
{
	tip_buf_free(&l->rest);
}
