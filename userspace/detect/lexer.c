/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/lexer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

bool tip_lex_is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\b';
}

static char at(const struct tip_lexer *lx, size_t pos)
{
	return pos < lx->len ? lx->s[pos] : '\0';
}

void tip_lex_blanks(struct tip_lexer *lx)
{
	while (lx->pos < lx->len && tip_lex_is_blank(lx->s[lx->pos]))
		lx->pos++;
}

bool tip_lex_end(struct tip_lexer *lx)
{
	tip_lex_blanks(lx);
	return lx->pos >= lx->len;
}

bool tip_lex_char(struct tip_lexer *lx, char c)
{
	tip_lex_blanks(lx);
	if (at(lx, lx->pos) != c || lx->pos >= lx->len)
		return false;
	lx->pos++;
	return true;
}

bool tip_lex_word(struct tip_lexer *lx, const char *word)
{
	size_t n = strlen(word);
	char next;

	tip_lex_blanks(lx);
	if (lx->len - lx->pos < n || memcmp(lx->s + lx->pos, word, n) != 0)
		return false;
	next = at(lx, lx->pos + n);
	if (lx->pos + n < lx->len && !tip_lex_is_blank(next) && next != '(' && next != ')')
		return false;
	lx->pos += n;
	return true;
}

static size_t name_at(const struct tip_lexer *lx, size_t pos)
{
	size_t p = pos;

	if (!isalpha((unsigned char)at(lx, p)))
		return 0;
	while (isalnum((unsigned char)at(lx, p)) || at(lx, p) == '_')
		p++;
	return p - pos;
}

bool tip_lex_field(struct tip_lexer *lx, size_t *start, size_t *len)
{
	size_t p, n, names = 1;

	tip_lex_blanks(lx);
	n = name_at(lx, lx->pos);
	if (!n)
		return false;
	p = lx->pos + n;
	while (at(lx, p) == '.' && (n = name_at(lx, p + 1))) {
		p += n + 1;
		names++;
	}
	if (names < 2)
		return false;
	*start = lx->pos;
	*len = p - lx->pos;
	lx->pos = p;
	return true;
}

bool tip_lex_identifier(struct tip_lexer *lx, size_t *start, size_t *len)
{
	tip_lex_blanks(lx);
	*start = lx->pos;
	*len = name_at(lx, lx->pos);
	lx->pos += *len;
	return *len > 0;
}

bool tip_lex_function(struct tip_lexer *lx, bool val, enum tip_fn *fn)
{
	tip_lex_blanks(lx);
	for (int i = 0; i < TIP_FN_LIST; i++) {
		const char *name = tip_fn_name((enum tip_fn)i);
		size_t n = strlen(name);

		if ((i == TIP_FN_VAL && !val) || lx->len - lx->pos <= n ||
		    memcmp(lx->s + lx->pos, name, n) != 0 || lx->s[lx->pos + n] != '(')
			continue;
		lx->pos += n + 1;
		*fn = (enum tip_fn)i;
		return true;
	}
	return false;
}

static size_t digits(const struct tip_lexer *lx, size_t pos)
{
	size_t p = pos;

	while (isdigit((unsigned char)at(lx, p)))
		p++;
	return p - pos;
}

bool tip_lex_number(struct tip_lexer *lx, struct tip_buf *out)
{
	size_t p, n;

	tip_lex_blanks(lx);
	p = lx->pos;
	if (at(lx, p) == '0' && (at(lx, p + 1) | 0x20) == 'x' &&
	    isxdigit((unsigned char)at(lx, p + 2))) {
		for (p += 2; isxdigit((unsigned char)at(lx, p));)
			p++;
	} else {
		p += at(lx, p) == '+' || at(lx, p) == '-';
		n = digits(lx, p);
		if (!n)
			return false;
		p += n;
		if (at(lx, p) == '.')
			p += 1 + digits(lx, p + 1);
		n = (at(lx, p) | 0x20) == 'e' && (at(lx, p + 1) == '+' || at(lx, p + 1) == '-')
			    ? digits(lx, p + 2)
			    : 0;
		p += n ? n + 2 : 0;
	}
	tip_buf_reset(out);
	tip_buf_add(out, lx->s + lx->pos, p - lx->pos);
	lx->pos = p;
	return true;
}

