/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

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

		if (top < 0 || digit >= TIP_FILTER_OPEN_DIGITS)
			continue;
		found = parts(c->digits[digit], (unsigned int)top % TIP_FILTER_FLAG_BITS, 2);
		if (found == 3)
			continue;
		join(b, start, ", ");
		tip_buf_addf(b, "%s %s", found == 2 ? "with" : "without", flags[i].name);
	}
}

#define SHOWN 8 /* numbers, one by one */

/* Those below `end` that the digits allow. How many; the first of them in `shown`. */
static uint32_t allowed_numbers(const uint64_t *digits, unsigned int low, uint32_t end,
				uint32_t shown[SHOWN])
{
	uint32_t count = 0;

	for (uint32_t n = 0; n < end; n++) {
		if (!(digits[0] >> (n & ((1u << low) - 1)) & 1) ||
		    !(digits[1] >> (n >> low & 63) & 1) ||
		    !(digits[2] >> (n >> low >> TIP_FILTER_LONG_BITS) & 1))
			continue;
		if (count < SHOWN)
			shown[count] = n;
		count++;
	}
	return count;
}

static void add_numbers(struct tip_buf *b, const uint32_t shown[SHOWN], uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		tip_buf_addf(b, "%s%u", i ? "/" : " ", shown[i]);
}

static void add_ports(struct tip_buf *b, size_t start, const uint64_t *digits)
{
	uint32_t shown[SHOWN];
	const uint32_t count = allowed_numbers(digits, TIP_FILTER_PORT_LOW, UINT16_MAX + 1, shown);

	if (count == UINT16_MAX + 1)
		return;
	join(b, start, ", ");
	if (count > SHOWN) {
		tip_buf_addf(b, "on one of %u ports", count);
		return;
	}
	tip_buf_adds(b, "on port");
	add_numbers(b, shown, count);
}

/* Of user IDs below the last value of the last digit, which stands for all above as well. */
static void add_uids(struct tip_buf *b, size_t start, const struct tip_filter_clause *c)
{
	const uint32_t most = (uint32_t)TIP_FILTER_LONG_MORE
			      << (TIP_FILTER_UID_LOW + TIP_FILTER_LONG_BITS);
	const uint64_t *digits = &c->digits[TIP_FILTER_UID];
	uint32_t shown[SHOWN], count;

	if ((digits[0] & digits[1] & digits[2]) == ~0ull)
		return;
	join(b, start, ", ");
	count = allowed_numbers(digits, TIP_FILTER_UID_LOW, most, shown);
	if (count > SHOWN || digits[2] >> TIP_FILTER_LONG_MORE & 1) {
		tip_buf_adds(b, "by some users");
		return;
	}
	tip_buf_adds(b, "by user");
	add_numbers(b, shown, count);
}

#define NAMES_SHOWN 8

/* An address of bpf/sensor/filter.bpf.c, written as one. */
static void add_address(struct tip_buf *b, const struct tip_filter_name *n)
{
	const int family = n->text[1] == '4' ? AF_INET : AF_INET6;
	char text[INET6_ADDRSTRLEN] = "";
	uint8_t addr[16] = {0};

	for (size_t i = 2; i < n->len; i++) {
		const char c = n->text[i];
		const int nibble = c <= '9' ? c - '0' : c - 'a' + 10;

		addr[(i - 2) / 2] |= (uint8_t)(i % 2 ? nibble : nibble << 4);
	}
	inet_ntop(family, addr, text, sizeof(text));
	tip_buf_addf(b, "%s%s", n->how == TIP_FILTER_WHOLE ? "is " : "is in ", text);
	if (n->how != TIP_FILTER_WHOLE)
		tip_buf_addf(b, "/%zu", 4 * (n->len - 2));
}

static void add_name(struct tip_buf *b, const struct tip_filter_name *n, bool address)
{
	static const char *const hows[] = {[TIP_FILTER_WHOLE] = "is",
					   [TIP_FILTER_PREFIX] = "begins with",
					   [TIP_FILTER_END] = "ends with",
					   [TIP_FILTER_COMM_WHOLE] = "is",
					   [TIP_FILTER_COMM_PREFIX] = "begins with"};

	if (address)
		add_address(b, n);
	else
		tip_buf_addf(b, "%s %.*s", hows[n->how], (int)n->len, n->text);
}

