/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "detect/program.h"

/* One test against one value. */

static bool text_eq(const struct tip_operand *o, const struct tip_value *v)
{
	return o->str.len == v->str.len && memcmp(o->str.s, v->str.s, o->str.len) == 0;
}

static bool text_starts(const struct tip_operand *o, const struct tip_value *v)
{
	return o->str.len <= v->str.len && memcmp(o->str.s, v->str.s, o->str.len) == 0;
}

static bool text_ends(const struct tip_operand *o, const struct tip_value *v)
{
	return o->str.len <= v->str.len &&
	       memcmp(o->str.s, v->str.s + v->str.len - o->str.len, o->str.len) == 0;
}

/* Bytes at the start of `s` that are one well-formed character (RFC 3629), 0: none. */
static size_t utf8_char(const unsigned char *s, size_t left)
{
	static const unsigned char low[] = {0xa0, 0x90}, high[] = {0x9f, 0x8f};
	size_t n = s[0] < 0x80   ? 1
		   : s[0] < 0xc2 ? 0
		   : s[0] < 0xe0 ? 2
		   : s[0] < 0xf0 ? 3
		   : s[0] < 0xf5 ? 4
				 : 0;

	if (n == 0 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < low[0]) || (s[0] == 0xf0 && s[1] < low[1]) ||
	    (s[0] == 0xed && s[1] > high[0]) || (s[0] == 0xf4 && s[1] > high[1]))
		return 0;
	return n;
}

/* Bytes that are no UTF-8 become U+FFFD: a stray one must not make a regex blind. */
static const char *sanitise(const struct tip_value *v, struct tip_scratch *scratch, size_t *len)
{
	const unsigned char *s = (const unsigned char *)v->str.s;
	size_t i = 0, n, out = 0;
	char *copy;

	while (i < v->str.len && (n = utf8_char(s + i, v->str.len - i)))
		i += n;
	*len = v->str.len;
	if (i == v->str.len)
		return v->str.s;
	copy = tip_scratch_alloc(scratch, v->str.len * 3 + 1);
	for (i = 0; i < v->str.len; i += n) {
		n = utf8_char(s + i, v->str.len - i);
		if (n) {
			memcpy(copy + out, s + i, n);
			out += n;
		} else {
			n = 1;
			memcpy(copy + out, "\xef\xbf\xbd", 3);
			out += 3;
		}
	}
	*len = out;
	return copy;
}

static bool regex(const struct tip_operand *o, const struct tip_value *v, struct tip_test_env *env)
{
	const char *s;
	size_t len;
	int rc;

	s = sanitise(v, env->scratch, &len);
	rc = pcre2_match(o->re, (PCRE2_SPTR)s, len, 0, PCRE2_NO_UTF_CHECK, env->data, env->match);
	if (rc < PCRE2_ERROR_NOMATCH)
		env->regex_limits++;
	return rc >= 0;
}

/* Does `path` lie below the pattern, whole components compared? */
static bool below_pattern(const char *pattern, const struct tip_value *v,
			  struct tip_scratch *scratch)
{
	size_t components = 0, end = 0;
	char *head;

	for (const char *p = pattern; *p; p++)
		components += *p == '/' && p[1];
	if (pattern[0] != '/')
		components++;
	while (end < v->str.len && components) {
		while (end < v->str.len && v->str.s[end] == '/')
			end++;
		while (end < v->str.len && v->str.s[end] != '/')
			end++;
		components--;
	}
	if (components)
		return false;
	head = tip_scratch_alloc(scratch, end + 1);
	memcpy(head, v->str.s, end);
	head[end] = '\0';
	return fnmatch(pattern, head, FNM_PATHNAME) == 0;
}

/* The same where the pattern is a plain path. */
static bool below_path(const struct tip_operand *o, const struct tip_value *v)
{
	size_t len = o->str.len;

	if (!len || !text_starts(o, v))
		return false;
	return v->str.len == len || v->str.s[len] == '/' || (len == 1 && o->str.s[0] == '/');
}

static bool below(const struct tip_operand *o, const struct tip_value *v,
		  struct tip_scratch *scratch)
{
	return o->pattern ? below_pattern(o->str.s, v, scratch) : below_path(o, v);
}

static bool order(enum tip_op op, int c)
{
	switch (op) {
	case TIP_OP_LT: return c < 0;
	case TIP_OP_LE: return c <= 0;
	case TIP_OP_GT: return c > 0;
	case TIP_OP_GE: return c >= 0;
	default: return c == 0;
	}
}

static bool in_net(const struct tip_ip *net, const struct tip_ip *ip)
{
	size_t whole = net->bits / 8;
	unsigned int rest = net->bits % 8;

	if (net->family != ip->family || memcmp(net->addr, ip->addr, whole) != 0)
		return false;
	return !rest || !((net->addr[whole] ^ ip->addr[whole]) >> (8 - rest));
}

