/* SPDX-License-Identifier: Apache-2.0 */
/* Lines, whole and byte by byte: the same, and none is longer than it may be. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "container/lines.h"

#define LONGEST 16

static void on_line(void *ctx, const char *line, size_t len)
{
	struct tip_buf *all = ctx;

	if (len > LONGEST || (line && memchr(line, '\n', len)))
		abort();
	tip_buf_addf(all, "%d %zu:", line != NULL, len);
	tip_buf_add(all, line ? line : "", len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tip_lines a = {.max = LONGEST}, b = {.max = LONGEST};
	struct tip_buf x = {0}, y = {0};

	tip_lines_feed(&a, (const char *)data, size, on_line, &x);
	for (size_t i = 0; i < size; i++)
		tip_lines_feed(&b, (const char *)data + i, 1, on_line, &y);
	if (x.len != y.len || (x.len && memcmp(x.data, y.data, x.len) != 0))
		abort();
	tip_lines_free(&a);
	tip_lines_free(&b);
	tip_buf_free(&x);
	tip_buf_free(&y);
	return 0;
}
