/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/keeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

static const char *action_name(enum tip_action a)
{
	return a == TIP_ACTION_KILL ? "kill" : a == TIP_ACTION_DENY ? "deny" : "none";
}

static json_t *rule_json(const struct tip_keeper *k, const struct tip_rule *rule, bool details)
{
	const struct tip_rule_info *r = tip_rule_info(rule);
	const struct tip_rate *rate = &k->rules.rates[r->index];
	json_t *tags = json_array(), *object;
	struct tip_buf b = {0};

	for (size_t t = 0; t < r->ntags; t++)
		json_array_append_new(tags, json_string(r->tags[t]));
	object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:b, s:s, s:s, s:s, s:i, s:s?}",
			   "name", r->name, "desc", r->desc, "condition", r->condition, "output",
			   r->output, "priority", tip_priority_name(r->priority), "source",
			   r->source, "tags", tags, "enabled", (int)r->enabled, "action",
			   action_name(r->action), "does",
			   action_name(tip_guard_does(k->guard, rule)), "file", r->file, "line",
			   r->line, "set", tip_set_of(r->file));
	json_object_set_new(object, "matched", json_integer((json_int_t)rate->matched));
	json_object_set_new(object, "suppressed", json_integer((json_int_t)rate->suppressed));
	json_object_set_new(object, "rate_limit",
			    r->rate_limit.per_second > 0
				    ? json_pack("{s:f, s:I}", "per_second",
						r->rate_limit.per_second, "max_burst",
						(json_int_t)r->rate_limit.max_burst)
				    : json_null());
	if (details) {
		tip_rule_details_json(rule, &b);
		json_object_set_new(object, "details", json_loadb(b.data, b.len, 0, NULL));
		tip_buf_free(&b);
	}
	return object;
}

TIP_METHOD(tip_method_rules_list)
{
	const struct tip_keeper *k = ctx;
	json_t *list = json_array();
	int details = 0;

	json_unpack(params, "{s?b}", "details", &details);
	for (size_t i = 0; i < tip_rules_count(k->rules.active); i++)
		json_array_append_new(
			list, rule_json(k, tip_rules_get(k->rules.active, i), details != 0));
	return json_pack("{s:o}", "rules", list);
}

TIP_METHOD(tip_method_rules_explain)
{
	const struct tip_keeper *k = ctx;
	const char *name;

	if (json_unpack(params, "{s:s}", "rule", &name) < 0) {
		tip_error_set(err, "rules.explain wants rule");
		return NULL;
	}
	for (size_t i = 0; i < tip_rules_count(k->rules.active); i++) {
		const struct tip_rule *rule = tip_rules_get(k->rules.active, i);

		if (strcmp(tip_rule_info(rule)->name, name) == 0)
			return rule_json(k, rule, true);
	}
	*hint = "`tipstaff rules list` shows them";
	tip_error_set(err, "there is no rule \"%s\"", name);
	return NULL;
}

static bool get_member(const void *ctx, size_t i, struct tip_set_member *out)
{
	const struct tip_keeper *k = ctx;
	const struct tip_rule_info *r;

	if (i >= tip_rules_count(k->rules.active))
		return false;
	r = tip_rule_info(tip_rules_get(k->rules.active, i));
	*out = (struct tip_set_member){r->name, r->file, r->line};
	return true;
}

static const struct tip_set_kind rules = {
	.member = "rule",
	.set = "rule set",
	.none_hint = "`tipstaff rules list` shows rules and sets",
	.file_hint = "remove it from the file, then `tipstaff rules reload`",
	.other_hint = "remove the whole set by its name, or add the set again without the rule",
	.get = get_member,
};

static json_t *warnings(const struct tip_keeper *k, const char *set)
{
	json_t *list = json_array();
	char text[1200], full[1400];

	for (size_t i = 0; i < k->rules.last.count; i++) {
		const struct tip_load_message *m = &k->rules.last.messages[i];
		const char *of = tip_set_of(m->at.file);

		if (set && !(of && strcmp(of, set) == 0))
			continue;
		snprintf(full, sizeof(full), "%s (%s)", tip_error_str(&m->at, text, sizeof(text)),
			 m->code);
		json_array_append_new(list, json_string(full));
	}
	return list;
}

TIP_METHOD(tip_method_rules_add)
{
	struct tip_keeper *k = ctx;
	struct tip_set set = {0};
	struct tip_buf notes = {0};
	const char *name, *text;
	int ephemeral = 0, replace = 0;
	json_t *result;
	bool there;

	if (json_unpack(params, "{s:s, s:s, s?b, s?b}", "name", &name, "text", &text, "ephemeral",
			&ephemeral, "replace", &replace) < 0) {
		tip_error_set(err, "rules.add wants name and text");
		return NULL;
	}
	if (!tip_set_name_ok(name)) {
		*hint = "give one with --name: 1 to 64 of [a-z0-9._-], not starting with a dot";
		tip_error_set(err, "\"%s\" cannot name a rule set", name);
		return NULL;
	}
	there = tip_sets_find(&k->rules.sets, name) != NULL;
	if (replace && !there) {
		*hint = "`tipstaff rules list` shows the sets; `rules add` makes a new one";
		tip_error_set(err, "there is no rule set \"%s\" to replace", name);
		return NULL;
	}
	set.name = (char *)name;
	set.text = (char *)text;
	set.ephemeral = ephemeral;
	if (tip_rules_install(k, &set, NULL, &notes, err) < 0) {
		*hint = "nothing has changed: the rules that ran before still run";
		tip_buf_free(&notes);
		return NULL;
	}
	tip_rules_say_reloaded(k, tip_control_peer(client), there ? "replaced" : "added", name);
	result = json_pack("{s:s, s:o, s:o, s:o}", "set", name, "rules",
			   tip_set_members(&rules, k, name), "warnings", warnings(k, name), "notes",
			   tip_json_lines(&notes));
	tip_buf_free(&notes);
	return result;
}

