/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <regex.h>
#include <time.h>

#include "world.h"

/*
 * Random conditions against random events, by the compiled form of a whole set and by a walk over
 * the tree, test by test, that knows nothing of it. TIP_SEED=N plays one run again.
 */
#define SETS   400
#define RULES  12
#define MACROS 3
#define EVENTS 16
#define VALUES 6

static uint64_t state;

static unsigned int pick(unsigned int n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned int)(state >> 33) % n;
}

static bool chance(unsigned int percent)
{
	return pick(100) < percent;
}

/* ---- texts: few words, so that conditions and events often meet --------------------------------
 */

static char pool[1u << 20];
static size_t pool_used;

static const char *keep(const char *s)
{
	char *p = pool + pool_used;

	pool_used += strlen(s) + 1;
	assert_true(pool_used < sizeof(pool));
	return strcpy(p, s);
}

static const char *word(void)
{
	static const char *const words[] = {"a",    "b",   "ab",   "etc", "shadow", "ssh", ".ssh",
					    "bash", "usr", "sbin", "bin", "cat",    "CAT", "nginx"};

	return words[pick(TIP_ARRAY_SIZE(words))];
}

static const char *path(void)
{
	char s[128] = "";

	for (unsigned int i = 0, n = 1 + pick(3); i < n; i++) {
		strcat(s, "/");
		strcat(s, word());
	}
	return keep(s);
}

static const char *text(void)
{
	return chance(60) ? path() : word();
}

/* A part of a text, or a whole one. */
static const char *piece(void)
{
	const char *s = text();
	size_t len = strlen(s), from = pick(3) ? 0 : pick((unsigned int)len);
	char out[128];

	snprintf(out, sizeof(out), "%.*s", (int)(1 + pick((unsigned int)(len - from))), s + from);
	return chance(40) ? s : keep(out);
}

/* ---- conditions -------------------------------------------------------------------------------
 */

enum kind { TEXT, NUMBER, PORT, BOOL, ADDRESS, NET, EVENT };

static const struct {
	const char *name, *arg;
	enum kind kind;
} catalogue[] = {
	{"fd.name", NULL, TEXT},
	{"fd.name", NULL, TEXT},
	{"fd.nameraw", NULL, TEXT},
	{"fd.directory", NULL, TEXT},
	{"fd.filename", NULL, TEXT},
	{"fd.typechar", NULL, TEXT},
	{"fd.l4proto", NULL, TEXT},
	{"proc.name", NULL, TEXT},
	{"proc.exepath", NULL, TEXT},
	{"proc.cmdline", NULL, TEXT},
	{"proc.pname", NULL, TEXT},
	{"proc.aname", NULL, TEXT},
	{"proc.aname", "2", TEXT},
	{"proc.aexepath", NULL, TEXT},
	{"proc.cwd", NULL, TEXT},
	{"spiffe.id", NULL, TEXT},
	{"container.id", NULL, TEXT},
	{"evt.res", NULL, TEXT},
	{"fd.num", NULL, NUMBER},
	{"evt.rawres", NULL, NUMBER},
	{"user.uid", NULL, NUMBER},
	{"user.loginuid", NULL, NUMBER},
	{"fd.sport", NULL, PORT},
	{"fd.port", NULL, PORT},
	{"evt.is_open_write", NULL, BOOL},
	{"evt.failed", NULL, BOOL},
	{"fd.sip", NULL, ADDRESS},
	{"fd.ip", NULL, ADDRESS},
	{"fd.net", NULL, NET},
	{"evt.type", NULL, EVENT},
};

struct tree {
	enum { AND, OR, NOT, MACRO, LEAF } is;
	struct tree *kids[4];
	unsigned int nkids, macro;
	/* LEAF */
	unsigned int field, right; /* right: compared with that one, 0: with values */
	bool lower;                /* tolower() of the field */
	enum tip_op op;
	enum tip_modifier modifier;
	bool modified, list;
	const char *values[VALUES];
	unsigned int nvalues;
};

static struct tree trees[4096];
static size_t ntrees;

