/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "detect/ast.h"

/* Conditions in their one canonical form: the text of `rules explain` and the names of slots. */

const char *tip_fn_name(enum tip_fn fn)
{
	static const char *const names[TIP_FN_MAX] = {
		[TIP_FN_TOLOWER] = "tolower", [TIP_FN_TOUPPER] = "toupper",
		[TIP_FN_B64] = "b64",         [TIP_FN_BASENAME] = "basename",
		[TIP_FN_LEN] = "len",         [TIP_FN_JOIN] = "join",
		[TIP_FN_CONCAT] = "concat",   [TIP_FN_GETOPT] = "getopt",
		[TIP_FN_VAL] = "val",         [TIP_FN_LIST] = "",
	};

	return names[fn];
}

static void add_escaped(const char *s, struct tip_buf *out)
{
	tip_buf_addc(out, '"');
	for (; *s; s++) {
		switch (*s) {
		case '\b': tip_buf_adds(out, "\\b"); break;
		case '\f': tip_buf_adds(out, "\\f"); break;
		case '\n': tip_buf_adds(out, "\\n"); break;
		case '\r': tip_buf_adds(out, "\\r"); break;
		case '\t': tip_buf_adds(out, "\\t"); break;
		case '"': tip_buf_adds(out, "\\\""); break;
		case '\\': tip_buf_adds(out, "\\\\"); break;
		default: tip_buf_addc(out, *s);
		}
	}
	tip_buf_addc(out, '"');
}

/* The characters that Falco quotes for, so that the texts can be compared with its own. */
void tip_value_text(const char *s, struct tip_buf *out)
{
	if (!*s || strpbrk(s, "\b\f\n\r\t =\\\"'"))
		add_escaped(s, out);
	else
		tip_buf_adds(out, s);
}

void tip_expr_text(const struct tip_ast_expr *e, struct tip_buf *out)
{
	if (e->kind == TIP_EXPR_LITERAL) {
		/* always in quotes: it must not read like a field */
		add_escaped(e->name, out);
		return;
	}
	if (e->kind == TIP_EXPR_FIELD) {
		tip_buf_adds(out, e->name);
	} else {
		tip_buf_adds(out, tip_fn_name(e->fn));
		tip_buf_addc(out, '(');
		for (size_t i = 0; i < e->nargs; i++) {
			if (i)
				tip_buf_addc(out, ',');
			tip_expr_text(e->args[i], out);
		}
		tip_buf_addc(out, ')');
	}
	if (e->arg) {
		tip_buf_addc(out, '[');
		tip_value_text(e->arg, out);
		tip_buf_addc(out, ']');
	}
}

void tip_op_text(const struct tip_ast *check, struct tip_buf *out)
{
	static const char *const modifiers[] = {
		[TIP_MOD_ANY] = " anyof", [TIP_MOD_ALL] = " allof", [TIP_MOD_ONE] = " oneof"};
	const char *written = check->text->buf.data + check->op_pos;

	/* '=' and '==' are one operator, and told as they were written */
	tip_buf_adds(out, check->op == TIP_OP_EQ && strncmp(written, "==", 2) == 0
				  ? "=="
				  : tip_op_name(check->op));
	if (check->modified)
		tip_buf_adds(out, modifiers[check->modifier]);
}

static void check_text(const struct tip_ast *n, struct tip_buf *out)
{
	bool list = n->list;

	tip_buf_adds(out, n->name);
	if (n->arg) {
		tip_buf_addc(out, '[');
		tip_value_text(n->arg, out);
		tip_buf_addc(out, ']');
	}
	tip_buf_addc(out, ' ');
	tip_op_text(n, out);
	if (n->op == TIP_OP_EXISTS)
		return;
	tip_buf_addc(out, ' ');
	if (n->right) {
		tip_expr_text(n->right, out);
		return;
	}
	tip_buf_adds(out, list ? "(" : "");
	for (size_t i = 0; i < n->nvalues; i++) {
		tip_buf_adds(out, i ? ", " : "");
		tip_value_text(n->values[i].s, out);
	}
	tip_buf_adds(out, list ? ")" : "");
}

void tip_ast_text(const struct tip_ast *n, struct tip_buf *out)
{
	switch (n->kind) {
	case TIP_AST_MACRO: tip_ast_text(n->kids[0], out); return;
	case TIP_AST_NOT:
		tip_buf_adds(out, "not ");
		tip_ast_text(n->kids[0], out);
		return;
	case TIP_AST_CHECK: check_text(n, out); return;
	case TIP_AST_AND:
	case TIP_AST_OR:
	default: break;
	}
	for (size_t i = 0; i < n->nkids; i++) {
		tip_buf_adds(out, i == 0 ? "(" : n->kind == TIP_AST_AND ? " and " : " or ");
		tip_ast_text(n->kids[i], out);
	}
	tip_buf_addc(out, ')');
}
