/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "detect/args.h"
#include "detect/necessary.h"

/*
 * What the kernel can decide of the arguments of calls: see tip_filter_call() and
 * tip_filter_called() in bpf/sensor/filter.bpf.c.
 */

#define BITS 6 /* of an argument in a digit */

/* ---- bits ---- */

/* The digits of an argument, for so many of its bits from below. */
struct digits {
	size_t digit[4], count;
};

/* Is there a digit with that bit? `shift`: where in it. */
static bool digit_of(const struct digits *d, uint64_t bits, size_t *digit, unsigned int *shift)
{
	const unsigned int bit = bits ? (unsigned int)__builtin_ctzll(bits) : 64;

	if (bits & (bits - 1) || bit / BITS >= d->count)
		return false;
	*digit = d->digit[bit / BITS];
	*shift = bit % BITS;
	return true;
}

/* `contains` a part of the name of a bit. Without any named bit the argument is a number. */
static struct tip_dnf bits(struct tip_necessary *e, const struct tip_ast *n,
			   const struct tip_flag_table *flags, const struct digits *of,
			   bool negated)
{
	const char *want = n->nvalues == 1 ? n->values[0].s : "";
	struct tip_dnf all = negated ? tip_dnf_true(e) : tip_dnf_false();
	bool found = false;

	if (n->op != TIP_OP_CONTAINS || n->modifier != TIP_MOD_ANY || strchr(want, '|') ||
	    strspn(want, "0123456789") == strlen(want))
		return tip_dnf_true(e);
	for (size_t i = 0; i < flags->count; i++) {
		uint64_t set = 0;
		unsigned int shift;
		struct tip_dnf d;
		size_t digit;

		if (!strstr(flags->flags[i].name, want))
			continue;
		found = true;
		if (!digit_of(of, flags->flags[i].value, &digit, &shift)) {
			if (negated)
				continue;
			return tip_dnf_true(e);
		}
		for (unsigned int v = 0; v < TIP_FILTER_VALUES; v++)
			if ((v >> shift & 1) != negated)
				set |= 1ull << v;
		d = tip_dnf_digit(e, digit, set);
		all = negated ? tip_dnf_and(e, &all, &d) : tip_dnf_or(e, &all, &d);
	}
	return found ? all : tip_dnf_true(e);
}

/* ---- numbers ---- */

/* The one value of the argument that the digit stands for; false: there are others. */
static bool value_of(const struct tip_syscall_arg *arg, unsigned int digit, uint32_t *value)
{
	*value = digit;
	if (arg->codes & TIP_CODES_MMAP) {
		*value = (digit & ((1u << TIP_FILTER_PROT_LOW) - 1)) |
			 digit >> TIP_FILTER_PROT_LOW << TIP_FILTER_PROT_TOO;
		return digit != 0; /* 0: or nothing but bits without a name */
	}
	if (arg->codes & TIP_CODE_BIT(TIP_CODE_PTRACE) && digit >= TIP_FILTER_REQUESTS)
		*value = digit - TIP_FILTER_REQUESTS + TIP_FILTER_REQUESTS_TOO;
	return digit != TIP_FILTER_NUMBER_MORE;
}

static struct tip_dnf number(struct tip_necessary *e, const struct tip_ast *n,
			     const struct tip_field_ref *ref, const struct tip_syscall_arg *arg,
			     bool raw, bool negated)
{
	struct tip_scratch scratch = {0};
	struct tip_extract x = {.scratch = &scratch};
	struct tip_trial t;
	uint64_t set = 0;

	if (!tip_trial_begin(&t, n, ref, e->arena))
		set = ~0ull;
	for (unsigned int i = 0; i < TIP_FILTER_VALUES && t.ready; i++) {
		struct tip_told told = {0};
		uint32_t value;

		tip_scratch_reset(&scratch);
		if (value_of(arg, i, &value)) {
			tip_tell_number(&x, arg->row, value, &told);
			if (raw || !told.shown.set)
				told.shown = told.raw;
			if (tip_trial_holds(&t, &told.shown) == negated)
				continue;
		}
		set |= 1ull << i;
	}
	tip_trial_end(&t);
	tip_scratch_free(&scratch);
	return tip_dnf_digit(e, TIP_FILTER_NUMBER, set);
}

/* ---- what an argument is ---- */

/* A path, the first or the second, or what stands in its place. */
static struct tip_dnf path(struct tip_necessary *e, const struct tip_ast *n,
			   enum tip_name_part part, bool second, bool negated)
{
	const struct tip_dnf d = tip_necessary_name(e, n, part, negated);

	for (size_t i = 0; i < d.count; i++)
		for (size_t k = 0; k < d.clauses[i].nslots; k++)
			d.clauses[i].slots[k].second = second;
	return d;
}

static struct tip_dnf check(struct tip_necessary *e, const struct tip_ast *n,
			    const struct tip_field_ref *ref, const struct tip_syscall_arg *arg,
			    bool raw, bool negated)
{
	static const struct digits mode = {{TIP_FILTER_MODE, TIP_FILTER_MODE + 1}, 2},
				   flags = {{TIP_FILTER_FLAGS, TIP_FILTER_FLAGS + 1,
					     TIP_FILTER_FLAGS + 2, TIP_FILTER_NUMBER},
					    4};

	switch (arg->what) {
	case TIP_SYSCALL_ARG_PATH:
	case TIP_SYSCALL_ARG_PATH2:
		return path(e, n, raw ? TIP_NAME_RAW : TIP_NAME_WHOLE,
			    arg->what == TIP_SYSCALL_ARG_PATH2, negated);
	case TIP_SYSCALL_ARG_TEXT:
	case TIP_SYSCALL_ARG_TEXT2:
		return path(e, n, TIP_NAME_RAW, arg->what == TIP_SYSCALL_ARG_TEXT2, negated);
	case TIP_SYSCALL_ARG_MODE:
		return raw ? tip_dnf_true(e) : bits(e, n, arg->row->flags, &mode, negated);
	case TIP_SYSCALL_ARG_FLAGS:
		return raw ? tip_dnf_true(e) : bits(e, n, arg->row->flags, &flags, negated);
	case TIP_SYSCALL_ARG_NUMBER:
		/* Of what is told of `prot` bits are missing. */
		return raw && arg->codes & TIP_CODES_MMAP ? tip_dnf_true(e)
							  : number(e, n, ref, arg, raw, negated);
	default: return tip_dnf_true(e);
	}
}

struct tip_dnf tip_necessary_arg(struct tip_necessary *e, const struct tip_ast *n,
				 const struct tip_field_ref *ref, bool negated)
{
	const bool raw = strcmp(ref->field->name, "evt.rawarg") == 0;
	struct tip_syscall_arg args[TIP_SYSCALL_ARGS_NAMED];
	struct tip_dnf all = tip_dnf_false();
	tip_codes has = 0;
	size_t count;

	/* By its place: that is another one of each event. */
	if (ref->index >= 0 || !tip_syscall_args_named(ref->arg, e->codes, args, &count))
		return tip_dnf_true(e);
	for (size_t i = 0; i < count; i++) {
		struct tip_dnf d = check(e, n, ref, &args[i], raw, negated);
		const struct tip_dnf codes = tip_dnf_codes(e, args[i].codes);

		has |= args[i].codes;
		d = tip_dnf_and(e, &d, &codes);
		all = tip_dnf_or(e, &all, &d);
	}
	return tip_dnf_decided(e, has, has, &all, negated);
}