static const char *value_of(enum kind kind, enum tip_op op)
{
	static const char *const numbers[] = {"-1", "0", "3", "5", "1000", "-2"};
	static const char *const ports[] = {"0", "80", "443", "40000", "53"};
	static const char *const bools[] = {"true", "false"};
	static const char *const addresses[] = {"10.0.0.1", "10.0.0.2", "2001:db8::1", "0.0.0.0"};
	static const char *const nets[] = {"10.0.0.0/8", "10.0.0.2/31", "2001:db8::/32",
					   "0.0.0.0/0"};
	static const char *const events[] = {"open", "openat",  "execve", "connect", "accept",
					     "bind", "accept4", "kill",   "brk",     "setuid"};
	char s[160];

#define ONE(list) list[pick(TIP_ARRAY_SIZE(list))]
	switch (kind) {
	case NUMBER: return ONE(numbers);
	case PORT: return ONE(ports);
	case BOOL: return ONE(bools);
	case ADDRESS: return ONE(addresses);
	case NET: return ONE(nets);
	case EVENT: return ONE(events);
	case TEXT:
	default: break;
	}
	switch (op) {
	case TIP_OP_GLOB:
	case TIP_OP_IGLOB:
		switch (pick(5)) {
		case 0: snprintf(s, sizeof(s), "*%s", piece()); break;
		case 1: snprintf(s, sizeof(s), "%s*", piece()); break;
		case 2: snprintf(s, sizeof(s), "%s*%s", piece(), piece()); break;
		case 3: snprintf(s, sizeof(s), "/[a-e]%s", piece()); break;
		default: snprintf(s, sizeof(s), "%s?%s*", piece(), piece());
		}
		break;
	case TIP_OP_REGEX: snprintf(s, sizeof(s), "(%s|%s).*", piece(), word()); break;
	case TIP_OP_PMATCH:
		snprintf(s, sizeof(s), "%s%s",
			 chance(10)   ? ""
			 : chance(20) ? "/*"
				      : path(),
			 chance(20) ? "/" : "");
		break;
	default:
		if (chance(2))
			return "";
		return op == TIP_OP_EQ || op == TIP_OP_NE || op == TIP_OP_IN ? text() : piece();
	}
	return keep(s[0] ? s : "/");
}

/* Such a field has a comparison of its own: nothing is made of it. */
static bool any_ancestor(unsigned int field)
{
	return strncmp(catalogue[field].name, "proc.a", 6) == 0 && !catalogue[field].arg;
}

static enum tip_type type_of(unsigned int field)
{
	struct tip_field_ref ref;
	char why[160];

	assert_int_equal(
		tip_field_find(catalogue[field].name, catalogue[field].arg, &ref, why, sizeof(why)),
		0);
	return ref.type;
}

