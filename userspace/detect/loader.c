/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/loader.h"

#include <stdlib.h>
#include <string.h>

/* Rule files to a set of rules: reads each file's items, then has everything so far compiled. */

/* ---- files
 * --------------------------------------------------------------------------------------- */

static int load_file(struct tip_loader *l, const struct tip_rule_source *source)
{
	struct tip_yaml **docs;
	struct tip_error err = {0};
	size_t ndocs;

	l->source = source;
	l->item_type = l->item_name = "";
	l->item = l->exception = NULL;
	if (tip_yaml_parse(l->defs->arena, source->name, source->text, source->len, &docs, &ndocs,
			   &err) < 0) {
		tip_load_say_yaml(l, &err);
		return -1;
	}
	for (size_t d = 0; d < ndocs; d++) {
		l->item_type = l->item_name = "";
		l->item = NULL;
		if (tip_yaml_is_null(docs[d]))
			continue;
		if (docs[d]->kind != TIP_YAML_SEQUENCE)
			return tip_load_say(l, "LOAD_ERR_YAML_VALIDATE", docs[d],
					    "a rule file must be a list of items ('- rule: ...')");
		for (size_t i = 0; i < docs[d]->count; i++)
			if (tip_load_item(l, docs[d]->items[i]) < 0)
				return -1;
	}
	return 0;
}

/*
 * Warnings of what was compiled with an earlier file hold only while no later one is taken in: that
 * may use the macro which nobody used. They stay where the later file is refused.
 */
struct warnings {
	size_t start, end;
};

static void replace_warnings(struct tip_load_result *r, struct warnings *old, size_t start)
{
	size_t gone = old->end - old->start;

	memmove(r->messages + old->start, r->messages + old->end,
		(r->count - old->end) * sizeof(*r->messages));
	r->count -= gone;
	*old = (struct warnings){start - gone, r->count};
}

struct tip_rules *tip_rules_load(const struct tip_rule_source *sources, size_t count,
				 struct tip_load_result *result)
{
	return tip_rules_load_with(sources, count, NULL, result);
}

struct tip_rules *tip_rules_load_with(const struct tip_rule_source *sources, size_t count,
				      const struct tip_rules_options *options,
				      struct tip_load_result *result)
{
	static const struct tip_rules_options none = {.min_priority = TIP_PRIO_DEBUG};
	struct tip_loader l = {.result = result, .options = options ? options : &none};
	struct warnings compiled = {0};
	struct tip_rules *rules = NULL;

	*result = (struct tip_load_result){.arena = tip_arena_new()};
	l.defs = tip_defs_new();
	l.skipped = tip_map_new();
	/* a later file may lean on an earlier one: after a bad one nothing more can be said */
	for (size_t i = 0; i < count && !l.failed; i++) {
		size_t start;

		if (load_file(&l, &sources[i]) < 0)
			break;
		tip_rules_free(rules);
		start = result->count;
		rules = tip_load_build(&l, i + 1 == count);
		if (rules && result->count)
			replace_warnings(result, &compiled, start);
	}
	if (count == 0)
		rules = tip_load_build(&l, true);
	if (l.failed) {
		tip_rules_free(rules);
		rules = NULL;
	}
	tip_map_free(l.skipped, NULL);
	tip_defs_free(l.defs);
	return rules;
}
