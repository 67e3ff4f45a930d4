/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "detect/program.h"

/*
 * The last step of a load. Of each rule's program, what is decided by an event's code alone is
 * decided now: for each code there is a program without such tests. Equal steps are one step, so
 * codes that do not differ share all of them. Then the tests that are left and look for strings in
 * one field become one search.
 */

/* ---- steps ---------------------------------------------------------------------------------- */

struct indexer {
	struct tip_rules *set;
	uint32_t *table; /* steps by their hash, + 1; 0: free */
	size_t table_size, steps_cap;
	uint32_t *to; /* where a step of the program at hand has gone */
	size_t to_cap;
};

static size_t hash_step(const struct tip_step *s)
{
	uint64_t h = ((uint64_t)s->test << 32 | s->yes) * 0x9e3779b97f4a7c15u;

	h = (h ^ h >> 29 ^ s->no) * 0xbf58476d1ce4e5b9u;
	return (size_t)(h ^ h >> 32);
}

static uint32_t *find_step(const struct indexer *x, const struct tip_step *s)
{
	size_t i = hash_step(s) & (x->table_size - 1);

	for (; x->table[i]; i = (i + 1) & (x->table_size - 1)) {
		const struct tip_step *known = &x->set->steps[x->table[i] - 1];

		if (known->test == s->test && known->yes == s->yes && known->no == s->no)
			break;
	}
	return &x->table[i];
}

static void grow(struct indexer *x)
{
	x->steps_cap = x->steps_cap ? x->steps_cap * 2 : 256;
	x->set->steps = tip_realloc(x->set->steps, x->steps_cap, sizeof(*x->set->steps));
	x->table_size = x->steps_cap * 2;
	free(x->table);
	x->table = tip_calloc(x->table_size, sizeof(*x->table));
	for (size_t i = 0; i < x->set->nsteps; i++)
		*find_step(x, &x->set->steps[i]) = (uint32_t)i + 1;
}

static uint32_t put_step(struct indexer *x, struct tip_step s)
{
	uint32_t *at;

	if (x->set->nsteps == x->steps_cap)
		grow(x);
	at = find_step(x, &s);
	if (!*at) {
		x->set->steps[x->set->nsteps++] = s;
		*at = (uint32_t)x->set->nsteps;
	}
	return *at - 1;
}

static bool has(const struct tip_rules *set, uint32_t slot, enum tip_code code)
{
	return set->refs[slot].field->codes & TIP_CODE_BIT(code);
}

/* Is the answer known from the code? Then `*yes` is it. */
static bool decided(const struct tip_rules *set, const struct tip_test *t, enum tip_code code,
		    bool *yes)
{
	*yes = t->names && (t->codes & TIP_CODE_BIT(code));
	/* calls that share this code are told apart by their names */
	if (*yes && code == TIP_CODE_OTHER)
		return false;
	/* a field that an event does not have is unset there, and unset is false */
	return t->names || !has(set, t->slot, code) || (t->fields && !has(set, t->right, code));
}

/* The rule's first step for that code. Targets stand before the steps that name them. */
static uint32_t prune(struct indexer *x, const struct tip_program *p, enum tip_code code)
{
	if (p->entry >= p->count)
		return p->entry;
	if (p->count > x->to_cap) {
		x->to_cap = p->count;
		x->to = tip_realloc(x->to, x->to_cap, sizeof(*x->to));
	}
	for (uint32_t i = 0; i <= p->entry; i++) {
		const struct tip_step *s = &p->steps[i];
		uint32_t yes = s->yes < p->count ? x->to[s->yes] : s->yes;
		uint32_t no = s->no < p->count ? x->to[s->no] : s->no;
		bool is;

		if (decided(x->set, &x->set->tests[s->test], code, &is))
			x->to[i] = is ? yes : no;
		else
			x->to[i] =
				yes == no ? yes : put_step(x, (struct tip_step){s->test, yes, no});
	}
	return x->to[p->entry];
}

static void index_code(struct indexer *x, enum tip_code code)
{
	struct tip_rules *set = x->set;
	struct tip_entry *entries = tip_calloc(set->count + 1, sizeof(*entries));
	size_t n = 0;

	for (size_t i = 0; i < set->count; i++) {
		const struct tip_rule *r = &set->rules[i];
		uint32_t step;

		if (!r->info.enabled || !(r->codes & TIP_CODE_BIT(code)))
			continue;
		step = prune(x, &r->program, code);
		if (step != TIP_GOTO_FAIL)
			entries[n++] = (struct tip_entry){(uint32_t)i, step};
	}
	set->nby_code[code] = n;
	set->by_code[code] = tip_arena_alloc(set->arena, n * sizeof(*entries) + 1);
	memcpy(set->by_code[code], entries, n * sizeof(*entries));
	free(entries);
}

/* ---- searches ------------------------------------------------------------------------------- */

/* So many strings are found faster together than one by one. */
static const size_t together[TIP_SEARCH_KINDS] = {[TIP_SEARCH_WHOLE] = 3,
						  [TIP_SEARCH_PREFIX] = 3,
						  [TIP_SEARCH_SUFFIX] = 3,
						  [TIP_SEARCH_INSIDE] = 2};