static void random_leaf(struct tree *t)
{
	static const enum tip_op of_texts[] = {
		TIP_OP_EQ,         TIP_OP_EQ,        TIP_OP_NE,        TIP_OP_IN,
		TIP_OP_IN,         TIP_OP_CONTAINS,  TIP_OP_CONTAINS,  TIP_OP_STARTSWITH,
		TIP_OP_STARTSWITH, TIP_OP_ENDSWITH,  TIP_OP_ICONTAINS, TIP_OP_GLOB,
		TIP_OP_IGLOB,      TIP_OP_REGEX,     TIP_OP_PMATCH,    TIP_OP_PMATCH,
		TIP_OP_EXISTS,     TIP_OP_INTERSECTS};
	static const enum tip_op of_numbers[] = {TIP_OP_EQ, TIP_OP_NE, TIP_OP_LT, TIP_OP_LE,
						 TIP_OP_GT, TIP_OP_GE, TIP_OP_IN, TIP_OP_EXISTS};
	static const enum tip_op of_others[] = {TIP_OP_EQ, TIP_OP_NE, TIP_OP_IN, TIP_OP_EXISTS};
	enum kind kind;

	t->is = LEAF;
	t->field = pick(TIP_ARRAY_SIZE(catalogue));
	kind = catalogue[t->field].kind;
	t->op = kind == TEXT                     ? ONE(of_texts)
		: kind == NUMBER || kind == PORT ? ONE(of_numbers)
						 : ONE(of_others);
	t->lower = kind == TEXT && !any_ancestor(t->field) && chance(8);
	if (kind == TEXT && !t->lower && !any_ancestor(t->field) && chance(10) &&
	    (t->op == TIP_OP_EQ || t->op == TIP_OP_NE || t->op == TIP_OP_CONTAINS ||
	     t->op == TIP_OP_STARTSWITH || t->op == TIP_OP_ENDSWITH)) {
		do {
			t->right = 1 + pick(TIP_ARRAY_SIZE(catalogue) - 1);
		} while (any_ancestor(t->right) || type_of(t->right) != type_of(t->field));
		return;
	}
	if (t->op == TIP_OP_EXISTS)
		return;
	t->list = t->op == TIP_OP_IN || t->op == TIP_OP_INTERSECTS || t->op == TIP_OP_PMATCH;
	if (kind == TEXT && t->op != TIP_OP_NE && t->op != TIP_OP_EQ && !t->list && chance(20)) {
		t->modified = t->list = true;
		t->modifier = (enum tip_modifier)pick(3);
	}
	t->nvalues = t->list ? pick(VALUES + 1) : 1;
	if (t->list && !t->nvalues && t->op != TIP_OP_IN)
		t->nvalues = 1;
	for (unsigned int i = 0; i < t->nvalues; i++)
		t->values[i] = value_of(kind, t->op);
}

static struct tree *random_tree(unsigned int depth, unsigned int macros)
{
	struct tree *t = &trees[ntrees++];

	assert_true(ntrees < TIP_ARRAY_SIZE(trees));
	*t = (struct tree){0};
	if (!depth || chance(25)) {
		random_leaf(t);
	} else if (macros && chance(15)) {
		t->is = MACRO;
		t->macro = pick(macros);
	} else if (chance(20)) {
		t->is = NOT;
		t->kids[t->nkids++] = random_tree(depth - 1, macros);
	} else {
		t->is = chance(50) ? AND : OR;
		for (unsigned int n = 2 + pick(3); t->nkids < n;) {
			/* keep() of the kids, not of the array that may move */
			struct tree *kid = random_tree(depth - 1, macros);

			t->kids[t->nkids++] = kid;
		}
	}
	return t;
}

static void print_field(struct tip_buf *b, unsigned int field)
{
	tip_buf_adds(b, catalogue[field].name);
	if (catalogue[field].arg)
		tip_buf_addf(b, "[%s]", catalogue[field].arg);
}

static void print_leaf(struct tip_buf *b, const struct tree *t)
{
	static const char *const modifiers[] = {
		[TIP_MOD_ANY] = "anyof ", [TIP_MOD_ALL] = "allof ", [TIP_MOD_ONE] = "oneof "};

	bool text_kind = catalogue[t->field].kind == TEXT;

	tip_buf_adds(b, t->lower ? "tolower(" : "");
	print_field(b, t->field);
	tip_buf_addf(b, "%s %s ", t->lower ? ")" : "", tip_op_name(t->op));
	if (t->right) {
		tip_buf_adds(b, "val(");
		print_field(b, t->right);
		tip_buf_addc(b, ')');
		return;
	}
	if (t->modified)
		tip_buf_adds(b, modifiers[t->modifier]);
	tip_buf_adds(b, t->list ? "(" : "");
	for (unsigned int i = 0; i < t->nvalues; i++)
		tip_buf_addf(b, text_kind ? "%s\"%s\"" : "%s%s", i ? ", " : "", t->values[i]);
	tip_buf_adds(b, t->list ? ")" : "");
}

static void print_tree(struct tip_buf *b, const struct tree *t)
{
	switch (t->is) {
	case LEAF: print_leaf(b, t); return;
	case MACRO: tip_buf_addf(b, "m%u", t->macro); return;
	case NOT: tip_buf_adds(b, "not "); break;
	case AND:
	case OR:
	default: break;
	}
	tip_buf_addc(b, '(');
	for (unsigned int i = 0; i < t->nkids; i++) {
		tip_buf_adds(b, !i ? "" : t->is == AND ? " and " : " or ");
		print_tree(b, t->kids[i]);
	}
	tip_buf_addc(b, ')');
}

