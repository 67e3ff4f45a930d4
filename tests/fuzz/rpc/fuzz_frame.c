/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/frame.h"

/* gRPC's message prefix in pieces of data[0] bytes, and the two text forms of its headers. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tip_grpc_reader r = {.max = 200};
	char text[TIP_GRPC_MESSAGE + 1], wire[3 * TIP_GRPC_MESSAGE + 1], back[TIP_GRPC_MESSAGE + 1];
	const uint8_t *p, *end;
	size_t piece;
	uint64_t ns;

	if (!size)
		return 0;
	piece = data[0] ? data[0] : 1;
	p = data + 1;
	end = data + size;
	while (p < end) {
		size_t len = (size_t)(end - p) < piece ? (size_t)(end - p) : piece;
		enum tip_grpc_read got = tip_grpc_reader_feed(&r, &p, &len);

		if (got == TIP_GRPC_READ_MESSAGE) {
			if (r.len > r.max || r.got != r.len)
				abort();
			tip_grpc_reader_next(&r);
		} else if (got != TIP_GRPC_READ_MORE) {
			break;
		}
	}
	tip_grpc_reader_next(&r);

	tip_grpc_message_decode((const char *)data, size, text, sizeof(text));
	tip_grpc_message_encode(text, wire);
	tip_grpc_message_decode(wire, strlen(wire), back, sizeof(back));
	if (strcmp(text, back))
		abort();
	if (!tip_grpc_timeout_parse(text, &ns) && ns > 1ULL << 62)
		abort();
	return 0;
}