/* The search that can answer the test, TIP_SEARCH_KINDS: none. */
static enum tip_search_kind search_of(const struct tip_test *t)
{
	if (t->type != TIP_T_STRING && t->type != TIP_T_PATH)
		return TIP_SEARCH_KINDS;
	switch (tip_test_kind(t)) {
	case TIP_OP_IN: return TIP_SEARCH_WHOLE;
	case TIP_OP_STARTSWITH: return TIP_SEARCH_PREFIX;
	case TIP_OP_ENDSWITH: return TIP_SEARCH_SUFFIX;
	case TIP_OP_CONTAINS: return TIP_SEARCH_INSIDE;
	case TIP_OP_PMATCH:
		for (size_t i = 0; i < t->nvalues; i++)
			if (t->values[i].pattern)
				return TIP_SEARCH_KINDS;
		return TIP_SEARCH_PREFIX;
	default: return TIP_SEARCH_KINDS;
	}
}

struct wanted {
	uint32_t slot;
	enum tip_search_kind kind;
	uint32_t test;
};

static int by_slot_and_kind(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	if (x->slot != y->slot)
		return x->slot < y->slot ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return (x->test > y->test) - (x->test < y->test);
}

static void search_together(struct tip_rules *set, const struct wanted *w, size_t count)
{
	struct tip_pattern *patterns;
	struct tip_search *search;
	size_t strings = 0, n = 0;

	for (size_t i = 0; i < count; i++)
		strings += set->tests[w[i].test].nvalues;
	if (strings < together[w->kind])
		return;
	patterns = tip_calloc(strings, sizeof(*patterns));
	for (size_t i = 0; i < count; i++) {
		const struct tip_test *t = &set->tests[w[i].test];

		for (size_t k = 0; k < t->nvalues; k++)
			patterns[n++] = (struct tip_pattern){.s = t->values[k].str.s,
							     .len = t->values[k].str.len,
							     .test = w[i].test,
							     .components = t->op == TIP_OP_PMATCH};
	}
	search = tip_search_new(w->kind, patterns, n);
	free(patterns);
	if (!search)
		return;
	set->searches = tip_realloc(set->searches, set->nsearches + 1, sizeof(*set->searches));
	set->searches[set->nsearches++] = (struct tip_slot_search){w->slot, search};
	for (size_t i = 0; i < count; i++)
		set->tests[w[i].test].search = (uint32_t)set->nsearches;
}

static void index_searches(struct tip_rules *set)
{
	struct wanted *w = tip_calloc(set->ntests + 1, sizeof(*w));
	bool *used = tip_calloc(set->ntests + 1, sizeof(*used));
	size_t n = 0, end;

	for (size_t i = 0; i < set->nsteps; i++)
		used[set->steps[i].test] = true;
	for (size_t i = 0; i < set->ntests; i++) {
		enum tip_search_kind kind = search_of(&set->tests[i]);

		if (used[i] && kind != TIP_SEARCH_KINDS)
			w[n++] = (struct wanted){set->tests[i].slot, kind, (uint32_t)i};
	}
	qsort(w, n, sizeof(*w), by_slot_and_kind);
	for (size_t i = 0; i < n; i = end) {
		for (end = i; end < n && w[end].slot == w[i].slot && w[end].kind == w[i].kind;)
			end++;
		search_together(set, &w[i], end - i);
	}
	free(used);
	free(w);
}

/* An argument by its number may be any. */
static bool reads_memory(const struct tip_field_ref *ref)
{
	const bool arg = strcmp(ref->field->name, "evt.arg") == 0 ||
			 strcmp(ref->field->name, "evt.rawarg") == 0;

	return arg && (ref->index >= 0 || tip_event_arg_in_memory(ref->arg));
}

/* What the kernel gathers only for rules that read it. */
static uint32_t wants_of(const struct tip_rules *set)
{
	static const struct {
		const char *field;
		uint32_t wants;
	} readers[] = {
		{"fd.path.real", TIP_WANT_REAL_PATH}, {"proc.env", TIP_WANT_ENV},
		{"proc.aenv", TIP_WANT_ENV},          {"evt.arg.env", TIP_WANT_ENV},
		{"evt.buffer", TIP_WANT_DATA},        {"evt.args", TIP_WANT_DATA},
		{"evt.info", TIP_WANT_DATA},          {"fdlist.", TIP_WANT_DATA},
		{"fd.path.host", TIP_WANT_HOST_PATH},
	};
	uint32_t wants = 0;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(readers); i++)
		if (tip_rules_use_field(set, readers[i].field))
			wants |= readers[i].wants;
	for (size_t i = 0; i < set->nrefs; i++)
		if (set->refs[i].used && reads_memory(&set->refs[i]))
			wants |= TIP_WANT_DATA;
	return wants;
}

static void want(struct tip_wanted *wanted, const struct tip_rule *r)
{
	wanted->events |= r->info.event_mask;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(r->calls); i++)
		wanted->calls[i] |= r->calls[i];
}

void tip_rules_index(struct tip_rules *set)
{
	struct indexer x = {.set = set};

	grow(&x);
	for (int c = 0; c < TIP_CODE_MAX; c++)
		index_code(&x, (enum tip_code)c);
	for (size_t i = 0; i < set->count; i++) {
		if (set->rules[i].info.enabled)
			want(&set->wanted, &set->rules[i]);
		tip_program_free(&set->rules[i].program);
	}
	set->wanted.wants = wants_of(set);
	index_searches(set);
	free(x.table);
	free(x.to);
}
