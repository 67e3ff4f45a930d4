/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "detect/program.h"

/*
 * In which order the parts of an `and` or `or` are asked. They are pure, and an unset field makes a
 * test false wherever it stands, so any order means the same. First what says no to most events for
 * the least: a field that must be one of a few values seldom is. Where nothing speaks for another
 * order, it is as written.
 */

/* So many nodes of a part are looked at. */
#define LOOK_MAX 64

struct looks {
	bool rare; /* seldom true */
	bool dear; /* costs a lot to find out */
};

/* Fields that are put together for each event, or looked for far away. */
static bool dear_field(const char *name)
{
	static const char *const prefixes[] = {"proc.a",   "proc.cmd", "proc.pcmd",  "proc.exel",
					       "proc.env", "evt.arg",  "thread.cap", "evt.info"};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(prefixes); i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static struct looks look_check(const struct tip_ast *n, bool negated)
{
	if (n->left || n->right)
		return (struct looks){!negated, true};
	switch (n->op) {
	case TIP_OP_EQ:
	case TIP_OP_IN:
	case TIP_OP_INTERSECTS:
	case TIP_OP_CONTAINS:
	case TIP_OP_STARTSWITH:
	case TIP_OP_ENDSWITH:
	case TIP_OP_PMATCH: return (struct looks){!negated, dear_field(n->name)};
	case TIP_OP_GLOB:
	case TIP_OP_IGLOB:
	case TIP_OP_REGEX:
	case TIP_OP_ICONTAINS: return (struct looks){!negated, true};
	default: return (struct looks){false, dear_field(n->name)};
	}
}

static struct looks look(const struct tip_ast *n, bool negated, unsigned int *left)
{
	bool conjunction, all_rare = true, any_rare = false, any_dear = false, cheap_no = false;

	if (!*left || !--*left)
		return (struct looks){0};
	if (n->kind == TIP_AST_CHECK)
		return look_check(n, negated);
	if (n->kind == TIP_AST_NOT || n->kind == TIP_AST_MACRO)
		return look(n->kids[0], negated != (n->kind == TIP_AST_NOT), left);
	conjunction = (n->kind == TIP_AST_AND) != negated;
	for (size_t i = 0; i < n->nkids; i++) {
		struct looks kid = look(n->kids[i], negated, left);

		all_rare = all_rare && kid.rare;
		any_rare = any_rare || kid.rare;
		any_dear = any_dear || kid.dear;
		cheap_no = cheap_no || (kid.rare && !kid.dear);
	}
	/* an `and` mostly ends at its cheap part that is seldom true */
	return conjunction ? (struct looks){any_rare, any_dear && !cheap_no}
			   : (struct looks){all_rare, any_dear};
}

unsigned int tip_rank(const struct tip_ast *n, bool negated)
{
	unsigned int left = LOOK_MAX;
	bool check = n->kind == TIP_AST_CHECK;
	struct looks l = look(n, negated, &left);

	if (l.dear)
		return 4;
	return (l.rare ? 0 : 2) + (check ? 0 : 1);
}
