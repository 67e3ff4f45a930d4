/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

#include <fnmatch.h>

#define A "spiffe://example.org/a"
#define B "spiffe://example.org/b"
#define C "spiffe://example.org/c"

#define RW (TIP_ACCESS_READ | TIP_ACCESS_WRITE)

static struct tip_guard *guard;
static char journal[64];

static void start(enum tip_guard_tier tier)
{
	struct tip_error err;

	guard = tip_guard_new(journal, tier, &ops, &err);
	assert_non_null(guard);
}

static int fresh(void **state)
{
	k_forget();
	snprintf(journal, sizeof(journal), "/tmp/tip-unit-guard-rules-%d", getpid());
	start(TIP_GUARD_LSM);
	return 0;
}

static int done(void **state)
{
	tip_guard_free(guard);
	unlink(journal);
	k_forget();
	return 0;
}

/* ---- two ways to decide ---- */

/* One act, with all that the kernel may know of it. */
struct act {
	uint32_t acts;
	const char *held, *origin, *current; /* NULL: none */
	const char *texts[TIP_DIM_MAX];      /* by dimension */
	uint64_t numbers[TIP_DIM_MAX];
	uint32_t table; /* of addr */
	uint8_t addr[16], port[16];
};

static void bits_or(struct tip_rule_bits *to, const struct tip_rule_bits *from)
{
	for (size_t i = 0; i < TIP_RULES_MAX / 64; i++)
		to->word[i] |= from->word[i];
}

static const struct tip_rule_match *value_match(uint32_t dim, uint64_t value)
{
	/* The newest: a map has one entry for a key. */
	for (size_t i = kernel.image.nvalues; i--;)
		if (kernel.image.values[i].dim == dim && kernel.image.values[i].value == value)
			return &kernel.image.values[i].match;
	return NULL;
}

static bool begins(const uint8_t *prefix, const uint8_t *bytes, uint32_t bits)
{
	for (uint32_t i = 0; i < bits; i++)
		if (((prefix[i / 8] ^ bytes[i / 8]) >> (7 - i % 8)) & 1)
			return false;
	return true;
}

/* As a trie answers: with the longest match, and with no other. */
static const struct tip_rule_match *longest(const struct tip_rule_prefix *list, size_t n,
					    uint32_t table, const uint8_t *bytes, uint32_t bits)
{
	const struct tip_rule_prefix *best = NULL;

	for (size_t i = 0; i < n; i++)
		if (list[i].table == table && list[i].bits <= bits &&
		    (!best || list[i].bits > best->bits) &&
		    begins(list[i].bytes, bytes, list[i].bits))
			best = &list[i];
	return best ? &best->match : NULL;
}

static void dim_match(const struct act *a, uint32_t dim, struct tip_rule_match *m)
{
	const struct tip_rule_match *found = NULL, *origin = NULL;
	uint8_t text[TIP_RULE_TEXT] = {0};

	switch (dim) {
	case TIP_DIM_IDENTITY:
		found = a->held ? value_match(dim, k_number(NULL, a->held)) : NULL;
		origin = a->origin ? value_match(dim, k_number(NULL, a->origin)) : NULL;
		if (found)
			bits_or(&m->meets, &found->meets);
		if (origin)
			bits_or(&m->meets, &origin->meets);
		found = a->current ? value_match(dim, k_number(NULL, a->current)) : NULL;
		if (found)
			bits_or(&m->spared, &found->spared);
		return;
	case TIP_DIM_PATH:
	case TIP_DIM_EXE:
	case TIP_DIM_CGROUP:
		snprintf((char *)text, sizeof(text), "%s", a->texts[dim]);
		found = longest(kernel.image.texts, kernel.image.ntexts, dim, text,
				8 * (uint32_t)(strlen(a->texts[dim]) + 1));
		break;
	case TIP_DIM_ADDR:
		found = longest(kernel.image.nets, kernel.image.nnets, a->table, a->addr, 128);
		break;
	case TIP_DIM_PORT:
		found = longest(kernel.image.nets, kernel.image.nnets, TIP_RULE_PORT, a->port, 128);
		break;
	default: found = value_match(dim, a->numbers[dim]);
	}
	if (found)
		*m = *found;
}

