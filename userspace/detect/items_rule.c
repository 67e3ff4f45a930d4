/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "detect/loader.h"

/* Items `rule` of a rule file. */

#define YAML_ERR "LOAD_ERR_YAML_VALIDATE"

static const struct tip_key keys[] = {
	{.name = "rule"},
	{.name = "desc", .append = true, .replace = true},
	{.name = "condition", .append = true, .replace = true},
	{.name = "output", .append = true, .replace = true},
	{.name = "tags", .append = true, .replace = true},
	{.name = "exceptions", .append = true, .replace = true},
	{.name = "priority", .replace = true},
	{.name = "enabled", .replace = true},
	{.name = "warn_evttypes", .replace = true},
	{.name = "skip-if-unknown-filter", .replace = true},
	{.name = "capture", .replace = true},
	{.name = "capture_duration", .replace = true},
	{.name = "action", .replace = true},
	{.name = "rate_limit", .replace = true},
	{.name = "source"},
	{.name = "append"},
	{.name = "override"},
};

static const char *const priorities[] = {
	[TIP_PRIO_EMERGENCY] = "Emergency",
	[TIP_PRIO_ALERT] = "Alert",
	[TIP_PRIO_CRITICAL] = "Critical",
	[TIP_PRIO_ERROR] = "Error",
	[TIP_PRIO_WARNING] = "Warning",
	[TIP_PRIO_NOTICE] = "Notice",
	[TIP_PRIO_INFORMATIONAL] = "Informational",
	[TIP_PRIO_DEBUG] = "Debug",
};

const char *tip_priority_name(enum tip_priority p)
{
	return priorities[p];
}

int tip_priority_parse(const char *name, enum tip_priority *out)
{
	for (size_t i = 0; i < TIP_ARRAY_SIZE(priorities); i++) {
		if (strcasecmp(name, priorities[i]) != 0 &&
		    !(i == TIP_PRIO_INFORMATIONAL && strcasecmp(name, "info") == 0))
			continue;
		*out = (enum tip_priority)i;
		return 0;
	}
	return -1;
}

/* ---- one key each
 * -------------------------------------------------------------------------------- */

static int set_priority(struct tip_loader *l, struct tip_rule_def *r, const struct tip_yaml *n)
{
	if (n->kind == TIP_YAML_SCALAR && tip_priority_parse(n->text, &r->priority) == 0)
		return 0;
	return tip_load_say(l, YAML_ERR, n,
			    "priority must be one of Emergency, Alert, Critical, Error, Warning, "
			    "Notice, Informational, Debug");
}

static int set_bool(struct tip_loader *l, const struct tip_yaml *item, const char *key, bool *out)
{
	const struct tip_yaml *n = tip_yaml_get(item, key);

	if (n && tip_yaml_bool(n, out) < 0)
		return tip_load_say(l, YAML_ERR, n, "'%s' must be true or false", key);
	return 0;
}

static int set_action(struct tip_loader *l, struct tip_rule_def *r, const struct tip_yaml *n)
{
	r->action_place = (struct tip_def_place){l->source, n};
	if (n->kind == TIP_YAML_SCALAR && strcmp(n->text, "kill") == 0)
		r->action = TIP_ACTION_KILL;
	else if (n->kind == TIP_YAML_SCALAR && strcmp(n->text, "deny") == 0)
		r->action = TIP_ACTION_DENY;
	else
		return tip_load_say(l, YAML_ERR, n, "action must be 'kill' or 'deny'");
	return 0;
}

/* {per_second: NUMBER, max_burst: NUMBER}; what a second brings back, one at least, is the burst.
 */
