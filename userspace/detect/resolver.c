/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/defs.h"

#include <stdlib.h>
#include <string.h>

#include "detect/lexer.h"

/* ---- the tables of names ------------------------------------------------------------------- */

struct tip_defs *tip_defs_new(void)
{
	struct tip_defs *d = tip_alloc(sizeof(*d));

	d->arena = tip_arena_new();
	d->lists = tip_map_new();
	d->macros = tip_map_new();
	d->rules = tip_map_new();
	return d;
}

void tip_defs_free(struct tip_defs *d)
{
	for (size_t i = 0; i < d->nlists; i++) {
		free(d->list_order[i]->items);
		free(d->list_order[i]->resolved);
	}
	for (size_t i = 0; i < d->nmacros; i++) {
		tip_text_free(&d->macro_order[i]->condition);
		tip_text_free(&d->macro_order[i]->expanded);
	}
	for (size_t i = 0; i < d->nrules; i++) {
		struct tip_rule_def *r = d->rule_order[i];

		tip_text_free(&r->condition);
		tip_text_free(&r->expanded);
		tip_text_free(&r->output);
		tip_text_free(&r->desc);
		free(r->tags);
		for (size_t k = 0; k < r->nexceptions; k++)
			free(r->exceptions[k].values);
		free(r->exceptions);
	}
	free(d->list_order);
	free(d->macro_order);
	free(d->rule_order);
	tip_map_free(d->lists, NULL);
	tip_map_free(d->macros, NULL);
	tip_map_free(d->rules, NULL);
	tip_arena_free(d->arena);
	free(d);
}

struct tip_list_def *tip_defs_list(struct tip_defs *d, const char *name)
{
	struct tip_list_def *l = tip_map_gets(d->lists, name);

	if (l)
		return l;
	l = tip_arena_alloc(d->arena, sizeof(*l));
	l->name = tip_arena_strdup(d->arena, name);
	tip_map_puts(d->lists, name, l);
	d->list_order = tip_realloc(d->list_order, d->nlists + 1, sizeof(struct tip_list_def *));
	d->list_order[d->nlists++] = l;
	return l;
}

struct tip_macro_def *tip_defs_macro(struct tip_defs *d, const char *name)
{
	struct tip_macro_def *m = tip_map_gets(d->macros, name);

	if (m)
		return m;
	m = tip_arena_alloc(d->arena, sizeof(*m));
	m->name = tip_arena_strdup(d->arena, name);
	tip_map_puts(d->macros, name, m);
	d->macro_order =
		tip_realloc(d->macro_order, d->nmacros + 1, sizeof(struct tip_macro_def *));
	d->macro_order[d->nmacros++] = m;
	return m;
}

struct tip_rule_def *tip_defs_rule(struct tip_defs *d, const char *name)
{
	struct tip_rule_def *r = tip_map_gets(d->rules, name);

	if (r)
		return r;
	r = tip_arena_alloc(d->arena, sizeof(*r));
	r->name = tip_arena_strdup(d->arena, name);
	tip_map_puts(d->rules, name, r);
	d->rule_order = tip_realloc(d->rule_order, d->nrules + 1, sizeof(struct tip_rule_def *));
	d->rule_order[d->nrules++] = r;
	return r;
}

void tip_defs_restart(struct tip_defs *d)
{
	for (size_t i = 0; i < d->nlists; i++) {
		struct tip_list_def *l = d->list_order[i];

		free(l->resolved);
		l->resolved = NULL;
		l->nresolved = 0;
		l->done = l->used = false;
	}
	for (size_t i = 0; i < d->nmacros; i++) {
		struct tip_macro_def *m = d->macro_order[i];

		tip_text_free(&m->expanded);
		m->ast = NULL;
		m->done = m->used = false;
	}
	for (size_t i = 0; i < d->nrules; i++)
		tip_text_free(&d->rule_order[i]->expanded);
}

/* ---- lists ------------------------------------------------------------------------------------
 */

