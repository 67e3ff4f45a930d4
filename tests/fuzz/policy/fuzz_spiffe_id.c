/* SPDX-License-Identifier: Apache-2.0 */
/* Any string: refused with a text, or an ID whose parts put together are the ID. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/spiffe_id.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	char *id = tip_strndup((const char *)data, size);
	struct tip_error err = {0};
	const char *domain;
	size_t len;

	if (tip_spiffe_id_check(id, false, &err) < 0) {
		if (!err.text[0])
			abort();
	} else {
		domain = tip_spiffe_id_domain(id, &len);
		if (!len || len > 255 || domain + len != tip_spiffe_id_path(id))
			abort();
		if (strspn(domain, "abcdefghijklmnopqrstuvwxyz0123456789.-_") < len)
			abort();
	}
	free(id);
	return 0;
}
