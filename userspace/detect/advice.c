/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "detect/field.h"
#include "detect/lexer.h"
#include "detect/loader.h"

/* Conditions that load and may not say what was meant: warnings for who writes them. */

/* Bounds what a condition with thousands of such values says. */
#define ADVICE_MAX 20

struct advice {
	struct tip_loader *l;
	const struct tip_rule_def *rule;
	size_t said;
};

static void say(struct advice *a, const struct tip_ast *n, const struct tip_ast_value *v,
		const char *what)
{
	struct tip_cond_error err;

	if (a->said++ >= ADVICE_MAX)
		return;
	tip_cond_fail(&err, n->text, v->pos, "'%s' %s", v->s, what);
	tip_load_say_cond(a->l, "LOAD_COMPILE_CONDITION", &err, &a->rule->place, "rule",
			  a->rule->name);
}

/* "proc.name" or "proc.aname[1]", as it could stand in val(). */
static bool reads_like_field(const char *s)
{
	struct tip_lexer lx = {.s = s, .len = strlen(s)};
	struct tip_field_ref ref;
	size_t start, len;
	char why[160], *name;
	const char *arg = NULL;
	bool found;

	if (!tip_lex_field(&lx, &start, &len))
		return false;
	name = tip_strndup(s + start, lx.len);
	if (name[len] == '[' && name[lx.len - 1] == ']') {
		name[lx.len - 1] = '\0';
		arg = name + len + 1;
	}
	found = (arg || lx.pos == lx.len);
	name[len] = '\0';
	found = found && tip_field_find(name, arg, &ref, why, sizeof(why)) == 0;
	free(name);
	return found;
}

static bool reads_like_transformer(const char *s)
{
	struct tip_lexer lx = {.s = s, .len = strlen(s)};
	enum tip_fn fn;

	return tip_lex_function(&lx, true, &fn) && s[lx.len - 1] == ')';
}

/* No more than a text, with '^', '$' or '.*' at the ends. */
static bool simple_regex(const char *s)
{
	size_t len = strlen(s), i = *s == '^', end = len;

	if (end > i && s[end - 1] == '$' && (end < 2 || s[end - 2] != '\\'))
		end--;
	if (end - i >= 2 && s[i] == '.' && strchr("*+?", s[i + 1]))
		i += 2;
	if (end - i >= 2 && s[end - 2] == '.' && strchr("*+?", s[end - 1]))
		end -= 2;
	for (; i < end; i++)
		if (strchr(".+*?^$()[]{}|\\", s[i]))
			return false;
	return true;
}

static void look(struct advice *a, const struct tip_ast *n)
{
	for (size_t i = 0; i < n->nkids; i++)
		look(a, n->kids[i]);
	for (size_t i = 0; n->kind == TIP_AST_CHECK && i < n->nvalues; i++) {
		const struct tip_ast_value *v = &n->values[i];

		if (n->op == TIP_OP_REGEX && simple_regex(v->s))
			say(a, n, v,
			    "is compared as a regex: '=', 'contains', 'startswith' or 'endswith' "
			    "would do, and cost less");
		else if (reads_like_field(v->s))
			say(a, n, v, "is a text here: for the field's value write val(...)");
		else if (reads_like_transformer(v->s))
			say(a, n, v, "is a text here: a transformer stands without quotes");
	}
}

void tip_load_advise(struct tip_loader *l, const struct tip_rule_def *rule,
		     const struct tip_ast *ast)
{
	struct advice a = {.l = l, .rule = rule};

	look(&a, ast);
}
