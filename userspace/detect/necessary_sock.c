/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/mem.h"
#include "detect/necessary.h"

/*
 * What the kernel can decide of results, of descriptors and of the ends of sockets: see
 * tip_filter_sock() and tip_filter_call() in bpf/sensor/filter.bpf.c.
 */

#define ERRNO_MAX  4095
#define BIT(c)     TIP_CODE_BIT(TIP_CODE_##c)
#define MODE_CALLS BIT(FCHMOD) /* of a descriptor: its digits are those of the port */

/* ---- which event ---- */

static struct tip_dnf sock_codes(struct tip_necessary *e, tip_codes codes)
{
	static const enum tip_code of[] = {[TIP_FILTER_CONNECT] = TIP_CODE_CONNECT,
					   [TIP_FILTER_ACCEPT] = TIP_CODE_ACCEPT,
					   [TIP_FILTER_BIND] = TIP_CODE_BIND,
					   [TIP_FILTER_LISTEN] = TIP_CODE_LISTEN};
	uint64_t set = 0;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(of); i++)
		if (codes & TIP_CODE_BIT(of[i]))
			set |= 1ull << i;
	return tip_dnf_digit(e, TIP_FILTER_NR, set);
}

struct tip_dnf tip_dnf_called(struct tip_necessary *e, tip_codes codes)
{
	uint64_t set = 0;

	for (unsigned int i = 0; i < TIP_CALL_SYSCALL; i++)
		if (codes & TIP_CODE_BIT(tip_call_code(i)))
			set |= 1ull << i;
	return tip_dnf_digit(e, TIP_FILTER_NR, set);
}

struct tip_dnf tip_dnf_codes(struct tip_necessary *e, tip_codes codes)
{
	uint64_t calls[TIP_SYSCALLS / 64];

	if (!(e->codes & ~codes))
		return tip_dnf_true(e);
	if (!(e->codes & codes))
		return tip_dnf_false();
	if (e->group == TIP_FILTER_SOCK)
		return sock_codes(e, codes);
	if (e->group == TIP_FILTER_CALLED)
		return tip_dnf_called(e, codes);
	/* What has no code of its own is all the rest. */
	memset(calls, codes & BIT(OTHER) ? 0xff : 0, sizeof(calls));
	for (int i = 0; i < tip_event_name_count(); i++) {
		const int nr = tip_event_call(i);

		if (nr < 0 || (tip_event_codes(i) & BIT(OTHER)))
			continue;
		if (tip_event_codes(i) & codes)
			calls[nr / 64] |= 1ull << nr % 64;
		else
			calls[nr / 64] &= ~(1ull << nr % 64);
	}
	return tip_dnf_calls(e, calls);
}

struct tip_dnf tip_dnf_calls(struct tip_necessary *e, const uint64_t calls[TIP_SYSCALLS / 64])
{
	struct tip_dnf all = tip_dnf_false();

	for (size_t high = 0; high < TIP_SYSCALLS / 64; high++) {
		struct tip_dnf row, low;

		if (!calls[high])
			continue;
		row = tip_dnf_digit(e, TIP_FILTER_NR_HIGH, 1ull << high);
		low = tip_dnf_digit(e, TIP_FILTER_NR, calls[high]);
		row = tip_dnf_and(e, &row, &low);
		all = tip_dnf_or(e, &all, &row);
	}
	return all;
}

struct tip_dnf tip_dnf_decided(struct tip_necessary *e, tip_codes decided, tip_codes has,
			       const struct tip_dnf *d, bool negated)
{
	struct tip_dnf all = tip_dnf_codes(e, decided), rest;

	all = tip_dnf_and(e, &all, d);
	/* Of the others it is not known; where there is no such field the opposite is true. */
	rest = tip_dnf_codes(e, e->codes & ~decided & (negated ? TIP_CODES_ALL : has));
	return tip_dnf_or(e, &all, &rest);
}

/* ---- results ---- */

