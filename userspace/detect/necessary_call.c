/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "detect/flags.h"
#include "detect/necessary.h"

/* What the kernel can decide of the other system calls: see tip_filter_call() in
 * bpf/sensor/filter.bpf.c. */

#define FIRST_MORE 63 /* of the first argument: that number, or a larger one */

/* evt.type. All calls have a name of their own here, also those without a code. */
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

/* ---- arguments ---- */

/* Bits of a mode, which is shown by their names, or as a number where none is set. */
static struct tip_dnf mode(struct tip_necessary *e, const struct tip_ast *n,
			   const struct tip_flag_table *flags, bool negated)
{
	const char *want = n->nvalues == 1 ? n->values[0].s : "";
	struct tip_dnf all = negated ? tip_dnf_true(e) : tip_dnf_false();
	bool found = false;

	if (n->op != TIP_OP_CONTAINS || n->modifier != TIP_MOD_ANY || strncmp(want, "S_", 2) != 0 ||
	    strchr(want, '|'))
		return tip_dnf_true(e);
	for (size_t i = 0; i < flags->count; i++) {
		const unsigned int shift = (unsigned int)__builtin_ctzll(flags->flags[i].value);
		uint64_t set = 0;
		struct tip_dnf d;

		if (!strstr(flags->flags[i].name, want))
			continue;
		found = true;
		for (unsigned int v = 0; v < TIP_FILTER_VALUES; v++)
			if ((v >> shift % 6 & 1) != negated)
				set |= 1ull << v;
		d = tip_dnf_digit(e, TIP_FILTER_MODE + shift / 6, set);
		all = negated ? tip_dnf_and(e, &all, &d) : tip_dnf_or(e, &all, &d);
	}
	return found ? all : tip_dnf_true(e);
}

/* The first argument, where it is a small number. */
static struct tip_dnf first(struct tip_necessary *e, const struct tip_ast *n,
			    const struct tip_field_ref *ref, const struct tip_flag_table *flags,
			    bool negated)
{
	struct tip_scratch scratch = {0};
	struct tip_extract x = {.scratch = &scratch};
	uint64_t set = 1ull << FIRST_MORE;
	struct tip_trial t;

	if (!tip_trial_begin(&t, n, ref, e->arena))
		set = ~0ull;
	for (unsigned int i = 0; i < FIRST_MORE && t.ready; i++) {
		struct tip_value v = {0};

		tip_scratch_reset(&scratch);
		tip_flags_text(&x, flags, i, &v);
		if (!v.set || !v.str.len)
			tip_value_fmt(&x, &v, "%u", i);
		if (tip_trial_holds(&t, &v) != negated)
			set |= 1ull << i;
	}
	tip_trial_end(&t);
	tip_scratch_free(&scratch);
	return tip_dnf_digit(e, TIP_FILTER_FIRST, set);
}

/* evt.arg.NAME: another argument of each call. */
static struct tip_dnf check_arg(struct tip_necessary *e, const struct tip_ast *n,
				const struct tip_field_ref *ref, bool negated)
{
	const bool raw = strcmp(ref->field->name, "evt.rawarg") == 0;
	struct tip_syscall_arg args[TIP_SYSCALL_ARGS_NAMED];
	struct tip_dnf all = tip_dnf_false();
	tip_codes has = 0;
	size_t count;

	count = ref->arg ? tip_syscall_args_named(ref->arg, args) : 0;
	/* Not a name, but a number. */
	if (!count)
		return tip_dnf_true(e);
	for (size_t i = 0; i < count; i++) {
		struct tip_dnf d = tip_dnf_true(e), codes = tip_dnf_codes(e, args[i].codes);

		has |= args[i].codes;
		if (args[i].what == TIP_SYSCALL_ARG_PATH)
			d = tip_necessary_name(e, n, raw ? TIP_NAME_RAW : TIP_NAME_WHOLE, negated);
		else if (args[i].what == TIP_SYSCALL_ARG_TEXT)
			d = tip_necessary_name(e, n, TIP_NAME_RAW, negated);
		else if (args[i].what == TIP_SYSCALL_ARG_MODE && !raw)
			d = mode(e, n, args[i].flags, negated);
		else if (args[i].what == TIP_SYSCALL_ARG_FIRST && !raw)
			d = first(e, n, ref, args[i].flags, negated);
		d = tip_dnf_and(e, &d, &codes);
		all = tip_dnf_or(e, &all, &d);
	}
	return tip_dnf_decided(e, has, has, &all, negated);
}

struct tip_dnf tip_necessary_call(struct tip_necessary *e, const struct tip_ast *n,
				  const struct tip_field_ref *ref, bool negated)
{
	const char *field = ref->field->name;
	const tip_codes codes = ref->field->codes;
	struct tip_dnf d, has;

	if (strcmp(field, "evt.type") == 0 || strcmp(field, "syscall.type") == 0)
		return check_type(e, n, negated);
	if (strcmp(field, "evt.arg") == 0 || strcmp(field, "evt.rawarg") == 0)
		return check_arg(e, n, ref, negated);
	d = tip_necessary_shared(e, n, ref, negated);
	/* A call that has no such field: the opposite is true. */
	has = tip_dnf_codes(e, negated ? ~codes : codes);
	return negated ? tip_dnf_or(e, &has, &d) : tip_dnf_and(e, &has, &d);
}
