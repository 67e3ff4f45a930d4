/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "guard/internal.h"

/*
 * From one plan to the next without a gap: exceptions of the new set, then its keys (a key that
 * both sets have is overwritten in place), and only then what is stale: keys, then exceptions. What
 * both sets forbid is forbidden by a key of the old set until that is overwritten or removed; a key
 * that is overwritten keeps its old accesses too until all keys of the new set are there, unless it
 * is for any identity (its exceptions change with it: there the change is made at once). Rule
 * numbers of the two sets differ by their generation, so neither's exceptions spare anybody under
 * the other's keys.
 */

static const struct kill_key *find_key(const struct kill_plan *plan, const struct tip_kill_key *k)
{
	size_t lo = 0, hi = plan->nkeys;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = tip_kill_key_cmp(&plan->keys[mid].key, k);

		if (c == 0)
			return &plan->keys[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static bool has_except(const struct kill_plan *plan, const struct tip_except_key *k)
{
	size_t lo = 0, hi = plan->nexcepts;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = tip_except_key_cmp(&plan->excepts[mid], k);

		if (c == 0)
			return true;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

/* A key as this room writes it: anything behind the prefix is zero, so that equal keys are equal
 * bytes. */
static struct tip_kill_key normal(const struct tip_kill_key *k)
{
	struct tip_kill_key n = {.prefixlen = k->prefixlen, .number = k->number};
	size_t bytes = k->prefixlen >= 32 ? (k->prefixlen - 32) / 8 : 0;

	memcpy(n.path, k->path, bytes < sizeof(n.path) ? bytes : sizeof(n.path));
	return n;
}

/* What the kernel holds, for a daemon that adopts it. The values cannot be known. */
static void read_kernel(const struct tip_guard *g, struct kill_plan *plan)
{
	struct tip_except_key except, *prev_except = NULL, last_except;
	struct tip_kill_key key, *prev = NULL, last;

	*plan = (struct kill_plan){0};
	while (g->ops.kill_next(g->ops.ctx, prev, &key) == 0) {
		plan->keys = tip_realloc(plan->keys, plan->nkeys + 1, sizeof(*plan->keys));
		plan->keys[plan->nkeys++] = (struct kill_key){.key = normal(&key)};
		last = key;
		prev = &last;
	}
	while (g->ops.except_next(g->ops.ctx, prev_except, &except) == 0) {
		plan->excepts =
			tip_realloc(plan->excepts, plan->nexcepts + 1, sizeof(*plan->excepts));
		plan->excepts[plan->nexcepts++] = except;
		last_except = except;
		prev_except = &last_except;
	}
}

static uint32_t next_generation(const struct tip_guard *g, const struct kill_plan *old)
{
	uint32_t gen = g->generation;
	bool used;

	do {
		gen = (gen + 1) % RULE_GENERATIONS;
		used = false;
		for (size_t i = 0; i < old->nexcepts && !used; i++)
			used = old->excepts[i].rule >> RULE_INDEX_BITS == gen;
	} while (used && gen != g->generation);
	return gen;
}

/* Takes back the first `nkeys` keys and `nexcepts` exceptions of `plan`. */
static void roll_back(struct tip_guard *g, const struct kill_plan *plan,
		      const struct kill_plan *old, size_t nkeys, size_t nexcepts)
{
	for (size_t i = 0; i < nkeys; i++) {
		const struct kill_key *was = find_key(old, &plan->keys[i].key);

		if (was && g->planned)
			(void)g->ops.kill_set(g->ops.ctx, &was->key, &was->value);
		else if (!was)
			(void)g->ops.kill_clear(g->ops.ctx, &plan->keys[i].key);
		/* else it is an earlier daemon's: its value is not known, and a key may not be
		 * missing */
	}
	for (size_t i = 0; i < nexcepts; i++)
		(void)g->ops.except_clear(g->ops.ctx, &plan->excepts[i]);
}

/* Accesses that key `i` forbade in the old set, and may not stop to forbid before the new set is
 * whole. */
static uint32_t kept_access(const struct kill_plan *plan, const struct kill_plan *old, size_t i)
{
	const struct kill_key *was = find_key(old, &plan->keys[i].key);

	return was && was->key.number != TIP_ID_ANY ? was->value.access : 0;
}

static int install(struct tip_guard *g, const struct kill_plan *plan, const struct kill_plan *old,
		   struct tip_error *err)
{
	size_t k = 0, e = 0;
	int rc = 0;

	for (; e < plan->nexcepts; e++) {
		rc = g->ops.except_set(g->ops.ctx, &plan->excepts[e]);
		if (rc != 0)
			goto fail;
	}
	for (; k < plan->nkeys; k++) {
		struct tip_kill_value value = plan->keys[k].value;

		value.access |= kept_access(plan, old, k);
		rc = g->ops.kill_set(g->ops.ctx, &plan->keys[k].key, &value);
		if (rc != 0)
			goto fail;
	}
	for (size_t i = 0; i < plan->nkeys; i++) {
		const struct kill_key *key = &plan->keys[i];

		if (!(kept_access(plan, old, i) & ~key->value.access))
			continue;
		rc = g->ops.kill_set(g->ops.ctx, &key->key, &key->value);
		if (rc != 0)
			goto fail;
	}
	return 0;
fail:
	roll_back(g, plan, old, k, e);
	return tip_error_set(err,
			     "the kernel refused key %zu of %zu (exception %zu of %zu) of the kill "
			     "rules: %s; the rules before stay in force%s",
			     k + 1, plan->nkeys, e, plan->nexcepts, strerror(-rc),
			     rc == -E2BIG || rc == -ENOSPC
				     ? "; use fewer paths or identities in rules with an action"
				     : "");
}

/* What stays behind here is stricter or idle, never an opening: it is said, and the new set is in
 * force. */
static void clear_stale(struct tip_guard *g, const struct kill_plan *plan,
			const struct kill_plan *old)
{
	for (size_t i = 0; i < old->nkeys; i++) {
		int rc = find_key(plan, &old->keys[i].key)
				 ? 0
				 : g->ops.kill_clear(g->ops.ctx, &old->keys[i].key);

		if (rc != 0 && rc != -ENOENT)
			tip_err("guard", "a kill key for %.*s could not be removed: %s",
				TIP_KILL_PATH, old->keys[i].key.path, strerror(-rc));
	}
	for (size_t i = 0; i < old->nexcepts; i++) {
		if (!has_except(plan, &old->excepts[i]))
			(void)g->ops.except_clear(g->ops.ctx, &old->excepts[i]);
	}
}

static int sort_adopted(const void *a, const void *b)
{
	return tip_kill_key_cmp(&((const struct kill_key *)a)->key,
				&((const struct kill_key *)b)->key);
}

int tip_guard_apply_rules(struct tip_guard *g, const struct tip_rules *rules, struct tip_buf *notes,
			  struct tip_error *err)
{
	struct kill_plan adopted = {0}, plan, none = {0};
	const struct kill_plan *old = &g->plan, *want;
	uint32_t generation;
	int rc = -1;

	if (!g->planned) {
		read_kernel(g, &adopted);
		if (adopted.nkeys)
			qsort(adopted.keys, adopted.nkeys, sizeof(*adopted.keys), sort_adopted);
		old = &adopted;
	}
	generation = next_generation(g, old);
	if (tip_plan_make(g, rules, generation, &plan, notes, err) != 0)
		goto out;
	want = g->enforce ? &plan : &none;
	if (install(g, want, old, err) != 0) {
		tip_plan_free(&plan);
		goto out;
	}
	clear_stale(g, want, old);
	tip_plan_free(&g->plan);
	if (g->enforce)
		g->plan = plan;
	else
		tip_plan_free(&plan);
	/* The rules and specs that the plan was made from belong to the caller. */
	for (size_t i = 0; i < g->plan.nkeys; i++) {
		g->plan.keys[i].rule = NULL;
		g->plan.keys[i].spec = NULL;
	}
	g->generation = generation;
	g->planned = true;
	rc = 0;
out:
	tip_plan_free(&adopted);
	return rc;
}

bool tip_guard_rule_index(const struct tip_guard *g, uint32_t kernel_rule, uint32_t *index)
{
	if (!g->planned || kernel_rule >> RULE_INDEX_BITS != g->generation)
		return false;
	*index = kernel_rule & RULE_INDEX_MASK;
	return true;
}
