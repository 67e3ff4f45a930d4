/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "detect/defs.h"
#include "detect/events.h"
#include "detect/program.h"

/*
 * Rules that the kernel has to decide alone: their conditions must be a conjunction of the few
 * things that it can see when an act begins. Anything else is refused when it is loaded, at its
 * place: enforcing something near to what was written would be worse.
 */
#define TERMS_MAX 32

#define ACTS_OPEN    (TIP_ACCESS_READ | TIP_ACCESS_WRITE)
#define ACTS_EXEC    (1u << TIP_JUDGED_EXEC)
#define ACTS_CONNECT (1u << TIP_JUDGED_CONNECT)
#define ACTS_BIND    (1u << TIP_JUDGED_BIND)
#define ACTS_SOCK    TIP_JUDGED_SOCKET
#define ACTS_ALL     (ACTS_OPEN | ACTS_EXEC | ACTS_SOCK)

struct enforce;

struct term {
	const struct tip_ast *check;
	bool negated;
};

/* A field that the kernel can decide on. */
struct decidable {
	const char *name;
	uint32_t acts; /* where it means something */
	enum tip_type type;
	enum tip_rule_dim dim, exec_dim; /* the second for acts of exec */
	int (*values)(struct enforce *e, const struct decidable *f, const struct term *t);
};

struct enforce {
	struct tip_arena *arena;
	struct tip_enforce_spec *spec;
	struct tip_cond_error *err;
	struct term terms[TERMS_MAX];
	size_t nterms;
	struct tip_enforce_term *dims; /* the spec's terms */
	uint8_t *ports;                /* bitmap of those that all conditions leave, NULL: all */
	const struct tip_ast *type, *access;
	bool met; /* some condition has to be met, and not only to be missed */
};

static int refuse(struct enforce *e, const struct tip_ast *n, const char *what)
{
	tip_cond_fail(e->err, n->text, n->pos, "the kernel cannot decide this: %s", what);
	e->err->code = "LOAD_ERR_VALIDATE";
	return -1;
}

static int refuse_value(struct enforce *e, const struct tip_ast *n, const struct tip_ast_value *v,
			const char *what)
{
	tip_cond_fail(e->err, n->text, v->pos, "'%s' is not %s", v->s, what);
	e->err->code = "LOAD_ERR_VALIDATE";
	return -1;
}

/* Opens the tree up into terms joined by `and`. */
static int collect(struct enforce *e, const struct tip_ast *n, bool negated)
{
	switch (n->kind) {
	case TIP_AST_MACRO: return collect(e, n->kids[0], negated);
	case TIP_AST_NOT: return collect(e, n->kids[0], !negated);
	case TIP_AST_OR:
		return refuse(e, n,
			      "a rule with an action is a conjunction; split it where it "
			      "says 'or', or use 'in (...)'");
	case TIP_AST_AND:
		if (negated)
			return refuse(e, n, "'not' may only stand before a single comparison");
		for (size_t i = 0; i < n->nkids; i++)
			if (collect(e, n->kids[i], false) < 0)
				return -1;
		return 0;
	case TIP_AST_CHECK:
	default: break;
	}
	if (n->right)
		return refuse(e, n, "a field is compared with constants only");
	if (n->modified)
		return refuse(e, n, "there are no modifiers in a rule with an action");
	if (e->nterms == TERMS_MAX)
		return refuse(e, n, "too many comparisons in a rule with an action");
	e->terms[e->nterms++] = (struct term){.check = n, .negated = negated};
	return 0;
}

static bool is_equality(const struct tip_ast *n)
{
	return (n->op == TIP_OP_EQ || n->op == TIP_OP_IN) && n->nvalues > 0;
}

/* ---- the act ---- */

/*
 * Every act of a kind is checked alike, so a rule must be meant for all of its calls: otherwise the
 * kernel would act on calls that the condition leaves alone.
 */
