/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "detect/necessary.h"

/* What the kernel can decide of a path by its letters: see filter_name() in
 * bpf/sensor/filter.bpf.c. */

#define PATTERN TIP_NAME_PATTERN

struct names {
	struct tip_arena *arena;
	struct tip_filter_name *list;
	size_t count;
	bool exact;   /* a name meets the check if and only if it is one of these */
	bool unknown; /* there is a value of which nothing can be said */
};

static void add(struct names *s, const char *text, size_t len, enum tip_filter_how how_,
		bool slash_before, bool slash_after)
{
	char *copy = tip_arena_alloc(s->arena, len + 3);
	size_t n = 0;

	if (slash_before)
		copy[n++] = '/';
	memcpy(copy + n, text, len);
	n += len;
	if (slash_after)
		copy[n++] = '/';
	/* Cut: others end so as well. */
	if (how_ == TIP_FILTER_END && n > TIP_FILTER_SUFFIX)
		s->exact = false;
	s->list[s->count++] = (struct tip_filter_name){copy, n, how_};
}

/* A pattern is what it begins or ends with, and more. */
static void add_pattern(struct names *s, const char *text, size_t len)
{
	const size_t front = strcspn(text, PATTERN);
	size_t tail = len;

	s->exact = false;
	if (front) {
		add(s, text, front, TIP_FILTER_PREFIX, false, false);
		return;
	}
	/* With a bracket or a backslash the end of the text need not be that of the name. */
	if (strpbrk(text, "[\\")) {
		s->unknown = true;
		return;
	}
	while (tail && !strchr("*?", text[tail - 1]))
		tail--;
	if (tail == len)
		s->unknown = true;
	else
		add(s, text + tail, len - tail, TIP_FILTER_END, false, false);
}

/* A tree: the folder and what is below. */
static void add_tree(struct names *s, const char *text, size_t len)
{
	while (len > 1 && text[len - 1] == '/')
		len--;
	if (strpbrk(text, PATTERN)) {
		const size_t front = strcspn(text, PATTERN);

		s->exact = false;
		if (!front || text[0] != '/' || strstr(text, "//"))
			s->unknown = true;
		else
			add(s, text, front, TIP_FILTER_PREFIX, false, false);
		return;
	}
	if (len == 1 && text[0] == '/') {
		add(s, text, 1, TIP_FILTER_PREFIX, false, false);
		return;
	}
	if (text[0] != '/' || strstr(text, "//")) {
		s->unknown = true;
		return;
	}
	add(s, text, len, TIP_FILTER_WHOLE, false, false);
	add(s, text, len, TIP_FILTER_PREFIX, false, true);
}

/*
 * A raw name with "..", "//" or "/./" is told in any case, so what is compared has none of it. (The
 * folder before a relative name may.)
 */
static bool only_in_odd_names(const char *text)
{
	return strstr(text, "..") || strstr(text, "//") || strstr(text, "/./");
}

/* The part of a pattern, a letter at a time, that has no pattern in it. */
static bool pattern_only_in_odd_names(const char *text)
{
	char part[TIP_FILTER_TEXT];
	size_t n;

	if (strpbrk(text, "[\\"))
		return false;
	for (; *text; text += n + (text[n] != '\0')) {
		n = strcspn(text, "*?");
		if (n >= sizeof(part))
			return false;
		memcpy(part, text, n);
		part[n] = '\0';
		if (only_in_odd_names(part))
			return true;
	}
	return false;
}

static void add_value(struct names *s, enum tip_op op, enum tip_name_part part, const char *v,
		      size_t len)
{
	switch (op) {
	case TIP_OP_EQ:
	case TIP_OP_NE:
	case TIP_OP_IN:
	case TIP_OP_INTERSECTS:
		if (part == TIP_NAME_LAST) {
			add(s, v, len, TIP_FILTER_END, true, false);
		} else if (part != TIP_NAME_FOLDER) {
			add(s, v, len, TIP_FILTER_WHOLE, false, false);
		} else {
			/* Folders below it too: not exact. */
			s->exact = false;
			add(s, v, len, TIP_FILTER_PREFIX, false, len && v[len - 1] != '/');
		}
		break;
	case TIP_OP_STARTSWITH:
		if (part == TIP_NAME_LAST || !len)
			s->unknown = true;
		else
			add(s, v, len, TIP_FILTER_PREFIX, false, false);
		s->exact = s->exact && part <= TIP_NAME_RAW;
		break;
	case TIP_OP_ENDSWITH:
		if (part == TIP_NAME_FOLDER || !len)
			s->unknown = true;
		else
			add(s, v, len, TIP_FILTER_END, false, false);
		s->exact = s->exact && part <= TIP_NAME_RAW;
		break;
	case TIP_OP_PMATCH:
		if (part == TIP_NAME_LAST)
			s->unknown = true;
		else
			add_tree(s, v, len);
		s->exact = s->exact && part <= TIP_NAME_RAW;
		break;
	case TIP_OP_GLOB:
		s->exact = false;
		if (part == TIP_NAME_RAW && pattern_only_in_odd_names(v))
			break;
		if (part <= TIP_NAME_RAW)
			add_pattern(s, v, len);
		else
			s->unknown = true;
		break;
	case TIP_OP_CONTAINS:
		s->exact = false;
		s->unknown = s->unknown || part != TIP_NAME_RAW || !only_in_odd_names(v);
		break;
	default: s->unknown = true; break;
	}
}

struct tip_dnf tip_necessary_name(struct tip_necessary *e, const struct tip_ast *n,
				  enum tip_name_part part, bool negated)
{
	const bool other = n->op == TIP_OP_NE;
	struct names s = {.arena = e->arena, .exact = true};

	if (n->op == TIP_OP_EXISTS)
		return tip_dnf_true(e);
	s.list = tip_arena_alloc(e->arena, (2 * n->nvalues + 1) * sizeof(*s.list));
	for (size_t i = 0; i < n->nvalues; i++)
		add_value(&s, n->op, part, n->values[i].s, n->values[i].len);
	if (s.unknown)
		return tip_dnf_true(e);
	if (other != negated && (!s.exact || n->modifier != TIP_MOD_ANY))
		return tip_dnf_true(e);
	/* A part that a name without any folder lacks: then "not !=" is true. */
	if (other && negated && part > TIP_NAME_RAW)
		return tip_dnf_true(e);
	return tip_dnf_names(e, s.list, s.count, other != negated);
}
