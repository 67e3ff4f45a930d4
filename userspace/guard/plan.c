/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "guard/internal.h"

/*
 * The kernel asks for the process's identity, for its origin and for TIP_ID_ANY, each time from the
 * longest key that covers the path up to the shortest. So rules about nested paths need nothing
 * here; but one key holds one answer, and where two rules want different ones for it, the set is
 * refused.
 */

static size_t key_bytes(const struct tip_kill_key *k)
{
	return (k->prefixlen - 32) / 8;
}

int tip_kill_key_cmp(const struct tip_kill_key *a, const struct tip_kill_key *b)
{
	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	if (a->prefixlen != b->prefixlen) /* shorter first: what covers a key stands before it */
		return a->prefixlen < b->prefixlen ? -1 : 1;
	return memcmp(a->path, b->path, key_bytes(a));
}

int tip_except_key_cmp(const struct tip_except_key *a, const struct tip_except_key *b)
{
	if (a->rule != b->rule)
		return a->rule < b->rule ? -1 : 1;
	return (a->number > b->number) - (a->number < b->number);
}

void tip_plan_free(struct kill_plan *plan)
{
	free(plan->keys);
	free(plan->excepts);
	*plan = (struct kill_plan){0};
}

static bool covers(const struct tip_kill_key *shorter, const struct tip_kill_key *longer)
{
	return shorter->number == longer->number && shorter->prefixlen <= longer->prefixlen &&
	       memcmp(shorter->path, longer->path, key_bytes(shorter)) == 0;
}

static bool spares(const struct tip_kill_spec *spec, const char *id)
{
	for (size_t i = 0; i < spec->nids; i++) {
		if (strcmp(spec->ids[i], id) == 0)
			return true;
	}
	return false;
}

/* Everybody that `a` spares is spared by `b` as well. */
static bool spares_no_more(const struct tip_kill_spec *a, const struct tip_kill_spec *b)
{
	for (size_t i = 0; i < a->nids; i++) {
		if (!spares(b, a->ids[i]))
			return false;
	}
	return true;
}

/* `k` also has to say what `other`, which is about the same paths, says. */
static int absorb(struct kill_key *k, const struct kill_key *other, struct tip_error *err)
{
	uint32_t access = k->value.access | other->value.access;
	bool less, more;

	if (k->key.number != TIP_ID_ANY || k->rule == other->rule) {
		k->value.access = access; /* the first rule is the one that is reported */
		return 0;
	}
	less = spares_no_more(k->spec, other->spec);
	more = spares_no_more(other->spec, k->spec);
	if (less && more) {
		k->value.access = access;
		return 0;
	}
	if (less && access == k->value.access)
		return 0;
	if (more && access == other->value.access) {
		*k = *other; /* the stricter rule stands for both */
		return 0;
	}
	return tip_error_at(
		err, other->rule->file, other->rule->line, 0,
		"rule \"%s\": its exceptions for %.*s differ from those of rule \"%s\" "
		"(%s:%d), and the kernel can hold only one answer for a path; write one "
		"rule, or give both the same exceptions",
		other->rule->name, (int)key_bytes(&k->key), k->key.path, k->rule->name,
		k->rule->file, k->rule->line);
}

static void add_key(struct kill_plan *plan, const struct tip_rule_info *info,
		    const struct tip_kill_spec *spec, size_t path, uint32_t number, uint32_t rule)
{
	size_t len = strlen(spec->paths[path]);
	struct kill_key *k;

	plan->keys = tip_realloc(plan->keys, plan->nkeys + 1, sizeof(*plan->keys));
	k = &plan->keys[plan->nkeys++];
	memset(k, 0, sizeof(*k));
	memcpy(k->key.path, spec->paths[path], len); /* zeroed before: its NUL is there */
	k->key.prefixlen = (uint32_t)(32 + 8 * (len + (spec->prefix[path] ? 0 : 1)));
	k->key.number = number;
	k->value.rule = rule;
	k->value.access = spec->access;
	k->rule = info;
	k->spec = spec;
}

static int add_rule(struct tip_guard *g, const struct tip_rule_info *info,
		    const struct tip_kill_spec *spec, uint32_t generation, struct kill_plan *plan,
		    struct tip_error *err)
{
	uint32_t rule = generation << RULE_INDEX_BITS | info->index;
	const char *wrong = NULL;
	size_t p;

	if (info->index > RULE_INDEX_MASK)
		wrong = "there are too many rules before it";
	else if (spec->npaths == 0)
		wrong = "it names no path";
	else if (!spec->any && spec->nids == 0)
		wrong = "it names no identity";
	else if (!spec->access)
		wrong = "it is about no kind of open";
	for (p = 0; p < spec->npaths && !wrong; p++) {
		if (spec->paths[p][0] != '/')
			wrong = "a path is not absolute";
		else if (strlen(spec->paths[p]) >= TIP_KILL_PATH)
			wrong = "a path is longer than the kernel can compare (239 bytes)";
	}
	if (wrong)
		return tip_error_at(err, info->file, info->line, 0,
				    "rule \"%s\" cannot be enforced: %s", info->name, wrong);

