/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "detect/lexer.h"
#include "detect/loader.h"

/*
 * `exceptions`: rows of values under which a rule shall not fire. They become text behind the
 * condition, "(condition) and not ((f1 c1 v1 and f2 c2 v2) or ...)", so that lists in them expand
 * as everywhere and errors point at the value that caused them.
 */
#define YAML_ERR "LOAD_ERR_YAML_VALIDATE"
#define VALIDATE "LOAD_ERR_VALIDATE"

static const char *trimmed(struct tip_loader *l, const char *s)
{
	size_t len;

	s += strspn(s, " \t\r\n");
	for (len = strlen(s); len && strchr(" \t\r\n", s[len - 1]);)
		len--;
	return tip_arena_strndup(l->defs->arena, s, len);
}

/* A scalar or a list of scalars as an array. -1 after an error. */
static int texts(struct tip_loader *l, const struct tip_yaml *n, const char *key, const char ***out,
		 size_t *count)
{
	struct tip_yaml *one = (struct tip_yaml *)n;
	struct tip_yaml **items = n->kind == TIP_YAML_SEQUENCE ? n->items : &one;

	*count = n->kind == TIP_YAML_SEQUENCE ? n->count : 1;
	*out = tip_arena_alloc(l->defs->arena, (*count + 1) * sizeof(**out));
	for (size_t i = 0; i < *count; i++) {
		if (items[i]->kind != TIP_YAML_SCALAR)
			return tip_load_say(
				l, YAML_ERR, items[i],
				"'%s' of an exception must be a name or a list of names", key);
		(*out)[i] = trimmed(l, items[i]->text);
	}
	return 0;
}

static bool list_operator(const char *comp)
{
	return strcmp(comp, "in") == 0 || strcmp(comp, "pmatch") == 0 ||
	       strcmp(comp, "intersects") == 0;
}

/* An operator, maybe with a modifier behind it ("startswith oneof"): then it takes a list. */
static bool known_comparator(const char *comp, bool *list)
{
	struct tip_lexer lx = {.s = comp, .len = strlen(comp)};
	enum tip_op op;

	*list = list_operator(comp);
	if (!tip_lex_operator(&lx, &op) || op == TIP_OP_EXISTS)
		return false;
	if (tip_lex_end(&lx))
		return true;
	if (*list || op == TIP_OP_LT || op == TIP_OP_LE || op == TIP_OP_GT || op == TIP_OP_GE)
		return false;
	*list = true;
	return (tip_lex_word(&lx, "oneof") || tip_lex_word(&lx, "anyof") ||
		tip_lex_word(&lx, "allof")) &&
	       tip_lex_end(&lx);
}

/* A text that is one field or transformer and nothing else. */
static const struct tip_ast_expr *whole_expr(struct tip_loader *l, const char *s, bool val,
					     struct tip_cond_error *err)
{
	struct tip_text text = {.buf = {.data = (char *)s, .len = strlen(s)}};
	const struct tip_ast_expr *e;
	size_t pos = 0;

	e = tip_parse_expr(l->defs->arena, &text, val, &pos, err);
	while (pos < text.buf.len && tip_lex_is_blank(s[pos]))
		pos++;
	err->text = NULL;
	return e && pos == text.buf.len ? e : NULL;
}

/* Every field in it is known. -1 with the reason in `why`. */
static int check_expr(const struct tip_ast_expr *e, char *why, size_t size)
{
	struct tip_field_ref ref;

	if (e->kind == TIP_EXPR_FIELD)
		return tip_field_find(e->name, e->arg, &ref, why, size);
	for (size_t i = 0; e->kind == TIP_EXPR_CALL && i < e->nargs; i++)
		if (check_expr(e->args[i], why, size) < 0)
			return -1;
	return 0;
}

static int check_fields(struct tip_loader *l, const struct tip_exception_def *e,
			const struct tip_yaml *fields)
{
	for (size_t i = 0; i < e->nfields; i++) {
		const struct tip_yaml *at = e->scalar ? fields : fields->items[i];
		struct tip_cond_error err = {.what = "it is more than one field"};
		const struct tip_ast_expr *expr = whole_expr(l, e->fields[i], false, &err);
		char why[160];

		if (!expr)
			return tip_load_say(l, VALIDATE, at, "exception '%s': '%s' is no field: %s",
					    e->name, e->fields[i], err.what);
		if (check_expr(expr, why, sizeof(why)) < 0)
			return tip_load_say(l, VALIDATE, at, "exception '%s': %s", e->name, why);
	}
	return 0;
}