/* The rule by the kernel's way, or -1. */
static int64_t k_decide(const struct act *a)
{
	const struct tip_rule_set *set = &kernel.image.set;
	struct tip_rule_bits left = {0};

	for (uint32_t act = 0; act < TIP_JUDGED_MAX; act++)
		if (a->acts & 1u << act)
			bits_or(&left, &set->acts[act]);
	for (uint32_t dim = 0; dim < TIP_DIM_MAX; dim++) {
		struct tip_rule_match m = {0};

		dim_match(a, dim, &m);
		for (size_t i = 0; i < TIP_RULES_MAX / 64; i++)
			left.word[i] &=
				(m.meets.word[i] | ~set->needs[dim].word[i]) & ~m.spared.word[i];
	}
	for (uint32_t i = 0; i < TIP_RULES_MAX; i++)
		if (left.word[i / 64] >> i % 64 & 1)
			return TIP_RULE_NUMBER(kernel.generation, i);
	return -1;
}

static bool text_fits(const struct tip_enforce_value *v, const char *text)
{
	if (!text)
		return false;
	switch (v->how) {
	case TIP_ENFORCE_PREFIX: return strncmp(text, v->text, strlen(v->text)) == 0;
	case TIP_ENFORCE_GLOB: return fnmatch(v->text, text, 0) == 0;
	default: return strcmp(text, v->text) == 0;
	}
}

static bool value_fits(const struct act *a, const struct tip_enforce_term *t,
		       const struct tip_enforce_value *v)
{
	switch (t->dim) {
	case TIP_DIM_IDENTITY:
		return t->spares ? text_fits(v, a->current)
				 : text_fits(v, a->held) || text_fits(v, a->origin);
	case TIP_DIM_PATH:
	case TIP_DIM_EXE:
	case TIP_DIM_CGROUP: return text_fits(v, a->texts[t->dim]);
	case TIP_DIM_ADDR: return v->table == a->table && begins(v->bytes, a->addr, v->bits);
	case TIP_DIM_PORT: return begins(v->bytes, a->port, v->bits);
	default: return v->number == a->numbers[t->dim];
	}
}

/* The same, straight from the rules. */
static int64_t decide(const struct tip_rules *r, const struct act *a)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct tip_enforce_spec *spec = &r->rules[i].spec;
		bool holds = spec->acts & a->acts;

		for (size_t t = 0; t < spec->nterms && holds; t++) {
			bool any = false;

			for (size_t v = 0; v < spec->terms[t].nvalues && !any; v++)
				any = value_fits(a, &spec->terms[t], &spec->terms[t].values[v]);
			holds = any != spec->terms[t].spares;
		}
		if (holds && r->rules[i].info.enabled)
			return (int64_t)i;
	}
	return -1;
}

static void apply(const struct tip_rules *r)
{
	struct tip_error err;

	if (tip_guard_apply_rules(guard, r, NULL, &err) != 0)
		fail_msg("%s", err.text);
}

static void assert_decides(const struct act *a, int64_t want)
{
	int64_t got = k_decide(a);
	uint32_t index = 0;

	if (got >= 0) {
		assert_true(tip_guard_rule_index(guard, (uint32_t)got, &index));
		got = index;
	}
	assert_int_equal(got, want);
}

static struct act open_by(const char *id, const char *path, uint32_t access)
{
	return (struct act){
		.acts = access,
		.held = id,
		.current = id,
		.texts = {[TIP_DIM_PATH] = path, [TIP_DIM_EXE] = "/bin/x", [TIP_DIM_CGROUP] = "/"},
	};
}

/* ---- tests ---- */

static void identity_may_not(void **state)
{
	static struct tip_rules r;
	struct tip_rule *rule = add_rule(&r, "r0", TIP_ACCESS_READ);
	struct tip_enforce_term *t = add_term(rule, TIP_DIM_IDENTITY, false);
	struct act a = open_by(A, "/etc/key", TIP_ACCESS_READ);

	add_text(t, A);
	add_text(t, B);
	add_text(add_term(rule, TIP_DIM_PATH, false), "/etc/key");
	apply(&r);
	assert_decides(&a, 0);
	a.held = a.current = C;
	assert_decides(&a, -1);
	a.origin = B;
	assert_decides(&a, 0);
	a.acts = TIP_ACCESS_WRITE;
	assert_decides(&a, -1);
	a.acts = RW;
	assert_decides(&a, 0);
	a.texts[TIP_DIM_PATH] = "/etc/key2"; /* exact means exact */
	assert_decides(&a, -1);
	a.texts[TIP_DIM_PATH] = "/etc";
	assert_decides(&a, -1);
}

