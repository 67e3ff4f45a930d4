/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Link packets. The first byte chooses side and descriptor count. What decodes must encode to
 * the same bytes again: the format has one spelling.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "link/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char scratch[TIP_LINK_MAX + 16], again[TIP_LINK_MAX];
	struct tip_link_msg msg;
	struct tip_link_hdr h;
	struct tip_error err;

	if (size < 1)
		return 0;
	if (tip_link_decode(data[0] & 1 ? TIP_LINK_KEEPER : TIP_LINK_FRONT, data + 1, size - 1,
			    (data[0] >> 1) & 3, scratch, &msg, &err) < 0)
		return 0;
	memcpy(&h, data + 1, sizeof(h));
	if (tip_link_encode(&msg, h.seq, again, &err) != (long)size - 1 ||
	    memcmp(again, data + 1, size - 1) != 0)
		abort();
	return 0;
}