static const struct {
	tip_codes may, must;
	uint32_t acts;
	const char *write;
} kinds[] = {
	{TIP_CODES_OPEN,
	 TIP_CODE_BIT(TIP_CODE_OPEN) | TIP_CODE_BIT(TIP_CODE_OPENAT) |
		 TIP_CODE_BIT(TIP_CODE_OPENAT2),
	 ACTS_OPEN,
	 "every kind of open is checked alike; write 'evt.type in (open, openat, openat2)'"},
	{TIP_CODES_EXEC, TIP_CODES_EXEC, ACTS_EXEC,
	 "both kinds of exec are checked alike; write 'evt.type in (execve, execveat)'"},
	{TIP_CODE_BIT(TIP_CODE_CONNECT), TIP_CODE_BIT(TIP_CODE_CONNECT), ACTS_CONNECT, ""},
	{TIP_CODE_BIT(TIP_CODE_BIND), TIP_CODE_BIT(TIP_CODE_BIND), ACTS_BIND, ""},
};

static int type_term(struct enforce *e, const struct term *t)
{
	const struct tip_ast *n = t->check;
	bool other = false; /* an event that is of no kind */
	tip_codes codes = 0;
	size_t kind = 0;

	if (e->type)
		return refuse(e, n, "evt.type is compared once");
	if (t->negated || !is_equality(n))
		return refuse(e, n, "name the acts: 'evt.type in (...)', or 'evt.type = ...'");
	for (size_t i = 0; i < n->nvalues; i++) {
		int number = tip_event_number(n->values[i].s);
		tip_codes code = number < 0 ? 0 : tip_event_codes(number);

		codes |= code;
		other = other || !code;
	}
	while (kind < TIP_ARRAY_SIZE(kinds) && !(codes & kinds[kind].may))
		kind++;
	if (other || kind == TIP_ARRAY_SIZE(kinds) || (codes & ~kinds[kind].may))
		return refuse(e, n,
			      "one kind of act can carry an action: opens, execs, connect or bind");
	if ((codes & kinds[kind].must) != kinds[kind].must)
		return refuse(e, n, kinds[kind].write);
	e->type = n;
	e->spec->acts = kinds[kind].acts;
	return 0;
}

static int access_term(struct enforce *e, const struct term *t, uint32_t access)
{
	const struct tip_ast *n = t->check;

	if (!(e->spec->acts & ACTS_OPEN))
		return refuse(e, n, "it is about opens");
	if (t->negated || n->op != TIP_OP_EQ || strcmp(n->values[0].s, "true") != 0)
		return refuse(e, n,
			      "this field can only be tested with '= true' in a rule with an "
			      "action");
	if (e->access && strcmp(e->access->name, n->name) != 0)
		return refuse(e, n,
			      "'for reading and for writing at once' is not one kind of "
			      "open; keep one of the two, or none for both kinds");
	e->access = n;
	e->spec->acts = access;
	return 0;
}

/* ---- values ---- */

/* A new condition in a dimension; NULL: there is one of that sign already. */
static struct tip_enforce_term *new_term(struct enforce *e, const struct decidable *f,
					 const struct term *t, size_t nvalues)
{
	const bool exec = e->spec->acts & ACTS_EXEC;
	const enum tip_rule_dim dim = exec ? f->exec_dim : f->dim;
	struct tip_enforce_term *term;

	for (size_t i = 0; i < e->spec->nterms; i++) {
		if (e->dims[i].dim == dim && e->dims[i].spares == t->negated) {
			refuse(e, t->check,
			       "two comparisons of the same thing; one, with 'in (...)', is "
			       "possible, and another one behind 'not'");
			return NULL;
		}
	}
	e->met = e->met || !t->negated;
	term = &e->dims[e->spec->nterms++];
	term->dim = dim;
	term->spares = t->negated;
	term->values = tip_arena_alloc(e->arena, nvalues * sizeof(*term->values));
	return term;
}

