/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TEST_DETECT_RANDOM_H
#define TIP_TEST_DETECT_RANDOM_H

#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "detect/necessary.h"
#include "world.h"

/* Conditions at random, the same ones in each run of the same seed. */
static uint32_t seed;

/* That of the environment, or another in each run. */
static void random_seed(void)
{
	const char *given = getenv("TIP_TEST_SEED");

	seed = given ? (uint32_t)strtoul(given, NULL, 10) : (uint32_t)getpid();
	print_message("TIP_TEST_SEED=%u\n", seed);
}

static uint32_t pick(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

#define PICK(list) ((list)[pick((uint32_t)TIP_ARRAY_SIZE(list))])

/* Adds a condition of at most `depth` levels; `check` adds one comparison. */
static void random_condition(struct tip_buf *b, int depth, void (*check)(struct tip_buf *))
{
	const uint32_t kids = depth && pick(4) ? 1 + pick(4) : 0;
	const char *joint = pick(4) ? " and " : " or ";

	if (pick(5) == 0)
		tip_buf_adds(b, "not ");
	if (!kids) {
		check(b);
		return;
	}
	tip_buf_adds(b, "(");
	for (uint32_t i = 0; i < kids; i++) {
		tip_buf_adds(b, i ? joint : "");
		random_condition(b, depth - 1, check);
	}
	tip_buf_adds(b, ")");
}

/*
 * Rules whose conditions begin with `begin` and go on at random; `text` gets the file that they
 * came from. `began`: the seed to name if that does not load.
 */
static struct tip_rules *random_rules(uint32_t began, uint32_t nrules, const char *begin,
				      void (*check)(struct tip_buf *), struct tip_buf *text)
{
	struct tip_load_result res;
	struct tip_rules *r;

	for (uint32_t i = 0; i < nrules; i++) {
		tip_buf_addf(text, "- rule: r%u\n  desc: d\n  condition: >\n    %s", i, begin);
		random_condition(text, 3, check);
		tip_buf_adds(text, "\n  output: x\n  priority: DEBUG\n");
	}
	tip_buf_addc(text, '\0');
	r = load_text(text->data, &res);
	if (!r) {
		print_messages(&res);
		fail_msg("seed %u does not load:\n%s", began, text->data);
	}
	tip_load_result_free(&res);
	return r;
}

/* The kernel's decision about an act. */
typedef bool passes_fn(const struct tip_prefilter *f, const struct world *w);

/* Is an act told where this is the only rule? What it matches must be, whatever the test expects.
 */
static inline bool condition_told(const char *condition, const struct world *w, passes_fn *passes)
{
	struct tip_arena *arena = tip_arena_new();
	struct tip_load_result res;
	struct tip_rules *r = load_rule("", condition, "x", &res);
	struct tip_prefilter f;
	bool ret;

	if (!r) {
		print_messages(&res);
		fail_msg("does not load: %s", condition);
	}
	tip_rules_prefilter((const struct tip_rules *const *)&r, 1, arena, &f);
	ret = passes(&f, w);
	assert_true(ret || !matches(r, &w->in));
	tip_arena_free(arena);
	tip_rules_free(r);
	tip_load_result_free(&res);
	return ret;
}

/*
 * What a test of random acts is made of: conditions begin with `begin`, `check` adds a comparison,
 * `act` makes an act, and `name` is what a failure calls it.
 */
struct random_acts {
	const char *begin;
	void (*check)(struct tip_buf *b);
	void (*act)(struct world *w);
	passes_fn *passes;
	void (*name)(const struct world *w, struct tip_buf *out);
};

#define ROUNDS 80
#define ACTS   80

/* Nothing is dropped that the matcher matches, and something is of each. */
static void random_rounds(const struct random_acts *of)
{
	size_t dropped = 0, hits = 0;

	for (int round = 0; round < ROUNDS; round++) {
		const uint32_t began = seed, nrules = 1 + pick(round % 8 ? 2 : 100);
		struct tip_arena *arena = tip_arena_new();
		struct tip_buf text = {0}, name = {0};
		struct tip_rules *r = random_rules(began, nrules, of->begin, of->check, &text);
		struct tip_prefilter f;

		tip_rules_prefilter((const struct tip_rules *const *)&r, 1, arena, &f);
		for (int i = 0; i < ACTS; i++) {
			struct world w;
			bool hit, pass;

			of->act(&w);
			hit = matches(r, &w.in);
			pass = of->passes(&f, &w);
			hits += hit;
			dropped += !pass;
			if (!hit || pass)
				continue;
			of->name(&w, &name);
			fail_msg("seed %u: %s, result %lld is dropped by\n%s", began, name.data,
				 (long long)w.hdr.ret, text.data);
		}
		tip_arena_free(arena);
		tip_rules_free(r);
		tip_buf_free(&text);
	}
	print_message("%zu of %d acts matched, %zu were dropped\n", hits, ROUNDS * ACTS, dropped);
	assert_true(hits && dropped);
}

#endif
