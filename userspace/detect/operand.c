/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "detect/program.h"

/* The right side of a check: text to typed constants, sets and compiled patterns. */

#define REGEX_MAX 4096

static int refuse(const struct tip_ast *c, const struct tip_ast_value *v, const char *want,
		  struct tip_cond_error *err)
{
	tip_cond_fail(err, c->text, v->pos, "'%s' is not %s, which field '%s' wants", v->s, want,
		      c->name);
	return -1;
}

static int parse_int(const char *s, int64_t *out)
{
	const char *digits = *s == '-' || *s == '+' ? s + 1 : s;
	char *end;

	if (!isdigit((unsigned char)*digits))
		return -1;
	errno = 0;
	*out = strtoll(s, &end, 10);
	if (errno == ERANGE && *s != '-') {
		/* inode numbers and the like use all 64 bits */
		errno = 0;
		*out = (int64_t)strtoull(s, &end, 10);
	}
	return *end || errno ? -1 : 0;
}

/* Port of a service from /etc/services, without NSS. -1: unknown. */
static int64_t service_port(const char *name)
{
	struct tip_buf buf = {0};
	struct tip_error err;
	int64_t port = -1;
	char *rest, *line;

	if (tip_file_read("/etc/services", 4u << 20, &buf, &err) < 0)
		goto out;
	rest = buf.data;
	while (port < 0 && rest && (line = strsep(&rest, "\n"))) {
		char *save = NULL, *word, *number;

		*strchrnul(line, '#') = '\0';
		word = strtok_r(line, " \t", &save);
		number = word ? strtok_r(NULL, " \t", &save) : NULL;
		for (; number && word; word = strtok_r(NULL, " \t", &save))
			if (strcmp(word, name) == 0)
				port = strtol(number, NULL, 10);
	}
out:
	tip_buf_free(&buf);
	return port;
}

static int parse_ip(const char *s, struct tip_ip *ip)
{
	memset(ip, 0, sizeof(*ip));
	if (inet_pton(AF_INET, s, ip->addr) == 1) {
		ip->family = AF_INET;
		ip->bits = 32;
		return 0;
	}
	ip->family = AF_INET6;
	ip->bits = 128;
	return inet_pton(AF_INET6, s, ip->addr) == 1 ? 0 : -1;
}

static int parse_net(const char *s, struct tip_ip *ip)
{
	const char *slash = strchr(s, '/');
	char addr[INET6_ADDRSTRLEN];
	int64_t bits;

	if (!slash || (size_t)(slash - s) >= sizeof(addr))
		return -1;
	memcpy(addr, s, (size_t)(slash - s));
	addr[slash - s] = '\0';
	if (parse_ip(addr, ip) < 0 || parse_int(slash + 1, &bits) < 0 || bits < 0 ||
	    bits > ip->bits)
		return -1;
	ip->bits = (uint8_t)bits;
	return 0;
}

static int operand_regex(struct tip_operand *o, const struct tip_ast *c,
			 const struct tip_ast_value *v, struct tip_cond_error *err)
{
	PCRE2_SIZE at = 0;
	char why[128];
	int code = 0;

	if (v->len > REGEX_MAX) {
		tip_cond_fail(err, c->text, v->pos, "the regex is longer than %d bytes", REGEX_MAX);
		return -1;
	}
	/*
	 * DOTALL: '.' takes a newline too, or a newline in a file name would be a way past every
	 * rule with ".*" in it.
	 */
	o->re = pcre2_compile((PCRE2_SPTR)v->s, v->len,
			      PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOTALL | PCRE2_UTF |
				      PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE,
			      &code, &at, NULL);
	if (o->re)
		return 0;
	pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof(why));
	tip_cond_fail(err, c->text, v->pos, "bad regex: %s at its byte %zu", why, (size_t)at + 1);
	return -1;
}

static int operand_hex(struct tip_operand *o, const struct tip_ast *c,
		       const struct tip_ast_value *v, struct tip_arena *arena,
		       struct tip_cond_error *err)
{
	char *bytes = tip_arena_alloc(arena, v->len / 2 + 1);