static bool normal_path(const char *p, bool prefix)
{
	if (p[0] != '/')
		return false;
	if (!p[1])
		return true;
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

static void add_text(struct enforce *e, struct tip_enforce_term *term, const char *text, size_t len,
		     enum tip_enforce_how how)
{
	term->values[term->nvalues++] = (struct tip_enforce_value){
		.text = tip_arena_strndup(e->arena, text, len),
		.how = how,
	};
}

/* "/a" and everything below it. */
static void add_tree(struct enforce *e, struct tip_enforce_term *term, const char *path, size_t len)
{
	char *below = tip_arena_alloc(e->arena, len + 2);

	memcpy(below, path, len);
	below[len] = '/';
	if (len == 1) {
		add_text(e, term, path, len, TIP_ENFORCE_PREFIX);
		return;
	}
	add_text(e, term, path, len, TIP_ENFORCE_EXACT);
	add_text(e, term, below, len + 1, TIP_ENFORCE_PREFIX);
}

static int path_values(struct enforce *e, const struct decidable *f, const struct term *t)
{
	const struct tip_ast *n = t->check;
	const bool prefix = n->op == TIP_OP_STARTSWITH && n->modifier == TIP_MOD_ANY;
	const bool tree = n->op == TIP_OP_PMATCH;
	struct tip_enforce_term *term;

	if (!n->nvalues || (!is_equality(n) && !prefix && !tree))
		return refuse(e, n,
			      "a path is compared by '=', 'in (...)', 'startswith /path' or "
			      "'pmatch (...)'");
	term = new_term(e, f, t, 2 * n->nvalues);
	if (!term)
		return -1;
	for (size_t i = 0; i < n->nvalues; i++) {
		const struct tip_ast_value *v = &n->values[i];

		if (!normal_path(v->s, prefix) || v->len > TIP_RULE_TEXT - (tree ? 2 : 1) ||
		    (tree && strpbrk(v->s, "*?[\\")))
			return refuse_value(e, n, v,
					    "an absolute path without '.', '..' and '//' of at "
					    "most 239 bytes, and without a pattern");
		if (tree)
			add_tree(e, term, v->s, v->len);
		else
			add_text(e, term, v->s, v->len,
				 prefix ? TIP_ENFORCE_PREFIX : TIP_ENFORCE_EXACT);
	}
	return 0;
}

static int identity_values(struct enforce *e, const struct decidable *f, const struct term *t)
{
	static const char scheme[] = "spiffe://";
	const struct tip_ast *n = t->check;
	const bool prefix = n->op == TIP_OP_STARTSWITH && n->modifier == TIP_MOD_ANY;
	const bool glob = n->op == TIP_OP_GLOB && n->modifier == TIP_MOD_ANY;
	struct tip_enforce_term *term;

	if (n->op == TIP_OP_NE)
		return refuse(e, n,
			      "'!=' is false for a process without identity; 'only X may' is "
			      "'not spiffe.id = X'");
	if (!n->nvalues || (!is_equality(n) && !prefix && !glob))
		return refuse(e, n,
			      "an identity is compared by '=', 'in (...)', 'startswith' or 'glob'");
	if (t->negated && strcmp(n->name, "spiffe.id") != 0)
		return refuse(e, n,
			      "who may do something is decided by the present identity: "
			      "write 'not spiffe.id ...'");
	term = new_term(e, f, t, n->nvalues);
	if (!term)
		return -1;
	for (size_t i = 0; i < n->nvalues; i++) {
		const struct tip_ast_value *v = &n->values[i];

		if (strncmp(v->s, scheme, sizeof(scheme) - 1) != 0 ||
		    v->len <= sizeof(scheme) - 1 || v->len > TIP_SPIFFE_ID_MAX)
			return refuse_value(e, n, v, "a SPIFFE ID");
		add_text(e, term, v->s, v->len,
			 prefix ? TIP_ENFORCE_PREFIX
			 : glob ? TIP_ENFORCE_GLOB
				: TIP_ENFORCE_EXACT);
	}
	return 0;
}

/* The values as the language reads them; NULL with an error. They live in the arena. */
static const struct tip_operand *operands(struct enforce *e, const struct decidable *f,
					  const struct tip_ast *n)
{
	struct tip_test test = {.op = n->op, .type = f->type, .modifier = n->modifier};

	return tip_test_compile(&test, n, e->arena, e->err) < 0 ? NULL : test.values;
}

static int number_values(struct enforce *e, const struct decidable *f, const struct term *t)
{
	const struct tip_ast *n = t->check;
	const struct tip_operand *o;
	struct tip_enforce_term *term;

	if (!is_equality(n))
		return refuse(e, n, "a number of a file is compared by '=' or 'in (...)'");
	o = operands(e, f, n);
	term = o ? new_term(e, f, t, n->nvalues) : NULL;
	if (!term)
		return -1;
	for (size_t i = 0; i < n->nvalues; i++)
		term->values[term->nvalues++].number = (uint64_t)o[i].i;
	return 0;
}

static int addr_values(struct enforce *e, const struct decidable *f, const struct term *t)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	const struct tip_ast *n = t->check;
	const struct tip_operand *o;
	struct tip_enforce_term *term;

	if (!is_equality(n))
		return refuse(e, n, "an address is compared by '=' or 'in (...)'");
	o = operands(e, f, n);
	term = o ? new_term(e, f, t, n->nvalues) : NULL;
	if (!term)
		return -1;
	for (size_t i = 0; i < n->nvalues; i++) {
		struct tip_enforce_value *v = &term->values[term->nvalues++];
		const struct tip_ip *ip = &o[i].ip;

		v->bits = ip->bits;
		v->table = ip->family == AF_INET ? TIP_RULE_NET4 : TIP_RULE_NET6;
		memcpy(v->bytes, ip->addr, sizeof(v->bytes));
		if (v->table == TIP_RULE_NET6 && v->bits >= 96 &&
		    memcmp(ip->addr, mapped, sizeof(mapped)) == 0) {
			/* ::ffff:a.b.c.d is the IPv4 address, whoever dials it how. */
			v->table = TIP_RULE_NET4;
			v->bits -= 96;
			memset(v->bytes, 0, sizeof(v->bytes));
			memcpy(v->bytes, ip->addr + 12, 4);
		}
		for (uint32_t bit = v->bits; bit < 8 * sizeof(v->bytes); bit++)
			v->bytes[bit / 8] &= (uint8_t)~(0x80 >> bit % 8);
	}
	return 0;
}

