/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "detect/defs.h"
#include "detect/program.h"

/* Trees to programs: steps are laid down from the last to the first, so every target is known. */

#define STEPS_MAX 65536

/* For which events an expression may be true, and for which it may be false. */
struct reach {
	tip_codes yes, no;
	struct tip_event_set yes_names, no_names;
};

struct compiler {
	struct tip_rules *set;
	struct tip_program *program;
	struct tip_compiled *out;
	struct tip_cond_error *err;
	struct tip_event_set named; /* by some test of evt.type */
	bool used;
	size_t visited;
};

int64_t tip_rules_slot(struct tip_rules *r, const char *name, const char *arg, bool used, char *why,
		       size_t size)
{
	struct tip_field_ref ref;
	char *text = arg ? tip_sprintf("%s[%s]", name, arg) : tip_strdup(name);
	intptr_t slot = (intptr_t)tip_map_gets(r->slots, text);

	if (!slot) {
		if (tip_field_find(name, arg, &ref, why, size) < 0) {
			free(text);
			return -1;
		}
		ref.text = tip_arena_strdup(r->arena, text);
		/* the names belong to the trees, which go when the rules are loaded */
		if (arg)
			ref.arg = tip_arena_strdup(r->arena, arg);
		else if (ref.arg)
			ref.arg = ref.text + (ref.arg - name);
		r->refs = tip_realloc(r->refs, r->nrefs + 1, sizeof(*r->refs));
		r->refs[r->nrefs++] = ref;
		slot = (intptr_t)r->nrefs;
		tip_map_puts(r->slots, text, (void *)slot);
	}
	free(text);
	if (used)
		r->refs[slot - 1].used = true;
	return slot - 1;
}

static int too_large(struct compiler *c, const struct tip_ast *n)
{
	if (++c->visited <= TIP_CONDITION_NODES)
		return 0;
	tip_cond_fail(c->err, n->text, n->pos, "the condition is too large with its macros");
	return -1;
}

/* ---- evt.type: decided when the rules are loaded ----------------------------------------------
 */

static bool is_event_type(const struct tip_ast *n)
{
	return strcmp(n->name, "evt.type") == 0 || strcmp(n->name, "syscall.type") == 0;
}

/* Tries the test on every name of the language; one of our events may answer to several. */
static void event_test(struct tip_rules *set, struct tip_test *t)
{
	struct tip_scratch scratch = {0};
	struct tip_test_env env = {.scratch = &scratch};
	struct tip_event_set *names = tip_arena_alloc(set->arena, sizeof(*names));
	tip_codes hit = 0, miss = 0;

	env.match = pcre2_match_context_create(NULL);
	env.data = pcre2_match_data_create(1, NULL);
	if (!env.match || !env.data)
		abort();
	for (int i = 0; i < tip_event_name_count(); i++) {
		struct tip_value v = {0};

		tip_value_str(&v, tip_event_name(i));
		if (tip_test_value(t, &v, &env)) {
			names->w[i / 64] |= 1ull << (i % 64);
			hit |= tip_event_codes(i);
		} else {
			miss |= tip_event_codes(i);
		}
	}
	/* what differs must differ from all of its names; the others are told apart by name */
	t->codes = t->op == TIP_OP_NE ? hit & ~(miss & ~TIP_CODE_BIT(TIP_CODE_OTHER)) : hit;
	t->names = names;
	pcre2_match_data_free(env.data);
	pcre2_match_context_free(env.match);
	tip_scratch_free(&scratch);
}

/* ---- sets of names ----------------------------------------------------------------------------
 */

static void names_and(struct tip_event_set *a, const struct tip_event_set *b)
{
	for (size_t i = 0; i < TIP_ARRAY_SIZE(a->w); i++)
		a->w[i] &= b->w[i];
}

static void names_or(struct tip_event_set *a, const struct tip_event_set *b)
{
	for (size_t i = 0; i < TIP_ARRAY_SIZE(a->w); i++)
		a->w[i] |= b->w[i];
}

static void names_trim(struct tip_event_set *s)
{
	for (int i = tip_event_name_count(); i < TIP_EVENT_NAMES_MAX; i++)
		s->w[i / 64] &= ~(1ull << (i % 64));
}

