/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/ast.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "detect/lexer.h"

/*
 * or    := and { "or" and }
 * and   := not { "and" not }
 * not   := "not" not | "(" or ")" | check
 * check := left "exists" | left operator (value | right) | left operator [modifier] list |
 *          identifier
 * left  := field | function "(" arg { "," arg } ")" [ "[" text "]" ]
 * right := left (a function) | "val" "(" field ")"
 * arg   := left | quoted | number | "(" [ arg { "," arg } ] ")" (which holds no further list)
 * list  := "(" [ value { "," value } ] ")" | identifier
 */
struct parser {
	struct tip_lexer lx;
	struct tip_arena *arena;
	const struct tip_text *text;
	struct tip_cond_error *err;
	struct tip_buf scratch;
	unsigned int depth, expr_depth;
};

void *tip_cond_fail(struct tip_cond_error *err, const struct tip_text *text, size_t pos,
		    const char *fmt, ...)
{
	va_list ap;

	err->text = text;
	err->pos = pos;
	err->code = "LOAD_ERR_COMPILE_CONDITION";
	va_start(ap, fmt);
	vsnprintf(err->what, sizeof(err->what), fmt, ap);
	va_end(ap);
	return NULL;
}

static void *fail_here(struct parser *p, const char *what)
{
	tip_lex_blanks(&p->lx);
	return tip_cond_fail(p->err, p->text, p->lx.pos, "%s", what);
}

static struct tip_ast *node(struct parser *p, enum tip_ast_kind kind, size_t pos)
{
	struct tip_ast *n = tip_arena_alloc(p->arena, sizeof(*n));

	n->kind = kind;
	n->pos = pos;
	n->text = p->text;
	n->depth = 1;
	return n;
}

static void add_kid(struct parser *p, struct tip_ast *n, struct tip_ast *kid)
{
	/* doubling: earlier arrays stay behind in the arena, at most as much again */
	if ((n->nkids & (n->nkids - 1)) == 0) {
		struct tip_ast **grown = tip_arena_alloc(
			p->arena, (n->nkids ? n->nkids * 2 : 1) * sizeof(struct tip_ast *));

		if (n->nkids)
			memcpy(grown, n->kids, n->nkids * sizeof(struct tip_ast *));
		n->kids = grown;
	}
	n->kids[n->nkids++] = kid;
	if (kid->depth >= n->depth)
		n->depth = kid->depth + 1;
}

/* What became of a quoted text: 1 it is in `scratch`, 0 there is none, -1 it is wrong and said. */
static int text_read(struct parser *p, enum tip_lex_string r, size_t pos)
{
	switch (r) {
	case TIP_LEX_NONE: return 0;
	case TIP_LEX_UNTERMINATED: fail_here(p, "the closing quote is missing"); return -1;
	case TIP_LEX_ESCAPE:
		fail_here(p, "this is no escape: write a backslash as '\\\\'");
		return -1;
	case TIP_LEX_OK:
	default: break;
	}
	if (strlen(p->scratch.data) == p->scratch.len)
		return 1;
	tip_cond_fail(p->err, p->text, pos, "a value cannot contain a NUL byte");
	return -1;
}

/* Puts what is in `scratch`, and stood at `pos`, behind the values of a check. */
static void push_value(struct parser *p, struct tip_ast *n, size_t pos)
{
	if ((n->nvalues & (n->nvalues - 1)) == 0) {
		struct tip_ast_value *grown = tip_arena_alloc(
			p->arena, (n->nvalues ? n->nvalues * 2 : 1) * sizeof(*grown));

		if (n->nvalues)
			memcpy(grown, n->values, n->nvalues * sizeof(*grown));
		n->values = grown;
	}
	n->values[n->nvalues++] = (struct tip_ast_value){
		.s = tip_arena_strndup(p->arena, p->scratch.data, p->scratch.len),
		.len = p->scratch.len,
		.pos = pos};
}

static int add_value(struct parser *p, struct tip_ast *n)
{
	size_t pos;
	int r;

	tip_lex_blanks(&p->lx);
	pos = p->lx.pos;
	r = text_read(p, tip_lex_value(&p->lx, &p->scratch), pos);
	if (r == 0)
		fail_here(p, n->list ? "expected a value of the list" : "expected a value");
	if (r <= 0)
		return -1;
	push_value(p, n, pos);
	return 0;
}

