/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "detect/necessary.h"

/* What the kernel can decide of an exec: see tip_filter_exec() in bpf/sensor/filter.bpf.c. */

/* The execs with that bit of the first digit, or without it. */
static uint64_t with_bit(unsigned int bit, bool on)
{
	uint64_t set = 0;

	for (unsigned int v = 0; v < TIP_FILTER_VALUES; v++)
		if (((v & bit) != 0) == on)
			set |= 1ull << v;
	return set;
}

static struct tip_dnf check_type(struct tip_necessary *e, const struct tip_ast *n,
				 const struct tip_field_ref *ref, bool negated)
{
	uint64_t set = 0;
	tip_codes may;

	if (!tip_necessary_codes(n, negated, &may))
		return tip_dnf_true(e);
	if (may & TIP_CODE_BIT(TIP_CODE_EXECVE))
		set |= with_bit(TIP_FILTER_EXEC_AT, false);
	if (may & TIP_CODE_BIT(TIP_CODE_EXECVEAT))
		set |= with_bit(TIP_FILTER_EXEC_AT, true);
	return tip_dnf_digit(e, TIP_FILTER_EXEC_HOW, set);
}

/* Integers of which the kernel tells 0 from all that is more, up to `most`. */
static struct tip_dnf zero_or_more(struct tip_necessary *e, const struct tip_ast *n,
				   const struct tip_field_ref *ref, bool negated, unsigned int bit,
				   int64_t most)
{
	uint64_t set = 0;
	struct tip_trial t;

	if (!tip_trial_begin(&t, n, ref, e->arena)) {
		tip_trial_end(&t);
		return tip_dnf_true(e);
	}
	if (tip_trial_between(&t, 0, 0, negated))
		set |= with_bit(bit, false);
	if (tip_trial_between(&t, 1, most, negated))
		set |= with_bit(bit, true);
	tip_trial_end(&t);
	return tip_dnf_digit(e, TIP_FILTER_EXEC_HOW, set);
}

static struct tip_dnf check_tty(struct tip_necessary *e, const struct tip_ast *n,
				const struct tip_field_ref *ref, bool negated)
{
	return zero_or_more(e, n, ref, negated, TIP_FILTER_EXEC_TTY, UINT32_MAX);
}

static struct tip_dnf check_image(struct tip_necessary *e, const struct tip_ast *n,
				  const struct tip_field_ref *ref, bool negated)
{
	static const struct {
		const char *field;
		unsigned int bit;
	} bits[] = {{"proc.is_exe_from_memfd", TIP_FILTER_EXEC_MEMFD},
		    {"proc.is_exe_writable", TIP_FILTER_EXEC_WRITE},
		    {"proc.is_exe_upper_layer", TIP_FILTER_EXEC_UPPER},
		    {"proc.is_exe_lower_layer", TIP_FILTER_EXEC_LOWER}};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(bits); i++)
		if (strcmp(bits[i].field, ref->field->name) == 0)
			return zero_or_more(e, n, ref, negated, bits[i].bit, 1);
	return tip_dnf_true(e);
}

/* Only execs that succeed are told: their result is 0. */
static struct tip_dnf check_result(struct tip_necessary *e, const struct tip_ast *n,
				   const struct tip_field_ref *ref, bool negated)
{
	struct tip_value v = {0};
	struct tip_trial t;
	bool can;

	if (ref->type == TIP_T_STRING)
		tip_value_str(&v, tip_errno_name(0));
	else
		tip_value_int(&v, 0);
	can = !tip_trial_begin(&t, n, ref, e->arena) || tip_trial_holds(&t, &v) != negated;
	tip_trial_end(&t);
	return can ? tip_dnf_true(e) : tip_dnf_false();
}

/* ---- names ---- */

/*
 * proc.name. At the exec itself it is what the file is called, cut to 15 bytes, as the kernel has
 * it: nobody has had the time to change it.
 */
static struct tip_dnf check_name(struct tip_necessary *e, const struct tip_ast *n,
				 const struct tip_field_ref *ref, bool negated)
{
	const bool other = (n->op == TIP_OP_NE) != negated;
	struct tip_filter_name *names =
		tip_arena_alloc(e->arena, (n->nvalues + 1) * sizeof(*names));
	bool exact = n->modifier == TIP_MOD_ANY;

	for (size_t i = 0; i < n->nvalues; i++) {
		struct tip_filter_name *name = &names[i];

		*name = (struct tip_filter_name){n->values[i].s, n->values[i].len,
						 TIP_FILTER_COMM_WHOLE};
		if (n->op == TIP_OP_STARTSWITH || n->op == TIP_OP_GLOB)
			name->how = TIP_FILTER_COMM_PREFIX;
		if (n->op == TIP_OP_GLOB) {
			name->len = strcspn(name->text, TIP_NAME_PATTERN);
			exact = false;
		}
		if (name->how == TIP_FILTER_COMM_PREFIX && !name->len)
			return tip_dnf_true(e);
	}
	switch (n->op) {
	case TIP_OP_EQ:
	case TIP_OP_NE:
	case TIP_OP_IN:
	case TIP_OP_INTERSECTS:
	case TIP_OP_STARTSWITH:
	case TIP_OP_GLOB: break;
	default: return tip_dnf_true(e);
	}
	return other && !exact ? tip_dnf_true(e) : tip_dnf_names(e, names, n->nvalues, other);
}

/* proc.exepath. Ends of names are not looked for, nor names of memfds: the kernel has them with
 * '/'. */
static struct tip_dnf check_path(struct tip_necessary *e, const struct tip_ast *n,
				 const struct tip_field_ref *ref, bool negated)
{
	const struct tip_dnf d = tip_necessary_name(e, n, TIP_NAME_WHOLE, negated);
	const struct tip_filter_slot *slot = &d.clauses[0].slots[0];

	for (size_t i = 0; i < n->nvalues; i++)
		if (*n->values[i].s != '/')
			return tip_dnf_true(e);
	for (size_t i = 0; d.clauses[0].nslots && i < slot->count; i++)
		if (slot->names[i].how == TIP_FILTER_END)
			return tip_dnf_true(e);
	return d;
}

struct tip_dnf tip_necessary_exec(struct tip_necessary *e, const struct tip_ast *n,
				  const struct tip_field_ref *ref, bool negated)
{
	static const struct tip_necessary_field decided[] = {
		{"evt.type", check_type},
		{"syscall.type", check_type},
		{"evt.failed", check_result},
		{"evt.rawres", check_result},
		{"evt.res", check_result},
		{"evt.num", tip_necessary_num},
		{"proc.name", check_name},
		{"proc.exepath", check_path},
		{"proc.tty", check_tty},
		{"proc.is_exe_from_memfd", check_image},
		{"proc.is_exe_writable", check_image},
		{"proc.is_exe_upper_layer", check_image},
		{"proc.is_exe_lower_layer", check_image},
		{"user.uid", tip_necessary_uid},
	};

	return tip_necessary_by_field(decided, TIP_ARRAY_SIZE(decided), e, n, ref, negated);
}