	for (p = 0; spec->any && p < spec->npaths; p++)
		add_key(plan, info, spec, p, TIP_ID_ANY, rule);
	for (size_t i = 0; i < spec->nids; i++) {
		uint32_t number = g->ops.number(g->ops.ctx, spec->ids[i]);

		if (!number)
			return tip_error_at(err, info->file, info->line, 0,
					    "rule \"%s\" cannot be enforced: no identity number is "
					    "left for %s",
					    info->name, spec->ids[i]);
		if (!spec->any) {
			for (p = 0; p < spec->npaths; p++)
				add_key(plan, info, spec, p, number, rule);
			continue;
		}
		plan->excepts =
			tip_realloc(plan->excepts, plan->nexcepts + 1, sizeof(*plan->excepts));
		plan->excepts[plan->nexcepts++] =
			(struct tip_except_key){.rule = rule, .number = number};
	}
	return 0;
}

static int sort_keys(const void *a, const void *b)
{
	const struct kill_key *x = a, *y = b;
	int c = tip_kill_key_cmp(&x->key, &y->key);

	return c ? c : (x->value.rule > y->value.rule) - (x->value.rule < y->value.rule);
}

static int sort_excepts(const void *a, const void *b)
{
	return tip_except_key_cmp(a, b);
}

/* Merges equal keys and checks how deep they nest. */
static int merge_keys(struct kill_plan *plan, struct tip_error *err)
{
	size_t n = 0;

	if (plan->nkeys)
		qsort(plan->keys, plan->nkeys, sizeof(*plan->keys), sort_keys);
	for (size_t i = 0; i < plan->nkeys; i++) {
		if (n && tip_kill_key_cmp(&plan->keys[n - 1].key, &plan->keys[i].key) == 0) {
			if (absorb(&plan->keys[n - 1], &plan->keys[i], err) != 0)
				return -1;
			continue;
		}
		plan->keys[n++] = plan->keys[i];
	}
	plan->nkeys = n;
	for (size_t i = 0; i < n; i++) {
		struct kill_key *k = &plan->keys[i];

		/* Shorter ones stand before: the nearest of them knows its own depth. */
		k->depth = 1;
		for (size_t s = i; s-- && plan->keys[s].key.number == k->key.number;) {
			if (!covers(&plan->keys[s].key, &k->key))
				continue;
			k->depth = plan->keys[s].depth + 1;
			break;
		}
		if (k->depth > TIP_KILL_NESTED)
			return tip_error_at(err, k->rule->file, k->rule->line, 0,
					    "rule \"%s\": %.*s lies below %d other paths of rules "
					    "with an action, and the kernel looks at %d; leave out "
					    "what a shorter path covers",
					    k->rule->name, (int)key_bytes(&k->key), k->key.path,
					    k->depth - 1, TIP_KILL_NESTED);
	}
	return 0;
}

static void unique_excepts(struct kill_plan *plan)
{
	size_t n = 0;

	if (plan->nexcepts)
		qsort(plan->excepts, plan->nexcepts, sizeof(*plan->excepts), sort_excepts);
	for (size_t i = 0; i < plan->nexcepts; i++) {
		if (!n || tip_except_key_cmp(&plan->excepts[n - 1], &plan->excepts[i]) != 0)
			plan->excepts[n++] = plan->excepts[i];
	}
	plan->nexcepts = n;
}

static void note(struct tip_buf *notes, const struct tip_rule_info *info, const char *text)
{
	if (notes)
		tip_buf_addf(notes, "%s:%d: rule \"%s\": %s\n", info->file, info->line, info->name,
			     text);
}

int tip_plan_make(struct tip_guard *g, const struct tip_rules *rules, uint32_t generation,
		  struct kill_plan *plan, struct tip_buf *notes, struct tip_error *err)
{
	*plan = (struct kill_plan){0};
	for (size_t i = 0; i < tip_rules_count(rules); i++) {
		const struct tip_rule *rule = tip_rules_get(rules, i);
		const struct tip_rule_info *info = tip_rule_info(rule);
		const struct tip_kill_spec *spec = tip_rule_kill_spec(rule);

		if (!info->enabled || !spec)
			continue;
		if (!g->enforce)
			note(notes, info, "enforcement is off: it alerts and stops nothing");
		else if (info->action == TIP_ACTION_DENY)
			note(notes, info,
			     "this kernel tier cannot deny an open: the process is killed by it");
		if (add_rule(g, info, spec, generation, plan, err) != 0)
			goto fail;
	}
	if (merge_keys(plan, err) != 0)
		goto fail;
	unique_excepts(plan);
	return 0;
fail:
	tip_plan_free(plan);
	return -1;
}

/* A number for each SPIFFE ID, as the process table would give it. */
static uint32_t pretend_number(void *ctx, const char *spiffe_id)
{
	struct tip_map *numbers = ctx;
	uintptr_t have = (uintptr_t)tip_map_gets(numbers, spiffe_id);

	if (!have) {
		have = TIP_ID_FIRST + tip_map_count(numbers);
		tip_map_puts(numbers, spiffe_id, (void *)have);
	}
	return (uint32_t)have;
}

int tip_guard_check_rules(const struct tip_rules *rules, struct tip_buf *notes,
			  struct tip_error *err)
{
	struct tip_map *numbers = tip_map_new();
	struct tip_guard g = {.enforce = true, .ops = {.number = pretend_number, .ctx = numbers}};
	struct kill_plan plan = {0};
	int ret = tip_plan_make(&g, rules, 0, &plan, notes, err);

	if (ret == 0)
		tip_plan_free(&plan);
	tip_map_free(numbers, NULL);
	return ret;
}
