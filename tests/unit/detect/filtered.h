/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TEST_FILTERED_H
#define TIP_TEST_FILTERED_H

#include <stdio.h>
#include <string.h>

#include "sensor/prefilter.h"

/* The kernel's decision about clauses and names, by the letter, slowly. */

static inline bool plain(const char *name)
{
	const size_t len = strlen(name);

	return len && len < TIP_FILTER_TEXT && !strstr(name, "//") && !strstr(name, "..") &&
	       !strstr(name, "/./") && name[len - 1] != '/' && strncmp(name, "./", 2) != 0 &&
	       strcmp(name, ".") != 0 && !(len > 1 && strcmp(name + len - 2, "/.") == 0);
}

static inline bool ends(const char *s, const char *end, size_t len)
{
	const size_t n = strlen(s);

	if (len > TIP_FILTER_SUFFIX) {
		end += len - TIP_FILTER_SUFFIX;
		len = TIP_FILTER_SUFFIX;
	}
	return n >= len && memcmp(s + n - len, end, len) == 0;
}

static inline bool meets(const char *name, const struct tip_filter_name *n)
{
	char slashed[TIP_FILTER_TEXT + 1];
	const char *last;

	if (name[0] == '/') {
		switch (n->how) {
		case TIP_FILTER_WHOLE:
			return strlen(name) == n->len && memcmp(name, n->text, n->len) == 0;
		case TIP_FILTER_PREFIX: return strncmp(name, n->text, n->len) == 0;
		default: return ends(name, n->text, n->len);
		}
	}
	snprintf(slashed, sizeof(slashed), "/%s", name);
	if (n->how == TIP_FILTER_PREFIX)
		return true;
	last = memrchr(n->text, '/', n->len);
	if (n->how == TIP_FILTER_END && (!last || last == n->text))
		return ends(slashed, n->text, n->len);
	if (n->how == TIP_FILTER_END && ends(slashed, n->text, n->len))
		return true;
	/* by the last component alone */
	return last ? ends(slashed, last, n->len - (size_t)(last - n->text))
		    : ends(slashed, n->text, n->len);
}

static inline bool slot_met(const char *name, const struct tip_filter_slot *slot)
{
	bool any = false;

	if (slot->negated && name[0] != '/')
		return true;
	for (size_t i = 0; i < slot->count; i++)
		any = any || meets(name, &slot->names[i]);
	return any != slot->negated;
}

static inline void see_uid(uint32_t *digits, uint32_t uid)
{
	digits[TIP_FILTER_UID] = uid & 63;
	digits[TIP_FILTER_UID + 1] = uid >> 6 & 63;
	digits[TIP_FILTER_UID + 2] = uid >> 12 < 63 ? uid >> 12 : 63;
}

static inline bool slot_passes(const char *name, const struct tip_filter_slot *slot)
{
	return !plain(name) || slot_met(name, slot);
}

/* `looked_at`: 1 << digit, of those that this act has. */
static inline bool clauses_pass(const struct tip_prefilter *f, enum tip_filter_group group,
				const uint32_t *digits, uint32_t looked_at, const char *name,
				const char *second)
{
	for (size_t i = 0; i < f->groups[group].count; i++) {
		const struct tip_filter_clause *c = &f->groups[group].clauses[i];
		bool met = true;

		for (size_t d = 0; d < TIP_FILTER_DIGITS; d++)
			if (looked_at >> d & 1)
				met = met && (c->digits[d] >> digits[d] & 1);
		for (size_t k = 0; k < c->nslots && met; k++)
			met = slot_passes(c->slots[k].second ? second : name, &c->slots[k]);
		if (met)
			return true;
	}
	return false;
}

#endif