static void add_slot(struct tip_buf *b, size_t start, const struct tip_filter_slot *slot,
		     const char *what)
{
	const bool address = strcmp(what, "address") == 0;
	size_t at;

	join(b, start, ", ");
	tip_buf_addf(b, slot->negated ? "whose %s neither " : "whose %s ", what);
	if (!slot->count)
		tip_buf_adds(b, "is not plain");
	at = b->len;
	for (size_t i = 0; i < slot->count && i < NAMES_SHOWN; i++) {
		join(b, at, slot->negated ? " nor " : " or ");
		add_name(b, &slot->names[i], address);
	}
	if (slot->count > NAMES_SHOWN)
		tip_buf_addf(b, " or %zu more", slot->count - NAMES_SHOWN);
}

/* ---- sockets and other calls ---- */

static void add_result(struct tip_buf *b, size_t start, uint64_t set)
{
	const uint64_t failed = 1ull << TIP_FILTER_FAILED, pending = 1ull << TIP_FILTER_PENDING;
	const uint64_t numbers = failed - 1;
	size_t at;

	if (set == ~0ull)
		return;
	join(b, start, ", ");
	tip_buf_adds(b, "that ");
	at = b->len;
	if ((set & numbers) == numbers) {
		tip_buf_adds(b, "succeeds");
	} else if (set & numbers) {
		tip_buf_adds(b, "returns");
		for (int i = 0; i <= TIP_FILTER_MORE; i++)
			if (set >> i & 1)
				tip_buf_addf(b, i < TIP_FILTER_MORE ? " %d" : " more than %d",
					     i < TIP_FILTER_MORE ? i : i - 1);
	}
	if (set & failed) {
		join(b, at, " or ");
		tip_buf_adds(b, set & pending ? "fails" : "fails otherwise than EINPROGRESS");
	} else if (set & pending) {
		join(b, at, " or ");
		tip_buf_adds(b, "is EINPROGRESS");
	}
}

static void add_kind(struct tip_buf *b, size_t start, uint64_t set)
{
	static const char *const kinds[] = {"nothing", "file", "directory", "pipe",
					    "unix",    "ipv4", "ipv6",      "netlink"};
	static const char *const l4[] = {"tcp", "udp", "icmp", "raw"};
	const unsigned int kind = parts(set, 0, 8), proto = parts(set, TIP_FILTER_L4, 4);
	const unsigned int connected = parts(set, 5, 2);
	size_t at;

	if (set == ~0ull)
		return;
	join(b, start, ", ");
	tip_buf_adds(b, "of ");
	at = b->len;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(kinds); i++) {
		if (kind >> i & 1 && kind != 0xff) {
			join(b, at, "/");
			tip_buf_adds(b, kinds[i]);
		}
	}
	if (kind == 0xff)
		tip_buf_adds(b, "any kind");
	at = b->len;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(l4) && proto != 0xf; i++)
		if (proto >> i & 1)
			tip_buf_addf(b, "%s%s", b->len == at ? " by " : "/", l4[i]);
	if (connected != 3)
		tip_buf_adds(b, connected == 2 ? ", connected" : ", not connected");
}

/* Bits that all of the allowed modes have, or none. */
static void add_mode(struct tip_buf *b, size_t start, const uint64_t *digits)
{
	const size_t before = b->len;

	for (unsigned int bit = 0; bit < 12; bit++) {
		const unsigned int found = parts(digits[bit / 6], bit % 6, 2);

		if (found == 3)
			continue;
		join(b, start, ", ");
		tip_buf_addf(b, "%s mode bit %o", found == 2 ? "with" : "without", 1u << bit);
	}
	if (b->len == before && (digits[0] & digits[1]) != ~0ull) {
		join(b, start, ", ");
		tip_buf_adds(b, "by its mode");
	}
}