/* A name in the place of a list is the list of that one text: lists were expanded before. */
static int list(struct parser *p, struct tip_ast *n)
{
	size_t start, len;

	if (!tip_lex_char(&p->lx, '(')) {
		if (!tip_lex_identifier(&p->lx, &start, &len)) {
			fail_here(p, "expected a list: '(a, b)'");
			return -1;
		}
		tip_buf_reset(&p->scratch);
		tip_buf_add(&p->scratch, p->lx.s + start, len);
		push_value(p, n, start);
		return 0;
	}
	n->list = true;
	if (tip_lex_char(&p->lx, ')'))
		return 0;
	do {
		if (add_value(p, n) < 0)
			return -1;
	} while (tip_lex_char(&p->lx, ','));
	if (tip_lex_char(&p->lx, ')'))
		return 0;
	fail_here(p, "expected ',' or ')' in the list");
	return -1;
}

/* What stands in [] behind a field or a function; `*arg` stays NULL where there is none. */
static int field_arg(struct parser *p, const char **arg)
{
	struct tip_lexer *lx = &p->lx;
	size_t start;
	int r;

	if (lx->pos >= lx->len || lx->s[lx->pos] != '[')
		return 0;
	lx->pos++;
	r = text_read(p, tip_lex_quoted(lx, &p->scratch), lx->pos);
	if (r < 0)
		return -1;
	if (r > 0) {
		*arg = tip_arena_strndup(p->arena, p->scratch.data, p->scratch.len);
	} else {
		start = lx->pos;
		while (lx->pos < lx->len && !tip_lex_is_blank(lx->s[lx->pos]) &&
		       !strchr("[]\"'", lx->s[lx->pos]))
			lx->pos++;
		if (lx->pos == start) {
			fail_here(p, "the field's argument between [ and ] is missing");
			return -1;
		}
		*arg = tip_arena_strndup(p->arena, lx->s + start, lx->pos - start);
	}
	if (lx->pos >= lx->len || lx->s[lx->pos] != ']') {
		fail_here(p, "expected ']' after the field's argument");
		return -1;
	}
	lx->pos++;
	return 0;
}

/* ---- fields and transformers -------------------------------------------------------------- */

static struct tip_ast_expr *expr_new(struct parser *p, enum tip_expr_kind kind, size_t pos)
{
	struct tip_ast_expr *e = tip_arena_alloc(p->arena, sizeof(*e));

	e->kind = kind;
	e->pos = pos;
	return e;
}

static struct tip_ast_expr *call(struct parser *p, enum tip_fn fn, size_t pos);

/* A field, or (`val`: also val()) a function with its arguments; `*none` when there is neither. */
static struct tip_ast_expr *operand(struct parser *p, bool val, bool *none)
{
	struct tip_ast_expr *e;
	size_t start, len;
	enum tip_fn fn;

	*none = false;
	if (!val && tip_lex_field(&p->lx, &start, &len)) {
		e = expr_new(p, TIP_EXPR_FIELD, start);
		e->name = tip_arena_strndup(p->arena, p->lx.s + start, len);
		return field_arg(p, &e->arg) < 0 ? NULL : e;
	}
	tip_lex_blanks(&p->lx);
	start = p->lx.pos;
	if (tip_lex_function(&p->lx, val, &fn))
		return call(p, fn, start);
	*none = true;
	return NULL;
}

static struct tip_ast_expr *literal(struct parser *p, bool *none)
{
	struct tip_ast_expr *e;
	size_t pos;
	int r;

	*none = false;
	tip_lex_blanks(&p->lx);
	pos = p->lx.pos;
	r = text_read(p, tip_lex_quoted(&p->lx, &p->scratch), pos);
	if (r == 0 && tip_lex_number(&p->lx, &p->scratch))
		r = 1;
	*none = r == 0;
	if (r <= 0)
		return NULL;
	e = expr_new(p, TIP_EXPR_LITERAL, pos);
	e->name = tip_arena_strndup(p->arena, p->scratch.data, p->scratch.len);
	return e;
}

static struct tip_ast_expr *argument(struct parser *p, enum tip_fn of)
{
	struct tip_ast_expr *e;
	bool none;
	size_t pos;

	e = literal(p, &none);
	if (none)
		e = operand(p, false, &none);
	if (!none)
		return e;
	pos = p->lx.pos;
	if (of != TIP_FN_LIST && tip_lex_char(&p->lx, '('))
		return call(p, TIP_FN_LIST, pos);
	return fail_here(p, of == TIP_FN_LIST
				    ? "expected a field, a transformer, a quoted text or a number"
				    : "expected a field, a transformer, a quoted text, a number or "
				      "a list of such");
}