static int add_resolved(struct tip_list_def *l, const char *const *items, size_t n)
{
	if (l->nresolved + n > TIP_LIST_ITEMS_MAX)
		return -1;
	l->resolved = tip_realloc(l->resolved, l->nresolved + n + 1, sizeof(*l->resolved));
	memcpy(l->resolved + l->nresolved, items, n * sizeof(*items));
	l->nresolved += n;
	return 0;
}

/*
 * A list sees those first defined before its own latest definition; any other name is a literal.
 * `depth` stops a chain of lists from using up the stack. 0, or -1 when it grows too large.
 */
static int resolve_list(struct tip_defs *d, struct tip_list_def *l, unsigned int depth)
{
	int ret = 0;

	if (l->done)
		return 0;
	if (depth > TIP_AST_DEPTH_MAX)
		return -1;
	l->busy = true;
	for (size_t i = 0; i < l->nitems && ret == 0; i++) {
		struct tip_list_def *inner = tip_map_gets(d->lists, l->items[i]);

		if (!inner || inner->busy || inner->first >= l->last) {
			ret = add_resolved(l, &l->items[i], 1);
			continue;
		}
		inner->used = true;
		ret = resolve_list(d, inner, depth + 1);
		if (ret == 0)
			ret = add_resolved(l, inner->resolved, inner->nresolved);
	}
	l->busy = false;
	l->done = true;
	return ret;
}

static bool delimiter(char c)
{
	return tip_lex_is_blank(c) || c == '(' || c == ')' || c == ',' || c == '=';
}

static bool has_blank(const char *s)
{
	for (; *s; s++)
		if (tip_lex_is_blank(*s))
			return true;
	return false;
}

static void put_items(const struct tip_list_def *l, struct tip_text *out, const struct tip_text *in,
		      size_t at)
{
	struct tip_buf b = {0};

	for (size_t i = 0; i < l->nresolved; i++) {
		const char *item = l->resolved[i];
		bool quote = !*item || (has_blank(item) && *item != '"' && *item != '\'');

		if (i)
			tip_buf_adds(&b, ", ");
		if (quote)
			tip_buf_addc(&b, '"');
		tip_buf_adds(&b, item);
		if (quote)
			tip_buf_addc(&b, '"');
	}
	tip_text_put(out, in, at, b.data, b.len);
	tip_buf_free(&b);
}

/* An empty list takes one comma with it: the one before it, else (returned) the one after it. */
static size_t drop_comma(struct tip_text *out, const struct tip_text *in, size_t end)
{
	size_t p = out->buf.len;

	while (p && tip_lex_is_blank(out->buf.data[p - 1]))
		p--;
	if (p && out->buf.data[p - 1] == ',') {
		out->buf.data[p - 1] = ' ';
		return end;
	}
	for (p = end; p < in->buf.len && tip_lex_is_blank(in->buf.data[p]); p++)
		;
	return p < in->buf.len && in->buf.data[p] == ',' ? p + 1 : end;
}

/* The end of the word at `p`, quoted parts of it included; `*plain` false if there are any. */
static size_t word_end(const struct tip_text *t, size_t p, bool *plain)
{
	const char *s = t->buf.data;
	size_t len = t->buf.len;

	*plain = true;
	while (p < len && !delimiter(s[p])) {
		char quote = s[p++];

		if (quote != '"' && quote != '\'')
			continue;
		*plain = false;
		while (p < len && s[p] != quote)
			p += s[p] == '\\' && p + 1 < len ? 2 : 1;
		if (p < len)
			p++;
	}
	return p;
}

int tip_resolve_lists(struct tip_defs *d, const struct tip_text *in, struct tip_text *out,
		      struct tip_cond_error *err)
{
	size_t p = 0, copied = 0;

