/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "detect/defs.h"
#include "detect/events.h"
#include "detect/program.h"
#include "tipstaff/abi.h"

/*
 * Rules that the kernel has to decide alone: their conditions must be a conjunction of the few
 * things that it can see at an open. Anything else is refused when it is loaded, at its place:
 * enforcing something near to what was written would be worse.
 */
#define TERMS_MAX 32

struct term {
	const struct tip_ast *check;
	bool negated;
};

struct kill {
	struct tip_arena *arena;
	struct tip_kill_spec *spec;
	struct tip_cond_error *err;
	struct term terms[TERMS_MAX];
	size_t nterms;
	const struct tip_ast *type, *path, *access, *id;
};

static int refuse(struct kill *k, const struct tip_ast *n, const char *what)
{
	tip_cond_fail(k->err, n->text, n->pos, "the kernel cannot decide this: %s", what);
	k->err->code = "LOAD_ERR_VALIDATE";
	return -1;
}

/* Opens the tree up into terms joined by `and`. */
static int collect(struct kill *k, const struct tip_ast *n, bool negated)
{
	switch (n->kind) {
	case TIP_AST_MACRO: return collect(k, n->kids[0], negated);
	case TIP_AST_NOT: return collect(k, n->kids[0], !negated);
	case TIP_AST_OR:
		return refuse(k, n,
			      "a rule with an action is a conjunction; split it where it "
			      "says 'or', or use 'in (...)'");
	case TIP_AST_AND:
		if (negated)
			return refuse(k, n, "'not' may only stand before a single comparison");
		for (size_t i = 0; i < n->nkids; i++)
			if (collect(k, n->kids[i], false) < 0)
				return -1;
		return 0;
	case TIP_AST_CHECK:
	default: break;
	}
	if (k->nterms == TERMS_MAX)
		return refuse(k, n, "too many comparisons in a rule with an action");
	k->terms[k->nterms++] = (struct term){.check = n, .negated = negated};
	return 0;
}

static bool is_equality(const struct tip_ast *n)
{
	return (n->op == TIP_OP_EQ || n->op == TIP_OP_IN) && n->nvalues > 0;
}

/*
 * Every open is checked alike, so a rule must be meant for every kind of open: otherwise the
 * kernel would kill for calls that the condition leaves alone.
 */
static int type_term(struct kill *k, const struct term *t)
{
	const struct tip_ast *n = t->check;
	uint32_t codes = 0,
		 must = 1u << TIP_CODE_OPEN | 1u << TIP_CODE_OPENAT | 1u << TIP_CODE_OPENAT2;

	if (t->negated || !is_equality(n))
		return refuse(k, n, "write 'evt.type in (open, openat, openat2)'");
	for (size_t i = 0; i < n->nvalues; i++) {
		int number = tip_event_number(n->values[i].s);
		uint32_t code = number < 0 ? 0 : tip_event_codes(number);

		if (!(code & TIP_CODES_OPEN))
			return refuse(k, n, "only opens can carry an action");
		codes |= code;
	}
	if ((codes & must) != must)
		return refuse(k, n,
			      "every kind of open is checked alike; write 'evt.type in (open, "
			      "openat, openat2)'");
	k->type = n;
	return 0;
}

static int access_term(struct kill *k, const struct term *t, uint32_t access)
{
	const struct tip_ast *n = t->check;

	if (t->negated || n->op != TIP_OP_EQ || strcmp(n->values[0].s, "true") != 0)
		return refuse(k, n,
			      "this field can only be tested with '= true' in a rule with an "
			      "action");
	if (k->access && strcmp(k->access->name, n->name) != 0)
		return refuse(k, n,
			      "'for reading and for writing at once' is not one kind of "
			      "open; keep one of the two, or none for both kinds");
	k->access = n;
	k->spec->access = access;
	return 0;
}

static bool normal_path(const char *p, bool prefix)
{
	if (p[0] != '/')
		return false;
	for (; *p; p++) {
		if (p[0] != '/')
			continue;
		if (p[1] == '/' || (p[1] == '.' && (p[2] == '/' || !p[2])) ||
		    (p[1] == '.' && p[2] == '.' && (p[3] == '/' || !p[3])))
			return false;
		if (!p[1])
			return prefix;
	}
	return true;
}

