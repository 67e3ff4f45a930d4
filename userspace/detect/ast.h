/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_DETECT_AST_H
#define TIP_DETECT_AST_H

#include "detect/text.h"
#include "detect/value.h"

/* Nesting of one condition, macros included: what the recursive passes rely on. */
#define TIP_AST_DEPTH_MAX 1000

enum tip_ast_kind { TIP_AST_AND, TIP_AST_OR, TIP_AST_NOT, TIP_AST_CHECK, TIP_AST_MACRO };

struct tip_ast_value {
	const char *s; /* unescaped */
	size_t len;
	size_t pos;
};

struct tip_ast {
	enum tip_ast_kind kind;
	size_t pos;                  /* in `text` */
	const struct tip_text *text; /* which condition it was read from */
	unsigned int depth;
	/* AND, OR: any number; NOT: one; MACRO: the macro's tree once it is resolved */
	struct tip_ast **kids;
	size_t nkids;
	const char *name; /* CHECK: field; MACRO: its name */
	/* CHECK */
	const char *arg; /* what stood in [], NULL: none */
	size_t arg_pos;
	enum tip_op op;
	size_t op_pos;
	enum tip_modifier modifier;
	struct tip_ast_value *values;
	size_t nvalues;
	bool list; /* values were a list in parentheses */
};

/* What is wrong in a condition, and where. */
struct tip_cond_error {
	const struct tip_text *text;
	size_t pos;
	const char *code; /* "LOAD_ERR_COMPILE_CONDITION" */
	char what[512];
};
/* Fills `err` and returns NULL. */
void *tip_cond_fail(struct tip_cond_error *err, const struct tip_text *text, size_t pos,
		    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/*
 * Parses a condition whose lists are expanded already. The tree lives in `arena` and points into
 * `text`. NULL with `err`.
 */
struct tip_ast *tip_parse(struct tip_arena *arena, const struct tip_text *text,
			  struct tip_cond_error *err);

#endif
