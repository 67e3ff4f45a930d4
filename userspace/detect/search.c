/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/search.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Cells of an automaton, four bytes each: a thousand strings of ordinary length. */
#define CELLS_MAX (1u << 20)

#define COMPONENTS (1u << 31) /* in `tests` */

/* The tests that want one string: a range of `tests`. Number 0 stands for none. */
struct group {
	uint32_t first, count;
};

struct string {
	const char *s;
	uint32_t len, hash, group;
};

struct node {
	uint32_t child, sibling; /* 0: none; the root is nobody's child */
	uint32_t group;
	uint8_t byte;
};

struct tip_search {
	enum tip_search_kind kind;
	uint32_t *tests;
	struct group *groups;
	size_t ngroups;

	/* WHOLE */
	struct string *strings; /* open addressing; group 0: free */
	uint32_t mask;
	uint64_t lengths; /* bit n % 64: a string of length n exists */

	/* PREFIX, SUFFIX; INSIDE while it is built */
	struct node *nodes;
	uint32_t nnodes;

	/*
	 * INSIDE: next[state + class_of[byte]]. A state is its place in the table: a multiple of
	 * `classes`. Bytes that no string has are one class. States in which something is found
	 * come last.
	 */
	uint16_t class_of[256];
	uint32_t classes;
	uint32_t *next;
	uint32_t start, first_found;
	struct {
		uint32_t group;
		uint32_t shorter; /* the next state whose strings end here too, 0: none */
	} *found;                 /* by place; `shorter` counts from one */
};

/* ---- groups ------------------------------------------------------------------------------- */

static int by_string(const void *a, const void *b)
{
	const struct tip_pattern *x = a, *y = b;
	int c = memcmp(x->s, y->s, x->len < y->len ? x->len : y->len);

	if (c)
		return c;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return (x->test > y->test) - (x->test < y->test);
}

static bool same_string(const struct tip_pattern *a, const struct tip_pattern *b)
{
	return a->len == b->len && memcmp(a->s, b->s, a->len) == 0;
}

static inline void answer(const struct tip_search *s, uint32_t group, uint64_t *answers,
			  uint64_t yes)
{
	const struct group *g = &s->groups[group];

	for (uint32_t i = 0; i < g->count; i++)
		answers[s->tests[g->first + i] & ~COMPONENTS] = yes;
}

/* ---- tries ---------------------------------------------------------------------------------- */

static uint32_t child_of(const struct tip_search *s, uint32_t node, uint8_t byte)
{
	uint32_t c = s->nodes[node].child;

	while (c && s->nodes[c].byte != byte)
		c = s->nodes[c].sibling;
	return c;
}

static void trie_add(struct tip_search *s, const struct tip_pattern *p, uint32_t group)
{
	uint32_t at = 0, next;

	for (size_t i = 0; i < p->len; i++) {
		uint8_t byte = (uint8_t)p->s[s->kind == TIP_SEARCH_SUFFIX ? p->len - 1 - i : i];

		next = child_of(s, at, byte);
		if (!next) {
			next = s->nnodes++;
			s->nodes[next] = (struct node){.sibling = s->nodes[at].child, .byte = byte};
			s->nodes[at].child = next;
		}
		at = next;
	}
	s->nodes[at].group = group;
}

static void prefixes(const struct tip_search *s, const char *text, size_t len, uint64_t *answers,
		     uint64_t yes)
{
	uint32_t at = 0;

	for (size_t i = 0;; i++) {
		const struct group *g = &s->groups[s->nodes[at].group];
		/* "/" is above every absolute path */
		bool end = i && (i == len || text[i] == '/' || (i == 1 && text[0] == '/'));

		for (uint32_t k = 0; k < g->count; k++) {
			uint32_t test = s->tests[g->first + k];

			if (end || !(test & COMPONENTS))
				answers[test & ~COMPONENTS] = yes;
		}
		if (i == len || !(at = child_of(s, at, (uint8_t)text[i])))
			return;
	}
}

static void suffixes(const struct tip_search *s, const char *text, size_t len, uint64_t *answers,
		     uint64_t yes)
{
	uint32_t at = 0;

	do {
		answer(s, s->nodes[at].group, answers, yes);
	} while (len && (at = child_of(s, at, (uint8_t)text[--len])));
}

