/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TEST_DETECT_RANDOM_H
#define TIP_TEST_DETECT_RANDOM_H

#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"

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

#endif
