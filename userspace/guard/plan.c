/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "guard/internal.h"

/*
 * Rules -> sets of bits. The kernel asks in each dimension what it knows of a value: which rules'
 * conditions the value meets, and which rules spare it. So a rule is one bit, a condition some
 * values that have this bit, and whatever rules have in common costs nothing.
 */

struct planner {
	struct tip_guard *g;
	struct rule_plan *plan;
	const struct tip_rule_info *info; /* the rule at hand */
	struct tip_map *values;           /* {dim, value} -> index + 1 in image.values */
	struct tip_error *err;
};

static void bit_set(struct tip_rule_bits *b, uint32_t place)
{
	b->word[place / 64] |= 1ull << place % 64;
}

static void match_set(struct tip_rule_match *m, uint32_t place, bool spares)
{
	bit_set(spares ? &m->spared : &m->meets, place);
}

void tip_plan_free(struct rule_plan *plan)
{
	free(plan->image.values);
	free(plan->image.texts);
	free(plan->image.nets);
	for (size_t i = 0; i < plan->npatterns; i++)
		free(plan->patterns[i].text);
	free(plan->patterns);
	*plan = (struct rule_plan){0};
}

static int refuse(const struct planner *p, const char *what)
{
	return tip_error_at(p->err, p->info->file, p->info->line, 0,
			    "rule \"%s\" cannot be enforced: %s", p->info->name, what);
}

static void add_value(struct planner *p, uint32_t dim, uint64_t value, bool spares)
{
	const uint64_t key[] = {dim, value};
	struct tip_rule_image *image = &p->plan->image;
	uintptr_t at = (uintptr_t)tip_map_get(p->values, key, sizeof(key));

	if (!at) {
		image->values =
			tip_realloc(image->values, image->nvalues + 1, sizeof(*image->values));
		image->values[image->nvalues++] =
			(struct tip_rule_value){.value = value, .dim = dim};
		at = image->nvalues;
		tip_map_put(p->values, key, sizeof(key), (void *)at);
	}
	match_set(&image->values[at - 1].match, p->plan->count, spares);
}

static int add_prefix(const struct planner *p, struct tip_rule_prefix **list, size_t *n,
		      uint32_t table, const void *bytes, uint32_t bits, bool spares)
{
	struct tip_rule_prefix *prefix;

	if (bits > 8 * TIP_RULE_TEXT)
		return refuse(p, "a path is longer than the kernel can compare (239 bytes)");
	*list = tip_realloc(*list, *n + 1, sizeof(**list));
	prefix = &(*list)[(*n)++];
	*prefix = (struct tip_rule_prefix){.table = table, .bits = bits};
	memcpy(prefix->bytes, bytes, (bits + 7) / 8);
	match_set(&prefix->match, p->plan->count, spares);
	return 0;
}

static int add_text(struct planner *p, uint32_t dim, const struct tip_enforce_value *v, bool spares)
{
	struct tip_rule_image *image = &p->plan->image;
	/* Its NUL is what makes an exact text exact. */
	const size_t len = strlen(v->text) + (v->how == TIP_ENFORCE_PREFIX ? 0 : 1);

	return add_prefix(p, &image->texts, &image->ntexts, dim, v->text, (uint32_t)len * 8,
			  spares);
}

static int add_identity(struct planner *p, const struct tip_enforce_value *v, bool spares)
{
	struct rule_plan *plan = p->plan;
	uint32_t number;

	if (v->how == TIP_ENFORCE_EXACT) {
		number = p->g->ops.number(p->g->ops.ctx, v->text);
		if (!number)
			return tip_error_at(p->err, p->info->file, p->info->line, 0,
					    "rule \"%s\" cannot be enforced: no identity number is "
					    "left for %s",
					    p->info->name, v->text);
		add_value(p, TIP_DIM_IDENTITY, number, spares);
		return 0;
	}
	plan->patterns = tip_realloc(plan->patterns, plan->npatterns + 1, sizeof(*plan->patterns));
	plan->patterns[plan->npatterns++] = (struct rule_pattern){
		.text = tip_strdup(v->text),
		.how = v->how,
		.place = plan->count,
		.spares = spares,
	};
	return 0;
}

static int add_term(struct planner *p, const struct tip_enforce_term *t)
{
	struct tip_rule_image *image = &p->plan->image;
	int ret = 0;

	bit_set(t->spares ? &image->set.spares[t->dim] : &image->set.needs[t->dim], p->plan->count);
	for (size_t i = 0; i < t->nvalues && ret == 0; i++) {
		const struct tip_enforce_value *v = &t->values[i];

		switch (t->dim) {
		case TIP_DIM_IDENTITY: ret = add_identity(p, v, t->spares); break;
		case TIP_DIM_PATH:
		case TIP_DIM_EXE:
		case TIP_DIM_CGROUP: ret = add_text(p, t->dim, v, t->spares); break;
		case TIP_DIM_ADDR:
		case TIP_DIM_PORT:
			ret = add_prefix(p, &image->nets, &image->nnets, v->table, v->bytes,
					 v->bits, t->spares);
			break;
		default: add_value(p, t->dim, v->number, t->spares);
		}
	}
	return ret;
}