static int parse_fields(struct tip_loader *l, struct tip_exception_def *e,
			const struct tip_yaml *fields, const struct tip_yaml *comps)
{
	e->scalar = fields->kind == TIP_YAML_SCALAR;
	if (comps && e->scalar != (comps->kind == TIP_YAML_SCALAR))
		return tip_load_say(l, VALIDATE, comps,
				    "exception '%s': fields and comps must both be one name, or "
				    "both be lists",
				    e->name);
	if (texts(l, fields, "fields", &e->fields, &e->nfields) < 0 ||
	    check_fields(l, e, fields) < 0)
		return -1;
	if (comps) {
		if (texts(l, comps, "comps", &e->comps, &e->ncomps) < 0)
			return -1;
	} else {
		e->comps = tip_arena_alloc(l->defs->arena, (e->nfields + 1) * sizeof(*e->comps));
		for (e->ncomps = 0; e->ncomps < e->nfields; e->ncomps++)
			e->comps[e->ncomps] = e->scalar ? "in" : "=";
	}
	if (e->ncomps != e->nfields)
		return tip_load_say(l, VALIDATE, comps,
				    "exception '%s': fields and comps differ in length", e->name);
	for (size_t i = 0; i < e->ncomps; i++) {
		bool list;

		if (!known_comparator(e->comps[i], &list))
			return tip_load_say(l, VALIDATE, comps,
					    "exception '%s': '%s' is no comparison operator",
					    e->name, e->comps[i]);
		if (e->scalar && !list)
			return tip_load_say(l, VALIDATE, comps,
					    "exception '%s': with a single field, comps must be "
					    "one of in, pmatch, intersects, or have a modifier "
					    "('startswith oneof')",
					    e->name);
	}
	return 0;
}

static int add_values(struct tip_loader *l, struct tip_exception_def *e, const struct tip_yaml *v)
{
	if (v->kind != TIP_YAML_SEQUENCE)
		return tip_load_say(l, YAML_ERR, v, "'values' of an exception must be a list");
	for (size_t i = 0; i < v->count; i++) {
		const struct tip_yaml *row = v->items[i];

		if (!e->scalar && row->kind != TIP_YAML_SEQUENCE)
			return tip_load_say(l, VALIDATE, row,
					    "exception '%s': each row of values must be a list",
					    e->name);
		if (!e->scalar && row->count != e->nfields)
			return tip_load_say(l, VALIDATE, row,
					    "exception '%s': a row has %zu values for %zu fields",
					    e->name, row->count, e->nfields);
		if (e->scalar && row->kind != TIP_YAML_SCALAR)
			return tip_load_say(l, VALIDATE, row,
					    "exception '%s': with a single field, values is a flat "
					    "list",
					    e->name);
	}
	e->values = tip_realloc(e->values, e->nvalues + v->count + 1, sizeof(*e->values));
	for (size_t i = 0; i < v->count; i++)
		e->values[e->nvalues++] = (struct tip_def_place){l->source, v->items[i]};
	return 0;
}

static struct tip_exception_def *find(struct tip_rule_def *r, const char *name)
{
	for (size_t i = 0; i < r->nexceptions; i++)
		if (strcmp(r->exceptions[i].name, name) == 0)
			return &r->exceptions[i];
	return NULL;
}

static int one_exception(struct tip_loader *l, struct tip_rule_def *r, const struct tip_yaml *n,
			 bool append)
{
	static const struct tip_key known[] = {
		{.name = "name"}, {.name = "fields"}, {.name = "comps"}, {.name = "values"}};
	const struct tip_yaml *name, *fields, *values;
	struct tip_exception_def *e;

	l->exception = n;
	l->exception_name = "";
	if (n->kind != TIP_YAML_MAPPING)
		return tip_load_say(l, YAML_ERR, n, "an exception must be a map of keys");
	tip_load_unknown_keys(l, n, known, TIP_ARRAY_SIZE(known));
	name = tip_yaml_get(n, "name");
	if (!name || name->kind != TIP_YAML_SCALAR || !name->text[0])
		return tip_load_say(l, YAML_ERR, n, "the exception has no name");
	l->exception_name = name->text;
	fields = tip_yaml_get(n, "fields");
	values = tip_yaml_get(n, "values");
	e = find(r, name->text);
	if (append && !values)
		tip_load_say(l, "LOAD_APPEND_NO_VALUES", n,
			     "nothing is appended to exception '%s': it has no values", name->text);
	if (e && append) {
		if (fields || tip_yaml_get(n, "comps"))
			return tip_load_say(l, VALIDATE, n,
					    "exception '%s' is there already: only values can be "
					    "appended to it",
					    name->text);
		return values ? add_values(l, e, values) : 0;
	}
	if (e)
		tip_load_say(l, "LOAD_EXCEPTION_NAME_NOT_UNIQUE", name,
			     "there are several exceptions named '%s'", name->text);
	if (!fields)
		return tip_load_say(l, append ? VALIDATE : YAML_ERR, n,
				    "exception '%s' has no fields", name->text);
	if (append && !values)
		return tip_load_say(l, VALIDATE, n, "exception '%s' is new here: it needs values",
				    name->text);
	r->exceptions = tip_realloc(r->exceptions, r->nexceptions + 1, sizeof(*r->exceptions));
	e = &r->exceptions[r->nexceptions++];
	*e = (struct tip_exception_def){.name = name->text, .place = {l->source, n}};
	if (parse_fields(l, e, fields, tip_yaml_get(n, "comps")) < 0)
		return -1;
	return values ? add_values(l, e, values) : 0;
}