	while (p < in->buf.len) {
		struct tip_list_def *l;
		bool plain;
		size_t end;

		if (delimiter(in->buf.data[p])) {
			p++;
			continue;
		}
		end = word_end(in, p, &plain);
		l = plain ? tip_map_get(d->lists, in->buf.data + p, end - p) : NULL;
		if (!l) {
			p = end;
			continue;
		}
		l->used = true;
		if (d->seen)
			tip_names_add(d->arena, d->seen, l->name);
		tip_text_copy(out, in, copied, p - copied);
		if (resolve_list(d, l, 0) < 0) {
			tip_cond_fail(err, in, p,
				      "list '%s' is too large: at most %d items with its lists",
				      l->name, TIP_LIST_ITEMS_MAX);
			return -1;
		}
		if (l->nresolved)
			put_items(l, out, in, p);
		else
			end = drop_comma(out, in, end);
		if (out->buf.len > TIP_CONDITION_TEXT_MAX) {
			tip_cond_fail(err, in, p, "the condition is too large with its lists");
			return -1;
		}
		copied = p = end;
	}
	tip_text_copy(out, in, copied, in->buf.len - copied);
	return 0;
}

/* ---- macros ------------------------------------------------------------------------------------
 */

static int resolve_macro_at(struct tip_defs *d, struct tip_macro_def *m, unsigned int depth,
			    struct tip_cond_error *err);

static int use_macro(struct tip_defs *d, struct tip_ast *n, unsigned int before, unsigned int depth,
		     struct tip_cond_error *err)
{
	struct tip_macro_def *m = tip_map_gets(d->macros, n->name);

	if (!m || m->first >= before || m->busy) {
		tip_cond_fail(err, n->text, n->pos,
			      m ? "macro '%s' is used before it is defined: move it up"
				: "undefined macro '%s'",
			      n->name);
		err->code = "LOAD_ERR_VALIDATE";
		return -1;
	}
	m->used = true;
	if (resolve_macro_at(d, m, depth + 1, err) < 0)
		return -1;
	n->kids = tip_arena_alloc(d->arena, sizeof(struct tip_ast *));
	n->kids[0] = m->ast;
	n->nkids = 1;
	n->depth = m->ast->depth + 1;
	return 0;
}

/* Depths are made right again on the way up: a macro is deeper than the word that names it. */
static int resolve_tree(struct tip_defs *d, struct tip_ast *n, unsigned int before,
			unsigned int depth, struct tip_cond_error *err)
{
	if (n->kind == TIP_AST_MACRO)
		return use_macro(d, n, before, depth, err);
	for (size_t i = 0; i < n->nkids; i++) {
		if (resolve_tree(d, n->kids[i], before, depth + 1, err) < 0)
			return -1;
		if (n->kids[i]->depth >= n->depth)
			n->depth = n->kids[i]->depth + 1;
	}
	return 0;
}

static struct tip_ast *resolve(struct tip_defs *d, const struct tip_text *condition,
			       struct tip_text *expanded, unsigned int before, unsigned int depth,
			       struct tip_cond_error *err)
{
	struct tip_ast *ast;

	/* levels of trees count, not only macros: this is what the stack holds */
	if (depth > 2 * TIP_AST_DEPTH_MAX)
		return tip_cond_fail(err, condition, 0, "macros are nested too deep");
	if (tip_resolve_lists(d, condition, expanded, err) < 0)
		return NULL;
	ast = tip_parse(d->arena, expanded, err);
	if (!ast || resolve_tree(d, ast, before, depth, err) < 0)
		return NULL;
	if (ast->depth > 4 * TIP_AST_DEPTH_MAX)
		return tip_cond_fail(err, expanded, ast->pos, "the condition is nested too deep");
	return ast;
}

static int resolve_macro_at(struct tip_defs *d, struct tip_macro_def *m, unsigned int depth,
			    struct tip_cond_error *err)
{
	if (m->done)
		return 0;
	m->busy = true;
	m->ast = resolve(d, &m->condition, &m->expanded, m->last, depth, err);
	m->busy = false;
	m->done = m->ast != NULL;
	return m->ast ? 0 : -1;
}

int tip_resolve_macro(struct tip_defs *d, struct tip_macro_def *m, struct tip_cond_error *err)
{
	return resolve_macro_at(d, m, 0, err);
}

struct tip_ast *tip_resolve_condition(struct tip_defs *d, const struct tip_text *condition,
				      struct tip_text *expanded, unsigned int before,
				      struct tip_cond_error *err)
{
	return resolve(d, condition, expanded, before, 0, err);
}