static int add_rule(struct planner *p, const struct tip_enforce_spec *spec)
{
	struct rule_plan *plan = p->plan;

	if (plan->count == TIP_RULES_MAX)
		return refuse(p, "the kernel holds 256 rules with an action, and there are more");
	for (uint32_t act = 0; act < TIP_JUDGED_MAX; act++)
		if (spec->acts & 1u << act)
			bit_set(&plan->image.set.acts[act], plan->count);
	if (p->info->action == TIP_ACTION_KILL)
		bit_set(&plan->image.set.kill, plan->count);
	for (size_t i = 0; i < spec->nterms; i++)
		if (add_term(p, &spec->terms[i]) < 0)
			return -1;
	plan->places[plan->count++] = p->info->index;
	return 0;
}

/* ---- identities by pattern ---- */

static bool pattern_fits(const struct rule_pattern *p, const char *id)
{
	if (p->how == TIP_ENFORCE_PREFIX)
		return strncmp(id, p->text, strlen(p->text)) == 0;
	return fnmatch(p->text, id, 0) == 0;
}

bool tip_plan_identity(const struct rule_plan *plan, const char *id, struct tip_rule_match *match)
{
	bool any = false;

	*match = (struct tip_rule_match){0};
	for (size_t i = 0; i < plan->npatterns; i++) {
		const struct rule_pattern *p = &plan->patterns[i];

		if (!pattern_fits(p, id))
			continue;
		match_set(match, p->place, p->spares);
		any = true;
	}
	return any;
}

static void known_identity(void *ctx, uint32_t number, const char *id)
{
	struct planner *p = ctx;
	const uint32_t count = p->plan->count;

	for (size_t i = 0; i < p->plan->npatterns; i++) {
		const struct rule_pattern *pattern = &p->plan->patterns[i];

		if (!pattern_fits(pattern, id))
			continue;
		p->plan->count = pattern->place;
		add_value(p, TIP_DIM_IDENTITY, number, pattern->spares);
	}
	p->plan->count = count;
}

/* ---- the set ---- */

static void note(const struct planner *p, const struct tip_enforce_spec *spec,
		 struct tip_buf *notes)
{
	const char *text = NULL;

	if (p->g->tier == TIP_GUARD_OFF)
		text = "enforcement is off: it alerts and stops nothing";
	else if (p->g->tier == TIP_GUARD_KILL && spec->acts & TIP_JUDGED_SOCKET)
		text = p->info->action == TIP_ACTION_KILL
			       ? "this kernel tier refuses it, and the process lives on"
			       : NULL;
	else if (p->g->tier == TIP_GUARD_KILL && p->info->action == TIP_ACTION_DENY)
		text = "this kernel tier cannot deny it (BPF LSM can): the process is killed by it";
	if (text && notes)
		tip_buf_addf(notes, "%s:%d: rule \"%s\": %s\n", p->info->file, p->info->line,
			     p->info->name, text);
}

static int fits(const char *what, size_t count, size_t max, struct tip_error *err)
{
	return count <= max ? 0
			    : tip_error_set(err,
					    "the rules with an action name %zu %s, and the kernel "
					    "has room for %zu; use fewer in them",
					    count, what, max);
}

/* What the first load has room for a reload has, too: the set before is still there then. */
static int check_size(const struct tip_rule_image *image, struct tip_error *err)
{
	if (fits("paths", image->ntexts, TIP_RULE_PREFIXES_MAX / 2, err) < 0 ||
	    fits("networks", image->nnets, TIP_RULE_PREFIXES_MAX / 2, err) < 0)
		return -1;
	return fits("identities, ports and inodes", image->nvalues, TIP_RULE_VALUES_MAX / 4, err);
}

int tip_plan_make(struct tip_guard *g, const struct tip_rules *rules, struct rule_plan *plan,
		  struct tip_buf *notes, struct tip_error *err)
{
	struct planner p = {.g = g, .plan = plan, .values = tip_map_new(), .err = err};
	struct tip_rule_image *image = &plan->image;
	int ret = -1;

	*plan = (struct rule_plan){0};
	for (size_t i = 0; i < tip_rules_count(rules); i++) {
		const struct tip_rule *rule = tip_rules_get(rules, i);
		const struct tip_enforce_spec *spec = tip_rule_enforce_spec(rule);

		p.info = tip_rule_info(rule);
		if (!p.info->enabled || !spec)
			continue;
		note(&p, spec, notes);
		if (add_rule(&p, spec) < 0)
			goto out;
	}
	/* All numbers that the set itself calls for are given out by now. */
	if (plan->npatterns)
		g->ops.names(g->ops.ctx, known_identity, &p);
	image->count = plan->count;
	image->ntexts = tip_prefixes_finish(image->texts, image->ntexts);
	image->nnets = tip_prefixes_finish(image->nets, image->nnets);
	ret = check_size(image, err);
out:
	tip_map_free(p.values, NULL);
	if (ret < 0)
		tip_plan_free(plan);
	return ret;
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

static void pretend_names(void *ctx, void (*fn)(void *arg, uint32_t number, const char *id),
			  void *arg)
{
}

int tip_guard_check_rules(const struct tip_rules *rules, struct tip_error *err)
{
	struct tip_map *numbers = tip_map_new();
	struct tip_guard g = {
		.tier = TIP_GUARD_LSM,
		.ops = {.number = pretend_number, .names = pretend_names, .ctx = numbers}};
	struct rule_plan plan = {0};
	int ret = tip_plan_make(&g, rules, &plan, NULL, err);

	if (ret == 0)
		tip_plan_free(&plan);
	tip_map_free(numbers, NULL);
	return ret;
}