/* ---- one check ----------------------------------------------------------------------------------
 */

/* The slot of a side of a check; -1 after an error. */
static int64_t side(struct compiler *c, const struct tip_ast *n, const struct tip_ast_expr *e)
{
	const struct tip_field_ref *ref;
	char why[160];
	int64_t slot;

	if (e) {
		slot = tip_rules_expr_slot(c->set, n->text, e, c->used, &c->out->unknown_field,
					   c->err);
	} else {
		slot = tip_rules_slot(c->set, n->name, n->arg, c->used, why, sizeof(why));
		if (slot < 0) {
			c->out->unknown_field = true;
			tip_cond_fail(c->err, n->text, n->pos, "%s", why);
		}
	}
	if (slot < 0)
		return -1;
	ref = &c->set->refs[slot];
	if (ref->field->deprecated && !c->out->deprecated) {
		c->out->deprecated = ref->field->deprecated;
		c->out->deprecated_at = n;
	}
	return slot;
}

/* A path is a text. */
static bool same_type(enum tip_type a, enum tip_type b)
{
	return (a == TIP_T_PATH ? TIP_T_STRING : a) == (b == TIP_T_PATH ? TIP_T_STRING : b);
}

/* A field compared with another: both of one type, and neither with a comparison of its own. */
static int check_right(struct compiler *c, const struct tip_ast *n, struct tip_test *t,
		       tip_codes *codes)
{
	const struct tip_field_ref *left, *right;
	int64_t slot = side(c, n, n->right);

	if (slot < 0)
		return -1;
	left = &c->set->refs[t->slot];
	right = &c->set->refs[slot];
	if (n->op == TIP_OP_PMATCH || n->op == TIP_OP_REGEX)
		tip_cond_fail(c->err, n->text, n->op_pos, "'%s' takes no field on its right side",
			      tip_op_name(n->op));
	else if (tip_field_own_way(left) || left->type == TIP_T_IPNET)
		tip_cond_fail(c->err, n->text, n->pos,
			      "field '%s' takes no field on its right side", left->text);
	else if (tip_field_own_way(right))
		tip_cond_fail(c->err, n->text, n->right->pos,
			      "field '%s' cannot stand on the right side", right->text);
	else if (!same_type(left->type, right->type) || left->field->list != right->field->list)
		tip_cond_fail(c->err, n->text, n->right->pos,
			      "'%s' is %s%s and '%s' is %s%s: both sides must be of one type",
			      left->text, tip_type_name(left->type),
			      left->field->list ? " (list)" : "", right->text,
			      tip_type_name(right->type), right->field->list ? " (list)" : "");
	else {
		t->fields = true;
		t->right = (uint32_t)slot;
		*codes &= right->field->get ? right->field->codes : 0;
		return 0;
	}
	return -1;
}

static int check_operator(struct compiler *c, const struct tip_ast *n,
			  const struct tip_field_ref *ref)
{
	if (tip_op_fits(n->op, ref->type) && (!ref->field->list || n->op == TIP_OP_IN ||
					      n->op == TIP_OP_INTERSECTS || n->op == TIP_OP_EXISTS))
		return 0;
	tip_cond_fail(c->err, n->text, n->op_pos, "field '%s' is %s, which has no operator '%s'",
		      n->name, tip_type_name(ref->type), tip_op_name(n->op));
	return -1;
}

static int check_events(struct compiler *c, const struct tip_ast *n)
{
	for (size_t i = 0; i < n->nvalues; i++) {
		if (tip_event_number(n->values[i].s) >= 0)
			continue;
		c->out->unknown_field = true;
		tip_cond_fail(c->err, n->text, n->values[i].pos, "there is no event type '%s'",
			      n->values[i].s);
		return -1;
	}
	return 0;
}

/* What is more than the limit is not resolved, and so never matches: a rule file of strangers'
 * hosts must not make us ask for each. */
static void add_host(struct tip_rules *set, const struct tip_ast_value *v)
{
	for (size_t i = 0; i < set->nhosts; i++)
		if (strcmp(set->hosts[i], v->s) == 0)
			return;
	if (set->nhosts == TIP_RULES_HOSTS_MAX || !v->len || strlen(v->s) != v->len)
		return;
	if (!set->hosts)
		set->hosts = tip_arena_alloc(set->arena, TIP_RULES_HOSTS_MAX * sizeof(*set->hosts));
	set->hosts[set->nhosts++] = tip_arena_strndup(set->arena, v->s, v->len);
}