static bool result_can(struct tip_trial *t, const struct tip_field_ref *ref, int digit,
		       bool negated)
{
	const bool error = digit >= TIP_FILTER_FAILED;
	struct tip_value v = {0};

	if (ref->type == TIP_T_BOOL)
		return tip_trial_between(t, error, error, negated);
	if (ref->type == TIP_T_INT) {
		if (digit == TIP_FILTER_FAILED)
			return tip_trial_between(t, INT64_MIN, -1, negated);
		if (digit == TIP_FILTER_PENDING)
			return tip_trial_between(t, -EINPROGRESS, -EINPROGRESS, negated);
		return tip_trial_between(t, digit, digit == TIP_FILTER_MORE ? INT64_MAX : digit,
					 negated);
	}
	/* evt.res: names; one more than there are has none. EINPROGRESS has a value of its own */
	for (int i = 1; digit == TIP_FILTER_FAILED && i <= ERRNO_MAX + 1; i++) {
		if (i == EINPROGRESS)
			continue;
		tip_value_str(&v, tip_errno_name(-i));
		if (tip_trial_holds(t, &v) != negated)
			return true;
	}
	if (digit == TIP_FILTER_FAILED)
		return false;
	tip_value_str(&v, tip_errno_name(error ? -EINPROGRESS : 0));
	return tip_trial_holds(t, &v) != negated;
}

static struct tip_dnf check_result(struct tip_necessary *e, const struct tip_ast *n,
				   const struct tip_field_ref *ref, bool negated)
{
	struct tip_trial t;
	uint64_t set = 0;

	if (!tip_trial_begin(&t, n, ref, e->arena))
		set = ~0ull;
	for (int i = 0; i < TIP_FILTER_VALUES && t.ready; i++)
		if (result_can(&t, ref, i, negated))
			set |= 1ull << i;
	tip_trial_end(&t);
	return tip_dnf_digit(e, TIP_FILTER_RESULT, set);
}

/* ---- kinds of descriptors ---- */

#define TEXTS 2 /* that one value of the digit may stand for */

enum kind_field { TYPE, TYPECHAR, FAMILY, L4, CONNECTED };

/* What the field may be; NULL: not set. How many. */
static size_t kind_texts(enum kind_field field, unsigned int digit, const char *texts[TEXTS])
{
	static const char *const types[] = {NULL,   NULL,   "directory", NULL,
					    "unix", "ipv4", "ipv6",      "netlink"};
	static const char *const chars[] = {NULL, NULL, "d", NULL, "u", "4", "6", "n"};
	static const char *const families[] = {NULL, NULL, NULL, NULL, "unix", "ip", "ip", NULL};
	static const char *const l4[] = {"tcp", "udp", "icmp", "raw"};
	const unsigned int kind = digit % 8, proto = digit >> TIP_FILTER_L4 & 3;
	const bool inet = kind == TIP_FILTER_IS_INET || kind == TIP_FILTER_IS_INET6;

	texts[1] = "<NA>";
	if ((field == TYPE || field == TYPECHAR) &&
	    (kind == TIP_FILTER_IS_FILE || kind == TIP_FILTER_IS_PIPE)) {
		texts[0] = tip_file_kind_text((kind == TIP_FILTER_IS_PIPE ? 8 : 0) +
						      (digit >> TIP_FILTER_L4),
					      field == TYPE);
		return 1;
	}
	switch (field) {
	case TYPE: texts[0] = types[kind]; return 1;
	case TYPECHAR: texts[0] = chars[kind]; return 1;
	case FAMILY: texts[0] = families[kind]; return 1;
	default:
		texts[0] = inet ? l4[proto] : NULL;
		return inet && proto == TIP_FILTER_L4_OTHER ? 2 : 1;
	}
}

static bool connected_can(struct tip_trial *t, unsigned int digit, bool negated)
{
	const unsigned int kind = digit % 8;
	const bool yes = digit & TIP_FILTER_CONNECTED;

	/* A file, or a socket of a family that has no name here: it may have the field. */
	if (kind < TIP_FILTER_IS_UNIX && negated)
		return true;
	if (kind < TIP_FILTER_IS_UNIX && kind != TIP_FILTER_IS_NOTHING)
		return false;
	return tip_trial_between(t, yes, yes, negated);
}