#define PORTS 65536

static bool port_fits(const struct tip_ast *n, const struct tip_operand *o, int64_t port)
{
	switch (n->op) {
	case TIP_OP_LT: return port < o[0].i;
	case TIP_OP_LE: return port <= o[0].i;
	case TIP_OP_GT: return port > o[0].i;
	case TIP_OP_GE: return port >= o[0].i;
	case TIP_OP_NE: return port != o[0].i;
	default: break;
	}
	for (size_t i = 0; i < n->nvalues; i++)
		if (port == o[i].i)
			return true;
	return false;
}

/* Every port is known, so conditions on it are simply carried out, as many as there are. */
static int port_values(struct enforce *e, const struct decidable *f, const struct term *t)
{
	const struct tip_ast *n = t->check;
	const struct tip_operand *o;

	if (!is_equality(n) && (n->op < TIP_OP_NE || n->op > TIP_OP_GE))
		return refuse(e, n, "a port is compared by '=', 'in (...)', '<' and the like");
	o = operands(e, f, n);
	if (!o)
		return -1;
	if (!e->ports) {
		e->ports = tip_arena_alloc(e->arena, PORTS / 8);
		memset(e->ports, 0xff, PORTS / 8);
	}
	for (int64_t port = 0; port < PORTS; port++)
		if (port_fits(n, o, port) == t->negated)
			e->ports[port / 8] &= (uint8_t)~(1u << port % 8);
	e->met = true;
	return 0;
}

static bool port_left(const struct enforce *e, uint32_t port)
{
	return e->ports[port / 8] >> port % 8 & 1;
}

/* Writes what is left of the ports as prefixes: the largest aligned blocks. */
static int finish_ports(struct enforce *e)
{
	struct tip_enforce_term *term = &e->dims[e->spec->nterms];
	size_t blocks = 0;

	if (!e->ports)
		return 0;
	/* Counted first, then written. */
	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t port = 0, size; port < PORTS; port += size) {
			size = 1;
			if (!port_left(e, port))
				continue;
			for (bool whole = true; whole && port % (2 * size) == 0 && size < PORTS;) {
				for (uint32_t p = port + size; p < port + 2 * size && whole; p++)
					whole = port_left(e, p);
				if (whole)
					size *= 2;
			}
			if (pass == 0) {
				blocks++;
				continue;
			}
			term->values[term->nvalues++] = (struct tip_enforce_value){
				.table = TIP_RULE_PORT,
				.bits = 16 - (uint32_t)__builtin_ctz(size),
				.bytes = {(uint8_t)(port >> 8), (uint8_t)port},
			};
		}
		if (!blocks)
			return refuse(e, e->type, "no port fits the comparisons of fd.sport");
		if (pass == 0)
			term->values = tip_arena_alloc(e->arena, blocks * sizeof(*term->values));
	}
	term->dim = TIP_DIM_PORT;
	e->spec->nterms++;
	return 0;
}

