/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_DETECT_LEXER_H
#define TIP_DETECT_LEXER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "detect/ast.h"
#include "detect/value.h"

/*
 * The language has no fixed set of tokens: what `open` or `/a.b` is depends on where it stands. So
 * the parser asks for what it can use next; each call skips blanks first and moves only on success.
 */
struct tip_lexer {
	const char *s;
	size_t len;
	size_t pos;
};

void tip_lex_blanks(struct tip_lexer *lx);
bool tip_lex_end(struct tip_lexer *lx);
bool tip_lex_char(struct tip_lexer *lx, char c);
/* `word` as a whole: what follows is a blank, a parenthesis or the end. */
bool tip_lex_word(struct tip_lexer *lx, const char *word);
/* `letter (letter|digit|_)*` with at least one dot between such names. */
bool tip_lex_field(struct tip_lexer *lx, size_t *start, size_t *len);
bool tip_lex_identifier(struct tip_lexer *lx, size_t *start, size_t *len);
/* A transformer with its '('; `val` only where asked for. */
bool tip_lex_function(struct tip_lexer *lx, bool val, enum tip_fn *fn);
/* A number, decimal or hex, as text into `out`. */
bool tip_lex_number(struct tip_lexer *lx, struct tip_buf *out);
/* An operator of the language. */
bool tip_lex_operator(struct tip_lexer *lx, enum tip_op *op);

enum tip_lex_string {
	TIP_LEX_NONE,
	TIP_LEX_OK,
	TIP_LEX_UNTERMINATED,
	TIP_LEX_ESCAPE /* a backslash before something that is no escape; `pos` is there */
};
/* A quoted string, unescaped into `out` (which is reset). No blanks are skipped. */
enum tip_lex_string tip_lex_quoted(struct tip_lexer *lx, struct tip_buf *out);
/* A bare or quoted value. */
enum tip_lex_string tip_lex_value(struct tip_lexer *lx, struct tip_buf *out);

bool tip_lex_is_blank(char c);

#endif