static bool kind_can(struct tip_trial *t, enum kind_field field, unsigned int digit, bool negated)
{
	const char *texts[TEXTS];
	struct tip_value v = {0};
	size_t count;

	if (field == CONNECTED)
		return connected_can(t, digit, negated);
	count = kind_texts(field, digit, texts);
	for (size_t i = 0; i < count; i++) {
		if (!texts[i])
			return negated;
		tip_value_str(&v, texts[i]);
		if (tip_trial_holds(t, &v) != negated)
			return true;
	}
	return false;
}

static struct tip_dnf check_kind(struct tip_necessary *e, const struct tip_ast *n,
				 const struct tip_field_ref *ref, bool negated)
{
	static const char *const fields[] = {[TYPE] = "fd.type",
					     [TYPECHAR] = "fd.typechar",
					     [FAMILY] = "fd.sockfamily",
					     [L4] = "fd.l4proto",
					     [CONNECTED] = "fd.connected"};
	enum kind_field field = TYPE;
	struct tip_trial t;
	uint64_t set = 0;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(fields); i++)
		if (strcmp(fields[i], ref->field->name) == 0)
			field = (enum kind_field)i;
	if (!tip_trial_begin(&t, n, ref, e->arena))
		set = ~0ull;
	for (unsigned int i = 0; i < TIP_FILTER_VALUES && t.ready; i++)
		if (kind_can(&t, field, i, negated))
			set |= 1ull << i;
	tip_trial_end(&t);
	return tip_dnf_digit(e, TIP_FILTER_KIND, set);
}

/* ---- ends ---- */

/* The events of which the kernel looks at that very end. */
static tip_codes end_decided(const struct tip_necessary *e, enum tip_end_of end)
{
	if (e->group == TIP_FILTER_CALL)
		return end == TIP_END_SERVER ? TIP_CODES_DESC & ~MODE_CALLS : 0;
	switch (end) {
	case TIP_END_SERVER: return BIT(CONNECT) | BIT(BIND) | BIT(LISTEN);
	case TIP_END_REMOTE: return BIT(CONNECT) | BIT(ACCEPT);
	case TIP_END_CLIENT: return BIT(ACCEPT);
	default: return BIT(BIND) | BIT(LISTEN);
	}
}

/* Those that have such an end: what listens has no other one. */
static tip_codes end_has(const struct tip_necessary *e, enum tip_end_of end)
{
	if (e->group == TIP_FILTER_SOCK && (end == TIP_END_REMOTE || end == TIP_END_CLIENT))
		return BIT(CONNECT) | BIT(ACCEPT);
	return e->group == TIP_FILTER_SOCK ? TIP_CODES_SOCK : TIP_CODES_DESC;
}

/* `d`, where the socket is one of IP; with `negated`, or where it is none. */
static struct tip_dnf of_inet(struct tip_necessary *e, const struct tip_dnf *d, bool negated)
{
	struct tip_dnf inet, others;
	uint64_t set = 0;

	for (unsigned int i = 0; i < TIP_FILTER_VALUES; i++)
		if (i % 8 == TIP_FILTER_IS_INET || i % 8 == TIP_FILTER_IS_INET6)
			set |= 1ull << i;
	inet = tip_dnf_digit(e, TIP_FILTER_KIND, set);
	inet = tip_dnf_and(e, &inet, d);
	if (!negated)
		return inet;
	others = tip_dnf_digit(e, TIP_FILTER_KIND, ~set);
	return tip_dnf_or(e, &inet, &others);
}

/* An address, or the network that it is in, as the kernel writes it: a nibble is a letter. */
static void add_address(const struct tip_ip *ip, struct tip_filter_name *name,
			struct tip_arena *arena)
{
	static const char hex[] = "0123456789abcdef";
	const size_t most = ip->family == AF_INET ? 32 : 128;
	char *text = tip_arena_alloc(arena, 2 + most / 4);
	size_t n = 0;