int tip_load_exceptions(struct tip_loader *l, struct tip_rule_def *r, const struct tip_yaml *node,
			bool append)
{
	if (tip_yaml_is_null(node))
		return 0;
	if (node->kind != TIP_YAML_SEQUENCE)
		return tip_load_say(l, YAML_ERR, node, "'exceptions' must be a list");
	if (!append) {
		for (size_t i = 0; i < r->nexceptions; i++)
			free(r->exceptions[i].values);
		r->nexceptions = 0;
	}
	for (size_t i = 0; i < node->count; i++)
		if (one_exception(l, r, node->items[i], append) < 0)
			return -1;
	l->exception = NULL;
	return 0;
}

/* ---- as text of a condition -------------------------------------------------------------------
 */

static void put(struct tip_text *out, const struct tip_def_place *place, const char *s)
{
	tip_text_add(out, place->source, place->node, 0, true, s, strlen(s));
}

/* Quoted where a bare value would end or mean something; list names stay bare and expand. */
static void put_value(struct tip_text *out, const struct tip_def_place *place, const char *s)
{
	struct tip_buf b = {0};
	size_t len = strlen(s);

	if (len > 1 && (*s == '"' || *s == '\'') && s[len - 1] == *s) {
		put(out, place, s);
		return;
	}
	if (*s && !strpbrk(s, " \t\r\n(),='\"\\")) {
		put(out, place, s);
		return;
	}
	tip_buf_addc(&b, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			tip_buf_addc(&b, '\\');
		tip_buf_addc(&b, *s);
	}
	tip_buf_addc(&b, '"');
	put(out, place, b.data);
	tip_buf_free(&b);
}

static int put_entry(struct tip_loader *l, const struct tip_exception_def *e, size_t field,
		     const struct tip_def_place *row, const struct tip_yaml *v,
		     struct tip_text *out)
{
	struct tip_def_place place = {row->source, v};
	struct tip_cond_error err;
	bool list;
	size_t len;

	known_comparator(e->comps[field], &list);
	put(out, &place, e->fields[field]);
	put(out, &place, " ");
	put(out, &place, e->comps[field]);
	put(out, &place, " ");
	if (v->kind == TIP_YAML_SCALAR) {
		len = strlen(v->text);
		if (strchr(v->text, '(') && whole_expr(l, v->text, true, &err)) {
			put(out, &place, v->text);
			return 0;
		}
		/* "(a, b)" written out is a list already */
		if (list && len > 1 && v->text[0] == '(' && v->text[len - 1] == ')') {
			put(out, &place, v->text);
			return 0;
		}
		put(out, &place, list ? "(" : "");
		put_value(out, &place, v->text);
		put(out, &place, list ? ")" : "");
		return 0;
	}
	put(out, &place, "(");
	for (size_t i = 0; i < v->count; i++) {
		struct tip_def_place at = {row->source, v->items[i]};

		if (v->kind != TIP_YAML_SEQUENCE || v->items[i]->kind != TIP_YAML_SCALAR)
			return tip_load_say_def(l, VALIDATE, &at, "rule", l->item_name,
						"exception '%s': a value must be a text or a list "
						"of texts",
						e->name);
		put(out, &at, i ? ", " : "");
		put_value(out, &at, v->items[i]->text);
	}
	put(out, &place, ")");
	return 0;
}

static int put_exception(struct tip_loader *l, const struct tip_exception_def *e,
			 struct tip_text *out)
{
	put(out, &e->place, " and not (");
	if (e->scalar) {
		put(out, &e->place, e->fields[0]);
		put(out, &e->place, " ");
		put(out, &e->place, e->comps[0]);
		put(out, &e->place, " (");
		for (size_t i = 0; i < e->nvalues; i++) {
			put(out, &e->values[i], i ? ", " : "");
			put_value(out, &e->values[i], e->values[i].node->text);
		}
		put(out, &e->place, ")");
	}
	for (size_t i = 0; i < e->nvalues && !e->scalar; i++) {
		put(out, &e->values[i], i ? " or (" : "(");
		for (size_t f = 0; f < e->nfields; f++) {
			if (f)
				put(out, &e->values[i], " and ");
			if (put_entry(l, e, f, &e->values[i], e->values[i].node->items[f], out) < 0)
				return -1;
		}
		put(out, &e->values[i], ")");
	}
	put(out, &e->place, ")");
	return 0;
}

int tip_load_full_condition(struct tip_loader *l, const struct tip_rule_def *r,
			    struct tip_text *out)
{
	bool any = false;

	for (size_t i = 0; i < r->nexceptions; i++)
		any |= r->exceptions[i].nvalues > 0 && r->exceptions[i].nfields > 0;
	if (any)
		tip_text_put(out, &r->condition, 0, "(", 1);
	tip_text_copy(out, &r->condition, 0, r->condition.buf.len);
	if (!any)
		return 0;
	tip_text_put(out, &r->condition, r->condition.buf.len, ")", 1);
	for (size_t i = 0; i < r->nexceptions; i++)
		if (r->exceptions[i].nvalues && r->exceptions[i].nfields &&
		    put_exception(l, &r->exceptions[i], out) < 0)
			return -1;
	return 0;
}
