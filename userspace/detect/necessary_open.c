/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/mem.h"
#include "detect/necessary.h"

/* What the kernel can decide of an open: see tip_filter_open() in bpf/sensor/filter.bpf.c. */

#define ERRNO_MAX 4095

/* ---- how it was opened, and whether it was ---- */

/* Which values of the first digit belong to an open of that kind? -1: any. */
static uint64_t how(int syscall, int failed, unsigned int accesses)
{
	uint64_t set = 0;

	for (unsigned int v = 0; v < TIP_FILTER_VALUES; v++) {
		const int call = v % TIP_FILTER_OPEN_HOW_MAX;
		const int fail = (v & TIP_FILTER_OPEN_FAILED) != 0;

		if ((syscall < 0 || call == syscall) && (failed < 0 || fail == failed) &&
		    accesses >> (v >> TIP_FILTER_OPEN_ACCESS) & 1)
			set |= 1ull << v;
	}
	return set;
}

#define ANY_ACCESS 0xfu

static struct tip_dnf result(struct tip_necessary *e, bool success, bool failure)
{
	return tip_dnf_digit(e, TIP_FILTER_OPEN_HOW,
			     (success ? how(-1, 0, ANY_ACCESS) : 0) |
				     (failure ? how(-1, 1, ANY_ACCESS) : 0));
}

/* evt.type: names of system calls. */
static struct tip_dnf check_type(struct tip_necessary *e, const struct tip_ast *n,
				 const struct tip_field_ref *ref, bool negated)
{
	static const enum tip_code codes[] = {[TIP_OPEN_OPEN] = TIP_CODE_OPEN,
					      [TIP_OPEN_OPENAT] = TIP_CODE_OPENAT,
					      [TIP_OPEN_OPENAT2] = TIP_CODE_OPENAT2,
					      [TIP_OPEN_CREAT] = TIP_CODE_CREAT,
					      [TIP_OPEN_BY_HANDLE] = TIP_CODE_OPEN_BY_HANDLE_AT};
	uint64_t set = 0;
	tip_codes may;

	if (!tip_necessary_codes(n, negated, &may))
		return tip_dnf_true(e);
	for (int i = 0; i < (int)TIP_ARRAY_SIZE(codes); i++)
		if (may & TIP_CODE_BIT(codes[i]))
			set |= how(i, -1, ANY_ACCESS);
	return tip_dnf_digit(e, TIP_FILTER_OPEN_HOW, set);
}

/* evt.is_open_read, evt.is_open_write. */
static struct tip_dnf check_access(struct tip_necessary *e, const struct tip_ast *n,
				   const struct tip_field_ref *ref, bool negated)
{
	const bool write = strcmp(ref->field->name, "evt.is_open_write") == 0;
	unsigned int accesses = 0;
	struct tip_trial t;

	if (!tip_trial_begin(&t, n, ref, e->arena))
		accesses = ANY_ACCESS;
	for (unsigned int a = 0; a < 4 && t.ready; a++) {
		const bool yes = a == O_RDWR || a == (write ? O_WRONLY : O_RDONLY);

		accesses |= tip_trial_between(&t, yes, yes, negated) << a;
	}
	tip_trial_end(&t);
	return tip_dnf_digit(e, TIP_FILTER_OPEN_HOW, how(-1, -1, accesses));
}

static uint64_t with_bit(unsigned int bit, bool on)
{
	uint64_t set = 0;

	for (unsigned int v = 0; v < TIP_FILTER_VALUES; v++)
		if ((v >> bit & 1) == on)
			set |= 1ull << v;
	return set;
}

/* One bit of O_*, which must be on or off. */
static struct tip_dnf flag(struct tip_necessary *e, uint32_t bit, bool on)
{
	const int shift = __builtin_ctz(bit) - TIP_FILTER_FLAGS_FIRST;
	const int digit = shift / TIP_FILTER_FLAG_BITS;

	if (shift < 0 || digit >= TIP_FILTER_OPEN_DIGITS - TIP_FILTER_OPEN_FLAGS)
		return tip_dnf_true(e);
	return tip_dnf_digit(e, TIP_FILTER_OPEN_FLAGS + (size_t)digit,
			     with_bit((unsigned int)shift % TIP_FILTER_FLAG_BITS, on));
}

/* evt.is_open_create, evt.is_open_exec: only that they are true says something here. */
static struct tip_dnf check_making(struct tip_necessary *e, const struct tip_ast *n,
				   const struct tip_field_ref *ref, bool negated)
{
	const bool exec = strcmp(ref->field->name, "evt.is_open_exec") == 0;
	struct tip_dnf creates = flag(e, O_CREAT, true), more;
	bool yes, no;
	struct tip_trial t;

	yes = !tip_trial_begin(&t, n, ref, e->arena) || tip_trial_between(&t, 1, 1, negated);
	no = !t.ready || tip_trial_between(&t, 0, 0, negated);
	tip_trial_end(&t);
	if (no || negated)
		return tip_dnf_true(e);
	if (!yes)
		return tip_dnf_false();
	more = flag(e, __O_TMPFILE & ~O_DIRECTORY, true);
	creates = tip_dnf_or(e, &creates, &more);
	if (!exec) {
		more = result(e, true, false);
		return tip_dnf_and(e, &creates, &more);
	}
	more = tip_dnf_digit(e, TIP_FILTER_OPEN_DIGITS - 1,
			     with_bit((unsigned int)__builtin_ctz(TIP_FILTER_EXEC_MODE), true));
	return tip_dnf_and(e, &creates, &more);
}

