/* SPDX-License-Identifier: Apache-2.0 */
/* Any first bytes, as they trickle in: an answer, once given, stands; enough bytes give one. */
#include <stdlib.h>

#include "mtls/wire.h"

static void trickle(enum tip_sniff (*sniff)(const uint8_t *, size_t), const uint8_t *data,
		    size_t size)
{
	enum tip_sniff before = TIP_SNIFF_MORE;

	for (size_t len = 0; len <= size && len < 64; len++) {
		enum tip_sniff now = sniff(data, len);

		if (before != TIP_SNIFF_MORE && now != before)
			abort();
		if (len >= TIP_SNIFF_MAX && now == TIP_SNIFF_MORE)
			abort();
		before = now;
	}
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	trickle(tip_sniff_client, data, size);
	trickle(tip_sniff_server, data, size);
	return 0;
}