/* ---- the walk over the tree ---------------------------------------------------------------------
 */

static struct tree *macro_trees[MACROS];
static struct tip_extract extract;

static struct tip_value get(unsigned int field)
{
	struct tip_field_ref ref;
	struct tip_value v = {0};
	char why[160];

	assert_int_equal(
		tip_field_find(catalogue[field].name, catalogue[field].arg, &ref, why, sizeof(why)),
		0);
	if (ref.field->codes & TIP_CODE_BIT(extract.code))
		ref.field->get(&extract, &ref, &v);
	return v;
}

static bool below(const char *pattern, const char *s)
{
	char head[256] = "", p[256];
	unsigned int components = 0;
	size_t n = 0;

	snprintf(p, sizeof(p), "%s", pattern);
	while (strlen(p) > 1 && p[strlen(p) - 1] == '/')
		p[strlen(p) - 1] = '\0';
	if (strcmp(p, "/") == 0)
		return s[0] == '/';
	for (const char *c = p; *c; c++)
		components += *c == '/';
	/* as many components of the text as the pattern has */
	while (*s && !(components == 0 && *s == '/')) {
		if (*s == '/')
			components--;
		head[n++] = *s++;
	}
	return components == 0 && fnmatch(p, head, FNM_PATHNAME) == 0;
}

static bool matches_regex(const char *pattern, const char *s)
{
	char whole[256];
	regex_t re;
	bool yes;

	snprintf(whole, sizeof(whole), "^(%s)$", pattern);
	assert_int_equal(regcomp(&re, whole, REG_EXTENDED | REG_NOSUB), 0);
	yes = regexec(&re, s, 0, NULL, 0) == 0;
	regfree(&re);
	return yes;
}

static bool text_is(enum tip_op op, const char *s, const char *want)
{
	size_t len = strlen(s), n = strlen(want);

	switch (op) {
	case TIP_OP_NE: return strcmp(s, want) != 0;
	case TIP_OP_CONTAINS: return strstr(s, want) != NULL;
	case TIP_OP_ICONTAINS: return strcasestr(s, want) != NULL;
	case TIP_OP_STARTSWITH: return strncmp(s, want, n) == 0;
	case TIP_OP_ENDSWITH: return n <= len && strcmp(s + len - n, want) == 0;
	case TIP_OP_GLOB: return fnmatch(want, s, 0) == 0;
	case TIP_OP_IGLOB: return fnmatch(want, s, FNM_CASEFOLD) == 0;
	case TIP_OP_REGEX: return matches_regex(want, s);
	case TIP_OP_PMATCH: return below(want, s);
	default: return strcmp(s, want) == 0;
	}
}

static bool number_is(enum tip_op op, int64_t v, int64_t want)
{
	switch (op) {
	case TIP_OP_NE: return v != want;
	case TIP_OP_LT: return v < want;
	case TIP_OP_LE: return v <= want;
	case TIP_OP_GT: return v > want;
	case TIP_OP_GE: return v >= want;
	default: return v == want;
	}
}

