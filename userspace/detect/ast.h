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

/*
 * What stands on a side of a check: a field, or what transformers make of fields and literals.
 * TIP_FN_LIST is the list that join() and getopt() take; TIP_FN_VAL a field on the right side.
 */
enum tip_fn {
	TIP_FN_TOLOWER,
	TIP_FN_TOUPPER,
	TIP_FN_B64,
	TIP_FN_BASENAME,
	TIP_FN_LEN,
	TIP_FN_JOIN,
	TIP_FN_CONCAT,
	TIP_FN_GETOPT,
	TIP_FN_VAL,
	TIP_FN_LIST,
	TIP_FN_MAX
};
/* "tolower"; "" for a list. */
const char *tip_fn_name(enum tip_fn fn);

/* Nesting of transformers. */
#define TIP_EXPR_DEPTH_MAX 100

enum tip_expr_kind { TIP_EXPR_FIELD, TIP_EXPR_LITERAL, TIP_EXPR_CALL };

struct tip_ast_expr {
	enum tip_expr_kind kind;
	enum tip_fn fn; /* CALL */
	size_t pos;
	const char *name; /* FIELD: its name; LITERAL: the value */
	const char *arg;  /* FIELD, and CALL of getopt: what stood in [], NULL: none */
	struct tip_ast_expr **args;
	size_t nargs;
};

struct tip_ast {
	enum tip_ast_kind kind;
	size_t pos;                  /* in `text` */
	const struct tip_text *text; /* which condition it was read from */
	unsigned int depth;
	/* AND, OR: any number; NOT: one; MACRO: the macro's tree once it is resolved */
	struct tip_ast **kids;
	size_t nkids;
	const char *name; /* CHECK: field, or text of `left`; MACRO: its name */
	/* CHECK */
	const struct tip_ast_expr *left;  /* NULL: the field `name` as it is */
	const struct tip_ast_expr *right; /* NULL: `values` */
	const char *arg;                  /* what stood in [], NULL: none */
	enum tip_op op;
	size_t op_pos;
	enum tip_modifier modifier;
	bool modified; /* a modifier is there: `anyof` is also the default */
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

/*
 * Parses the field or transformer (`val`: the transformer or val()) that stands at `*pos` and moves
 * behind it: what an output or an exception names. NULL with `err`.
 */
struct tip_ast_expr *tip_parse_expr(struct tip_arena *arena, const struct tip_text *text, bool val,
				    size_t *pos, struct tip_cond_error *err);

/* Appends the one way of writing an expression, "join(\"-\",(proc.name,fd.name))". */
void tip_expr_text(const struct tip_ast_expr *e, struct tip_buf *out);
/* Appends the operator of a check, with its modifier. */
void tip_op_text(const struct tip_ast *check, struct tip_buf *out);
/* Appends a whole tree, with its macros expanded. */
void tip_ast_text(const struct tip_ast *n, struct tip_buf *out);
/* Appends a value, quoted and escaped where a bare one would not be the same. */
void tip_value_text(const char *s, struct tip_buf *out);

#endif
