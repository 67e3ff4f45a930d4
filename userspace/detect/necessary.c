/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/necessary.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Rules to the clauses of the prefilter. */

#define RULE_CLAUSES_MAX 16 /* of one rule in one group */

static const struct {
	tip_codes codes;
	tip_necessary_fn check;
} groups[TIP_FILTER_GROUPS] = {
	[TIP_FILTER_OPEN] = {TIP_CODES_OPEN, tip_necessary_open},
	[TIP_FILTER_SOCK] = {TIP_CODES_SOCK, tip_necessary_sock},
	[TIP_FILTER_CALL] = {TIP_CODES_NAMED, tip_necessary_call},
	[TIP_FILTER_EXEC] = {TIP_CODES_EXEC, tip_necessary_exec},
	[TIP_FILTER_CALLED] = {TIP_CODES_CALL, tip_necessary_called},
};

/* ---- trying values ---- */

bool tip_trial_begin(struct tip_trial *t, const struct tip_ast *n, const struct tip_field_ref *ref,
		     struct tip_arena *arena)
{
	struct tip_cond_error err;

	*t = (struct tip_trial){.test = {.op = n->op, .type = ref->type, .modifier = n->modifier}};
	t->env.scratch = &t->scratch;
	t->env.match = pcre2_match_context_create(NULL);
	t->env.data = pcre2_match_data_create(1, NULL);
	if (!t->env.match || !t->env.data)
		abort();
	t->ready = tip_test_compile(&t->test, n, arena, &err) == 0;
	return t->ready;
}

bool tip_trial_holds(struct tip_trial *t, const struct tip_value *v)
{
	return tip_test_value(&t->test, v, &t->env);
}

void tip_trial_end(struct tip_trial *t)
{
	tip_test_free(&t->test);
	pcre2_match_data_free(t->env.data);
	pcre2_match_context_free(t->env.match);
	tip_scratch_free(&t->scratch);
}

static bool holds_int(struct tip_trial *t, int64_t i, int64_t low, int64_t high, bool negated)
{
	struct tip_value v = {0};

	if (i < low || i > high)
		return false;
	tip_value_int(&v, i);
	return tip_trial_holds(t, &v) != negated;
}

bool tip_trial_between(struct tip_trial *t, int64_t low, int64_t high, bool negated)
{
	if (holds_int(t, low, low, high, negated) || holds_int(t, high, low, high, negated))
		return true;
	/* The answer changes only at the constants. */
	for (size_t i = 0; i < t->test.nvalues; i++) {
		const int64_t c = t->test.values[i].i;

		if (holds_int(t, c, low, high, negated) ||
		    (c > INT64_MIN && holds_int(t, c - 1, low, high, negated)) ||
		    (c < INT64_MAX && holds_int(t, c + 1, low, high, negated)))
			return true;
	}
	return false;
}

/* Events are counted from 1. Rules that shall never match say 0. */
struct tip_dnf tip_necessary_num(struct tip_necessary *e, const struct tip_ast *n,
				 const struct tip_field_ref *ref, bool negated)
{
	struct tip_trial t;
	bool can = !tip_trial_begin(&t, n, ref, e->arena) ||
		   tip_trial_between(&t, 1, INT64_MAX, negated);

	tip_trial_end(&t);
	return can ? tip_dnf_true(e) : tip_dnf_false();
}

struct tip_dnf tip_necessary_by_field(const struct tip_necessary_field *fields, size_t count,
				      struct tip_necessary *e, const struct tip_ast *n,
				      const struct tip_field_ref *ref, bool negated)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(fields[i].name, ref->field->name) == 0)
			return fields[i].check(e, n, ref, negated);
	return tip_dnf_true(e);
}

bool tip_necessary_types(const struct tip_ast *n)
{
	return n->modifier == TIP_MOD_ANY && (n->op == TIP_OP_EQ || n->op == TIP_OP_NE ||
					      n->op == TIP_OP_IN || n->op == TIP_OP_INTERSECTS);
}

bool tip_necessary_codes(const struct tip_ast *n, bool negated, tip_codes *may)
{
	tip_codes named = 0;

	if (!tip_necessary_types(n))
		return false;
	for (size_t i = 0; i < n->nvalues; i++) {
		const int number = tip_event_number(n->values[i].s);

		if (number >= 0)
			named |= tip_event_codes(number);
	}
	*may = (n->op == TIP_OP_NE) != negated ? ~named : named;
	return true;
}

/* ---- conditions ---- */

static struct tip_dnf check(struct tip_necessary *e, const struct tip_ast *n, bool negated)
{
	struct tip_field_ref ref = {0};
	char why[160];

	/*
	 * What transformers make of fields, and other fields: not here. To differ from one of
	 * several values ('!= anyof') is next to nothing, and no list of names says it.
	 */
	if (n->left || n->right || (n->modified && n->op == TIP_OP_NE))
		return tip_dnf_true(e);
	if (tip_field_find(n->name, n->arg, &ref, why, sizeof(why)) < 0)
		return tip_dnf_true(e);
	/* a field that an event does not have is unset there, and unset is false */
	if (!ref.field->get || !(ref.field->codes & e->codes))
		return negated ? tip_dnf_true(e) : tip_dnf_false();
	return groups[e->group].check(e, n, &ref, negated);
}

static struct tip_dnf walk(struct tip_necessary *e, const struct tip_ast *n, bool negated)
{
	/* not (a and b) is (not a) or (not b) */
	const bool conjunction = (n->kind == TIP_AST_AND) != negated;
	struct tip_dnf all;