/* Behind the '(' of a function, or of the list that is one's argument. */
static struct tip_ast_expr *call(struct parser *p, enum tip_fn fn, size_t pos)
{
	struct tip_ast_expr *e = expr_new(p, TIP_EXPR_CALL, pos), *arg;

	e->fn = fn;
	if (++p->expr_depth > TIP_EXPR_DEPTH_MAX)
		return fail_here(p, "transformers are nested too deep");
	if (fn == TIP_FN_LIST && tip_lex_char(&p->lx, ')'))
		goto out;
	do {
		arg = argument(p, fn);
		if (!arg)
			return NULL;
		if (fn == TIP_FN_VAL && arg->kind != TIP_EXPR_FIELD)
			return tip_cond_fail(p->err, p->text, arg->pos, "val() takes a field");
		if ((e->nargs & (e->nargs - 1)) == 0) {
			struct tip_ast_expr **grown =
				tip_arena_alloc(p->arena, (e->nargs ? e->nargs * 2 : 1) *
								  sizeof(struct tip_ast_expr *));

			if (e->nargs)
				memcpy(grown, e->args, e->nargs * sizeof(struct tip_ast_expr *));
			e->args = grown;
		}
		e->args[e->nargs++] = arg;
	} while (tip_lex_char(&p->lx, ','));
	if (!tip_lex_char(&p->lx, ')'))
		return fail_here(p, fn == TIP_FN_LIST
					    ? "expected ',' or ')' in the list"
					    : "expected ')' at the end of the transformer");
	if (fn != TIP_FN_LIST && field_arg(p, &e->arg) < 0)
		return NULL;
out:
	p->expr_depth--;
	return e;
}

/* A transformer or val() in the place of a value: 1 it is there, 0 it is not, -1 it is wrong. */
static int right_side(struct parser *p, struct tip_ast *n)
{
	bool none;

	n->right = operand(p, true, &none);
	return n->right ? 1 : none ? 0 : -1;
}

/* A word such as `oneof` is a modifier only in front of a list: it may be a value too. */
static void modifier(struct parser *p, struct tip_ast *n)
{
	static const struct {
		const char *word;
		enum tip_modifier modifier;
	} words[] = {{"oneof", TIP_MOD_ONE}, {"anyof", TIP_MOD_ANY}, {"allof", TIP_MOD_ALL}};
	struct tip_lexer before = p->lx, next;
	size_t start, len;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(words); i++) {
		if (!tip_lex_word(&p->lx, words[i].word))
			continue;
		next = p->lx;
		tip_lex_blanks(&next);
		if (next.pos > p->lx.pos &&
		    (tip_lex_char(&next, '(') ||
		     (!tip_lex_word(&next, "and") && !tip_lex_word(&next, "or") &&
		      !tip_lex_word(&next, "not") && tip_lex_identifier(&next, &start, &len)))) {
			n->modifier = words[i].modifier;
			n->modified = true;
			return;
		}
		p->lx = before;
	}
}

/* The right side of an ordering, which takes numbers only. */
static int number(struct parser *p, struct tip_ast *n)
{
	int r = right_side(p, n);
	size_t pos;

	if (r)
		return r < 0 ? -1 : 0;
	tip_lex_blanks(&p->lx);
	pos = p->lx.pos;
	if (!tip_lex_number(&p->lx, &p->scratch)) {
		fail_here(p, "expected a number");
		return -1;
	}
	push_value(p, n, pos);
	return 0;
}

/* Everything behind the operator. */
static int values(struct parser *p, struct tip_ast *n)
{
	int r;

	switch (n->op) {
	case TIP_OP_EXISTS: return 0;
	case TIP_OP_LT:
	case TIP_OP_LE:
	case TIP_OP_GT:
	case TIP_OP_GE: return number(p, n);
	case TIP_OP_IN:
	case TIP_OP_INTERSECTS:
	case TIP_OP_PMATCH: break;
	default:
		modifier(p, n);
		if (n->modified)
			return list(p, n);
		r = right_side(p, n);
		return r ? (r < 0 ? -1 : 0) : add_value(p, n);
	}
	r = right_side(p, n);
	return r ? (r < 0 ? -1 : 0) : list(p, n);
}

static struct tip_ast *check(struct parser *p)
{
	struct tip_ast_expr *left;
	struct tip_ast *n;
	size_t start, len;
	bool none;