static int path_term(struct kill *k, const struct term *t)
{
	const struct tip_ast *n = t->check;
	bool prefix = n->op == TIP_OP_STARTSWITH && n->modifier == TIP_MOD_ANY;
	const char **paths;
	bool *prefixes;

	if (t->negated || k->path || (!is_equality(n) && !(prefix && n->nvalues)))
		return refuse(k, n,
			      "one 'fd.path.real = /path', 'in (...)' or 'startswith /path' "
			      "is needed, and only one");
	paths = tip_arena_alloc(k->arena, n->nvalues * sizeof(*paths));
	prefixes = tip_arena_alloc(k->arena, n->nvalues * sizeof(*prefixes));
	for (size_t i = 0; i < n->nvalues; i++) {
		const struct tip_ast_value *v = &n->values[i];

		if (!normal_path(v->s, prefix) || v->len > TIP_KILL_PATH - 1) {
			tip_cond_fail(
				k->err, n->text, v->pos,
				"'%s' is not an absolute path without '.', '..' and '//' of at "
				"most %d bytes",
				v->s, TIP_KILL_PATH - 1);
			k->err->code = "LOAD_ERR_VALIDATE";
			return -1;
		}
		paths[i] = tip_arena_strndup(k->arena, v->s, v->len);
		prefixes[i] = prefix;
	}
	k->path = n;
	k->spec->paths = paths;
	k->spec->prefix = prefixes;
	k->spec->npaths = n->nvalues;
	return 0;
}

static int id_term(struct kill *k, const struct term *t)
{
	const struct tip_ast *n = t->check;
	const char **ids;

	if (n->op == TIP_OP_NE)
		return refuse(k, n,
			      "'!=' is false for a process without identity; 'only X may' is "
			      "'not spiffe.id = X'");
	if (!is_equality(n) || k->id)
		return refuse(k, n,
			      "one comparison of an identity with '=' or 'in (...)' is "
			      "possible");
	if (t->negated && strcmp(n->name, "spiffe.id") != 0)
		return refuse(k, n,
			      "who may do something is decided by the present identity: "
			      "write 'not spiffe.id ...'");
	ids = tip_arena_alloc(k->arena, n->nvalues * sizeof(*ids));
	for (size_t i = 0; i < n->nvalues; i++) {
		const struct tip_ast_value *v = &n->values[i];

		if (strncmp(v->s, "spiffe://", 9) != 0 || v->len <= 9 ||
		    v->len > TIP_SPIFFE_ID_MAX) {
			tip_cond_fail(k->err, n->text, v->pos, "'%s' is not a SPIFFE ID", v->s);
			k->err->code = "LOAD_ERR_VALIDATE";
			return -1;
		}
		ids[i] = tip_arena_strndup(k->arena, v->s, v->len);
	}
	k->id = n;
	k->spec->any = t->negated;
	k->spec->ids = ids;
	k->spec->nids = n->nvalues;
	return 0;
}

static int term(struct kill *k, const struct term *t)
{
	const char *name = t->check->name;

	if (strcmp(name, "evt.type") == 0)
		return type_term(k, t);
	if (strcmp(name, "evt.is_open_read") == 0)
		return access_term(k, t, TIP_ACCESS_READ);
	if (strcmp(name, "evt.is_open_write") == 0)
		return access_term(k, t, TIP_ACCESS_WRITE);
	if (strcmp(name, "fd.path.real") == 0)
		return path_term(k, t);
	if (strcmp(name, "spiffe.id") == 0 || strcmp(name, "spiffe.origin.id") == 0)
		return id_term(k, t);
	return refuse(k, t->check,
		      "a rule with an action may use evt.type, evt.is_open_read, "
		      "evt.is_open_write, fd.path.real, spiffe.id and spiffe.origin.id");
}

int tip_kill_compile(struct tip_arena *arena, const struct tip_ast *ast, struct tip_kill_spec **out,
		     struct tip_cond_error *err)
{
	struct kill k = {.arena = arena, .err = err};

	k.spec = tip_arena_alloc(arena, sizeof(*k.spec));
	k.spec->access = TIP_ACCESS_READ | TIP_ACCESS_WRITE;
	k.spec->any = true; /* without a word about identity: everybody */
	if (collect(&k, ast, false) < 0)
		return -1;
	for (size_t i = 0; i < k.nterms; i++)
		if (term(&k, &k.terms[i]) < 0)
			return -1;
	if (!k.type)
		return refuse(&k, ast, "'evt.type in (open, openat, openat2)' is missing");
	if (!k.path)
		return refuse(&k, ast, "a comparison of fd.path.real is missing");
	*out = k.spec;
	return 0;
}
