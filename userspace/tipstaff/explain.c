/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/buf.h"
#include "tipstaff/out.h"
#include "tipstaff/sources.h"
#include "tipstaff/tipstaff.h"

/* `rules explain`: what became of a rule, from the running daemon or from files. */

#define WIDTH 10

static void put_names(const char *name, json_t *list)
{
	struct tip_buf b = {0};
	json_t *item;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	json_array_foreach (list, i, item)
		tip_buf_addf(&b, "%s%s", i ? ", " : "", json_string_value(item));
	out_field(WIDTH, name, "%s", b.data);
	tip_buf_free(&b);
}

static void put_events(json_t *list)
{
	size_t n = json_array_size(list);

	if (n == 0)
		out_field(WIDTH, "events", "none: no event can satisfy the condition");
	else if (n > 100)
		out_field(WIDTH, "events", "%zu types: the condition does not narrow them down", n);
	else
		put_names("events", list);
}

/*
 * What of it the kernel decides, and the parts of which it decides nothing; all that passes is held
 * against the whole condition.
 */
static void put_halves(json_t *kernel, json_t *userspace)
{
	json_t *item;
	size_t i;

	json_array_foreach (kernel, i, item)
		out_field(WIDTH, i ? "" : "kernel", "%s%s%s", i ? "or " : "tells of ",
			  strchr("aeiou", *json_string_value(item)) ? "an " : "a ",
			  json_string_value(item));
	json_array_foreach (userspace, i, item)
		out_field(WIDTH, i ? "" : "userspace", "%s%s", i ? "and " : "",
			  json_string_value(item));
}

static void put_rule(json_t *r)
{
	json_t *d = json_object_get(r, "details");

	out_print("%s", out_on(stdout, OUT_BOLD));
	out_puts_safe(get_string(r, "name", "?"));
	out_print("%s\n", out_off(stdout));
	out_field(WIDTH, "about", "%s", get_string(r, "desc", ""));
	out_field(WIDTH, "from", "%s:%lld", get_string(r, "file", "?"), get_int(r, "line"));
	out_field(WIDTH, "priority", "%s%s", get_string(r, "priority", "?"),
		  get_bool(r, "enabled") ? "" : " (off)");
	if (strcmp(get_string(r, "action", "none"), "none") != 0)
		out_field(WIDTH, "action", "%s", get_string(r, "action", ""));
	out_field(WIDTH, "condition", "%s", get_string(d, "condition_compiled", ""));
	put_events(json_object_get(d, "events"));
	put_halves(json_object_get(d, "kernel"), json_object_get(d, "userspace"));
	put_names("fields", json_object_get(d, "condition_fields"));
	put_names("operators", json_object_get(d, "condition_operators"));
	put_names("macros", json_object_get(d, "macros"));
	put_names("lists", json_object_get(d, "lists"));
	put_names("exceptions", json_object_get(d, "exception_names"));
	out_field(WIDTH, "output", "%s", get_string(d, "output_compiled", ""));
}

static const char *action_name(enum tip_action a)
{
	return a == TIP_ACTION_KILL ? "kill" : a == TIP_ACTION_DENY ? "deny" : "none";
}

/* The same object as the daemon's. */
static json_t *rule_json(const struct tip_rule *rule)
{
	const struct tip_rule_info *r = tip_rule_info(rule);
	json_t *tags = json_array(), *details;
	struct tip_buf b = {0};

	for (size_t i = 0; i < r->ntags; i++)
		json_array_append_new(tags, cli_text_json(r->tags[i]));
	tip_rule_details_json(rule, &b);
	details = json_loadb(b.data, b.len, 0, NULL);
	tip_buf_free(&b);
	return json_pack("{s:o, s:o, s:o, s:o, s:s, s:s, s:o, s:b, s:s, s:o, s:i, s:o}", "name",
			 cli_text_json(r->name), "desc", cli_text_json(r->desc), "condition",
			 cli_text_json(r->condition), "output", cli_text_json(r->output),
			 "priority", tip_priority_name(r->priority), "source", r->source, "tags",
			 tags, "enabled", (int)r->enabled, "action", action_name(r->action), "file",
			 cli_text_json(r->file), "line", r->line, "details",
			 details ? details : json_object());
}

static json_t *from_files(const char *name, char *const *paths, int count)
{
	struct tip_load_result result = {0};
	struct tip_rules *rules = NULL;
	struct cli_sources in = {0};
	struct tip_error err = {0};
	json_t *found = NULL;

	if (cli_sources_read(&in, paths, count, &err) < 0) {
		cli_fail_error(&err, NULL);
		goto out;
	}
	rules = tip_rules_load(in.list, in.count, &result);
	for (size_t i = 0; !rules && i < result.count; i++)
		if (result.messages[i].is_error)
			err = result.messages[i].at;
	if (!rules) {
		cli_fail_error(&err, "`tipstaff rules validate` shows the place");
		goto out;
	}
	for (size_t i = 0; i < tip_rules_count(rules) && !found; i++)
		if (strcmp(tip_rule_info(tip_rules_get(rules, i))->name, name) == 0)
			found = rule_json(tip_rules_get(rules, i));
	if (!found)
		cli_fail("rules that are skipped are not explained",
			 "no rule \"%s\" in these files", name);
out:
	tip_rules_free(rules);
	tip_load_result_free(&result);
	cli_sources_free(&in);
	return found;
}

static int do_explain(const struct cli_args *args)
{
	const char *name = args->argv[0];
	json_t *rule = args->argc > 1 ? from_files(name, args->argv + 1, args->argc - 1)
				      : cli_call("rules.explain", json_pack("{s:s}", "rule", name));

	if (!rule)
		return CLI_FAIL;
	if (cli.json)
		out_json(rule);
	else
		put_rule(rule);
	json_decref(rule);
	return CLI_OK;
}

const struct cli_command cmd_rules_explain = {
	.name = "explain",
	.operands = "RULE [FILE...]",
	.help = "what a rule came to be: its whole condition, its events and fields",
	.more = "The condition is shown with its macros, lists and exceptions expanded. With "
		"files, "
		"the\n"
		"rule is taken from them, in the order given, and no daemon is needed.",
	.min = 1,
	.max = -1,
	.complete = CLI_COMPLETE_FILE,
	.run = do_explain,
};