/* ---- the automaton -------------------------------------------------------------------------- */

static void classify(struct tip_search *s)
{
	s->classes = 1;
	for (uint32_t i = 1; i < s->nnodes; i++)
		if (!s->class_of[s->nodes[i].byte])
			s->class_of[s->nodes[i].byte] = (uint16_t)s->classes++;
}

/*
 * Breadth first: where a state's own edges end, those of the longest proper suffix of what it has
 * read (`fail`) go on. That one is nearer to the root, so its row is whole already.
 */
static void connect(struct tip_search *s, uint32_t *next, uint32_t *fail, uint32_t *shorter)
{
	uint32_t *queue = tip_calloc(s->nnodes, sizeof(*queue)), head = 0, tail = 1;

	while (head < tail) {
		uint32_t at = queue[head++];
		uint32_t *row = next + (size_t)at * s->classes;

		if (at)
			memcpy(row, next + (size_t)fail[at] * s->classes,
			       s->classes * sizeof(*row));
		for (uint32_t c = s->nodes[at].child; c; c = s->nodes[c].sibling) {
			uint32_t class = s->class_of[s->nodes[c].byte];

			fail[c] = row[class];
			shorter[c] = s->nodes[fail[c]].group ? fail[c] : shorter[fail[c]];
			row[class] = c;
			queue[tail++] = c;
		}
	}
	free(queue);
}

/* Puts the states in which something ends last, and names all of them by their places. */
static void arrange(struct tip_search *s, const uint32_t *next, const uint32_t *shorter)
{
	uint32_t *order = tip_calloc(s->nnodes, sizeof(*order)), n = 0, plain;

	for (uint32_t i = 0; i < s->nnodes; i++)
		if (!s->nodes[i].group && !shorter[i])
			order[i] = n++;
	plain = n;
	for (uint32_t i = 0; i < s->nnodes; i++)
		if (s->nodes[i].group || shorter[i])
			order[i] = n++;
	s->start = order[0] * s->classes;
	s->first_found = plain * s->classes;
	s->found = tip_calloc(n - plain + 1, sizeof(*s->found));
	for (uint32_t i = 0; i < s->nnodes; i++) {
		uint32_t *row = s->next + (size_t)order[i] * s->classes;

		for (uint32_t k = 0; k < s->classes; k++)
			row[k] = order[next[(size_t)i * s->classes + k]] * s->classes;
		if (order[i] < plain)
			continue;
		s->found[order[i] - plain].group = s->nodes[i].group;
		if (shorter[i])
			s->found[order[i] - plain].shorter = order[shorter[i]] - plain + 1;
	}
	free(order);
}

static int automaton(struct tip_search *s)
{
	uint32_t *next, *fail, *shorter;
	size_t cells;

	classify(s);
	cells = (size_t)s->nnodes * s->classes;
	if (cells > CELLS_MAX)
		return -1;
	next = tip_calloc(cells, sizeof(*next));
	fail = tip_calloc(s->nnodes, sizeof(*fail));
	shorter = tip_calloc(s->nnodes, sizeof(*shorter));
	s->next = tip_calloc(cells, sizeof(*s->next));
	connect(s, next, fail, shorter);
	arrange(s, next, shorter);
	free(next);
	free(fail);
	free(shorter);
	free(s->nodes);
	s->nodes = NULL;
	return 0;
}

static void found_at(const struct tip_search *s, uint32_t at, uint64_t *answers, uint64_t yes)
{
	uint32_t f = (at - s->first_found) / s->classes + 1;

	for (; f; f = s->found[f - 1].shorter)
		answer(s, s->found[f - 1].group, answers, yes);
}

static void insides(const struct tip_search *s, const char *text, size_t len, uint64_t *answers,
		    uint64_t yes)
{
	/* `answers` might be any of these, as far as the compiler knows */
	const uint32_t *next = s->next, first_found = s->first_found;
	const uint16_t *class_of = s->class_of;
	uint32_t at = s->start;

	if (at >= first_found)
		found_at(s, at, answers, yes); /* "" is in every text */
	for (size_t i = 0; i < len; i++) {
		at = next[at + class_of[(uint8_t)text[i]]];
		if (at >= first_found)
			found_at(s, at, answers, yes);
	}
}