	if (v->len % 2 || !v->len)
		return refuse(c, v, "an even number of hex digits", err);
	for (size_t i = 0; i < v->len; i += 2) {
		char pair[3] = {v->s[i], v->s[i + 1], '\0'};

		if (!isxdigit((unsigned char)pair[0]) || !isxdigit((unsigned char)pair[1]))
			return refuse(c, v, "an even number of hex digits", err);
		bytes[i / 2] = (char)strtoul(pair, NULL, 16);
	}
	o->str.s = bytes;
	o->str.len = v->len / 2;
	return 0;
}

static int operand(struct tip_test *t, struct tip_operand *o, const struct tip_ast *c,
		   const struct tip_ast_value *v, struct tip_arena *arena,
		   struct tip_cond_error *err)
{
	char *end;

	switch (t->type) {
	case TIP_T_STRING:
	case TIP_T_PATH:
	case TIP_T_BYTES:
		if (t->op == TIP_OP_REGEX)
			return operand_regex(o, c, v, err);
		if (t->op == TIP_OP_BCONTAINS || t->op == TIP_OP_BSTARTSWITH)
			return operand_hex(o, c, v, arena, err);
		o->str.s = tip_arena_strndup(arena, v->s, v->len);
		o->str.len = v->len;
		return 0;
	case TIP_T_UINT:
		o->negative = v->s[0] == '-' && strspn(v->s, "-0") != v->len;
		/* fall through */
	case TIP_T_INT:
	case TIP_T_RELTIME:
	case TIP_T_ABSTIME:
		return parse_int(v->s, &o->i) < 0 ? refuse(c, v, "a decimal integer", err) : 0;
	case TIP_T_PORT:
		if (parse_int(v->s, &o->i) == 0) {
			if (o->i >= 0 && o->i <= 65535)
				return 0;
		} else {
			o->i = service_port(v->s);
			if (o->i >= 0)
				return 0;
		}
		return refuse(c, v, "a port (0 to 65535, or a name from /etc/services)", err);
	case TIP_T_BOOL:
		o->i = strcmp(v->s, "true") == 0;
		if (!o->i && strcmp(v->s, "false") != 0)
			return refuse(c, v, "true or false", err);
		return 0;
	case TIP_T_DOUBLE:
		o->d = strtod(v->s, &end);
		return *end || end == v->s ? refuse(c, v, "a number", err) : 0;
	case TIP_T_IPADDR:
		return parse_ip(v->s, &o->ip) < 0 ? refuse(c, v, "an IP address", err) : 0;
	case TIP_T_IPNET:
		return parse_net(v->s, &o->ip) < 0
			       ? refuse(c, v, "a network (address/prefix length)", err)
			       : 0;
	default: return -1;
	}
}

/* "/a//b/" -> "/a/b": what pmatch compares component by component. */
static void tidy_path(struct tip_operand *o, struct tip_arena *arena)
{
	char *s = tip_arena_alloc(arena, o->str.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < o->str.len; i++)
		if (o->str.s[i] != '/' || n == 0 || s[n - 1] != '/')
			s[n++] = o->str.s[i];
	while (n > 1 && s[n - 1] == '/')
		n--;
	s[n] = '\0';
	o->str.s = s;
	o->str.len = n;
	o->pattern = strpbrk(s, "*?[\\") != NULL;
}

/* Whoever does not begin and end as a glob does need not be held against the rest of it. */
static void glob_ends(struct tip_operand *o)
{
	const char *s = o->str.s;
	size_t len = o->str.len;

	o->head = (uint32_t)strcspn(s, "*?[\\");
	if (o->head == len)
		return;
	while (!strchr("*?[]\\", s[len - 1 - o->tail]))
		o->tail++;
}

int tip_test_compile(struct tip_test *t, const struct tip_ast *check, struct tip_arena *arena,
		     struct tip_cond_error *err)
{
	t->values = tip_arena_alloc(arena, (check->nvalues + 1) * sizeof(*t->values));
	for (size_t i = 0; i < check->nvalues; i++) {
		if (operand(t, &t->values[i], check, &check->values[i], arena, err) < 0)
			return -1;
		/* counted one by one: what was compiled so far is freed with the test */
		t->nvalues = i + 1;
		if (t->op == TIP_OP_PMATCH)
			tidy_path(&t->values[i], arena);
		if (t->op == TIP_OP_GLOB)
			glob_ends(&t->values[i]);
	}
	return 0;
}

void tip_test_free(struct tip_test *t)
{
	if (t->op == TIP_OP_REGEX)
		for (size_t i = 0; i < t->nvalues; i++)
			pcre2_code_free(t->values[i].re);
}
