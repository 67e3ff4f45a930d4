/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as the daemon's configuration: refused with a place, or whole. */
#include <stdlib.h>
#include <string.h>

#include "tipstaffd/config.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct tip_error err = {0};
	struct tip_config *c = tip_config_parse("fuzz", (const char *)data, size, &err);

	if (!c) {
		if (!err.text[0] || strcmp(err.file, "fuzz") != 0 || err.line < 1 || err.column < 1)
			abort();
		return 0;
	}
	if (!c->trust_domain || !*c->trust_domain || c->nrequire > TIP_CAP_MAX)
		abort();
	tip_config_free(c);
	return 0;
}
