/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#include "detect/detect.h"

/* Whole rule files: whatever the bytes, the answer is a set or an error with a place. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The room asks these two of the process table; no event is matched here. */
struct tip_process *tip_process_parent(struct tip_process_table *t, const struct tip_process *p)
{
	return NULL;
}

struct tip_process *tip_process_by_pid(struct tip_process_table *t, uint32_t tgid)
{
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* split at the first form feed: two files, the second leaning on the first */
	struct tip_rule_source sources[2] = {{"a.yaml", (const char *)data, size}};
	struct tip_load_result res;
	struct tip_rules *r;
	size_t count = 1;

	for (size_t i = 0; i < size; i++) {
		if (data[i] != '\f')
			continue;
		sources[0].len = i;
		sources[1] = (struct tip_rule_source){"b.yaml", (const char *)data + i + 1,
						      size - i - 1};
		count = 2;
		break;
	}
	r = tip_rules_load(sources, count, &res);
	if (!r) {
		bool error = false;

		for (size_t i = 0; i < res.count; i++)
			error |= res.messages[i].is_error && res.messages[i].at.text[0];
		if (!error)
			__builtin_trap();
	}
	tip_rules_free(r);
	tip_load_result_free(&res);
	return 0;
}