/*
 * Events are numbered from 1: rules say `evt.num=0` for "never" and fill it in elsewhere. 1: the
 * test always holds, -1: never, 0: who knows.
 */
static int foregone(const struct tip_ast *n, const struct tip_test *t)
{
	bool zero = true;

	if (strcmp(n->name, "evt.num") != 0 || n->modified || n->right || !n->nvalues)
		return 0;
	for (size_t i = 0; i < t->nvalues; i++)
		zero &= t->values[i].i == 0 && !t->values[i].negative;
	switch (n->op) {
	case TIP_OP_EQ:
	case TIP_OP_IN:
	case TIP_OP_LE: return zero ? -1 : 0;
	case TIP_OP_LT: return zero || t->values[0].i == 1 ? -1 : 0;
	case TIP_OP_NE:
	case TIP_OP_GT: return zero ? 1 : 0;
	case TIP_OP_GE: return zero || t->values[0].i == 1 ? 1 : 0;
	default: return 0;
	}
}

/* Makes or finds the test and says what it can mean for which event. */
static int check(struct compiler *c, const struct tip_ast *n, uint32_t *test, struct reach *r)
{
	const struct tip_field_ref *ref;
	int64_t slot = side(c, n, n->left), number;
	struct tip_test head, *t;
	tip_codes codes;

	if (slot < 0)
		return -1;
	ref = &c->set->refs[slot];
	if (check_operator(c, n, ref) < 0)
		return -1;
	codes = ref->field->get ? ref->field->codes : 0;
	head = (struct tip_test){
		.op = n->op, .type = ref->type, .modifier = n->modifier, .slot = (uint32_t)slot};
	head.every = ref->field->list && n->op == TIP_OP_IN;
	if (is_event_type(n) && check_events(c, n) < 0)
		return -1;
	if (n->right && check_right(c, n, &head, &codes) < 0)
		return -1;
	number = tip_rules_test(c->set, &head, n, c->err);
	if (number < 0)
		return -1;
	if (c->set->refs[slot].field->host && c->used)
		for (size_t i = 0; i < n->nvalues; i++)
			add_host(c->set, &n->values[i]);
	*test = (uint32_t)number;
	t = &c->set->tests[number];
	memset(r, 0, sizeof(*r));
	memset(&r->yes_names, 0xff, sizeof(r->yes_names));
	memset(&r->no_names, 0xff, sizeof(r->no_names));
	r->no = TIP_CODES_ALL;
	/* a field that an event does not have is unset there, and unset is false */
	r->yes = codes;
	if (is_event_type(n) && !n->right) {
		if (!t->names)
			event_test(c->set, t);
		r->yes_names = *t->names;
		r->yes = t->codes;
		r->no = TIP_CODES_ALL & (~t->codes | TIP_CODE_BIT(TIP_CODE_OTHER));
		for (size_t i = 0; i < TIP_ARRAY_SIZE(r->no_names.w); i++)
			r->no_names.w[i] = ~r->yes_names.w[i];
		names_trim(&r->no_names);
		/* which are meant: those that it tells from most others */
		names_or(&c->named,
			 tip_event_set_count(&r->yes_names) <= tip_event_set_count(&r->no_names)
				 ? &r->yes_names
				 : &r->no_names);
	} else if (n->op != TIP_OP_EXISTS && n->nvalues == 0 && !n->right) {
		r->yes = 0; /* `in ()` */
		memset(&r->yes_names, 0, sizeof(r->yes_names));
	} else if (foregone(n, t) < 0) {
		r->yes = 0;
		memset(&r->yes_names, 0, sizeof(r->yes_names));
	} else if (foregone(n, t) > 0) {
		r->no = 0;
		memset(&r->no_names, 0, sizeof(r->no_names));
	}
	return 0;
}