/* ---- one as the other ------------------------------------------------------------------------ */

/*
 * Not keyed: what is in the table comes from the rules, and a text that is looked up cannot make
 * it longer.
 */
static uint32_t hash(const char *text, size_t len)
{
	const uint64_t odd = 0x9e3779b97f4a7c15u;
	uint64_t h = len * odd, word;

	for (; len > 8; text += 8, len -= 8) {
		memcpy(&word, text, 8);
		h = (h ^ word) * odd;
		h ^= h >> 32;
	}
	word = 0;
	memcpy(&word, text, len);
	h = (h ^ word) * odd;
	return (uint32_t)(h ^ h >> 32);
}

static void whole_new(struct tip_search *s, size_t count)
{
	size_t size = 8;

	while (size < count * 2)
		size *= 2;
	s->strings = tip_calloc(size, sizeof(*s->strings));
	s->mask = (uint32_t)(size - 1);
}

static void whole_add(struct tip_search *s, const struct tip_pattern *p, uint32_t group)
{
	uint32_t h = hash(p->s, p->len), i = h & s->mask;

	while (s->strings[i].group)
		i = (i + 1) & s->mask;
	s->strings[i] = (struct string){p->s, (uint32_t)p->len, h, group};
	s->lengths |= 1ull << (p->len % 64);
}

static void whole(const struct tip_search *s, const char *text, size_t len, uint64_t *answers,
		  uint64_t yes)
{
	const struct string *found;
	uint32_t h;

	if (!(s->lengths >> (len % 64) & 1))
		return;
	h = hash(text, len);
	for (uint32_t i = h & s->mask; s->strings[i].group; i = (i + 1) & s->mask) {
		found = &s->strings[i];
		if (found->hash != h || found->len != len || memcmp(found->s, text, len) != 0)
			continue;
		answer(s, found->group, answers, yes);
		return;
	}
}

struct tip_search *tip_search_new(enum tip_search_kind kind, struct tip_pattern *patterns,
				  size_t count)
{
	struct tip_search *s = tip_alloc(sizeof(*s));
	size_t bytes = 0;

	qsort(patterns, count, sizeof(*patterns), by_string);
	for (size_t i = 0; i < count; i++)
		bytes += patterns[i].len;
	s->kind = kind;
	s->tests = tip_calloc(count + 1, sizeof(*s->tests));
	s->groups = tip_calloc(count + 1, sizeof(*s->groups));
	s->ngroups = 1;
	if (kind == TIP_SEARCH_WHOLE)
		whole_new(s, count);
	s->nodes = tip_calloc(kind == TIP_SEARCH_WHOLE ? 1 : bytes + 1, sizeof(*s->nodes));
	s->nnodes = 1;
	for (size_t i = 0; i < count; i++) {
		const struct tip_pattern *p = &patterns[i];

		if (!i || !same_string(p - 1, p)) {
			s->groups[s->ngroups].first = (uint32_t)i;
			if (kind == TIP_SEARCH_WHOLE)
				whole_add(s, p, (uint32_t)s->ngroups);
			else
				trie_add(s, p, (uint32_t)s->ngroups);
			s->ngroups++;
		}
		s->groups[s->ngroups - 1].count++;
		s->tests[i] = p->test | (p->components ? COMPONENTS : 0);
	}
	s->nodes = tip_realloc(s->nodes, s->nnodes, sizeof(*s->nodes));
	if (kind != TIP_SEARCH_INSIDE || automaton(s) == 0)
		return s;
	tip_search_free(s);
	return NULL;
}

void tip_search_free(struct tip_search *s)
{
	if (!s)
		return;
	free(s->strings);
	free(s->tests);
	free(s->groups);
	free(s->nodes);
	free(s->next);
	free(s->found);
	free(s);
}

void tip_search_run(const struct tip_search *s, const char *text, size_t len, uint64_t *answers,
		    uint64_t yes)
{
	switch (s->kind) {
	case TIP_SEARCH_WHOLE: whole(s, text, len, answers, yes); break;
	case TIP_SEARCH_PREFIX: prefixes(s, text, len, answers, yes); break;
	case TIP_SEARCH_SUFFIX: suffixes(s, text, len, answers, yes); break;
	default: insides(s, text, len, answers, yes);
	}
}