static bool call_in(const struct tip_filter_clause *c, uint32_t nr)
{
	return c->digits[TIP_FILTER_NR] >> nr % 64 & 1 &&
	       c->digits[TIP_FILTER_NR_HIGH] >> nr / 64 & 1;
}

#define CALLS_SHOWN 12

/* The names of the calls; whether they give a mode, and whether they are about a path alone. */
static void add_calls(struct tip_buf *b, const struct tip_filter_clause *c, bool *mode, bool *path)
{
	const size_t start = b->len;
	size_t count = 0;

	*mode = *path = true;
	for (uint32_t nr = 0; nr < TIP_SYSCALLS; nr++) {
		const struct tip_shape *shape = tip_syscall_shape(nr);

		if (!call_in(c, nr) || !tip_syscall_name(nr))
			continue;
		*mode = *mode && TIP_SHAPE_MODE_OF(shape->flags);
		*path = *path && shape->path[0];
		if (count++ >= CALLS_SHOWN)
			continue;
		join(b, start, "/");
		tip_buf_adds(b, tip_syscall_name(nr));
	}
	if (count > CALLS_SHOWN)
		tip_buf_addf(b, "/%zu more", count - CALLS_SHOWN);
}

static void add_socks(struct tip_buf *b, uint64_t set)
{
	static const char *const calls[] = {[TIP_FILTER_CONNECT] = "connect",
					    [TIP_FILTER_ACCEPT] = "accept",
					    [TIP_FILTER_BIND] = "bind",
					    [TIP_FILTER_LISTEN] = "listen"};
	const size_t start = b->len;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(calls); i++) {
		if (!(set >> i & 1))
			continue;
		join(b, start, "/");
		tip_buf_adds(b, calls[i]);
	}
}

static void add_act(struct tip_buf *b, enum tip_filter_group group,
		    const struct tip_filter_clause *c)
{
	bool mode = false, path = false;
	size_t start;

	if (group == TIP_FILTER_SOCK)
		add_socks(b, c->digits[TIP_FILTER_NR]);
	else
		add_calls(b, c, &mode, &path);
	tip_buf_addc(b, ' ');
	start = b->len;
	add_result(b, start, c->digits[TIP_FILTER_RESULT]);
	if (c->digits[TIP_FILTER_FIRST] != ~0ull) {
		join(b, start, ", ");
		tip_buf_adds(b, "by its first argument");
	}
	if (!path)
		add_kind(b, start, c->digits[TIP_FILTER_KIND]);
	if (mode)
		add_mode(b, start, &c->digits[TIP_FILTER_MODE]);
	else
		add_ports(b, start, &c->digits[TIP_FILTER_PORT]);
	add_uids(b, start, c);
	for (size_t i = 0; i < c->nslots; i++)
		add_slot(b, start, &c->slots[i],
			 c->slots[i].second ? "second name"
			 : path             ? "name"
					    : "address");
	if (b->len == start)
		tip_buf_adds(b, "of any kind");
}

static void add_open(struct tip_buf *b, const struct tip_filter_clause *c)
{
	const size_t start = b->len;

	add_how(b, start, c->digits[TIP_FILTER_OPEN_HOW]);
	add_flags(b, start, c);
	add_uids(b, start, c);
	for (size_t i = 0; i < c->nslots; i++)
		add_slot(b, start, &c->slots[i], "name");
	if (b->len == start)
		tip_buf_adds(b, "of any kind");
}

/* ---- kill, ptrace, mounts, modules, executable memory ---- */

/* What the number among the arguments of these calls is. */
static const char *number_is(tip_codes codes)
{
	static const struct {
		tip_codes codes;
		const char *what;
	} kinds[] = {{TIP_CODES_SIGNAL, "signal"},
		     {TIP_CODE_BIT(TIP_CODE_PTRACE), "request"},
		     {TIP_CODES_MMAP, "protection"},
		     {TIP_CODES_MOUNT | TIP_CODES_MODULE, "flags"}};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(kinds); i++)
		if (!(codes & ~kinds[i].codes))
			return kinds[i].what;
	return "arguments";
}