static int set_rate_limit(struct tip_loader *l, struct tip_rule_def *r, const struct tip_yaml *n)
{
	const struct tip_yaml *rate = NULL, *burst = NULL;
	double per_second = 0;
	int64_t max_burst = 1;
	char *end = NULL;

	if (n->kind == TIP_YAML_MAPPING) {
		rate = tip_yaml_get(n, "per_second");
		burst = tip_yaml_get(n, "max_burst");
	}
	if (!rate || rate->kind != TIP_YAML_SCALAR || n->count != (burst ? 2 : 1))
		return tip_load_say(l, YAML_ERR, n,
				    "rate_limit must be {per_second: NUMBER, max_burst: NUMBER}");
	per_second = strtod(rate->text, &end);
	if (end == rate->text || *end || !(per_second > 0 && per_second <= TIP_RATE_MAX))
		return tip_load_say(l, YAML_ERR, rate,
				    "per_second must be a number above 0, at most %d",
				    TIP_RATE_MAX);
	if (per_second > 1)
		max_burst = (int64_t)per_second;
	if (burst &&
	    (tip_yaml_int(burst, &max_burst) < 0 || max_burst < 1 || max_burst > TIP_RATE_MAX))
		return tip_load_say(l, YAML_ERR, burst, "max_burst must be from 1 to %d",
				    TIP_RATE_MAX);
	r->rate_limit = (struct tip_rate_limit){per_second, (uint32_t)max_burst};
	return 0;
}

static int set_tags(struct tip_loader *l, struct tip_rule_def *r, const struct tip_yaml *item,
		    bool append)
{
	const struct tip_yaml *n = tip_load_strings(l, item, "tags");

	if (!n)
		return -1;
	if (!append)
		r->ntags = 0;
	r->tags = tip_realloc(r->tags, r->ntags + n->count + 1, sizeof(*r->tags));
	for (size_t i = 0; i < n->count; i++)
		r->tags[r->ntags++] = n->items[i]->text;
	return 0;
}

static void set_text(struct tip_loader *l, struct tip_text *t, const struct tip_yaml *n,
		     bool append)
{
	if (append && t->count)
		tip_text_put(t, t, t->buf.len, " ", 1);
	else
		tip_text_free(t);
	tip_text_add_node(t, l->source, n);
}

/* Every key that is there, appended to or put in the place of what was. */
static int set_keys(struct tip_loader *l, struct tip_rule_def *r, const struct tip_yaml *item,
		    bool partial)
{
	static const char *const names[] = {"condition", "output", "desc"};
	struct tip_text *const texts[] = {&r->condition, &r->output, &r->desc};
	const struct tip_yaml *n;
	bool append, bad;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(names); i++) {
		n = tip_load_text(l, item, names[i], false, &bad);
		if (bad)
			return -1;
		append = partial && tip_load_override(item, names[i]) == TIP_OVERRIDE_APPEND;
		if (n)
			set_text(l, texts[i], n, append);
	}
	n = tip_yaml_get(item, "priority");
	if (n && set_priority(l, r, n) < 0)
		return -1;
	n = tip_yaml_get(item, "action");
	if (n && set_action(l, r, n) < 0)
		return -1;
	n = tip_yaml_get(item, "rate_limit");
	if (n && set_rate_limit(l, r, n) < 0)
		return -1;
	if (set_bool(l, item, "enabled", &r->enabled) < 0 ||
	    set_bool(l, item, "warn_evttypes", &r->warn_evttypes) < 0 ||
	    set_bool(l, item, "skip-if-unknown-filter", &r->skip_unknown) < 0)
		return -1;
	append = partial && tip_load_override(item, "tags") == TIP_OVERRIDE_APPEND;
	if (tip_yaml_get(item, "tags") && set_tags(l, r, item, append) < 0)
		return -1;
	append = partial && tip_load_override(item, "exceptions") == TIP_OVERRIDE_APPEND;
	n = tip_yaml_get(item, "exceptions");
	return n ? tip_load_exceptions(l, r, n, append) : 0;
}

/* ---- the kinds of rule item
 * ------------------------------------------------------------------------ */

