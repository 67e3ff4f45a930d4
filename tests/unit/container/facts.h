/* SPDX-License-Identifier: Apache-2.0 */
/* Looks into a list of facts. */
#include <string.h>

#include "base/buf.h"
#include "container/facts.h"

/* The n-th of a kind, NULL: none. */
static inline const char *nth(const struct tip_buf *facts, enum tip_fact kind, size_t n)
{
	for (size_t at = 0; at < facts->len; at += strlen(facts->data + at) + 1)
		if ((unsigned char)facts->data[at] == kind && n-- == 0)
			return facts->data + at + 1;
	return NULL;
}

static inline const char *fact(const struct tip_buf *facts, enum tip_fact kind)
{
	return nth(facts, kind, 0);
}