static void only_these_may(void **state)
{
	static struct tip_rules r;
	struct tip_rule *rule = add_rule(&r, "only A", RW);
	struct act a = open_by(A, "/vault/x", TIP_ACCESS_READ);

	add_text(add_term(rule, TIP_DIM_IDENTITY, true), A);
	add_text(add_term(rule, TIP_DIM_PATH, false), "/vault/*");
	apply(&r);
	assert_decides(&a, -1);
	a.current = NULL; /* held, and waiting for its re-evaluation */
	assert_decides(&a, 0);
	a = open_by(B, "/vault/x", TIP_ACCESS_WRITE);
	a.origin = A; /* having come out of A spares nobody */
	assert_decides(&a, 0);
	a = open_by(NULL, "/vault/x", TIP_ACCESS_WRITE);
	assert_decides(&a, 0);
}

static void patterns_follow_new_identities(void **state)
{
	static struct tip_rules r;
	struct tip_rule *rule = add_rule(&r, "r0", RW);
	struct act a = open_by(A, "/x", TIP_ACCESS_READ);
	uint32_t number;

	k_number(NULL, A);
	add_text(add_term(rule, TIP_DIM_IDENTITY, false), "spiffe://example.org/?");
	rule = add_rule(&r, "r1", RW);
	add_text(add_term(rule, TIP_DIM_IDENTITY, false), "spiffe://example.org/late/*");
	apply(&r);
	assert_decides(&a, 0);
	a.held = "spiffe://example.org/late/one";
	assert_decides(&a, -1);
	number = k_number(NULL, a.held);
	tip_guard_identity(guard, number, a.held);
	assert_decides(&a, 1);
	number = k_number(NULL, "spiffe://example.org/other");
	tip_guard_identity(guard, number, "spiffe://example.org/other");
	a.held = "spiffe://example.org/other";
	assert_decides(&a, -1);
}

static void removed_rules_go(void **state)
{
	static struct tip_rules r, none;
	struct act a = open_by(A, "/etc/key", TIP_ACCESS_READ);

	add_text(add_term(add_rule(&r, "r0", RW), TIP_DIM_PATH, false), "/etc/key");
	apply(&r);
	assert_decides(&a, 0);
	apply(&none);
	assert_decides(&a, -1);
	r.rules[0].info.enabled = false;
	apply(&r);
	assert_decides(&a, -1);
	assert_int_equal(kernel.image.ntexts, 0);
}

static void indexes_follow_the_set_in_force(void **state)
{
	static struct tip_rules r, r2;
	struct act a = open_by(A, "/etc/key", TIP_ACCESS_READ);
	uint32_t index;
	int64_t old;

	add_text(add_term(add_rule(&r, "r0", RW), TIP_DIM_PATH, false), "/etc/key");
	apply(&r);
	old = k_decide(&a);
	add_rule(&r2, "alerts", RW)->info.action = TIP_ACTION_NONE;
	add_text(add_term(add_rule(&r2, "r1", RW), TIP_DIM_PATH, false), "/etc/key");
	apply(&r2);
	assert_false(tip_guard_rule_index(guard, (uint32_t)old, &index));
	assert_decides(&a, 1); /* its index, and not its place among those that enforce */
	assert_false(tip_guard_rule_index(guard, 0, &index));
	assert_false(tip_guard_rule_index(guard, UINT32_MAX, &index));
	assert_false(tip_guard_rule_index(guard, (uint32_t)k_decide(&a) + 1, &index));
}