/* Words that test a text end at a blank; `in(` and `exists)` may go without. */
static bool operator_word(struct tip_lexer *lx, enum tip_op op)
{
	struct tip_lexer before = *lx;

	if (!tip_lex_word(lx, tip_op_name(op)))
		return false;
	if (op == TIP_OP_EXISTS || op == TIP_OP_IN || op == TIP_OP_INTERSECTS ||
	    op == TIP_OP_PMATCH || tip_lex_is_blank(at(lx, lx->pos)) || lx->pos >= lx->len)
		return true;
	*lx = before;
	return false;
}

bool tip_lex_operator(struct tip_lexer *lx, enum tip_op *op)
{
	static const struct {
		const char *text;
		enum tip_op op;
	} symbols[] = {{"==", TIP_OP_EQ}, {"=", TIP_OP_EQ},  {"!=", TIP_OP_NE}, {"<=", TIP_OP_LE},
		       {"<", TIP_OP_LT},  {">=", TIP_OP_GE}, {">", TIP_OP_GT}};

	tip_lex_blanks(lx);
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		size_t n = strlen(symbols[i].text);

		if (lx->len - lx->pos < n || memcmp(lx->s + lx->pos, symbols[i].text, n) != 0)
			continue;
		lx->pos += n;
		*op = symbols[i].op;
		return true;
	}
	for (int i = 0; i < TIP_OP_MAX; i++) {
		if (isalpha((unsigned char)tip_op_name((enum tip_op)i)[0]) &&
		    operator_word(lx, (enum tip_op)i)) {
			*op = (enum tip_op)i;
			return true;
		}
	}
	return false;
}

enum tip_lex_string tip_lex_quoted(struct tip_lexer *lx, struct tip_buf *out)
{
	char quote = at(lx, lx->pos);
	size_t p = lx->pos + 1;

	if (quote != '"' && quote != '\'')
		return TIP_LEX_NONE;
	tip_buf_reset(out);
	tip_buf_reserve(out, 0); /* "" is a string too */
	for (; p < lx->len; p++) {
		char c = lx->s[p];

		if (c == quote) {
			lx->pos = p + 1;
			return TIP_LEX_OK;
		}
		if (c != '\\' || p + 1 >= lx->len) {
			tip_buf_addc(out, c);
			continue;
		}
		c = lx->s[++p];
		switch (c) {
		case 'b': tip_buf_addc(out, '\b'); break;
		case 'f': tip_buf_addc(out, '\f'); break;
		case 'n': tip_buf_addc(out, '\n'); break;
		case 'r': tip_buf_addc(out, '\r'); break;
		case 't': tip_buf_addc(out, '\t'); break;
		case 'x':
			if (!isxdigit((unsigned char)at(lx, p + 1)) ||
			    !isxdigit((unsigned char)at(lx, p + 2))) {
				lx->pos = p - 1;
				return TIP_LEX_ESCAPE;
			}
			tip_buf_addc(out, (char)strtoul((char[]){at(lx, p + 1), at(lx, p + 2), 0},
							NULL, 16));
			p += 2;
			break;
		/* a backslash before a blank stands for itself: rules that were written so exist */
		case ' ': tip_buf_addc(out, '\\'); break;
		case '/':
		case '\\':
		case '"':
		case '\'': tip_buf_addc(out, c); break;
		default: lx->pos = p - 1; return TIP_LEX_ESCAPE;
		}
	}
	return TIP_LEX_UNTERMINATED;
}

enum tip_lex_string tip_lex_value(struct tip_lexer *lx, struct tip_buf *out)
{
	enum tip_lex_string r;
	size_t p;

	tip_lex_blanks(lx);
	r = tip_lex_quoted(lx, out);
	if (r != TIP_LEX_NONE)
		return r;
	for (p = lx->pos;
	     p < lx->len && !tip_lex_is_blank(lx->s[p]) && !strchr("(),=\"'", lx->s[p]); p++)
		;
	if (p == lx->pos)
		return TIP_LEX_NONE;
	tip_buf_reset(out);
	tip_buf_add(out, lx->s + lx->pos, p - lx->pos);
	lx->pos = p;
	return TIP_LEX_OK;
}
