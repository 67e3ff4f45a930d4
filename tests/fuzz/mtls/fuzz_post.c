/* SPDX-License-Identifier: Apache-2.0 */
/* Alerts and handshake messages after the handshake: whole or cut anywhere, the same is said. */
#include <stdlib.h>

#include "mtls/post.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum tip_post_said feed(struct tip_post *p, uint8_t how, const uint8_t *data, size_t len)
{
	return how & 1 ? tip_post_handshake(p, how & 2, data, len) : tip_post_alert(p, data, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tip_post whole = {0}, cut = {0};
	enum tip_post_said said, at = TIP_POST_NOTHING;

	if (!size)
		return 0;
	said = feed(&whole, data[0], data + 1, size - 1);
	for (size_t i = 1; i < size && !at; i++)
		at = feed(&cut, data[0], data + i, 1);
	/* Only that something follows a KeyUpdate in its record cannot be seen byte by byte. */
	if ((data[0] & 1) && at != said && said != TIP_POST_BAD)
		abort();
	return 0;
}
