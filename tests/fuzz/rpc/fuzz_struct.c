/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes for a google.protobuf.Struct: what is read can be written, and is then the same. A
 * first byte of '{' makes it JSON, which is written and read.
 */
#include <stdlib.h>

#include "rpc/struct.h"

static void round_trip(json_t *v)
{
	struct tip_buf b = {0};
	json_t *again;

	if (!tip_struct_pack(v, &b)) {
		again = tip_struct_unpack((const uint8_t *)b.data, b.len);
		if (!again)
			abort();
		json_decref(again);
	}
	tip_buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tip_buf b = {0};
	json_t *v, *again;

	if (size > 16384)
		return 0;
	if (size && data[0] == '{') {
		v = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
		if (json_is_object(v))
			round_trip(v);
		json_decref(v);
		return 0;
	}
	v = tip_struct_unpack(data, size);
	if (!v)
		return 0;
	if (tip_struct_pack(v, &b) < 0)
		abort();
	again = tip_struct_unpack((const uint8_t *)b.data, b.len);
	if (!again || !json_equal(v, again))
		abort();
	json_decref(v);
	json_decref(again);
	tip_buf_free(&b);
	return 0;
}