/* ---- the catalogue ---- */

static const struct decidable decidables[] = {
	{"spiffe.id", ACTS_ALL, TIP_T_STRING, TIP_DIM_IDENTITY, TIP_DIM_IDENTITY, identity_values},
	{"spiffe.origin.id", ACTS_ALL, TIP_T_STRING, TIP_DIM_IDENTITY, TIP_DIM_IDENTITY,
	 identity_values},
	{"fd.path.real", ACTS_OPEN, TIP_T_PATH, TIP_DIM_PATH, TIP_DIM_PATH, path_values},
	{"fd.ino", ACTS_OPEN, TIP_T_INT, TIP_DIM_INO, TIP_DIM_INO, number_values},
	{"fd.dev", ACTS_OPEN, TIP_T_INT, TIP_DIM_DEV, TIP_DIM_DEV, number_values},
	/* In an event of exec proc.* is the new image. */
	{"proc.exepath", ACTS_ALL, TIP_T_PATH, TIP_DIM_EXE, TIP_DIM_PATH, path_values},
	{"proc.exe_ino", ACTS_ALL, TIP_T_INT, TIP_DIM_EXE_INO, TIP_DIM_INO, number_values},
	{"proc.cgroup", ACTS_ALL, TIP_T_PATH, TIP_DIM_CGROUP, TIP_DIM_CGROUP, path_values},
	{"fd.sip", ACTS_SOCK, TIP_T_IPADDR, TIP_DIM_ADDR, TIP_DIM_ADDR, addr_values},
	{"fd.snet", ACTS_SOCK, TIP_T_IPNET, TIP_DIM_ADDR, TIP_DIM_ADDR, addr_values},
	{"fd.sport", ACTS_SOCK, TIP_T_PORT, TIP_DIM_PORT, TIP_DIM_PORT, port_values},
};

static int term(struct enforce *e, const struct term *t)
{
	const char *name = t->check->name;

	if (strcmp(name, "evt.is_open_read") == 0)
		return access_term(e, t, TIP_ACCESS_READ);
	if (strcmp(name, "evt.is_open_write") == 0)
		return access_term(e, t, TIP_ACCESS_WRITE);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(decidables); i++) {
		const struct decidable *f = &decidables[i];

		if (strcmp(f->name, name) != 0)
			continue;
		if (!(f->acts & e->spec->acts))
			return refuse(e, t->check, "the field says nothing about this kind of act");
		return f->values(e, f, t);
	}
	return refuse(
		e, t->check,
		"of this field the kernel knows nothing; a rule with an action may use "
		"evt.type, evt.is_open_read, evt.is_open_write, fd.path.real, fd.ino, fd.dev, "
		"fd.sip, fd.snet, fd.sport, proc.exepath, proc.exe_ino, proc.cgroup, spiffe.id "
		"and spiffe.origin.id");
}

int tip_enforce_compile(struct tip_arena *arena, const struct tip_ast *ast,
			struct tip_enforce_spec **out, struct tip_cond_error *err)
{
	struct enforce e = {.arena = arena, .err = err};

	e.spec = tip_arena_alloc(arena, sizeof(*e.spec));
	e.dims = tip_arena_alloc(arena, (TERMS_MAX + 1) * sizeof(*e.dims));
	e.spec->terms = e.dims;
	if (collect(&e, ast, false) < 0)
		return -1;
	/* The act first: what a field means depends on it. */
	for (size_t i = 0; i < e.nterms; i++)
		if (strcmp(e.terms[i].check->name, "evt.type") == 0 && type_term(&e, &e.terms[i]))
			return -1;
	if (!e.type)
		return refuse(&e, ast,
			      "which acts it is about is missing, such as "
			      "'evt.type in (open, openat, openat2)'");
	for (size_t i = 0; i < e.nterms; i++)
		if (strcmp(e.terms[i].check->name, "evt.type") != 0 && term(&e, &e.terms[i]) < 0)
			return -1;
	if (!e.met)
		return refuse(&e, ast,
			      "it would concern nearly every act on the node; say which file, "
			      "address or workload it is about");
	if (finish_ports(&e) < 0)
		return -1;
	*out = e.spec;
	return 0;
}