static void refused(const struct tip_rules *r, const char *text)
{
	const uint32_t before = kernel.generation;
	struct tip_error err = {0};

	assert_int_equal(tip_guard_apply_rules(guard, r, NULL, &err), -1);
	if (!strstr(err.text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, err.text);
	assert_int_equal(kernel.generation, before);
}

static void limits(void **state)
{
	static struct tip_rules r;
	struct act a = open_by(A, "/etc/key", TIP_ACCESS_READ);
	struct tip_error err = {0};

	for (int i = 0; i < TIP_RULES_MAX; i++)
		add_text(add_term(add_rule(&r, "r", RW), TIP_DIM_PATH, false),
			 i == 255 ? "/etc/key" : "/etc/other");
	apply(&r);
	assert_decides(&a, 255);
	add_text(add_term(add_rule(&r, "one more", RW), TIP_DIM_PATH, false), "/x");
	refused(&r, "256 rules");
	assert_int_equal(tip_guard_check_rules(&r, &err), -1);
	assert_int_equal(err.line, 257);
	r.count--;
	assert_int_equal(tip_guard_check_rules(&r, &err), 0);
	add_text(add_term(&r.rules[0], TIP_DIM_IDENTITY, false), C);
	kernel.names_max = kernel.nnames;
	refused(&r, "no identity number is left");
	kernel.names_max = 0;
	kernel.rules_error = -E2BIG;
	refused(&r, "fewer paths");
	assert_decides(&a, 255);
}

/* Two sets are there for a moment: one that leaves no room for another could not be loaded again.
 */
static void half_of_the_room(void **state)
{
	enum { HALF = TIP_RULE_PREFIXES_MAX / 2 };
	static struct tip_rules r;
	static char texts[HALF + 1][24];
	static struct tip_enforce_value values[HALF + 1];
	struct tip_enforce_term *paths = add_term(add_rule(&r, "many", RW), TIP_DIM_PATH, false);
	struct tip_error err = {0};

	for (int i = 0; i <= HALF; i++) {
		snprintf(texts[i], sizeof(texts[i]), "/srv/%d", i);
		values[i] = (struct tip_enforce_value){.text = texts[i], .how = TIP_ENFORCE_EXACT};
	}
	paths->values = values;
	paths->nvalues = HALF;
	apply(&r);
	paths->nvalues = HALF + 1;
	refused(&r, "name 8193 paths, and the kernel has room for 8192");
	assert_int_equal(tip_guard_check_rules(&r, &err), -1);
}

static void what_a_tier_does(void **state)
{
	static const struct {
		enum tip_guard_tier tier;
		uint32_t acts;
		enum tip_action asks, does;
		const char *note;
	} rows[] = {
		{TIP_GUARD_OFF, RW, TIP_ACTION_DENY, TIP_ACTION_NONE, "enforcement is off"},
		{TIP_GUARD_KILL, RW, TIP_ACTION_KILL, TIP_ACTION_KILL, NULL},
		{TIP_GUARD_KILL, RW, TIP_ACTION_DENY, TIP_ACTION_KILL, "is killed"},
		{TIP_GUARD_KILL, 1u << TIP_JUDGED_EXEC, TIP_ACTION_DENY, TIP_ACTION_KILL,
		 "is killed"},
		{TIP_GUARD_KILL, 1u << TIP_JUDGED_CONNECT, TIP_ACTION_DENY, TIP_ACTION_DENY, NULL},
		{TIP_GUARD_KILL, 1u << TIP_JUDGED_BIND, TIP_ACTION_KILL, TIP_ACTION_DENY,
		 "lives on"},
		{TIP_GUARD_LSM, RW, TIP_ACTION_DENY, TIP_ACTION_DENY, NULL},
		{TIP_GUARD_LSM, RW, TIP_ACTION_KILL, TIP_ACTION_KILL, NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static struct tip_rules r;
		struct act a = open_by(A, "/x", rows[i].acts);
		struct tip_buf notes = {0};
		struct tip_error err;
		struct tip_rule *rule;

		tip_guard_free(guard);
		start(rows[i].tier);
		r.count = 0;
		rule = add_rule(&r, "named", rows[i].acts);
		add_text(add_term(rule, TIP_DIM_EXE, false), "/bin/x");
		rule->info.action = rows[i].asks;
		assert_int_equal(tip_guard_apply_rules(guard, &r, &notes, &err), 0);
		assert_int_equal(tip_guard_does(guard, rule), rows[i].does);
		assert_int_equal(notes.len != 0, rows[i].note != NULL);
		if (rows[i].note) {
			assert_non_null(strstr(notes.data, rows[i].note));
			assert_non_null(strstr(notes.data, "rules.yaml:1: rule \"named\""));
		}
		if (rows[i].tier == TIP_GUARD_OFF)
			assert_int_equal(k_decide(&a), -1);
		assert_int_equal(kernel.image.set.kill.word[0],
				 rows[i].tier && rows[i].asks == TIP_ACTION_KILL);
		tip_buf_free(&notes);
	}
}

/* ---- random sets against the straightforward way ---- */

static uint32_t seed;

static uint32_t pick(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static const char *const ids[] = {A, B, C, "spiffe://example.org/d/x", "spiffe://other.org/a"};
static const char *const id_patterns[] = {
	A, B, C, "spiffe://example.org/d/*", "spiffe://example.org/?", "spiffe://example.org/*"};
static const char *const paths[] = {"/", "/a", "/a/b", "/a/bc", "/ab", "/a/b/c/d"};
static const char *const path_patterns[] = {"/a",     "/a*",      "/a/*", "/a/b*",
					    "/a/b/*", "/a/b/c/d", "/*"};

static void random_net(struct tip_enforce_value *v, uint32_t dim)
{
	v->table = dim == TIP_DIM_PORT ? TIP_RULE_PORT : pick(2) ? TIP_RULE_NET4 : TIP_RULE_NET6;
	v->bits = pick(17);
	v->bytes[0] = (uint8_t)pick(4);
	v->bytes[1] = (uint8_t)pick(4);
	for (uint32_t bit = v->bits; bit < 16; bit++)
		v->bytes[bit / 8] &= (uint8_t)~(0x80 >> bit % 8);
}

static void random_rule(struct tip_rules *r)
{
	struct tip_rule *rule = add_rule(r, "random", 1u << pick(TIP_JUDGED_MAX));
	bool used[TIP_DIM_MAX][2] = {0};

	for (uint32_t n = 1 + pick(4); n; n--) {
		const uint32_t dim = pick(TIP_DIM_MAX), spares = pick(3) == 0;
		struct tip_enforce_term *t;

		if (used[dim][spares])
			continue;
		used[dim][spares] = true;
		t = add_term(rule, dim, spares);
		for (uint32_t v = 1 + pick(VALUES_MAX); v; v--) {
			if (dim == TIP_DIM_IDENTITY)
				add_text(t, id_patterns[pick(6)]);
			else if (dim == TIP_DIM_PATH || dim == TIP_DIM_EXE || dim == TIP_DIM_CGROUP)
				add_text(t, path_patterns[pick(7)]);
			else if (dim == TIP_DIM_ADDR || dim == TIP_DIM_PORT)
				random_net(&t->values[t->nvalues++], dim);
			else
				t->values[t->nvalues++].number = pick(4);
		}
	}
}

static void random_act(struct act *a)
{
	*a = (struct act){.acts = 1u << pick(TIP_JUDGED_MAX)};
	if (pick(4) == 0)
		a->acts = RW;
	a->held = pick(4) ? ids[pick(5)] : NULL;
	a->current = pick(4) ? a->held : NULL;
	a->origin = pick(2) ? ids[pick(5)] : NULL;
	for (uint32_t dim = 0; dim < TIP_DIM_MAX; dim++) {
		a->texts[dim] = paths[pick(6)];
		a->numbers[dim] = pick(4);
	}
	a->table = pick(2) ? TIP_RULE_NET4 : TIP_RULE_NET6;
	a->addr[0] = (uint8_t)pick(4);
	a->addr[1] = (uint8_t)pick(4);
	a->port[0] = (uint8_t)pick(4);
	a->port[1] = (uint8_t)pick(4);
}

static void random_sets(void **state)
{
	static struct tip_rules r;
	size_t hits = 0;

	for (size_t i = 0; i < 5; i++)
		k_number(NULL, ids[i]);
	for (seed = 1; seed < 400; seed++) {
		const uint32_t keep = seed;

		memset(&r, 0, sizeof(r));
		for (uint32_t n = 1 + pick(70); n; n--)
			random_rule(&r);
		apply(&r);
		for (int i = 0; i < 100; i++) {
			struct act a;
			int64_t want;

			random_act(&a);
			want = decide(&r, &a);
			hits += want >= 0;
			assert_decides(&a, want);
		}
		seed = keep;
	}
	assert_true(hits > 10000); /* it was no test of nothing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(identity_may_not, fresh, done),
		cmocka_unit_test_setup_teardown(only_these_may, fresh, done),
		cmocka_unit_test_setup_teardown(patterns_follow_new_identities, fresh, done),
		cmocka_unit_test_setup_teardown(removed_rules_go, fresh, done),
		cmocka_unit_test_setup_teardown(indexes_follow_the_set_in_force, fresh, done),
		cmocka_unit_test_setup_teardown(limits, fresh, done),
		cmocka_unit_test_setup_teardown(half_of_the_room, fresh, done),
		cmocka_unit_test_setup_teardown(what_a_tier_does, fresh, done),
		cmocka_unit_test_setup_teardown(random_sets, fresh, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
