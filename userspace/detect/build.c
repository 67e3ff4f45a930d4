/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "detect/details.h"
#include "detect/loader.h"
#include "detect/necessary.h"

/* Definitions to a compiled set. */

static int cmp_str(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void fill_tags(struct tip_rules *set, struct tip_rule_info *info,
		      const struct tip_rule_def *d)
{
	const char **tags = tip_arena_alloc(set->arena, (d->ntags + 1) * sizeof(*tags));
	size_t n = 0;

	for (size_t i = 0; i < d->ntags; i++)
		tags[i] = tip_arena_strdup(set->arena, d->tags[i]);
	qsort(tags, d->ntags, sizeof(*tags), cmp_str);
	for (size_t i = 0; i < d->ntags; i++)
		if (!n || strcmp(tags[i], tags[n - 1]) != 0)
			tags[n++] = tags[i];
	info->tags = tags;
	info->ntags = n;
}

/* Without the line end that a block scalar brings. */
static const char *tidy(struct tip_rules *set, const struct tip_text *t)
{
	size_t len = t->buf.len;

	while (len && strchr(" \t\r\n", t->buf.data[len - 1]))
		len--;
	return tip_arena_strndup(set->arena, t->buf.data ? t->buf.data : "", len);
}

static void fill_info(struct tip_rules *set, struct tip_rule *r, const struct tip_rule_def *d)
{
	r->info = (struct tip_rule_info){
		.name = tip_arena_strdup(set->arena, d->name),
		.desc = tidy(set, &d->desc),
		.condition = tidy(set, &d->condition),
		.output = tidy(set, &d->output),
		.source = d->source_name,
		.file = tip_arena_strdup(set->arena, d->place.source->name),
		.line = d->place.node->line,
		.priority = d->priority,
		.action = d->action,
		.rate_limit = d->rate_limit,
		.enabled = d->enabled,
		.event_mask = tip_codes_to_events(r->codes),
		.index = (uint32_t)(r - set->rules),
	};
	fill_tags(set, &r->info, d);
}

static void warn(struct tip_loader *l, const struct tip_rule_def *d, const struct tip_compiled *c)
{
	int events = tip_event_set_count(&c->names);

	if (c->deprecated)
		tip_load_say_def(l, "LOAD_DEPRECATED_ITEM", &d->place, "rule", d->name, "%s",
				 c->deprecated);
	if (events * 2 > TIP_EVENT_CODES_WARNING && d->warn_evttypes)
		tip_load_say_def(l, "LOAD_NO_EVTTYPE", &d->place, "rule", d->name,
				 "the condition matches too many event types (%d): add a test of "
				 "evt.type, or 'warn_evttypes: false'",
				 events);
	if (!c->codes && !c->unsatisfiable && d->enabled)
		tip_load_say_def(l, "LOAD_WARNING_EXTENSION", &d->place, "rule", d->name,
				 "the rule cannot match: no event that is sensed satisfies its "
				 "condition");
}

/* 0: the rule is skipped, for it may be of a later version; -1: an error was said. */
static int refuse(struct tip_loader *l, const struct tip_rule_def *d, const struct tip_compiled *c,
		  const struct tip_cond_error *err)
{
	bool skip = c->unknown_field && d->skip_unknown;

	tip_load_say_cond(l, skip ? "LOAD_UNKNOWN_FILTER" : NULL, err, &d->place, "rule", d->name);
	return skip ? 0 : -1;
}

/* 1: compiled, 0: skipped, -1: an error was said. */
static int build_rule(struct tip_loader *l, struct tip_rules *set, struct tip_rule_def *d,
		      bool last)
{
	struct tip_rule *r = &set->rules[set->count];
	struct tip_cond_error err = {0};
	struct tip_compiled compiled = {0};
	struct tip_text full = {0};
	struct tip_names lists = {0};
	const char *deprecated;
	struct tip_ast *ast;
	int ret = -1;

	*r = (struct tip_rule){.set = set};
	l->item_name = d->name;
	if (tip_load_full_condition(l, d, &full) < 0)
		goto out;
	if (tip_template_compile(set, &d->output, d->enabled, &r->output, &deprecated,
				 &compiled.unknown_field, &err) < 0) {
		ret = refuse(l, d, &compiled, &err);
		goto out;
	}
	l->defs->seen = &lists;
	ast = tip_resolve_condition(l->defs, &full, &d->expanded, UINT_MAX, &err);
	l->defs->seen = NULL;
	if (!ast || tip_compile(set, ast, d->enabled, &r->program, &compiled, &err) < 0) {
		ret = refuse(l, d, &compiled, &err);
		goto out;
	}
	if (d->action != TIP_ACTION_NONE &&
	    tip_enforce_compile(set->arena, ast, &r->enforce, &err) < 0) {
		tip_load_say_cond(l, NULL, &err, &d->place, "rule", d->name);
		goto out;
	}
	if (tip_load_append(l, set, r, d) < 0)
		goto out;
	/* A configured minimum must not take away what a rule forbids. */
	if (d->priority > l->options->min_priority && d->action == TIP_ACTION_NONE) {
		ret = 0;
		goto out;
	}
	if (!compiled.deprecated)
		compiled.deprecated = deprecated;
	warn(l, d, &compiled);
	tip_load_advise(l, d, ast);
	r->codes = compiled.codes;
	memcpy(r->calls, compiled.calls, sizeof(r->calls));
	tip_necessary_rule(r, ast, set->arena);
	fill_info(set, r, d);
	if (last)
		tip_rule_describe(set, r, d, ast, &compiled, &lists);
	set->count++;
	ret = 1;
out:
	if (ret != 1)
		tip_program_free(&r->program);
	tip_text_free(&full);
	return ret;
}

static void warn_unused(struct tip_loader *l)
{
	for (size_t i = 0; i < l->defs->nmacros; i++) {
		const struct tip_macro_def *m = l->defs->macro_order[i];

		if (!m->used)
			tip_load_say_def(l, "LOAD_UNUSED_MACRO", &m->place, "macro", m->name,
					 "macro '%s' is not used by any rule or macro", m->name);
	}
	for (size_t i = 0; i < l->defs->nlists; i++) {
		const struct tip_list_def *li = l->defs->list_order[i];

		if (!li->used)
			tip_load_say_def(l, "LOAD_UNUSED_LIST", &li->place, "list", li->name,
					 "list '%s' is not used by any rule, macro or list",
					 li->name);
	}
}

static bool fits(const struct tip_rule_switch *s, const char *name, const char *const *tags,
		 size_t ntags)
{
	if (s->rule)
		return fnmatch(s->rule, name, 0) == 0;
	for (size_t i = 0; i < ntags; i++)
		if (strcmp(tags[i], s->tag) == 0)
			return true;
	return false;
}

bool tip_rule_switch_fits(const struct tip_rule_switch *s, const struct tip_rule *rule)
{
	return fits(s, rule->info.name, rule->info.tags, rule->info.ntags);
}

static void switch_rules(struct tip_loader *l)
{
	for (size_t i = 0; i < l->options->nswitches; i++) {
		const struct tip_rule_switch *s = &l->options->switches[i];

		for (size_t r = 0; r < l->defs->nrules; r++) {
			struct tip_rule_def *d = l->defs->rule_order[r];

			if (fits(s, d->name, d->tags, d->ntags))
				d->enabled = s->enable;
		}
	}
}

struct tip_rules *tip_load_build(struct tip_loader *l, bool last)
{
	struct tip_rules *set = tip_alloc(sizeof(*set));
	struct tip_defs *d = l->defs;
	struct tip_cond_error err;

	set->arena = tip_arena_new();
	set->slots = tip_map_new();
	set->base64 = l->options->base64;
	set->test_numbers = tip_map_new();
	set->rules = tip_calloc(d->nrules + 1, sizeof(*set->rules));
	tip_defs_restart(d);
	if (last)
		switch_rules(l);
	for (size_t i = 0; i < d->nmacros; i++) {
		if (tip_resolve_macro(d, d->macro_order[i], &err) == 0)
			continue;
		tip_load_say_cond(l, NULL, &err, &d->macro_order[i]->place, "macro",
				  d->macro_order[i]->name);
		goto fail;
	}
	for (size_t i = 0; i < d->nrules; i++)
		if (build_rule(l, set, d->rule_order[i], last) < 0)
			goto fail;
	tip_rules_index(set);
	warn_unused(l);
	return set;
fail:
	tip_rules_free(set);
	return NULL;
}

/* ---- what a set tells
 * ------------------------------------------------------------------------------ */

struct tip_rules *tip_rules_hold(struct tip_rules *r)
{
	r->holders++;
	return r;
}

void tip_rules_free(struct tip_rules *r)
{
	if (!r || r->holders--)
		return;
	for (size_t i = 0; i < r->count; i++)
		tip_program_free(&r->rules[i].program);
	tip_rules_tests_free(r);
	for (size_t i = 0; i < r->nsearches; i++)
		tip_search_free(r->searches[i].search);
	free(r->searches);
	free(r->steps);
	free(r->rules);
	free(r->refs);
	tip_map_free(r->slots, NULL);
	tip_arena_free(r->arena);
	free(r);
}

size_t tip_rules_count(const struct tip_rules *r)
{
	return r->count;
}

const struct tip_rule *tip_rules_get(const struct tip_rules *r, size_t i)
{
	return &r->rules[i];
}

const struct tip_rule_info *tip_rule_info(const struct tip_rule *rule)
{
	return &rule->info;
}

const struct tip_enforce_spec *tip_rule_enforce_spec(const struct tip_rule *rule)
{
	return rule->enforce;
}

uint64_t tip_rules_event_mask(const struct tip_rules *r)
{
	return r->wanted.events;
}

const struct tip_wanted *tip_rules_wanted(const struct tip_rules *r)
{
	return &r->wanted;
}

const char *const *tip_rules_hosts(const struct tip_rules *r, size_t *count)
{
	*count = r->nhosts;
	return r->hosts;
}

bool tip_rules_use_container(const struct tip_rules *r)
{
	for (size_t i = 0; i < r->nrefs; i++)
		if (r->refs[i].used && tip_field_of_container(r->refs[i].field))
			return true;
	return false;
}

bool tip_rules_use_field(const struct tip_rules *r, const char *prefix)
{
	for (size_t i = 0; i < r->nrefs; i++)
		if (r->refs[i].used && strncmp(r->refs[i].text, prefix, strlen(prefix)) == 0)
			return true;
	return false;
}
