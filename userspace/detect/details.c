/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "detect/details.h"
#include "detect/lexer.h"
#include "detect/necessary.h"
#include "detect/transform.h"

/* What a rule came to be when it was loaded: what `rules explain` and `rules list --json` tell. */

struct collect {
	struct tip_rules *set;
	struct tip_arena *arena; /* for as long as it takes to gather */
	struct tip_names *fields, *operators, *macros;
};

void tip_names_add(struct tip_arena *arena, struct tip_names *n, const char *name)
{
	if ((n->count & (n->count - 1)) == 0) {
		const char **grown =
			tip_arena_alloc(arena, (n->count ? n->count * 2 : 1) * sizeof(*grown));

		if (n->count)
			memcpy(grown, n->list, n->count * sizeof(*grown));
		n->list = grown;
	}
	n->list[n->count++] = tip_arena_strdup(arena, name);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, each once, and in the memory of the set: what was gathered has every use. */
static void settle(struct tip_rules *set, struct tip_names *n)
{
	const char **list = n->list;
	size_t count = 0;

	if (!n->count)
		return;
	qsort(list, n->count, sizeof(*list), by_name);
	for (size_t i = 0; i < n->count; i++)
		if (i == 0 || strcmp(list[i], list[count - 1]) != 0)
			list[count++] = list[i];
	n->list = tip_arena_alloc(set->arena, count * sizeof(*list));
	n->count = count;
	for (size_t i = 0; i < count; i++)
		n->list[i] = tip_arena_strdup(set->arena, list[i]);
}

static void add_field(struct collect *c, const char *name, const char *arg)
{
	char *text = arg && *arg ? tip_sprintf("%s[%s]", name, arg) : tip_strdup(name);

	tip_names_add(c->arena, c->fields, text);
	free(text);
}

static void add_expr(struct collect *c, const struct tip_ast_expr *e)
{
	if (e->kind == TIP_EXPR_FIELD)
		add_field(c, e->name, e->arg);
	for (size_t i = 0; e->kind == TIP_EXPR_CALL && i < e->nargs; i++)
		add_expr(c, e->args[i]);
}

static void add_tree(struct collect *c, const struct tip_ast *n, bool own)
{
	struct tip_buf op = {0};

	if (n->kind == TIP_AST_MACRO && own)
		tip_names_add(c->arena, c->macros, n->name);
	for (size_t i = 0; i < n->nkids; i++)
		add_tree(c, n->kids[i], own && n->kind != TIP_AST_MACRO);
	if (n->kind != TIP_AST_CHECK)
		return;
	if (n->left)
		add_expr(c, n->left);
	else
		add_field(c, n->name, n->arg);
	if (n->right)
		add_expr(c, n->right);
	tip_op_text(n, &op);
	tip_names_add(c->arena, c->operators, op.data);
	tip_buf_free(&op);
}

/* Fields of an output, with those in its transformers. */
static void add_output(struct collect *c, struct tip_names *out, uint32_t slot)
{
	const struct tip_field_ref *ref = &c->set->refs[slot];

	if (!ref->transform) {
		if (ref->field->get != tip_literal_get)
			tip_names_add(c->arena, out, ref->text);
		return;
	}
	for (size_t i = 0; i < ref->transform->nargs; i++)
		add_output(c, out, ref->transform->args[i].slot);
}

static void add_exceptions(struct collect *c, const struct tip_rule_def *def,
			   struct tip_rule_details *d)
{
	for (size_t i = 0; i < def->nexceptions; i++) {
		const struct tip_exception_def *e = &def->exceptions[i];

		tip_names_add(c->arena, &d->exception_names, e->name);
		for (size_t f = 0; f < e->nfields; f++)
			tip_names_add(c->arena, &d->exception_fields, e->fields[f]);
		for (size_t f = 0; f < e->ncomps; f++)
			tip_names_add(c->arena, &d->exception_operators, e->comps[f]);
	}
	settle(c->set, &d->exception_names);
	settle(c->set, &d->exception_fields);
	settle(c->set, &d->exception_operators);
}

void tip_rule_describe(struct tip_rules *set, struct tip_rule *r, const struct tip_rule_def *def,
		       const struct tip_ast *ast, const struct tip_compiled *compiled,
		       const struct tip_names *lists)
{
	struct tip_rule_details *d = tip_arena_alloc(set->arena, sizeof(*d));
	struct collect c = {.set = set,
			    .arena = tip_arena_new(),
			    .fields = &d->fields,
			    .operators = &d->operators,
			    .macros = &d->macros};
	struct tip_buf text = {0};

	tip_ast_text(ast, &text);
	d->condition = tip_arena_strndup(set->arena, text.data, text.len);
	tip_buf_free(&text);
	add_tree(&c, ast, true);
	for (size_t i = 0; i < r->output.count; i++)
		if (!r->output.segments[i].text)
			add_output(&c, &d->output_fields, r->output.segments[i].slot);
	for (size_t i = 0; i < lists->count; i++)
		tip_names_add(c.arena, &d->lists, lists->list[i]);
	add_exceptions(&c, def, d);
	settle(set, &d->fields);
	settle(set, &d->operators);
	settle(set, &d->macros);
	settle(set, &d->lists);
	settle(set, &d->output_fields);
	tip_arena_free(c.arena);
	d->events = compiled->names;
	r->details = d;
}

/* ---- as JSON ------------------------------------------------------------------------------ */

static void add_string(struct tip_buf *out, const char *key, const char *s)
{
	tip_buf_addf(out, "\"%s\":", key);
	tip_buf_add_json_string(out, s, strlen(s));
}

static void add_names(struct tip_buf *out, const char *key, const struct tip_names *n)
{
	tip_buf_addf(out, ",\"%s\":[", key);
	for (size_t i = 0; i < n->count; i++) {
		tip_buf_adds(out, i ? "," : "");
		tip_buf_add_json_string(out, n->list[i], strlen(n->list[i]));
	}
	tip_buf_addc(out, ']');
}

static void add_events(struct tip_buf *out, const struct tip_event_set *events)
{
	const char *comma = "";

	tip_buf_adds(out, ",\"events\":[");
	for (int i = 0; i < tip_event_name_count(); i++) {
		if (!(events->w[i / 64] >> (i % 64) & 1))
			continue;
		tip_buf_addf(out, "%s\"%s\"", comma, tip_event_name(i));
		comma = ",";
	}
	tip_buf_addc(out, ']');
}

void tip_rule_details_json(const struct tip_rule *rule, struct tip_buf *out)
{
	const struct tip_rule_details *d = rule->details;

	tip_buf_addc(out, '{');
	add_string(out, "condition_compiled", d->condition);
	add_names(out, "condition_fields", &d->fields);
	add_names(out, "condition_operators", &d->operators);
	add_events(out, &d->events);
	add_names(out, "exception_names", &d->exception_names);
	add_names(out, "exception_fields", &d->exception_fields);
	add_names(out, "exception_operators", &d->exception_operators);
	add_names(out, "macros", &d->macros);
	add_names(out, "lists", &d->lists);
	tip_buf_adds(out, ",\"plugins\":[],");
	add_string(out, "output_compiled", rule->info.output);
	add_names(out, "output_fields", &d->output_fields);
	tip_buf_adds(out, ",\"kernel\":");
	tip_rule_kernel_json(rule, out);
	add_names(out, "userspace", &rule->needs->rest);
	tip_buf_addc(out, '}');
}