static int skip(struct tip_loader *l, const struct tip_yaml *at, const char *source)
{
	tip_map_puts(l->skipped, l->item_name, (void *)source);
	tip_load_say(l, "LOAD_UNKNOWN_SOURCE", at,
		     "rule '%s' is skipped: there is no event source '%s'", l->item_name, source);
	return 0;
}

static int change_rule(struct tip_loader *l, const struct tip_yaml *item)
{
	struct tip_rule_def *r = tip_map_gets(l->defs->rules, l->item_name);
	const struct tip_yaml *name = tip_yaml_get(item, "rule");
	const char *skipped = tip_map_gets(l->skipped, l->item_name);

	if (!r && skipped)
		return skip(l, name, skipped);
	if (!r)
		return tip_load_say(l, "LOAD_ERR_VALIDATE", name, "there is no rule '%s' to change",
				    l->item_name);
	if (!tip_yaml_get(item, "override") && !tip_yaml_get(item, "condition") &&
	    !tip_yaml_get(item, "exceptions"))
		return tip_load_say(l, "LOAD_ERR_VALIDATE", name,
				    "an appended rule needs 'condition' or 'exceptions'");
	r->last = ++l->defs->sequence;
	return set_keys(l, r, item, true);
}

/* A lone `enabled` switches a rule that is there. */
static int switch_rule(struct tip_loader *l, const struct tip_yaml *item)
{
	struct tip_rule_def *r = tip_map_gets(l->defs->rules, l->item_name);
	const char *skipped = tip_map_gets(l->skipped, l->item_name);

	if (!r && skipped)
		return skip(l, tip_yaml_get(item, "rule"), skipped);
	if (!r)
		return tip_load_say(l, "LOAD_ERR_VALIDATE", tip_yaml_get(item, "rule"),
				    "there is no rule '%s' to switch", l->item_name);
	tip_load_say(l, "LOAD_DEPRECATED_ITEM", item,
		     "a lone 'enabled' is deprecated: use 'override: {enabled: replace}'");
	return set_bool(l, item, "enabled", &r->enabled);
}

static void clear_rule(struct tip_rule_def *r)
{
	tip_text_free(&r->condition);
	tip_text_free(&r->output);
	tip_text_free(&r->desc);
	for (size_t i = 0; i < r->nexceptions; i++)
		free(r->exceptions[i].values);
	r->nexceptions = 0;
	r->ntags = 0;
	r->action = TIP_ACTION_NONE;
	r->rate_limit = (struct tip_rate_limit){0};
	r->source_name = "syscall";
	r->enabled = true;
	r->warn_evttypes = true;
	r->skip_unknown = false;
}

int tip_load_rule(struct tip_loader *l, const struct tip_yaml *item)
{
	static const char *const required[] = {"condition", "output", "desc", "priority"};
	const struct tip_yaml *source;
	struct tip_rule_def *r;
	bool partial, bad, any = false;

	tip_load_unknown_keys(l, item, keys, TIP_ARRAY_SIZE(keys));
	if (tip_load_overrides(l, item, keys, TIP_ARRAY_SIZE(keys), &partial) < 0)
		return -1;
	if (partial)
		return change_rule(l, item);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(required); i++)
		any |= tip_yaml_get(item, required[i]) != NULL;
	if (!any && tip_yaml_get(item, "enabled"))
		return switch_rule(l, item);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(required); i++)
		if (!tip_load_text(l, item, required[i], true, &bad))
			return -1;
	source = tip_load_text(l, item, "source", false, &bad);
	if (bad)
		return -1;
	if (source && strcmp(source->text, "syscall") != 0)
		return skip(l, source, source->text);
	r = tip_defs_rule(l->defs, l->item_name);
	tip_map_dels(l->skipped, l->item_name);
	clear_rule(r);
	r->last = ++l->defs->sequence;
	if (!r->first)
		r->first = r->last;
	r->place = (struct tip_def_place){l->source, tip_yaml_get(item, "rule"), item};
	return set_keys(l, r, item, false);
}
