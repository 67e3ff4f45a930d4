/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "detect/necessary.h"

/* What the kernel can decide of an exec: see tip_filter_exec() in bpf/sensor/filter.bpf.c. */

#define UID_DIGITS 3
#define HOLES_MAX  2 /* a clause for each digit of each */

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

/* ---- the user ---- */

static unsigned int uid_digit(uint32_t uid, size_t i)
{
	const uint32_t v = uid >> i * TIP_FILTER_UID_BITS;

	if (i + 1 < UID_DIGITS)
		return v & (TIP_FILTER_VALUES - 1);
	return v < TIP_FILTER_UID_MORE ? v : TIP_FILTER_UID_MORE;
}

struct uids {
	uint64_t digits[UID_DIGITS];
	uint32_t holes[HOLES_MAX]; /* single ones that do not pass */
	size_t nholes;             /* more than HOLES_MAX: there are others as well */
};

static void pass(struct uids *u, uint32_t first, uint32_t last)
{
	const uint32_t many = 1u << (UID_DIGITS - 1) * TIP_FILTER_UID_BITS;

	for (unsigned int v = uid_digit(first, UID_DIGITS - 1);
	     v <= uid_digit(last, UID_DIGITS - 1); v++)
		u->digits[UID_DIGITS - 1] |= 1ull << v;
	for (uint32_t n = 0; n <= last - first && n < many; n++)
		for (size_t i = 0; i + 1 < UID_DIGITS; i++)
			u->digits[i] |= 1ull << uid_digit(first + n, i);
}

static void keep_out(struct uids *u, uint32_t first, uint32_t last)
{
	if (first == last && u->nholes < HOLES_MAX)
		u->holes[u->nholes++] = first;
	else
		u->nholes = HOLES_MAX + 1;
}

static int by_number(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* The answer changes only at the constants: between two of them one uid tells of all. */
static void try_uids(struct tip_trial *t, bool negated, struct tip_arena *arena, struct uids *u)
{
	uint32_t *edges = tip_arena_alloc(arena, (2 * t->test.nvalues + 1) * sizeof(*edges));
	size_t count = 0;

	edges[count++] = 0;
	for (size_t i = 0; i < t->test.nvalues; i++) {
		const int64_t c = t->test.values[i].i;

		if (c >= 0 && c <= UINT32_MAX)
			edges[count++] = (uint32_t)c;
		if (c >= 0 && c < UINT32_MAX)
			edges[count++] = (uint32_t)c + 1;
	}
	qsort(edges, count, sizeof(*edges), by_number);
	for (size_t i = 0; i < count; i++) {
		const uint32_t last = i + 1 < count ? edges[i + 1] - 1 : UINT32_MAX;
		struct tip_value v = {0};

		if (i + 1 < count && edges[i + 1] == edges[i])
			continue;
		tip_value_int(&v, edges[i]);
		if (tip_trial_holds(t, &v) != negated)
			pass(u, edges[i], last);
		else
			keep_out(u, edges[i], last);
	}
}

/* Any uid but that one: it differs in some digit. */
static struct tip_dnf no_uid(struct tip_necessary *e, uint32_t uid)
{
	struct tip_dnf any = tip_dnf_false();

	for (size_t i = 0; i < UID_DIGITS; i++) {
		const unsigned int v = uid_digit(uid, i);
		struct tip_dnf d;

		/* that stands for many */
		if (i + 1 == UID_DIGITS && v == TIP_FILTER_UID_MORE)
			return tip_dnf_true(e);
		d = tip_dnf_digit(e, TIP_FILTER_EXEC_UID + i, ~(1ull << v));
		any = tip_dnf_or(e, &any, &d);
	}
	return any;
}

static struct tip_dnf check_uid(struct tip_necessary *e, const struct tip_ast *n,
				const struct tip_field_ref *ref, bool negated)
{
	struct tip_dnf all = tip_dnf_true(e);
	struct uids u = {0};
	struct tip_trial t;

	if (!tip_trial_begin(&t, n, ref, e->arena)) {
		tip_trial_end(&t);
		return all;
	}
	try_uids(&t, negated, e->arena, &u);
	tip_trial_end(&t);
	for (size_t i = 0; i < UID_DIGITS; i++) {
		const struct tip_dnf d = tip_dnf_digit(e, TIP_FILTER_EXEC_UID + i, u.digits[i]);

		all = tip_dnf_and(e, &all, &d);
	}
	for (size_t i = 0; i < u.nholes && u.nholes <= HOLES_MAX; i++) {
		const struct tip_dnf d = no_uid(e, u.holes[i]);

		all = tip_dnf_and(e, &all, &d);
	}
	return all;
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
		{"user.uid", check_uid},
	};

	return tip_necessary_by_field(decided, TIP_ARRAY_SIZE(decided), e, n, ref, negated);
}
