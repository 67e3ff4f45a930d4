/* SPDX-License-Identifier: Apache-2.0 */
/* The prefilter's maps, written. */
#include "sensor/prefilter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/log.h"
#include "base/mem.h"
#include "sensor/internal.h"

/* Names of all clauses together: half of what the map holds, for there are two generations. */
#define NAMES_MAX 16384

/* An entry of the trie: a name as it is compared, and the clauses that have it. */
struct entry {
	uint32_t table;
	uint32_t len;
	char text[TIP_FILTER_TEXT];
	struct tip_filter_match match;
};

struct plan {
	struct tip_filter filters[TIP_FILTER_GROUPS];
	struct entry *entries;
	size_t count, cap;
};

static struct entry *entry_new(struct plan *p, uint32_t table, size_t len)
{
	struct entry *e;

	if (p->count == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 64;
		p->entries = tip_realloc(p->entries, p->cap, sizeof(*p->entries));
	}
	e = &p->entries[p->count++];
	memset(e, 0, sizeof(*e));
	e->table = table;
	e->len = (uint32_t)len;
	return e;
}

static struct entry *add_front(struct plan *p, uint32_t group, const char *text, size_t len,
			       bool whole)
{
	struct entry *e = entry_new(p, group, len + whole);

	memcpy(e->text, text, len);
	return e;
}

static struct entry *add_end(struct plan *p, uint32_t group, const char *text, size_t len)
{
	const size_t n = len < TIP_FILTER_SUFFIX ? len : TIP_FILTER_SUFFIX;
	struct entry *e = entry_new(p, group | TIP_FILTER_BACKWARDS, n);

	for (size_t i = 0; i < n; i++)
		e->text[i] = text[len - 1 - i];
	return e;
}

/* The last component with the slash before it. One is put before what has none. */
static struct entry *add_near(struct plan *p, uint32_t group, const char *text, size_t len)
{
	struct entry *e;
	size_t n = 0;

	while (n < len && text[len - 1 - n] != '/')
		n++;
	e = add_end(p, group, text + len - n, n);
	if (e->len < TIP_FILTER_SUFFIX)
		e->text[e->len++] = '/';
	return e;
}

/* One that no comm is long enough for is not met. */
static void add_comm(struct plan *p, uint32_t group, const struct tip_filter_name *n, size_t slot,
		     uint64_t bit)
{
	p->filters[group].comms |= bit;
	if (n->len < TIP_FILTER_COMM_SIZE)
		add_front(p, group | TIP_FILTER_COMM, n->text, n->len,
			  n->how == TIP_FILTER_COMM_WHOLE)
			->match.meets[slot] = bit;
}

static void add_path(struct plan *p, struct tip_filter_names *f, uint32_t table,
		     const struct tip_filter_name *n, size_t slot, uint64_t bit)
{
	/* Longer than any name that is compared: no name meets it. */
	if (n->how != TIP_FILTER_END && n->len >= TIP_FILTER_TEXT)
		return;
	switch (n->how) {
	case TIP_FILTER_WHOLE:
		add_front(p, table, n->text, n->len, true)->match.meets[slot] = bit;
		add_near(p, table, n->text, n->len)->match.near[slot] = bit;
		f->prefixes |= bit;
		f->nears |= bit;
		break;
	case TIP_FILTER_PREFIX:
		add_front(p, table, n->text, n->len, false)->match.meets[slot] = bit;
		f->prefixes |= bit;
		f->vague[slot] |= bit;
		break;
	case TIP_FILTER_END:
	default:
		add_end(p, table, n->text, n->len)->match.meets[slot] = bit;
		f->suffixes |= bit;
		/* Of more than one component a relative name may have only the last. */
		if (n->len > 1 && memchr(n->text + 1, '/', n->len - 1)) {
			add_near(p, table, n->text, n->len)->match.near[slot] = bit;
			f->nears |= bit;
		}
		break;
	}
}

