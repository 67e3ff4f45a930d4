/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/mem.h"
#include "detect/necessary.h"

/* The part of a rule that the kernel decides, in words: for `rules explain`. */

/* Separates what is added to `b` from what stands there since `start`. */
static void join(struct tip_buf *b, size_t start, const char *with)
{
	if (b->len > start)
		tip_buf_adds(b, with);
}

/* Of the first digit: those values of a part of it that some allowed value has. */
static unsigned int parts(uint64_t set, unsigned int shift, unsigned int count)
{
	unsigned int found = 0;

	for (unsigned int v = 0; v < TIP_FILTER_VALUES; v++)
		if (set >> v & 1)
			found |= 1u << (v >> shift) % count;
	return found;
}

static void add_how(struct tip_buf *b, size_t start, uint64_t set)
{
	static const char *const calls[] = {[TIP_OPEN_OPEN] = "open",
					    [TIP_OPEN_OPENAT] = "openat",
					    [TIP_OPEN_OPENAT2] = "openat2",
					    [TIP_OPEN_CREAT] = "creat",
					    [TIP_OPEN_BY_HANDLE] = "open_by_handle_at"};
	static const char *const accesses[] = {"reading", "writing", "both"};
	const unsigned int all = (1u << TIP_ARRAY_SIZE(calls)) - 1;
	const unsigned int call = parts(set, 0, TIP_FILTER_OPEN_HOW_MAX) & all;
	const unsigned int failed = parts(set, 3, 2);
	const unsigned int access = parts(set, TIP_FILTER_OPEN_ACCESS, 4) & 7;
	size_t at;

	if (call != all) {
		join(b, start, ", ");
		tip_buf_adds(b, "by ");
		at = b->len;
		for (size_t i = 0; i < TIP_ARRAY_SIZE(calls); i++) {
			if (!(call >> i & 1))
				continue;
			join(b, at, "/");
			tip_buf_adds(b, calls[i]);
		}
	}
	if (access != 7) {
		join(b, start, ", ");
		tip_buf_adds(b, "for ");
		at = b->len;
		for (size_t i = 0; i < TIP_ARRAY_SIZE(accesses); i++) {
			if (!(access >> i & 1))
				continue;
			join(b, at, " or ");
			tip_buf_adds(b, accesses[i]);
		}
	}
	if (failed != 3) {
		join(b, start, ", ");
		tip_buf_adds(b, failed == 1 ? "that succeeds" : "that fails");
	}
}

/* Flags that all of the allowed values have, or none. */
static void add_flags(struct tip_buf *b, size_t start, const struct tip_filter_clause *c)
{
	size_t count;
	const struct tip_flag *flags = tip_open_flags(&count);

	for (size_t i = 0; i < count; i++) {
		const int top = 63 - __builtin_clzll(flags[i].bits) - TIP_FILTER_FLAGS_FIRST;
		const int digit = TIP_FILTER_OPEN_FLAGS + top / TIP_FILTER_FLAG_BITS;
		unsigned int found;

		if (top < 0 || digit >= TIP_FILTER_DIGITS)
			continue;
		found = parts(c->digits[digit], (unsigned int)top % TIP_FILTER_FLAG_BITS, 2);
		if (found == 3)
			continue;
		join(b, start, ", ");
		tip_buf_addf(b, "%s %s", found == 2 ? "with" : "without", flags[i].name);
	}
}

#define NAMES_SHOWN 8

static void add_slot(struct tip_buf *b, size_t start, const struct tip_filter_slot *slot)
{
	static const char *const hows[] = {[TIP_FILTER_WHOLE] = "is",
					   [TIP_FILTER_PREFIX] = "begins with",
					   [TIP_FILTER_END] = "ends with"};
	size_t at;

	join(b, start, ", ");
	tip_buf_adds(b, slot->negated ? "whose name neither " : "whose name ");
	if (!slot->count)
		tip_buf_adds(b, "is not plain");
	at = b->len;
	for (size_t i = 0; i < slot->count && i < NAMES_SHOWN; i++) {
		join(b, at, slot->negated ? " nor " : " or ");
		tip_buf_addf(b, "%s %.*s", hows[slot->names[i].how], (int)slot->names[i].len,
			     slot->names[i].text);
	}
	if (slot->count > NAMES_SHOWN)
		tip_buf_addf(b, " or %zu more", slot->count - NAMES_SHOWN);
}

static void add_clause(struct tip_buf *b, const struct tip_filter_clause *c)
{
	const size_t start = b->len;

	add_how(b, start, c->digits[TIP_FILTER_OPEN_HOW]);
	add_flags(b, start, c);
	for (size_t i = 0; i < c->nslots; i++)
		add_slot(b, start, &c->slots[i]);
	if (b->len == start)
		tip_buf_adds(b, "any");
}

void tip_rule_kernel_json(const struct tip_rule *rule, struct tip_buf *out)
{
	const struct tip_dnf *d = &rule->needs->groups[TIP_FILTER_OPEN];
	struct tip_buf text = {0};

	tip_buf_addc(out, '[');
	for (size_t i = 0; i < d->count; i++) {
		tip_buf_reset(&text);
		tip_buf_adds(&text, "open ");
		add_clause(&text, &d->clauses[i]);
		if (i)
			tip_buf_addc(out, ',');
		tip_buf_add_json_string(out, text.data, text.len);
	}
	tip_buf_addc(out, ']');
	tip_buf_free(&text);
}