static bool glob(const struct tip_operand *o, const struct tip_value *v)
{
	size_t len = v->str.len;

	return len >= (size_t)o->head + o->tail && memcmp(v->str.s, o->str.s, o->head) == 0 &&
	       memcmp(v->str.s + len - o->tail, o->str.s + o->str.len - o->tail, o->tail) == 0 &&
	       fnmatch(o->str.s, v->str.s, 0) == 0;
}

static bool one_text(const struct tip_test *t, const struct tip_operand *o,
		     const struct tip_value *v, struct tip_test_env *env)
{
	switch (t->op) {
	case TIP_OP_BCONTAINS:
	case TIP_OP_CONTAINS: return memmem(v->str.s, v->str.len, o->str.s, o->str.len) != NULL;
	case TIP_OP_ICONTAINS: return strcasestr(v->str.s, o->str.s) != NULL;
	case TIP_OP_BSTARTSWITH:
	case TIP_OP_STARTSWITH: return text_starts(o, v);
	case TIP_OP_ENDSWITH: return text_ends(o, v);
	case TIP_OP_GLOB: return glob(o, v);
	case TIP_OP_IGLOB: return fnmatch(o->str.s, v->str.s, FNM_CASEFOLD) == 0;
	case TIP_OP_REGEX: return regex(o, v, env);
	case TIP_OP_LT:
	case TIP_OP_LE:
	case TIP_OP_GT:
	case TIP_OP_GE: return order(t->op, strcmp(v->str.s, o->str.s));
	case TIP_OP_PMATCH: return below(o, v, env->scratch);
	default: return text_eq(o, v);
	}
}

static bool one(const struct tip_test *t, const struct tip_operand *o, const struct tip_value *v,
		struct tip_test_env *env)
{
	switch (t->type) {
	case TIP_T_STRING:
	case TIP_T_PATH:
	case TIP_T_BYTES: return one_text(t, o, v, env);
	case TIP_T_UINT:
		if (o->negative)
			return order(t->op, 1);
		return order(t->op, (uint64_t)v->i < (uint64_t)o->i ? -1 : v->i != o->i);
	case TIP_T_DOUBLE: return order(t->op, v->d < o->d ? -1 : v->d > o->d);
	case TIP_T_IPADDR:
		return v->ip.family == o->ip.family &&
		       memcmp(v->ip.addr, o->ip.addr, sizeof(v->ip.addr)) == 0;
	case TIP_T_IPNET: return in_net(&o->ip, &v->ip);
	default: return order(t->op, v->i < o->i ? -1 : v->i > o->i);
	}
}

static bool single(const struct tip_test *t, const struct tip_value *v, struct tip_test_env *env)
{
	size_t hits = 0;

	if (!v->set)
		return false;
	if (t->op == TIP_OP_EXISTS)
		return true;
	for (size_t i = 0; i < t->nvalues; i++) {
		hits += one(t, &t->values[i], v, env) != (t->op == TIP_OP_NE);
		if (hits && t->modifier == TIP_MOD_ANY)
			break;
	}
	switch (t->modifier) {
	case TIP_MOD_ONE: return hits == 1;
	case TIP_MOD_ALL: return hits == t->nvalues && hits;
	default: return hits > 0;
	}
}

bool tip_test_value(const struct tip_test *t, const struct tip_value *v, struct tip_test_env *env)
{
	/* an address that differs must differ at both ends; an ancestor that differs is enough */
	bool every = t->every ||
		     (t->op == TIP_OP_NE &&
		      (t->type == TIP_T_IPADDR || t->type == TIP_T_IPNET || t->type == TIP_T_PORT));

	if (!v->set)
		return false;
	/* an empty list is there, and nothing is in it */
	if (!v->count)
		return v->items ? t->op == TIP_OP_EXISTS : single(t, v, env);
	for (uint32_t i = 0; i < v->count; i++)
		if (single(t, &v->items[i], env) != every)
			return !every;
	return every;
}

bool tip_test_fields(const struct tip_test *t, const struct tip_value *left,
		     const struct tip_value *right, struct tip_test_env *env)
{
	uint32_t count = right->count ? right->count : 1;
	struct tip_test with = *t;
	struct tip_operand *o;

	if (!left->set || !right->set)
		return false;
	o = tip_scratch_alloc(env->scratch, count * sizeof(*o));
	memset(o, 0, count * sizeof(*o));
	for (uint32_t i = 0; i < count; i++) {
		const struct tip_value *v = right->count ? &right->items[i] : right;

		switch (t->type) {
		case TIP_T_STRING:
		case TIP_T_PATH:
		case TIP_T_BYTES:
			o[i].str.s = v->str.s;
			o[i].str.len = v->str.len;
			break;
		case TIP_T_DOUBLE: o[i].d = v->d; break;
		case TIP_T_IPADDR:
		case TIP_T_IPNET: o[i].ip = v->ip; break;
		default: o[i].i = v->i;
		}
	}
	with.values = o;
	with.nvalues = count;
	return tip_test_value(&with, left, env);
}