/* The conditions of a slot: each is on one of two names, and says nothing of the other. */
static void add_slot(struct plan *p, uint32_t group, const struct tip_filter_slot *slot, size_t i,
		     uint64_t bit)
{
	struct tip_filter *f = &p->filters[group];
	struct tip_filter_names *of = slot->second ? &f->second : &f->path;
	struct tip_filter_names *other = slot->second ? &f->path : &f->second;
	const uint32_t table = slot->second ? group | TIP_FILTER_SECOND : group;

	other->unnamed[i] |= bit;
	if (slot->negated) {
		of->negated[i] |= bit;
		of->vague[i] |= bit;
	}
	for (size_t k = 0; k < slot->count; k++) {
		const struct tip_filter_name *n = &slot->names[k];

		if (n->how == TIP_FILTER_COMM_WHOLE || n->how == TIP_FILTER_COMM_PREFIX)
			add_comm(p, group, n, i, bit);
		else
			add_path(p, of, table, n, i, bit);
	}
}

static void narrow(struct tip_filter *f, size_t digit, uint64_t values, uint64_t bit)
{
	for (size_t v = 0; v < TIP_FILTER_VALUES; v++)
		if (!(values >> v & 1))
			f->digits[digit][v] &= ~bit;
}

/* The values of a digit that a letter of a name allows. There may be none: then it may be any. */
static uint64_t letter(const struct tip_filter_name *n, size_t at)
{
	return at < n->len ? 1ull << (n->text[at] & (TIP_FILTER_VALUES - 1)) : UINT64_MAX;
}

/* The letters of a slot's names, of which the clause wants one; any where it does without. */
static void narrow_letters(struct tip_filter *f, const struct tip_filter_clause *c, uint64_t bit)
{
	const struct tip_filter_slot *named = NULL;
	uint64_t second = 0, last = 0;

	for (size_t i = 0; i < c->nslots && !named; i++)
		if (!c->slots[i].negated && !(f->path.unnamed[i] & bit))
			named = &c->slots[i];
	for (size_t i = 0; named && i < named->count; i++) {
		const struct tip_filter_name *n = &named->names[i];

		if (n->how == TIP_FILTER_END)
			last |= letter(n, n->len - 1);
		else
			second |= letter(n, 1);
	}
	if (!named)
		return;
	narrow(f, TIP_FILTER_OPEN_SECOND, second, bit);
	narrow(f, TIP_FILTER_OPEN_LAST, last, bit);
}

static void add_clause(struct plan *p, uint32_t group, const struct tip_filter_clause *c,
		       uint64_t bit)
{
	struct tip_filter *f = &p->filters[group];

	for (size_t d = 0; d < TIP_FILTER_DIGITS; d++)
		for (size_t v = 0; v < TIP_FILTER_VALUES; v++)
			if (c->digits[d] >> v & 1)
				f->digits[d][v] |= bit;
	if (c->digits[TIP_FILTER_KIND] != UINT64_MAX)
		f->kinds |= bit;
	for (size_t d = TIP_FILTER_UID; d < TIP_FILTER_UID + TIP_FILTER_LONG; d++)
		if (c->digits[d] != UINT64_MAX)
			f->users |= bit;
	for (size_t i = 0; i < TIP_FILTER_SLOTS; i++) {
		const struct tip_filter_slot *slot = &c->slots[i];

		/* What there is no place for counts as met. */
		if (i >= c->nslots || slot->count > NAMES_MAX / 2 ||
		    p->count + 2 * slot->count > NAMES_MAX) {
			f->path.unnamed[i] |= bit;
			f->second.unnamed[i] |= bit;
		} else {
			add_slot(p, group, slot, i, bit);
		}
	}
	if (group == TIP_FILTER_OPEN)
		narrow_letters(f, c, bit);
}

static int by_text(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int c;

	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	c = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);
	return c ? c : x->len < y->len ? -1 : x->len > y->len;
}