/* evt.failed, fd.num, evt.rawres: integers that tell whether it succeeded. */
static struct tip_dnf check_result(struct tip_necessary *e, const struct tip_ast *n,
				   const struct tip_field_ref *ref, bool negated)
{
	const bool number = strcmp(ref->field->name, "fd.num") == 0;
	const bool boolean = ref->type == TIP_T_BOOL;
	bool success, failure;
	struct tip_trial t;

	if (!tip_trial_begin(&t, n, ref, e->arena)) {
		tip_trial_end(&t);
		return tip_dnf_true(e);
	}
	success = boolean ? tip_trial_between(&t, 0, 0, negated)
			  : tip_trial_between(&t, 0, INT32_MAX, negated);
	failure = boolean  ? tip_trial_between(&t, 1, 1, negated)
		  : number ? tip_trial_between(&t, -1, -1, negated)
			   : tip_trial_between(&t, -ERRNO_MAX, -1, negated);
	tip_trial_end(&t);
	return result(e, success, failure);
}

/* evt.res: "SUCCESS", or the name of an error. */
static struct tip_dnf check_res(struct tip_necessary *e, const struct tip_ast *n,
				const struct tip_field_ref *ref, bool negated)
{
	bool success = false, failure = false;
	struct tip_value v = {0};
	struct tip_trial t;

	if (!tip_trial_begin(&t, n, ref, e->arena)) {
		tip_trial_end(&t);
		return tip_dnf_true(e);
	}
	tip_value_str(&v, tip_errno_name(0));
	success = tip_trial_holds(&t, &v) != negated;
	for (int i = 1; i <= ERRNO_MAX && !failure; i++) {
		tip_value_str(&v, tip_errno_name(-i));
		failure = tip_trial_holds(&t, &v) != negated;
	}
	tip_trial_end(&t);
	return result(e, success, failure);
}

static uint32_t highest_bit(uint64_t bits)
{
	return (uint32_t)(1ull << (63 - __builtin_clzll(bits)));
}

/* evt.arg.flags contains O_...: the text is names with '|' between. */
static struct tip_dnf check_flags(struct tip_necessary *e, const struct tip_ast *n, bool negated)
{
	const char *want = n->nvalues == 1 ? n->values[0].s : "";
	struct tip_dnf all = negated ? tip_dnf_true(e) : tip_dnf_false();
	unsigned int accesses = 0;
	bool found = false;
	size_t count;
	const struct tip_flag *flags = tip_opened_flags(&count);
	struct tip_dnf d;

	if (n->op != TIP_OP_CONTAINS || n->modifier != TIP_MOD_ANY || !*want || strchr(want, '|'))
		return tip_dnf_true(e);
	/* What becomes of it is known when it is told. */
	for (size_t i = 0; i < count; i++)
		if (strstr(flags[i].name, want))
			return tip_dnf_true(e);
	flags = tip_open_flags(&count);
	for (unsigned int a = 0; a < 4; a++)
		if (strstr(tip_open_access(a), want))
			accesses |= 1u << a;
	if (accesses) {
		found = true;
		d = tip_dnf_digit(e, TIP_FILTER_OPEN_HOW,
				  how(-1, -1, negated ? ~accesses & ANY_ACCESS : accesses));
		all = negated ? tip_dnf_and(e, &all, &d) : tip_dnf_or(e, &all, &d);
	}
	for (size_t i = 0; i < count; i++) {
		/* A flag of several bits is there only with all of them: of its absence one bit
		 * says nothing. */
		const bool single = !(flags[i].bits & (flags[i].bits - 1));

		if (!strstr(flags[i].name, want))
			continue;
		found = true;
		if (negated && !single)
			continue;
		d = flag(e, highest_bit(flags[i].bits), !negated);
		all = negated ? tip_dnf_and(e, &all, &d) : tip_dnf_or(e, &all, &d);
	}
	return found ? all : tip_dnf_true(e);
}

static struct tip_dnf check_arg(struct tip_necessary *e, const struct tip_ast *n,
				const struct tip_field_ref *ref, bool negated)
{
	if (ref->arg && strcmp(ref->arg, "flags") == 0)
		return check_flags(e, n, negated);
	return tip_dnf_true(e);
}

static struct tip_dnf check_name(struct tip_necessary *e, const struct tip_ast *n,
				 const struct tip_field_ref *ref, bool negated)
{
	static const char *const fields[] = {[TIP_NAME_RAW] = "fd.nameraw",
					     [TIP_NAME_FOLDER] = "fd.directory",
					     [TIP_NAME_LAST] = "fd.filename"};
	enum tip_name_part part = TIP_NAME_WHOLE;

	for (size_t i = TIP_NAME_RAW; i < TIP_ARRAY_SIZE(fields); i++)
		if (strcmp(fields[i], ref->field->name) == 0)
			part = (enum tip_name_part)i;
	return tip_necessary_name(e, n, part, negated);
}

struct tip_dnf tip_necessary_open(struct tip_necessary *e, const struct tip_ast *n,
				  const struct tip_field_ref *ref, bool negated)
{
	static const struct tip_necessary_field decided[] = {
		{"evt.type", check_type},
		{"syscall.type", check_type},
		{"evt.is_open_read", check_access},
		{"evt.is_open_write", check_access},
		{"evt.is_open_create", check_making},
		{"evt.is_open_exec", check_making},
		{"evt.failed", check_result},
		{"evt.rawres", check_result},
		{"fd.num", check_result},
		{"evt.res", check_res},
		{"evt.num", tip_necessary_num},
		{"user.uid", tip_necessary_uid},
		{"evt.arg", check_arg},
		{"fd.name", check_name},
		{"fd.nameraw", check_name},
		{"fd.directory", check_name},
		{"fd.filename", check_name},
	};

	return tip_necessary_by_field(decided, TIP_ARRAY_SIZE(decided), e, n, ref, negated);
}
