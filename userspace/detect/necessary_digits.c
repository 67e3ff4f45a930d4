/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "detect/necessary.h"

/* Checks of a port or of a user, which the kernel sees as TIP_FILTER_LONG digits: see
 * allowed_long() in bpf/sensor/filter.bpf.c. */

#define DIGITS    TIP_FILTER_LONG
#define HOLES_MAX 2 /* a clause for each digit of each */

static unsigned int digit_of(uint32_t n, unsigned int low, size_t i)
{
	const uint32_t more = n >> low >> TIP_FILTER_LONG_BITS;

	if (i == 0)
		return n & ((1u << low) - 1);
	if (i == 1)
		return n >> low & (TIP_FILTER_VALUES - 1);
	return more < TIP_FILTER_LONG_MORE ? more : TIP_FILTER_LONG_MORE;
}

struct numbers {
	unsigned int low; /* bits of the first digit */
	uint64_t digits[DIGITS];
	uint32_t holes[HOLES_MAX]; /* single ones that do not pass */
	size_t nholes;             /* more than HOLES_MAX: there are others as well */
};

static void pass(struct numbers *s, uint32_t first, uint32_t last)
{
	const uint32_t many = 1u << (s->low + TIP_FILTER_LONG_BITS);

	for (unsigned int v = digit_of(first, s->low, 2); v <= digit_of(last, s->low, 2); v++)
		s->digits[DIGITS - 1] |= 1ull << v;
	for (uint32_t n = 0; n <= last - first && n < many; n++)
		for (size_t i = 0; i + 1 < DIGITS; i++)
			s->digits[i] |= 1ull << digit_of(first + n, s->low, i);
}

static void keep_out(struct numbers *s, uint32_t first, uint32_t last)
{
	for (uint32_t n = 0; n <= last - first && s->nholes <= HOLES_MAX; n++, s->nholes++)
		if (s->nholes < HOLES_MAX)
			s->holes[s->nholes] = first + n;
}

static int by_number(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* The answer changes only at the constants: between two of them one number tells of all. */
static void try_numbers(struct tip_trial *t, uint32_t most, bool negated, struct tip_arena *arena,
			struct numbers *s)
{
	uint32_t *edges = tip_arena_alloc(arena, (2 * t->test.nvalues + 1) * sizeof(*edges));
	size_t count = 0;

	edges[count++] = 0;
	for (size_t i = 0; i < t->test.nvalues; i++) {
		const int64_t c = t->test.values[i].i;

		if (c >= 0 && c <= most)
			edges[count++] = (uint32_t)c;
		if (c >= 0 && c < most)
			edges[count++] = (uint32_t)c + 1;
	}
	qsort(edges, count, sizeof(*edges), by_number);
	for (size_t i = 0; i < count; i++) {
		const uint32_t last = i + 1 < count ? edges[i + 1] - 1 : most;

		if (i + 1 < count && edges[i + 1] == edges[i])
			continue;
		if (tip_trial_between(t, edges[i], edges[i], negated))
			pass(s, edges[i], last);
		else
			keep_out(s, edges[i], last);
	}
}

/* Any number but that one: it differs in some digit. */
static struct tip_dnf all_but(struct tip_necessary *e, size_t first, unsigned int low, uint32_t n)
{
	struct tip_dnf any = tip_dnf_false();

	for (size_t i = 0; i < DIGITS; i++) {
		const unsigned int v = digit_of(n, low, i);
		struct tip_dnf d;

		/* that stands for many */
		if (i + 1 == DIGITS && v == TIP_FILTER_LONG_MORE)
			return tip_dnf_true(e);
		d = tip_dnf_digit(e, first + i, ~(1ull << v));
		any = tip_dnf_or(e, &any, &d);
	}
	return any;
}

/* A number from the digit `first` on, which is `most` at most. */
static struct tip_dnf number(struct tip_necessary *e, const struct tip_ast *n,
			     const struct tip_field_ref *ref, bool negated, size_t first,
			     unsigned int low, uint32_t most)
{
	struct tip_dnf all = tip_dnf_true(e);
	struct numbers s = {.low = low};
	struct tip_trial t;

	if (!tip_trial_begin(&t, n, ref, e->arena)) {
		tip_trial_end(&t);
		return all;
	}
	try_numbers(&t, most, negated, e->arena, &s);
	tip_trial_end(&t);
	for (size_t i = 0; i < DIGITS; i++) {
		const struct tip_dnf d = tip_dnf_digit(e, first + i, s.digits[i]);

		all = tip_dnf_and(e, &all, &d);
	}
	for (size_t i = 0; i < s.nholes && s.nholes <= HOLES_MAX; i++) {
		const struct tip_dnf d = all_but(e, first, s.low, s.holes[i]);

		all = tip_dnf_and(e, &all, &d);
	}
	return all;
}

struct tip_dnf tip_necessary_uid(struct tip_necessary *e, const struct tip_ast *n,
				 const struct tip_field_ref *ref, bool negated)
{
	return number(e, n, ref, negated, TIP_FILTER_UID, TIP_FILTER_UID_LOW, UINT32_MAX);
}

struct tip_dnf tip_necessary_port(struct tip_necessary *e, const struct tip_ast *n,
				  const struct tip_field_ref *ref, bool negated)
{
	return number(e, n, ref, negated, TIP_FILTER_PORT, TIP_FILTER_PORT_LOW, UINT16_MAX);
}