	text[n++] = '/';
	text[n++] = ip->family == AF_INET ? '4' : '6';
	for (size_t bit = 0; bit + 4 <= ip->bits; bit += 4)
		text[n++] = hex[ip->addr[bit / 8] >> (bit % 8 ? 0 : 4) & 15];
	*name = (struct tip_filter_name){text, n,
					 ip->bits == most ? TIP_FILTER_WHOLE : TIP_FILTER_PREFIX};
}

static struct tip_dnf addresses(struct tip_necessary *e, const struct tip_ast *n,
				const struct tip_field_ref *ref, bool negated)
{
	const bool other = n->op == TIP_OP_NE;
	struct tip_filter_name *names;
	bool exact = n->modifier == TIP_MOD_ANY;
	struct tip_trial t;
	size_t count = 0;

	if (n->op != TIP_OP_EQ && n->op != TIP_OP_NE && n->op != TIP_OP_IN &&
	    n->op != TIP_OP_INTERSECTS)
		return tip_dnf_true(e);
	names = tip_arena_alloc(e->arena, (n->nvalues + 1) * sizeof(*names));
	if (tip_trial_begin(&t, n, ref, e->arena)) {
		for (size_t i = 0; i < t.test.nvalues; i++) {
			add_address(&t.test.values[i].ip, &names[count++], e->arena);
			exact = exact && t.test.values[i].ip.bits % 4 == 0;
		}
	}
	tip_trial_end(&t);
	if (!count || (other != negated && !exact))
		return tip_dnf_true(e);
	return tip_dnf_names(e, names, count, other != negated);
}

static struct tip_dnf check_end(struct tip_necessary *e, const struct tip_ast *n,
				const struct tip_field_ref *ref, bool negated)
{
	const bool port = ref->type == TIP_T_PORT;
	const enum tip_end_of end = (enum tip_end_of)ref->field->a;
	struct tip_dnf d;

	if (n->op == TIP_OP_EXISTS)
		d = tip_dnf_true(e);
	else if (port)
		d = tip_necessary_port(e, n, ref, negated);
	else
		d = addresses(e, n, ref, negated);
	d = of_inet(e, &d, negated);
	return tip_dnf_decided(e, end_decided(e, end), end_has(e, end), &d, negated);
}

/* ---- fields ---- */

struct tip_dnf tip_necessary_shared(struct tip_necessary *e, const struct tip_ast *n,
				    const struct tip_field_ref *ref, bool negated)
{
	static const struct tip_necessary_field decided[] = {
		{"evt.failed", check_result},
		{"evt.rawres", check_result},
		{"evt.res", check_result},
		{"evt.num", tip_necessary_num},
		{"user.uid", tip_necessary_uid},
		{"fd.type", check_kind},
		{"fd.typechar", check_kind},
		{"fd.sockfamily", check_kind},
		{"fd.l4proto", check_kind},
		{"fd.connected", check_kind},
		{"fd.ip", check_end},
		{"fd.net", check_end},
		{"fd.port", check_end},
		{"fd.cip", check_end},
		{"fd.cnet", check_end},
		{"fd.cport", check_end},
		{"fd.sip", check_end},
		{"fd.snet", check_end},
		{"fd.sport", check_end},
		{"fd.lip", check_end},
		{"fd.lnet", check_end},
		{"fd.lport", check_end},
		{"fd.rip", check_end},
		{"fd.rnet", check_end},
		{"fd.rport", check_end},
	};

	return tip_necessary_by_field(decided, TIP_ARRAY_SIZE(decided), e, n, ref, negated);
}

/* evt.type: names of system calls. */
static struct tip_dnf check_type(struct tip_necessary *e, const struct tip_ast *n, bool negated)
{
	tip_codes may;

	return tip_necessary_codes(n, negated, &may) ? sock_codes(e, may) : tip_dnf_true(e);
}

struct tip_dnf tip_necessary_sock(struct tip_necessary *e, const struct tip_ast *n,
				  const struct tip_field_ref *ref, bool negated)
{
	if (strcmp(ref->field->name, "evt.type") == 0 ||
	    strcmp(ref->field->name, "syscall.type") == 0)
		return check_type(e, n, negated);
	return tip_necessary_shared(e, n, ref, negated);
}
