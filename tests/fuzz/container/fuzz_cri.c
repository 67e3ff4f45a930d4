/* SPDX-License-Identifier: Apache-2.0 */
/* What the CRI says, as each of its answers: refused and nothing added, or a list of facts that
 * fits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "container/cri.h"
#include "container/facts.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void check(int ret, size_t before, const struct tip_buf *facts)
{
	if (facts->len > TIP_FACTS_MAX || (ret < 0 && facts->len != before))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tip_cri_seen seen = {0};
	struct tip_buf facts = {0};
	struct tip_error err;
	struct tip_cri_runtime runtime;
	char id[65];
	size_t before;
	int ret;

	/* No longer answer is taken (container/inspector.c). */
	if (size > 256 << 10)
		return 0;
	tip_cri_list(data, size, ID, &seen, &err);
	if (seen.sandbox[0] && strspn(seen.sandbox, "0123456789abcdef") != 64)
		abort();
	check(tip_cri_status(data, size, ID, &facts, &seen, &err), 0, &facts);
	before = facts.len;
	check(tip_cri_sandbox(data, size, ID, true, &facts, &seen, &err), before, &facts);
	tip_cri_version(data, size, &runtime, &err);
	tip_buf_reset(&facts);
	ret = tip_cri_event(data, size, id, &facts, &err);
	if (ret > 0 ? strspn(id, "0123456789abcdef") != 64 : facts.len)
		abort();
	check(ret, 0, &facts);
	tip_buf_free(&facts);
	return 0;
}