static void match_or(struct tip_filter_match *m, const struct tip_filter_match *more)
{
	for (size_t i = 0; i < TIP_FILTER_SLOTS; i++) {
		m->meets[i] |= more->meets[i];
		m->near[i] |= more->near[i];
	}
}

static bool begins_with(const struct entry *e, const struct entry *prefix)
{
	return prefix->table == e->table && prefix->len <= e->len &&
	       memcmp(prefix->text, e->text, prefix->len) == 0;
}

/*
 * One lookup finds the longest prefix: what shorter ones say must be in it. In order, the prefixes
 * of an entry come before it, and the nearest of them has what the others say already.
 */
static void flatten(struct plan *p)
{
	size_t stack[TIP_FILTER_TEXT + 1], depth = 0, n = 0;

	qsort(p->entries, p->count, sizeof(*p->entries), by_text);
	for (size_t i = 0; i < p->count; i++) {
		if (n && by_text(&p->entries[n - 1], &p->entries[i]) == 0) {
			match_or(&p->entries[n - 1].match, &p->entries[i].match);
			continue;
		}
		p->entries[n++] = p->entries[i];
	}
	p->count = n;
	for (size_t i = 0; i < n; i++) {
		while (depth && !begins_with(&p->entries[i], &p->entries[stack[depth - 1]]))
			depth--;
		if (depth)
			match_or(&p->entries[i].match, &p->entries[stack[depth - 1]].match);
		stack[depth++] = i;
	}
}

static bool of_other(struct tip_sensor *s, const void *key, uint64_t generation)
{
	return ((const struct tip_filter_key *)key)->generation != generation;
}

static int purge_others(struct tip_sensor *s, uint32_t generation)
{
	return tip_map_purge(s, TIP_MAP_FILTER_NAMES, of_other, generation);
}

static int write_plan(struct tip_sensor *s, const struct plan *p, uint32_t generation)
{
	int err = 0;

	for (uint32_t g = 0; g < TIP_FILTER_GROUPS && !err; g++) {
		const uint32_t at = TIP_FILTER_AT(generation, g);

		err = tip_map_update(s, TIP_MAP_FILTERS, &at, &p->filters[g], BPF_ANY);
	}
	for (size_t i = 0; i < p->count && !err; i++) {
		const struct entry *e = &p->entries[i];
		struct tip_filter_key key = {
			.prefixlen = 64 + 8 * e->len,
			.generation = generation,
			.table = e->table,
		};

		memcpy(key.text, e->text, e->len);
		err = tip_map_update(s, TIP_MAP_FILTER_NAMES, &key, &e->match, BPF_ANY);
	}
	return err;
}

int tip_prefilter_write(struct tip_sensor *s, const struct tip_prefilter *f, uint32_t *generation)
{
	const uint32_t old = s->settings.filter_generation;
	struct plan *p;
	int err;

	/* What a daemon that died in here left, and what could not be deleted safely before. */
	err = purge_others(s, old);
	if (err || !f) {
		*generation = 0;
		return err;
	}
	p = tip_alloc(sizeof(*p));
	for (uint32_t g = 0; g < TIP_FILTER_GROUPS; g++)
		for (size_t i = 0; i < f->groups[g].count; i++)
			add_clause(p, g, &f->groups[g].clauses[i], 1ull << i);
	flatten(p);
	/* 0 means that there is none, and after an odd one comes an even. */
	*generation = old < UINT32_MAX ? old + 1 : 2;
	err = write_plan(s, p, *generation);
	if (err)
		purge_others(s, old);
	free(p->entries);
	free(p);
	return err;
}

void tip_prefilter_forget(struct tip_sensor *s)
{
	/*
	 * A program that runs now may have begun with the former generation, and must not find half
	 * of it: where nobody can say that none is left it stays until the next one comes.
	 */
	if (tip_programs_wait() == 0 && purge_others(s, s->settings.filter_generation))
		tip_warn("sensor", "cannot delete all entries of the former prefilter");
}