	left = operand(p, false, &none);
	if (none) {
		if (!tip_lex_identifier(&p->lx, &start, &len))
			return fail_here(p, "expected a field, a macro, 'not' or '('");
		n = node(p, TIP_AST_MACRO, start);
		n->name = tip_arena_strndup(p->arena, p->lx.s + start, len);
		return n;
	}
	if (!left)
		return NULL;
	n = node(p, TIP_AST_CHECK, left->pos);
	n->name = left->name;
	n->arg = left->arg;
	if (left->kind == TIP_EXPR_CALL) {
		struct tip_buf name = {0};

		tip_expr_text(left, &name);
		n->name = tip_arena_strndup(p->arena, name.data, name.len);
		n->arg = NULL;
		n->left = left;
		tip_buf_free(&name);
	}
	tip_lex_blanks(&p->lx);
	n->op_pos = p->lx.pos;
	if (!tip_lex_operator(&p->lx, &n->op)) {
		if (p->lx.pos >= p->lx.len || strchr(")", p->lx.s[p->lx.pos]))
			return tip_cond_fail(p->err, p->text, n->op_pos,
					     "a field alone is no condition: write '%s exists', or "
					     "'= true' for a boolean",
					     n->name);
		return fail_here(p, "expected an operator after the field");
	}
	return values(p, n) < 0 ? NULL : n;
}

static struct tip_ast *or_expr(struct parser *p);

static struct tip_ast *not_expr(struct parser *p)
{
	struct tip_ast *n, *kid;
	size_t first = 0;
	bool negate = false, any = false;

	/* a row of `not` is folded here: its length needs no recursion */
	for (;;) {
		tip_lex_blanks(&p->lx);
		if (!any)
			first = p->lx.pos;
		if (!tip_lex_word(&p->lx, "not"))
			break;
		negate = !negate;
		any = true;
	}
	if (tip_lex_char(&p->lx, '(')) {
		if (++p->depth > TIP_AST_DEPTH_MAX)
			return fail_here(p, "too many nested parentheses");
		kid = or_expr(p);
		p->depth--;
		if (!kid)
			return NULL;
		if (!tip_lex_char(&p->lx, ')'))
			return fail_here(p, "expected ')', 'and' or 'or'");
	} else {
		kid = check(p);
	}
	if (!kid || !negate)
		return kid;
	n = node(p, TIP_AST_NOT, first);
	add_kid(p, n, kid);
	return n;
}

static struct tip_ast *chain(struct parser *p, enum tip_ast_kind kind, const char *word,
			     struct tip_ast *(*part)(struct parser *))
{
	struct tip_ast *first = part(p), *n = NULL, *kid;

	if (!first)
		return NULL;
	while (tip_lex_word(&p->lx, word)) {
		if (!n) {
			n = node(p, kind, first->pos);
			add_kid(p, n, first);
		}
		kid = part(p);
		if (!kid)
			return NULL;
		add_kid(p, n, kid);
	}
	return n ? n : first;
}

static struct tip_ast *and_expr(struct parser *p)
{
	return chain(p, TIP_AST_AND, "and", not_expr);
}

static struct tip_ast *or_expr(struct parser *p)
{
	return chain(p, TIP_AST_OR, "or", and_expr);
}

struct tip_ast *tip_parse(struct tip_arena *arena, const struct tip_text *text,
			  struct tip_cond_error *err)
{
	struct parser p = {.lx = {.s = text->buf.data ? text->buf.data : "", .len = text->buf.len},
			   .arena = arena,
			   .text = text,
			   .err = err};
	struct tip_ast *n;

	if (tip_lex_end(&p.lx))
		return fail_here(&p, "the condition is empty");
	n = or_expr(&p);
	if (n && !tip_lex_end(&p.lx))
		n = fail_here(&p, "unexpected text after the condition: expected 'and', 'or' or "
				  "the end");
	tip_buf_free(&p.scratch);
	return n;
}

struct tip_ast_expr *tip_parse_expr(struct tip_arena *arena, const struct tip_text *text, bool val,
				    size_t *pos, struct tip_cond_error *err)
{
	struct parser p = {.lx = {.s = text->buf.data, .len = text->buf.len, .pos = *pos},
			   .arena = arena,
			   .text = text,
			   .err = err};
	struct tip_ast_expr *e;
	bool none;

	e = operand(&p, val, &none);
	if (none)
		fail_here(&p, "expected a field or a transformer");
	*pos = p.lx.pos;
	tip_buf_free(&p.scratch);
	return e;
}