static void add_called(struct tip_buf *b, const struct tip_filter_clause *c)
{
	const uint64_t flags = c->digits[TIP_FILTER_FLAGS] & c->digits[TIP_FILTER_FLAGS + 1] &
			       c->digits[TIP_FILTER_FLAGS + 2];
	const char *number = NULL;
	tip_codes codes = 0;
	size_t start = b->len;

	for (unsigned int i = 0; i < TIP_CALL_SYSCALL; i++) {
		if (!(c->digits[TIP_FILTER_NR] >> i & 1))
			continue;
		join(b, start, "/");
		tip_buf_adds(b, tip_code_name(tip_call_code(i)));
		codes |= TIP_CODE_BIT(tip_call_code(i));
	}
	tip_buf_addc(b, ' ');
	start = b->len;
	add_result(b, start, c->digits[TIP_FILTER_RESULT]);
	if (c->digits[TIP_FILTER_NUMBER] != ~0ull) {
		number = number_is(codes);
		join(b, start, ", ");
		tip_buf_addf(b, "by its %s", number);
	}
	if (flags != ~0ull && !(number && strcmp(number, "flags") == 0)) {
		join(b, start, ", ");
		tip_buf_adds(b, "by its flags");
	}
	if (c->digits[TIP_FILTER_KIND] != ~0ull)
		add_kind(b, start, c->digits[TIP_FILTER_KIND]);
	add_uids(b, start, c);
	if (b->len == start)
		tip_buf_adds(b, "of any kind");
}

/* ---- execs ---- */

/* Names of a slot of either kind; of both together only where clauses were merged. */
static const char *exec_slot_is(const struct tip_filter_slot *slot)
{
	bool path = false, comm = false;

	for (size_t i = 0; i < slot->count; i++) {
		if (slot->names[i].how >= TIP_FILTER_COMM_WHOLE)
			comm = true;
		else
			path = true;
	}
	return path && comm ? "name or path" : path ? "path" : "name";
}

static void add_exec(struct tip_buf *b, const struct tip_filter_clause *c)
{
	static const char *const bits[][2] = {
		{"by execve", "by execveat"},
		{"without a terminal", "with a terminal"},
		{"not of a memfd", "of a memfd"},
		{"of what it may not write to", "of what it may write to"},
		{"not of the upper layer", "of the upper layer"},
		{"not of a lower layer", "of a lower layer"},
	};
	const size_t start = b->len;

	for (unsigned int i = 0; i < TIP_ARRAY_SIZE(bits); i++) {
		const unsigned int found = parts(c->digits[TIP_FILTER_EXEC_HOW], i, 2);

		if (found == 3)
			continue;
		join(b, start, ", ");
		tip_buf_adds(b, bits[i][found == 2]);
	}
	add_uids(b, start, c);
	for (size_t i = 0; i < c->nslots; i++)
		add_slot(b, start, &c->slots[i], exec_slot_is(&c->slots[i]));
	if (b->len == start)
		tip_buf_adds(b, "of any kind");
}

void tip_rule_kernel_json(const struct tip_rule *rule, struct tip_buf *out)
{
	struct tip_buf text = {0};
	const char *comma = "";

	tip_buf_addc(out, '[');
	for (int g = 0; g < TIP_FILTER_GROUPS; g++) {
		const struct tip_dnf *d = &rule->needs->groups[g];

		for (size_t i = 0; i < d->count; i++) {
			tip_buf_reset(&text);
			if (g == TIP_FILTER_OPEN) {
				tip_buf_adds(&text, "open ");
				add_open(&text, &d->clauses[i]);
			} else if (g == TIP_FILTER_EXEC) {
				tip_buf_adds(&text, "exec ");
				add_exec(&text, &d->clauses[i]);
			} else if (g == TIP_FILTER_CALLED) {
				add_called(&text, &d->clauses[i]);
			} else {
				add_act(&text, (enum tip_filter_group)g, &d->clauses[i]);
			}
			tip_buf_adds(out, comma);
			tip_buf_add_json_string(out, text.data, text.len);
			comma = ",";
		}
	}
	tip_buf_addc(out, ']');
	tip_buf_free(&text);
}