static void combine(struct reach *r, struct reach kid, bool conjunction)
{
	if (conjunction) {
		r->yes &= kid.yes;
		r->no |= kid.no;
		names_and(&r->yes_names, &kid.yes_names);
		names_or(&r->no_names, &kid.no_names);
	} else {
		r->yes |= kid.yes;
		r->no &= kid.no;
		names_or(&r->yes_names, &kid.yes_names);
		names_and(&r->no_names, &kid.no_names);
	}
}

static struct reach opposite(struct reach r)
{
	return (struct reach){
		.yes = r.no, .no = r.yes, .yes_names = r.no_names, .no_names = r.yes_names};
}

/* What is true of every event: an empty `and`. */
static struct reach everything(void)
{
	struct reach r = {.yes = TIP_CODES_ALL};

	memset(&r.yes_names, 0xff, sizeof(r.yes_names));
	return r;
}

/* ---- laying down -------------------------------------------------------------------------------
 */

static int put_step(struct compiler *c, const struct tip_ast *n, uint32_t test, uint32_t yes,
		    uint32_t no, uint32_t *entry)
{
	struct tip_program *p = c->program;

	*entry = yes;
	if (yes == no)
		return 0;
	if (p->count >= STEPS_MAX) {
		tip_cond_fail(c->err, n->text, n->pos, "the condition has too many tests");
		return -1;
	}
	if (p->count == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 8;
		p->steps = tip_realloc(p->steps, p->cap, sizeof(*p->steps));
	}
	*entry = p->count;
	p->steps[p->count++] = (struct tip_step){test, yes, no};
	return 0;
}

/*
 * One part of an `and` or `or`, those of the same kind below it (also through macros and `not`)
 * included: they commute, so they can be sorted and joined.
 */
struct part {
	const struct tip_ast *n;
	uint32_t place; /* as written */
	bool negated;
	bool compound; /* an `or` below an `and`, or the other way round */
	unsigned int rank;
	/* a check */
	bool never, always; /* whatever the event */
	uint32_t test, slot;
	unsigned int joins; /* tests of this kind on that slot become one, 0: this one does not */
};

struct parts {
	struct part *list;
	size_t count, cap;
	struct reach reach;
	bool conjunction;
};

static struct part *add_part(struct parts *parts, const struct tip_ast *n, bool negated)
{
	struct part *part;

	if (parts->count == parts->cap) {
		parts->cap = parts->cap ? parts->cap * 2 : 8;
		parts->list = tip_realloc(parts->list, parts->cap, sizeof(*parts->list));
	}
	part = &parts->list[parts->count];
	*part = (struct part){.n = n,
			      .place = (uint32_t)parts->count++,
			      .negated = negated,
			      .rank = tip_rank(n, negated)};
	return part;
}

static int add_check(struct compiler *c, struct parts *parts, const struct tip_ast *n, bool negated)
{
	struct part *part = add_part(parts, n, negated);
	const struct tip_test *t;
	struct reach r;

	if (check(c, n, &part->test, &r) < 0)
		return -1;
	t = &c->set->tests[part->test];
	/* whatever the event: `in ()`, a field that nothing feeds, evt.num=0 */
	part->never = !r.yes;
	part->always = !r.no;
	/* `a = x or a = y` is `a in (x, y)`; so is, negated, `not a = x and not a = y` */
	if (negated == parts->conjunction && !part->never)
		part->joins = tip_test_kind(t);
	part->slot = t->slot;
	combine(&parts->reach, negated ? opposite(r) : r, parts->conjunction);
	return 0;
}

static int gather(struct compiler *c, const struct tip_ast *n, bool negated, struct parts *parts)
{
	bool compound = n->kind == TIP_AST_AND || n->kind == TIP_AST_OR;
	struct part *part;

	if (compound && ((n->kind == TIP_AST_AND) != negated) != parts->conjunction) {
		part = add_part(parts, n, negated);
		part->compound = true;
		return 0;
	}
	if (too_large(c, n) < 0)
		return -1;
	if (n->kind == TIP_AST_CHECK)
		return add_check(c, parts, n, negated);
	for (size_t i = 0; i < n->nkids; i++)
		if (gather(c, n->kids[i], negated != (n->kind == TIP_AST_NOT), parts) < 0)
			return -1;
	return 0;
}

