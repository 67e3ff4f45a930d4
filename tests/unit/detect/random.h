/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TEST_DETECT_RANDOM_H
#define TIP_TEST_DETECT_RANDOM_H

#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "world.h"

/* Conditions at random, the same ones in each run of the same seed. */
static uint32_t seed;

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

#endif
