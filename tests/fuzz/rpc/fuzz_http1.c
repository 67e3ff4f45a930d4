/* SPDX-License-Identifier: Apache-2.0 */
/* An answer of HTTP/1.1, whole and byte by byte: the same is made of it, and never more than so
 * much. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/http1.h"

#define BODY_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tip_http_reader a = {.body_max = BODY_MAX}, b = {.body_max = BODY_MAX};
	enum tip_http_state x = tip_http_feed(&a, data, size), y = TIP_HTTP_MORE;

	for (size_t i = 0; i < size && y == TIP_HTTP_MORE; i++)
		y = tip_http_feed(&b, data + i, 1);
	if (x != y || a.body.len > BODY_MAX || tip_http_end(&a) != tip_http_end(&b))
		abort();
	if (x == TIP_HTTP_DONE && (a.status != b.status || a.body.len != b.body.len ||
				   (a.body.len && memcmp(a.body.data, b.body.data, a.body.len))))
		abort();
	tip_http_reader_free(&a);
	tip_http_reader_free(&b);
	return 0;
}
