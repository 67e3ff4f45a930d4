/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "detect/detect.h"

bool tip_rate_take(struct tip_rate *r, const struct tip_rate_limit *limit, uint64_t now_ns,
		   uint64_t *untold)
{
	*untold = 0;
	r->matched++;
	if (limit->per_second > 0) {
		if (!r->begun)
			r->tokens = limit->max_burst;
		else if (now_ns > r->seen_ns)
			r->tokens += (double)(now_ns - r->seen_ns) / 1e9 * limit->per_second;
		/* a reload may have brought a smaller one */
		if (r->tokens > limit->max_burst)
			r->tokens = limit->max_burst;
		r->begun = true;
		if (now_ns > r->seen_ns)
			r->seen_ns = now_ns;
		if (r->tokens < 1) {
			r->suppressed++;
			r->untold++;
			return false;
		}
		r->tokens--;
	}
	*untold = r->untold;
	r->untold = 0;
	return true;
}

struct tip_rate *tip_rates_carry(const struct tip_rules *fresh, const struct tip_rules *old,
				 struct tip_rate *rates)
{
	struct tip_rate *out = tip_calloc(tip_rules_count(fresh) + 1, sizeof(*out));
	struct tip_map *by_name = tip_map_new();

	for (size_t i = 0; old && i < tip_rules_count(old); i++)
		tip_map_puts(by_name, tip_rule_info(tip_rules_get(old, i))->name, &rates[i]);
	for (size_t i = 0; i < tip_rules_count(fresh); i++) {
		const struct tip_rate *was =
			tip_map_gets(by_name, tip_rule_info(tip_rules_get(fresh, i))->name);

		if (was)
			out[i] = *was;
	}
	tip_map_free(by_name, NULL);
	free(rates);
	return out;
}
