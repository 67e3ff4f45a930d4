/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a verdict record: refused, or exactly what it would be written as. */
#include <stdlib.h>
#include <string.h>

#include "mtls/wire.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	uint8_t again[TIP_VERDICT_LEN];
	enum tip_verdict verdict;
	uint16_t reason;

	if (tip_verdict_decode(data, size, &verdict, &reason) < 0)
		return 0;
	tip_verdict_encode(verdict, reason, again);
	if (size != sizeof(again) || memcmp(again, data, size) != 0)
		abort();
	return 0;
}