	switch (n->kind) {
	case TIP_AST_MACRO: return walk(e, n->kids[0], negated);
	case TIP_AST_NOT: return walk(e, n->kids[0], !negated);
	case TIP_AST_AND:
	case TIP_AST_OR: break;
	case TIP_AST_CHECK:
	default: return check(e, n, negated);
	}
	all = conjunction ? tip_dnf_true(e) : tip_dnf_false();
	for (size_t i = 0; i < n->nkids; i++) {
		const struct tip_dnf kid = walk(e, n->kids[i], negated);

		all = conjunction ? tip_dnf_and(e, &all, &kid) : tip_dnf_or(e, &all, &kid);
	}
	return all;
}

/* The clauses, and all that they point to, in another arena. */
static void keep(struct tip_dnf *to, const struct tip_dnf *from, struct tip_arena *arena)
{
	to->count = from->count;
	to->clauses = tip_arena_alloc(arena, (from->count + 1) * sizeof(*to->clauses));
	for (size_t i = 0; i < to->count; i++) {
		to->clauses[i] = from->clauses[i];
		for (size_t k = 0; k < to->clauses[i].nslots; k++) {
			struct tip_filter_slot *slot = &to->clauses[i].slots[k];
			struct tip_filter_name *names =
				tip_arena_alloc(arena, (slot->count + 1) * sizeof(*names));

			for (size_t n = 0; n < slot->count; n++) {
				names[n] = slot->names[n];
				names[n].text =
					tip_arena_strndup(arena, names[n].text, names[n].len);
			}
			slot->names = names;
		}
	}
}

/* Is there an act of the group that a clause says nothing of? */
static bool asks_nothing(const struct tip_dnf *d)
{
	for (size_t i = 0; i < d->count; i++) {
		const struct tip_filter_clause *c = &d->clauses[i];
		size_t set = 0;

		while (set < TIP_ARRAY_SIZE(c->digits) && c->digits[set] == UINT64_MAX)
			set++;
		if (c->nslots == 0 && set == TIP_ARRAY_SIZE(c->digits))
			return true;
	}
	return false;
}

/* Does the kernel decide anything of this part, of whichever act the rule is about? */
static bool is_decided(struct tip_necessary *e, const struct tip_rule *rule,
		       const struct tip_ast *n)
{
	tip_codes others = rule->codes;

	/* which events are told at all is decided for every kind of act */
	if (n->kind == TIP_AST_CHECK && strcmp(n->name, "evt.type") == 0 && tip_necessary_types(n))
		return true;
	for (int g = 0; g < TIP_FILTER_GROUPS; g++) {
		struct tip_dnf d;

		others &= ~groups[g].codes;
		e->group = g;
		e->codes = groups[g].codes & rule->codes;
		if (!e->codes)
			continue;
		d = walk(e, n, false);
		if (asks_nothing(&d))
			return false;
	}
	return !others;
}

static void add_rest(struct tip_necessary *e, const struct tip_rule *rule, const struct tip_ast *n,
		     struct tip_arena *arena, struct tip_names *rest)
{
	struct tip_buf text = {0};

	if (n->kind == TIP_AST_MACRO || n->kind == TIP_AST_AND) {
		for (size_t i = 0; i < (n->kind == TIP_AST_AND ? n->nkids : 1); i++)
			add_rest(e, rule, n->kids[i], arena, rest);
		return;
	}
	if (is_decided(e, rule, n))
		return;
	tip_ast_text(n, &text);
	tip_names_add(arena, rest, text.data);
	tip_buf_free(&text);
}

void tip_necessary_rule(struct tip_rule *rule, const struct tip_ast *ast, struct tip_arena *arena)
{
	struct tip_necessary e = {.arena = tip_arena_new()};
	struct tip_rule_needs *needs = tip_arena_alloc(arena, sizeof(*needs));

	for (int g = 0; g < TIP_FILTER_GROUPS; g++) {
		struct tip_dnf d;

		e.group = g;
		e.codes = groups[g].codes & rule->codes;
		if (!e.codes)
			continue;
		d = walk(&e, ast, false);
		tip_dnf_reduce(&e, &d, RULE_CLAUSES_MAX);
		keep(&needs->groups[g], &d, arena);
	}
	add_rest(&e, rule, ast, arena, &needs->rest);
	rule->needs = needs;
	tip_arena_free(e.arena);
}

void tip_rules_prefilter(const struct tip_rules *const *sets, size_t count, struct tip_arena *arena,
			 struct tip_prefilter *out)
{
	struct tip_necessary e = {.arena = arena};

	memset(out, 0, sizeof(*out));
	for (int g = 0; g < TIP_FILTER_GROUPS; g++) {
		struct tip_dnf all = {0};

		for (size_t s = 0; s < count; s++) {
			for (size_t i = 0; sets[s] && i < sets[s]->count; i++) {
				const struct tip_rule *r = &sets[s]->rules[i];

				if (!r->info.enabled)
					continue;
				all = tip_dnf_or(&e, &all, &r->needs->groups[g]);
				tip_dnf_reduce(&e, &all, TIP_FILTER_CLAUSES);
			}
		}
		out->groups[g].count = all.count;
		for (size_t i = 0; i < all.count; i++)
			out->groups[g].clauses[i] = all.clauses[i];
	}
}