static int by_join(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	if (x->joins != y->joins)
		return x->joins < y->joins ? -1 : 1;
	if (x->joins && x->slot != y->slot)
		return x->slot < y->slot ? -1 : 1;
	return (x->place > y->place) - (x->place < y->place);
}

static int by_rank(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return (x->place > y->place) - (x->place < y->place);
}

static void join(struct tip_rules *set, struct parts *parts)
{
	uint32_t *tests;
	size_t kept = 0, end;

	if (parts->count < 2)
		return;
	tests = tip_calloc(parts->count, sizeof(*tests));
	qsort(parts->list, parts->count, sizeof(*parts->list), by_join);
	for (size_t i = 0; i < parts->count; i = end) {
		struct part first = parts->list[i];
		size_t n = 0;

		for (end = i; end < parts->count; end++) {
			const struct part *p = &parts->list[end];

			if (end > i &&
			    (!p->joins || p->joins != first.joins || p->slot != first.slot))
				break;
			tests[n++] = p->test;
		}
		if (n > 1)
			first.test = tip_rules_test_any(set, tests, n);
		parts->list[kept++] = first;
	}
	parts->count = kept;
	free(tests);
	qsort(parts->list, parts->count, sizeof(*parts->list), by_rank);
}

/* Lays down `n`: goes on at `yes` or `no`. `*entry` is where it starts. */
static int lay(struct compiler *c, const struct tip_ast *n, uint32_t yes, uint32_t no,
	       uint32_t *entry, struct reach *reach)
{
	struct parts parts = {.conjunction = n->kind != TIP_AST_OR};
	uint32_t at = parts.conjunction ? yes : no;
	int ret;

	parts.reach = parts.conjunction ? everything() : opposite(everything());
	ret = gather(c, n, false, &parts);
	if (ret == 0)
		join(c->set, &parts);
	for (size_t i = parts.count; i-- > 0 && ret == 0;) {
		const struct part *p = &parts.list[i];
		uint32_t to[] = {parts.conjunction ? no : at, parts.conjunction ? at : yes};
		uint32_t is = to[!p->negated], is_not = to[p->negated];
		struct reach kid;

		if (p->never || p->always) {
			at = p->always ? is : is_not;
		} else if (!p->compound) {
			ret = put_step(c, p->n, p->test, is, is_not, &at);
		} else {
			ret = lay(c, p->n, is, is_not, &at, &kid);
			if (ret == 0)
				combine(&parts.reach, p->negated ? opposite(kid) : kid,
					parts.conjunction);
		}
	}
	*entry = at;
	*reach = parts.reach;
	free(parts.list);
	return ret;
}

/*
 * The events of TIP_EV_CALL that the condition can match and names. What it does not name is not
 * asked for: a condition without evt.type would have every system call of the node told.
 */
static tip_codes calls_named(const struct compiler *c, const struct tip_event_set *may,
			     uint64_t calls[TIP_SYSCALLS / 64])
{
	tip_codes codes = 0;

	for (int i = 0; i < tip_event_name_count(); i++) {
		int nr = tip_event_set_has(&c->named, i) && tip_event_set_has(may, i)
				 ? tip_event_call(i)
				 : -1;

		if (nr < 0)
			continue;
		codes |= tip_event_codes(i);
		calls[nr / 64] |= 1ull << (nr % 64);
	}
	return codes;
}

int tip_compile(struct tip_rules *set, const struct tip_ast *ast, bool used,
		struct tip_program *program, struct tip_compiled *out, struct tip_cond_error *err)
{
	struct compiler c = {.set = set, .program = program, .out = out, .err = err, .used = used};
	struct reach r = {0};

	*out = (struct tip_compiled){0};
	if (lay(&c, ast, TIP_GOTO_MATCH, TIP_GOTO_FAIL, &program->entry, &r) < 0)
		return -1;
	names_trim(&r.yes_names);
	out->codes = r.yes & (~TIP_CODES_NAMED | calls_named(&c, &r.yes_names, out->calls));
	out->names = r.yes_names;
	out->unsatisfiable = tip_event_set_count(&r.yes_names) == 0;
	return 0;
}

void tip_program_free(struct tip_program *p)
{
	free(p->steps);
	*p = (struct tip_program){0};
}
