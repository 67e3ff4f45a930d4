/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "detect/necessary.h"

/*
 * Disjunctions of clauses. Each operation may make the result weaker to keep it small; none makes
 * it stronger.
 */

#define CLAUSES_MAX 128 /* while a condition is worked on */

struct tip_dnf tip_dnf_false(void)
{
	return (struct tip_dnf){0};
}

static struct tip_dnf one(struct tip_necessary *e)
{
	struct tip_dnf d = {tip_arena_alloc(e->arena, sizeof(*d.clauses)), 1};

	memset(d.clauses[0].digits, 0xff, sizeof(d.clauses[0].digits));
	return d;
}

struct tip_dnf tip_dnf_true(struct tip_necessary *e)
{
	return one(e);
}

struct tip_dnf tip_dnf_digit(struct tip_necessary *e, size_t digit, uint64_t set)
{
	struct tip_dnf d = one(e);

	d.clauses[0].digits[digit] = set;
	return set ? d : tip_dnf_false();
}

struct tip_dnf tip_dnf_names(struct tip_necessary *e, const struct tip_filter_name *names,
			     size_t count, bool negated)
{
	struct tip_dnf d = one(e);

	d.clauses[0].slots[0] = (struct tip_filter_slot){names, count, negated, false};
	d.clauses[0].nslots = 1;
	return d;
}

/* ---- relations of clauses ---- */

static bool same_slot(const struct tip_filter_slot *a, const struct tip_filter_slot *b)
{
	if (a->negated != b->negated || a->second != b->second || a->count != b->count)
		return false;
	if (a->names == b->names)
		return true;
	for (size_t i = 0; i < a->count; i++) {
		const struct tip_filter_name *x = &a->names[i], *y = &b->names[i];

		if (x->how != y->how || x->len != y->len || memcmp(x->text, y->text, x->len) != 0)
			return false;
	}
	return true;
}

static bool has_slot(const struct tip_filter_clause *c, const struct tip_filter_slot *slot)
{
	for (size_t i = 0; i < c->nslots; i++)
		if (same_slot(&c->slots[i], slot))
			return true;
	return false;
}

/* Does `a` ask for no more names than `b`? */
static bool names_weaker(const struct tip_filter_clause *a, const struct tip_filter_clause *b)
{
	for (size_t i = 0; i < a->nslots; i++)
		if (!has_slot(b, &a->slots[i]))
			return false;
	return true;
}

/* Is `a` true wherever `b` is? */
static bool weaker(const struct tip_filter_clause *a, const struct tip_filter_clause *b)
{
	for (size_t i = 0; i < TIP_FILTER_DIGITS; i++)
		if (b->digits[i] & ~a->digits[i])
			return false;
	return names_weaker(a, b);
}

static int digits_apart(const struct tip_filter_clause *a, const struct tip_filter_clause *b)
{
	int n = 0;

	for (size_t i = 0; i < TIP_FILTER_DIGITS; i++)
		n += a->digits[i] != b->digits[i];
	return n;
}

static void digits_or(struct tip_filter_clause *a, const struct tip_filter_clause *b)
{
	for (size_t i = 0; i < TIP_FILTER_DIGITS; i++)
		a->digits[i] |= b->digits[i];
}

static const struct tip_filter_slot *positive(const struct tip_filter_clause *c)
{
	for (size_t i = 0; i < c->nslots; i++)
		if (!c->slots[i].negated)
			return &c->slots[i];
	return NULL;
}

static struct tip_filter_slot slot_or(struct tip_necessary *e, const struct tip_filter_slot *a,
				      const struct tip_filter_slot *b)
{
	struct tip_filter_slot out = {.count = a->count, .second = a->second};
	struct tip_filter_name *names;

	if (same_slot(a, b))
		return *a;
	names = tip_arena_alloc(e->arena, (a->count + b->count + 1) * sizeof(*names));
	for (size_t i = 0; i < a->count; i++)
		names[i] = a->names[i];
	for (size_t i = 0; i < b->count; i++)
		names[out.count++] = b->names[i];
	out.names = names;
	return out;
}

/* What both clauses want some name of; false: they want names of different paths, or none. */
static bool of_one_path(const struct tip_filter_clause *a, const struct tip_filter_clause *b)
{
	const struct tip_filter_slot *x = positive(a), *y = positive(b);

	return x && y && x->second == y->second;
}

