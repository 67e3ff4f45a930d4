/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "guard/internal.h"

/* Prefixes for a trie that answers with the longest match only. */

static void match_join(struct tip_rule_match *to, const struct tip_rule_match *from)
{
	for (size_t i = 0; i < TIP_RULES_MAX / 64; i++) {
		to->meets.word[i] |= from->meets.word[i];
		to->spared.word[i] |= from->spared.word[i];
	}
}

/* Of a table; then what begins alike stands together, the shorter one first. */
static int prefix_cmp(const void *a, const void *b)
{
	const struct tip_rule_prefix *x = a, *y = b;
	int c;

	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	c = memcmp(x->bytes, y->bytes, sizeof(x->bytes));
	return c ? c : (x->bits > y->bits) - (x->bits < y->bits);
}

static bool covers(const struct tip_rule_prefix *shorter, const struct tip_rule_prefix *longer)
{
	const uint32_t bytes = shorter->bits / 8, rest = shorter->bits % 8;

	if (shorter->table != longer->table || shorter->bits > longer->bits ||
	    memcmp(shorter->bytes, longer->bytes, bytes) != 0)
		return false;
	return !rest || !((shorter->bytes[bytes] ^ longer->bytes[bytes]) >> (8 - rest));
}

size_t tip_prefixes_finish(struct tip_rule_prefix *p, size_t n)
{
	size_t kept = 0;

	if (n)
		qsort(p, n, sizeof(*p), prefix_cmp);
	for (size_t i = 0; i < n; i++) {
		if (kept && prefix_cmp(&p[kept - 1], &p[i]) == 0)
			match_join(&p[kept - 1].match, &p[i].match);
		else
			p[kept++] = p[i];
	}
	/* The nearest one that covers a prefix stands before it, and has what covers that already.
	 */
	for (size_t i = 1; i < kept; i++) {
		for (size_t s = i; s-- && p[s].table == p[i].table;) {
			if (!covers(&p[s], &p[i]))
				continue;
			match_join(&p[i].match, &p[s].match);
			break;
		}
	}
	return kept;
}
