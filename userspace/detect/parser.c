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
 * check := field "exists" | field operator value | field operator [modifier] list | identifier
 * list  := "(" [ value { "," value } ] ")" | value
 */
struct parser {
	struct tip_lexer lx;
	struct tip_arena *arena;
	const struct tip_text *text;
	struct tip_cond_error *err;
	struct tip_buf scratch;
	unsigned int depth;
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

static int add_value(struct parser *p, struct tip_ast *n)
{
	enum tip_lex_string r;
	size_t pos;

	tip_lex_blanks(&p->lx);
	pos = p->lx.pos;
	r = tip_lex_value(&p->lx, &p->scratch);
	if (r == TIP_LEX_UNTERMINATED)
		fail_here(p, "the closing quote is missing");
	if (r == TIP_LEX_NONE)
		fail_here(p, n->list ? "expected a value of the list" : "expected a value");
	if (r != TIP_LEX_OK)
		return -1;
	if (strlen(p->scratch.data) != p->scratch.len) {
		tip_cond_fail(p->err, p->text, pos, "a value cannot contain a NUL byte");
		return -1;
	}
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
	return 0;
}

static int list(struct parser *p, struct tip_ast *n)
{
	if (!tip_lex_char(&p->lx, '('))
		return add_value(p, n);
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

static int field_arg(struct parser *p, struct tip_ast *n)
{
	struct tip_lexer *lx = &p->lx;
	enum tip_lex_string r;
	size_t start;

	if (lx->pos >= lx->len || lx->s[lx->pos] != '[')
		return 0;
	lx->pos++;
	n->arg_pos = lx->pos;
	r = tip_lex_quoted(lx, &p->scratch);
	if (r == TIP_LEX_UNTERMINATED) {
		fail_here(p, "the closing quote of the field's argument is missing");
		return -1;
	}
	if (r == TIP_LEX_OK) {
		n->arg = tip_arena_strndup(p->arena, p->scratch.data, p->scratch.len);
	} else {
		start = lx->pos;
		while (lx->pos < lx->len && !tip_lex_is_blank(lx->s[lx->pos]) &&
		       !strchr("[]\"'", lx->s[lx->pos]))
			lx->pos++;
		if (lx->pos == start) {
			fail_here(p, "the field's argument between [ and ] is missing");
			return -1;
		}
		n->arg = tip_arena_strndup(p->arena, lx->s + start, lx->pos - start);
	}
	if (lx->pos >= lx->len || lx->s[lx->pos] != ']') {
		fail_here(p, "expected ']' after the field's argument");
		return -1;
	}
	lx->pos++;
	return 0;
}

/* A word such as `oneof` is a modifier only in front of a list: it may be a value too. */
static void modifier(struct parser *p, struct tip_ast *n)
{
	static const struct {
		const char *word;
		enum tip_modifier modifier;
	} words[] = {{"oneof", TIP_MOD_ONE}, {"anyof", TIP_MOD_ANY}, {"allof", TIP_MOD_ALL}};
	struct tip_lexer before = p->lx;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(words); i++) {
		if (!tip_lex_word(&p->lx, words[i].word))
			continue;
		tip_lex_blanks(&p->lx);
		if (p->lx.pos < p->lx.len && p->lx.s[p->lx.pos] == '(') {
			n->modifier = words[i].modifier;
			n->list = true;
			return;
		}
		p->lx = before;
	}
}

static struct tip_ast *check(struct parser *p)
{
	struct tip_ast *n;
	size_t start, len;

	if (!tip_lex_field(&p->lx, &start, &len)) {
		if (!tip_lex_identifier(&p->lx, &start, &len))
			return fail_here(p, "expected a field, a macro, 'not' or '('");
		n = node(p, TIP_AST_MACRO, start);
		n->name = tip_arena_strndup(p->arena, p->lx.s + start, len);
		return n;
	}
	n = node(p, TIP_AST_CHECK, start);
	n->name = tip_arena_strndup(p->arena, p->lx.s + start, len);
	if (field_arg(p, n) < 0)
		return NULL;
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
	switch (n->op) {
	case TIP_OP_EXISTS: return n;
	case TIP_OP_IN:
	case TIP_OP_INTERSECTS:
	case TIP_OP_PMATCH: return list(p, n) < 0 ? NULL : n;
	case TIP_OP_EQ:
	case TIP_OP_NE:
	case TIP_OP_LT:
	case TIP_OP_LE:
	case TIP_OP_GT:
	case TIP_OP_GE: return add_value(p, n) < 0 ? NULL : n;
	default: break;
	}
	modifier(p, n);
	if (n->list)
		return list(p, n) < 0 ? NULL : n;
	return add_value(p, n) < 0 ? NULL : n;
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
