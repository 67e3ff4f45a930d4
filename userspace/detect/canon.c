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
	if (strpbrk(s, "\b\f\n\r\t =\\\"'"))
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