static bool address_is(const struct tip_ip *ip, const char *want)
{
	char text[64];
	uint8_t addr[16] = {0};
	char *slash;
	int family, bits;

	snprintf(text, sizeof(text), "%s", want);
	slash = strchr(text, '/');
	if (slash)
		*slash = '\0';
	family = strchr(text, ':') ? AF_INET6 : AF_INET;
	bits = slash ? atoi(slash + 1) : family == AF_INET ? 32 : 128;
	assert_int_equal(inet_pton(family, text, addr), 1);
	if (family != ip->family)
		return false;
	for (int i = 0; i < bits; i++)
		if ((addr[i / 8] ^ ip->addr[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

static bool one_is(const struct tree *t, const struct tip_value *v, const char *want)
{
	switch (catalogue[t->field].kind) {
	case NUMBER:
	case PORT: return number_is(t->op, v->i, atoll(want));
	case BOOL: return number_is(t->op, v->i, strcmp(want, "true") == 0);
	case ADDRESS:
	case NET: return address_is(&v->ip, want) != (t->op == TIP_OP_NE);
	case TEXT:
	case EVENT:
	default: return text_is(t->op, v->str.s, want);
	}
}

static bool single_is(const struct tree *t, const struct tip_value *v)
{
	unsigned int hits = 0;

	if (t->op == TIP_OP_EXISTS)
		return true;
	for (unsigned int i = 0; i < t->nvalues; i++)
		hits += one_is(t, v, t->values[i]);
	return t->modifier == TIP_MOD_ALL   ? hits && hits == t->nvalues
	       : t->modifier == TIP_MOD_ONE ? hits == 1
					    : hits > 0;
}

/* One event may have several names: it is each of them, and differs only from all others. */
static bool event_is(const struct tree *t)
{
	bool any = false, all = true;

	for (int i = 0; i < tip_event_name_count(); i++) {
		struct tip_value v = {0};

		if (!(tip_event_codes(i) & TIP_CODE_BIT(extract.code)))
			continue;
		tip_value_str(&v, tip_event_name(i));
		if (single_is(t, &v))
			any = true;
		else
			all = false;
	}
	return t->op == TIP_OP_NE ? any && all : any;
}

static void lower(struct tip_value *v)
{
	char *s = tip_scratch_alloc(extract.scratch, v->str.len + 1);

	for (size_t i = 0; i <= v->str.len; i++)
		s[i] = (char)(v->str.s[i] >= 'A' && v->str.s[i] <= 'Z' ? v->str.s[i] + 32
								       : v->str.s[i]);
	v->str.s = s;
}

static bool leaf_is(const struct tree *t)
{
	enum kind kind = catalogue[t->field].kind;
	bool every = t->op == TIP_OP_NE && (kind == PORT || kind == ADDRESS || kind == NET);
	struct tip_value v, item;

	if (kind == EVENT)
		return event_is(t);
	v = get(t->field);
	if (!v.set)
		return false;
	if (t->right) {
		struct tip_value right = get(t->right);

		if (t->lower)
			lower(&v);
		return right.set && text_is(t->op, v.str.s, right.str.s);
	}
	for (uint32_t i = 0; i < (v.count ? v.count : 1); i++) {
		item = v.count ? v.items[i] : v;
		if (!item.set) {
			if (every)
				return false;
			continue;
		}
		if (t->lower)
			lower(&item);
		if (single_is(t, &item) != every)
			return !every;
	}
	return every;
}

static bool is(const struct tree *t)
{
	switch (t->is) {
	case LEAF: return leaf_is(t);
	case MACRO: return is(macro_trees[t->macro]);
	case NOT: return !is(t->kids[0]);
	case AND:
	case OR:
	default: break;
	}
	for (unsigned int i = 0; i < t->nkids; i++)
		if (is(t->kids[i]) == (t->is == OR))
			return t->is == OR;
	return t->is == AND;
}

/* ---- events
 * -------------------------------------------------------------------------------------- */

static void random_event(struct world *w)
{
	static const char *const addresses[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3", "0.0.0.0"};
	static const uint16_t ports[] = {0, 80, 443, 40000};
	static const uint16_t socks[] = {TIP_EV_CONNECT, TIP_EV_ACCEPT, TIP_EV_BIND};
	static const int64_t results[] = {0, 3, -EACCES, 5};
	const uint64_t args[6] = {104, 9};

	world_init(w);
	for (size_t i = 0; i < w->table.count; i++) {
		struct tip_process *p = &w->table.procs[i];

		p->comm = word();
		p->exe_path = path();
		p->cwd = chance(90) ? path() : "";
		p->args = text();
		p->args_len = (uint16_t)(strlen(p->args) + 1);
		p->spiffe_id = chance(30) ? path() : NULL;
		p->container_id = chance(50) ? WORLD_CONTAINER : "";
		p->loginuid = chance(50) ? 1000 : UINT32_MAX;
	}
	w->table.count -= pick(3);
	w->in.proc = &w->table.procs[w->table.count - 1];
	w->hdr.uid = chance(50) ? 0 : 1000;
	switch (pick(4)) {
	case 0: world_exec(w, 0); return;
	case 1:
		world_sock(w, ONE(socks), AF_INET, ONE(addresses), ONE(ports), ONE(addresses),
			   ONE(ports), ONE(results));
		break;
	case 2: world_call(w, TIP_EV_SIGNAL, TIP_CALL_KILL, args, "", NULL, ONE(results)); break;
	default:
		world_open(w, (int)pick(3), chance(50) ? path() : "", text(),
			   chance(50) ? O_WRONLY : O_RDONLY, ONE(results));
	}
	if (chance(5))
		w->in.proc = NULL;
}

/* ---- the comparison
 * -------------------------------------------------------------------------------- */

static void mark(void *ctx, const struct tip_rule *rule, const struct tip_match_input *in)
{
	((bool *)ctx)[tip_rule_info(rule)->index] = true;
}

static void print_rule(struct tip_buf *b, const char *head, const struct tree *t, const char *rest)
{
	tip_buf_adds(b, head);
	tip_buf_adds(b, "\n  condition: |-\n    ");
	print_tree(b, t);
	tip_buf_adds(b, rest);
}

static void compare(const struct tip_rules *r, struct tip_matcher *m, struct tree *const *rules,
		    const char *text_of, uint64_t seed)
{
	struct tip_scratch scratch = {0};
	struct tip_users *users = tip_users_new("/dev/null", "/dev/null");

	for (int e = 0; e < EVENTS; e++) {
		bool hits[RULES] = {false};
		struct world w;

		random_event(&w);
		tip_rules_match(r, m, &w.in, true, mark, hits);
		extract = (struct tip_extract){.in = &w.in,
					       .code = tip_event_code(&w.ev),
					       .scratch = &scratch,
					       .users = users};
		for (unsigned int i = 0; i < RULES; i++)
			if (hits[i] != is(rules[i]))
				fail_msg("TIP_SEED=%llu: rule r%u %s, event %d of these:\n%s",
					 (unsigned long long)seed, i,
					 hits[i] ? "matches and should not"
						 : "should match and does not",
					 e, text_of);
		tip_scratch_reset(&scratch);
	}
	tip_users_free(users);
	tip_scratch_free(&scratch);
}

static void one_set(struct tip_matcher *m, uint64_t seed)
{
	struct tree *rules[RULES];
	struct tip_load_result res;
	struct tip_buf b = {0};
	struct tip_rules *r;

	state = seed;
	pool_used = ntrees = 0;
	tip_buf_adds(&b, "");
	for (unsigned int i = 0; i < MACROS; i++) {
		char head[32];

		snprintf(head, sizeof(head), "- macro: m%u", i);
		macro_trees[i] = random_tree(2, i);
		print_rule(&b, head, macro_trees[i], "\n");
	}
	for (unsigned int i = 0; i < RULES; i++) {
		char head[96];

		snprintf(head, sizeof(head),
			 "- rule: r%u\n  desc: d\n  output: x\n  priority: INFO", i);
		rules[i] = random_tree(1 + pick(4), MACROS);
		print_rule(&b, head, rules[i], "\n");
	}
	r = load_text(b.data, &res);
	if (!r) {
		print_messages(&res);
		fail_msg("TIP_SEED=%llu: does not load:\n%s", (unsigned long long)seed, b.data);
	}
	compare(r, m, rules, b.data, seed);
	tip_load_result_free(&res);
	tip_rules_free(r);
	tip_buf_free(&b);
}

static void compiled_is_plain(void **unused)
{
	const char *given = getenv("TIP_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000;
	/* one matcher: what it remembers of one set must not be taken for an answer of the next */
	struct tip_matcher *m = tip_matcher_new();

	print_message("TIP_SEED=%llu\n", (unsigned long long)seed);
	for (uint64_t i = 0; i < (given ? 1 : SETS); i++)
		one_set(m, seed + i);
	tip_matcher_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(compiled_is_plain)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