/* Makes `a` the disjunction of both, if that is one clause. */
static bool unite(struct tip_necessary *e, struct tip_filter_clause *a,
		  const struct tip_filter_clause *b)
{
	const int apart = digits_apart(a, b);

	if (weaker(a, b))
		return true;
	if (weaker(b, a)) {
		*a = *b;
		return true;
	}
	if (apart == 1 && names_weaker(a, b) && names_weaker(b, a)) {
		digits_or(a, b);
		return true;
	}
	if (apart == 0 && a->nslots == 1 && b->nslots == 1 && of_one_path(a, b)) {
		a->slots[0] = slot_or(e, &a->slots[0], &b->slots[0]);
		return true;
	}
	return false;
}

/* ---- conjunction and disjunction ---- */

/* A clause that names are not left of is kept last: what is known of the name decides most. */
static void add_slot(struct tip_filter_clause *c, const struct tip_filter_slot *slot)
{
	if (has_slot(c, slot))
		return;
	if (c->nslots < TIP_FILTER_SLOTS) {
		c->slots[c->nslots++] = *slot;
		return;
	}
	for (size_t i = 0; i < TIP_FILTER_SLOTS && !slot->negated; i++) {
		if (c->slots[i].negated) {
			c->slots[i] = *slot;
			return;
		}
	}
}

static bool clause_and(struct tip_filter_clause *c, const struct tip_filter_clause *more)
{
	for (size_t i = 0; i < TIP_FILTER_DIGITS; i++) {
		c->digits[i] &= more->digits[i];
		if (!c->digits[i])
			return false;
	}
	for (size_t i = 0; i < more->nslots; i++)
		add_slot(c, &more->slots[i]);
	return true;
}

static void put(struct tip_necessary *e, struct tip_dnf *d, const struct tip_filter_clause *c)
{
	for (size_t i = 0; i < d->count; i++)
		if (unite(e, &d->clauses[i], c))
			return;
	d->clauses[d->count++] = *c;
}

struct tip_dnf tip_dnf_and(struct tip_necessary *e, const struct tip_dnf *a,
			   const struct tip_dnf *b)
{
	struct tip_dnf out = {0};

	if (!a->count || !b->count)
		return out;
	/* Too many: one side alone is weaker than both, and the shorter says more with less. */
	if (a->count * b->count > CLAUSES_MAX)
		return a->count < b->count ? *a : *b;
	out.clauses = tip_arena_alloc(e->arena, a->count * b->count * sizeof(*out.clauses));
	for (size_t i = 0; i < a->count; i++) {
		for (size_t k = 0; k < b->count; k++) {
			struct tip_filter_clause c = a->clauses[i];

			if (clause_and(&c, &b->clauses[k]))
				put(e, &out, &c);
		}
	}
	return out;
}

struct tip_dnf tip_dnf_or(struct tip_necessary *e, const struct tip_dnf *a, const struct tip_dnf *b)
{
	struct tip_dnf out = {0};

	if (!a->count || !b->count)
		return a->count ? *a : *b;
	out.clauses = tip_arena_alloc(e->arena, (a->count + b->count) * sizeof(*out.clauses));
	memcpy(out.clauses, a->clauses, a->count * sizeof(*a->clauses));
	out.count = a->count;
	for (size_t i = 0; i < b->count; i++)
		put(e, &out, &b->clauses[i]);
	tip_dnf_reduce(e, &out, CLAUSES_MAX);
	return out;
}

/* ---- fewer clauses ---- */

/* How much is lost when the two become one: values of digits that are let in, names given up. */
static unsigned int cost(const struct tip_filter_clause *a, const struct tip_filter_clause *b)
{
	unsigned int n = 0;

	for (size_t i = 0; i < TIP_FILTER_DIGITS; i++)
		n += (unsigned int)__builtin_popcountll(a->digits[i] ^ b->digits[i]);
	if (a->nslots || b->nslots)
		n += of_one_path(a, b) ? 8 * (unsigned int)(a->nslots + b->nslots - 2)
				       : 4 * TIP_FILTER_VALUES;
	return n;
}

static void join(struct tip_necessary *e, struct tip_filter_clause *a,
		 const struct tip_filter_clause *b)
{
	digits_or(a, b);
	if (of_one_path(a, b)) {
		a->slots[0] = slot_or(e, positive(a), positive(b));
		a->nslots = 1;
	} else {
		a->nslots = 0;
	}
}

void tip_dnf_reduce(struct tip_necessary *e, struct tip_dnf *d, size_t max)
{
	while (d->count > max) {
		const struct tip_filter_clause *last = &d->clauses[d->count - 1];
		unsigned int least = ~0u;
		size_t with = 0;

		for (size_t i = 0; i + 1 < d->count; i++) {
			const unsigned int n = cost(&d->clauses[i], last);

			if (n < least) {
				least = n;
				with = i;
			}
		}
		join(e, &d->clauses[with], last);
		d->count--;
	}
}