/* Which rules are on, by their index. */
static bool *rules_on(const struct tip_keeper *k)
{
	size_t count = tip_rules_count(k->rules.active);
	bool *on = tip_calloc(count + 1, sizeof(*on));

	for (size_t i = 0; i < count; i++)
		on[i] = tip_rule_info(tip_rules_get(k->rules.active, i))->enabled;
	return on;
}

static bool any_fits(const struct tip_keeper *k, const struct tip_rule_switch *is)
{
	for (size_t i = 0; i < tip_rules_count(k->rules.active); i++)
		if (tip_rule_switch_fits(is, tip_rules_get(k->rules.active, i)))
			return true;
	return false;
}

TIP_METHOD(tip_method_rules_switch)
{
	struct tip_keeper *k = ctx;
	struct tip_rule_switch is = {0};
	size_t count = tip_rules_count(k->rules.active);
	struct tip_buf notes = {0};
	json_t *changed, *result;
	int enable, ephemeral = 0;
	bool *on;

	if (json_unpack(params, "{s:b, s?s, s?s, s?b}", "enable", &enable, "rule", &is.rule, "tag",
			&is.tag, "ephemeral", &ephemeral) < 0 ||
	    !is.rule == !is.tag || !*(is.rule ? is.rule : is.tag)) {
		tip_error_set(err, "rules.switch wants enable, and rule or tag");
		return NULL;
	}
	is.enable = enable;
	if (!any_fits(k, &is)) {
		*hint = "`tipstaff rules list -l` shows names and tags";
		tip_error_set(err, "no rule has the %s \"%s\"", is.rule ? "name" : "tag",
			      is.rule ? is.rule : is.tag);
		return NULL;
	}
	on = rules_on(k);
	if (tip_rules_switch(k, &is, ephemeral, &notes, err) < 0) {
		*hint = "nothing has changed: the rules that ran before still run";
		tip_buf_free(&notes);
		free(on);
		return NULL;
	}
	changed = json_array();
	/* files may have changed meanwhile, and the rules with them */
	for (size_t i = 0; i < tip_rules_count(k->rules.active); i++) {
		const struct tip_rule *rule = tip_rules_get(k->rules.active, i);

		if (tip_rule_switch_fits(&is, rule) &&
		    (i >= count || on[i] != tip_rule_info(rule)->enabled))
			json_array_append_new(changed, json_string(tip_rule_info(rule)->name));
	}
	free(on);
	tip_rules_say_reloaded(k, tip_control_peer(client), enable ? "enabled" : "disabled", NULL);
	result = json_pack("{s:o, s:o}", "rules", changed, "notes", tip_json_lines(&notes));
	tip_buf_free(&notes);
	return result;
}

TIP_METHOD(tip_method_rules_remove)
{
	struct tip_keeper *k = ctx;
	const char *name, *found;
	json_t *names, *result = NULL;
	char *set;

	if (json_unpack(params, "{s:s}", "name", &name) < 0) {
		tip_error_set(err, "rules.remove wants name");
		return NULL;
	}
	found = tip_set_meant(&rules, k, &k->rules.sets, name, err, hint);
	if (!found)
		return NULL;
	set = tip_strdup(found);
	names = tip_set_members(&rules, k, set);
	if (tip_rules_install(k, NULL, set, NULL, err) == 0) {
		tip_rules_say_reloaded(k, tip_control_peer(client), "removed", set);
		result = json_pack("{s:s, s:O}", "set", set, "rules", names);
	}
	json_decref(names);
	free(set);
	return result;
}

TIP_METHOD(tip_method_rules_reload)
{
	struct tip_keeper *k = ctx;
	struct tip_buf notes = {0};
	json_t *result;

	if (tip_rules_install(k, NULL, NULL, &notes, err) < 0) {
		*hint = "nothing has changed: the rules that ran before still run";
		tip_buf_free(&notes);
		return NULL;
	}
	tip_rules_say_reloaded(k, tip_control_peer(client), "reloaded", NULL);
	result = json_pack("{s:I, s:I, s:o, s:o}", "files", (json_int_t)k->rules.nfiles, "count",
			   (json_int_t)tip_rules_count(k->rules.active), "warnings",
			   warnings(k, NULL), "notes", tip_json_lines(&notes));
	tip_buf_free(&notes);
	return result;
}
