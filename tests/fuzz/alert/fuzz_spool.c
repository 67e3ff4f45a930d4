/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "alert/spool.h"

/* A segment that a crash or somebody else has written: every record that is taken is a whole one,
 * and written again it is the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = 0;

	while (at < size) {
		unsigned char head[TIP_SPOOL_HEAD];
		struct tip_line *line;
		const char *text;
		uint8_t priority;
		size_t len;
		int64_t n = tip_spool_record(data + at, size - at, &text, &len, &priority);

		if (n <= 0)
			break;
		if ((uint64_t)n > size - at || len + TIP_SPOOL_HEAD != (uint64_t)n)
			abort();
		line = tip_line_new(text, len, priority);
		tip_spool_head(line, head);
		if (memcmp(head, data + at, sizeof(head)) != 0)
			abort();
		tip_line_put(line);
		at += (size_t)n;
	}
	return 0;
}
