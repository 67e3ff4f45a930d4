/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "detect/necessary.h"

/*
 * What the kernel can decide of the other system calls: see tip_filter_call() and
 * tip_filter_called() in bpf/sensor/filter.bpf.c.
 */

/* evt.type. Of those that rules name all have a name of their own, also those without a code. */
static struct tip_dnf check_type(struct tip_necessary *e, const struct tip_ast *n, bool negated)
{
	const bool opposite = (n->op == TIP_OP_NE) != negated;
	uint64_t calls[TIP_SYSCALLS / 64] = {0};

	if (!tip_necessary_types(n))
		return tip_dnf_true(e);
	for (size_t i = 0; i < n->nvalues; i++) {
		const int number = tip_event_number(n->values[i].s);
		const int nr = number < 0 ? -1 : tip_event_call(number);

		if (nr >= 0)
			calls[nr / 64] |= 1ull << nr % 64;
	}
	for (size_t i = 0; i < TIP_ARRAY_SIZE(calls) && opposite; i++)
		calls[i] = ~calls[i];
	return tip_dnf_calls(e, calls);
}

static struct tip_dnf check_field(struct tip_necessary *e, const struct tip_ast *n,
				  const struct tip_field_ref *ref, bool negated)
{
	const char *field = ref->field->name;
	const tip_codes codes = ref->field->codes;
	struct tip_dnf d, has;

	if (strcmp(field, "evt.arg") == 0 || strcmp(field, "evt.rawarg") == 0)
		return tip_necessary_arg(e, n, ref, negated);
	d = tip_necessary_shared(e, n, ref, negated);
	/* A call that has no such field: the opposite is true. */
	has = tip_dnf_codes(e, negated ? ~codes : codes);
	return negated ? tip_dnf_or(e, &has, &d) : tip_dnf_and(e, &has, &d);
}

static bool is_type(const struct tip_field_ref *ref)
{
	return strcmp(ref->field->name, "evt.type") == 0 ||
	       strcmp(ref->field->name, "syscall.type") == 0;
}

struct tip_dnf tip_necessary_call(struct tip_necessary *e, const struct tip_ast *n,
				  const struct tip_field_ref *ref, bool negated)
{
	return is_type(ref) ? check_type(e, n, negated) : check_field(e, n, ref, negated);
}

struct tip_dnf tip_necessary_called(struct tip_necessary *e, const struct tip_ast *n,
				    const struct tip_field_ref *ref, bool negated)
{
	tip_codes may;

	if (!is_type(ref))
		return check_field(e, n, ref, negated);
	return tip_necessary_codes(n, negated, &may) ? tip_dnf_called(e, may) : tip_dnf_true(e);
}
