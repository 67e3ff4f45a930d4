/* SPDX-License-Identifier: Apache-2.0 */
/* What Docker's API says: refused with a reason and nothing added, or a list of facts that has the
 * form. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "container/docker.h"
#include "container/facts.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void check(const struct tip_buf *facts)
{
	size_t at = 0;

	if (facts->len > TIP_FACTS_MAX)
		abort();
	while (at < facts->len) {
		unsigned char kind = (unsigned char)facts->data[at];
		size_t len = strnlen(facts->data + at + 1, facts->len - at - 1);

		if (!kind || kind >= TIP_FACT_MAX || !len || len > TIP_FACT_TEXT_MAX ||
		    at + len + 2 > facts->len)
			abort();
		at += len + 2;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tip_docker_seen seen;
	struct tip_buf facts = {0};
	struct tip_error err;
	char id[65];
	int ret;

	if (tip_docker_container((const char *)data, size, ID, &facts, &seen, &err) < 0 &&
	    facts.len)
		abort();
	check(&facts);
	tip_docker_image((const char *)data, size, &facts, &err);
	check(&facts);
	tip_buf_reset(&facts);
	ret = tip_docker_event((const char *)data, size, id, &facts, &err);
	if (ret > 0 ? strspn(id, "0123456789abcdef") != 64 : facts.len)
		abort();
	check(&facts);
	tip_buf_free(&facts);
	return 0;
}
