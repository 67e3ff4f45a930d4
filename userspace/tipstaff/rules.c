/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/buf.h"
#include "tipstaff/out.h"
#include "tipstaff/sets.h"
#include "tipstaff/tipstaff.h"

/* ---- list ------------------------------------------------------------------------------ */

/* What it does on the daemon's kernel: where that cannot deny, it kills. */
static const char *action_of(json_t *r)
{
	const char *does = get_string(r, "does", "none");

	return strcmp(does, "none") ? does : "alert";
}

static void put_rule_row(struct out_table *t, json_t *r)
{
	const char *set = get_string(r, "set", NULL);
	bool enabled = get_bool(r, "enabled");
	enum out_style style = enabled ? OUT_PLAIN : OUT_DIM;

	out_cell(t, style, "%s", get_string(r, "name", "?"));
	out_cell(t, style, "%s", get_string(r, "priority", "?"));
	out_cell(t, style, "%s", !enabled ? "off" : action_of(r));
	out_cell(t, style, "%lld", get_int(r, "matched"));
	if (set)
		out_cell(t, OUT_DIM, "set %s:%lld", set, get_int(r, "line"));
	else
		out_cell(t, OUT_DIM, "%s:%lld", get_string(r, "file", "?"), get_int(r, "line"));
}

static void put_rate_limit(const json_t *limit, long long suppressed)
{
	double per_second;
	json_int_t burst;

	if (json_unpack((json_t *)limit, "{s:F, s:I}", "per_second", &per_second, "max_burst",
			&burst) < 0)
		return;
	out_field(9, "limit", "%g a second, at most %lld at once; %lld held back", per_second,
		  (long long)burst, suppressed);
}

static void put_rule_long(json_t *r)
{
	const char *set = get_string(r, "set", NULL), *action = get_string(r, "action", "none");
	struct tip_buf tags = {0};
	json_t *tag;
	size_t i;

	out_print("%s", out_on(stdout, OUT_BOLD));
	out_puts_safe(get_string(r, "name", "?"));
	out_print("%s\n", out_off(stdout));
	tip_buf_adds(&tags, "");
	json_array_foreach (json_object_get(r, "tags"), i, tag)
		tip_buf_addf(&tags, "%s%s", i ? ", " : "", json_string_value(tag));
	out_field(9, "about", "%s", get_string(r, "desc", ""));
	out_field(9, "condition", "%s", get_string(r, "condition", ""));
	out_field(9, "output", "%s", get_string(r, "output", ""));
	out_field(9, "priority", "%s", get_string(r, "priority", "?"));
	out_field(9, "action", "%s%s", action, get_bool(r, "enabled") ? "" : " (off)");
	if (strcmp(action, action_of(r)) != 0)
		out_field(9, "here", "%s", action_of(r));
	out_field(9, "matched", "%lld", get_int(r, "matched"));
	put_rate_limit(json_object_get(r, "rate_limit"), get_int(r, "suppressed"));
	if (tags.len)
		out_field(9, "tags", "%s", tags.data);
	out_field(9, "from", "%s%s:%lld", set ? "set " : "", set ? set : get_string(r, "file", "?"),
		  get_int(r, "line"));
	tip_buf_free(&tags);
}

static int do_list(const struct cli_args *args)
{
	json_t *result = cli_call("rules.list", json_pack("{s:b}", "details", cli.json));
	json_t *list = json_object_get(result, "rules"), *r;
	struct out_table *t;
	size_t i;

	if (!result)
		return CLI_FAIL;
	if (cli.json) {
		out_json(result);
		goto out;
	}
	if (cli_given(args, "long")) {
		json_array_foreach (list, i, r) {
			out_print("%s", i ? "\n" : "");
			put_rule_long(r);
		}
		goto out;
	}
	t = out_table_new("RULE,PRIORITY,ACTION,MATCHED,FROM");
	json_array_foreach (list, i, r)
		put_rule_row(t, r);
	out_table_end(t, "no rules are loaded");
out:
	json_decref(result);
	return CLI_OK;
}

/* ---- add, remove, reload ---------------------------------------------------------------- */

static const struct cli_set_kind set_kind = {
	.add = "rules.add",
	.remove = "rules.remove",
	.verb = "added",
	.members = "rules",
	.one = "rule",
	.many = "rules",
	.example = "for example `tipstaff rules add - --name mine < rules.yaml`",
};

static int do_add(const struct cli_args *args)
{
	return cli_set_add(args, &set_kind);
}

static const struct cli_set_kind replace_kind = {
	.replace = true,
	.add = "rules.add",
	.verb = "replaced by",
	.members = "rules",
	.one = "rule",
	.many = "rules",
	.example = "for example `tipstaff rules replace - --name mine < rules.yaml`",
};

static int do_replace(const struct cli_args *args)
{
	return cli_set_add(args, &replace_kind);
}

static int do_remove(const struct cli_args *args)
{
	return cli_set_remove(args, &set_kind);
}

static int do_reload(const struct cli_args *args)
{
	json_t *result = cli_call("rules.reload", NULL);

	if (!result)
		return CLI_FAIL;
	if (cli.json) {
		out_json(result);
	} else {
		long long files = get_int(result, "files");

		out_print("reloaded: %lld rules from %lld file%s\n", get_int(result, "count"),
			  files, files == 1 ? "" : "s");
		cli_set_remarks(result);
	}
	json_decref(result);
	return CLI_OK;
}

/* ---- enable, disable ---------------------------------------------------------------------- */

static int do_switch(const struct cli_args *args, bool enable)
{
	json_t *result = cli_call("rules.switch",
				  json_pack("{s:b, s:s, s:b}", "enable", enable,
					    cli_given(args, "tag") ? "tag" : "rule", args->argv[0],
					    "ephemeral", cli_given(args, "ephemeral")));
	json_t *names = json_object_get(result, "rules"), *name;
	size_t i;

	if (!result)
		return CLI_FAIL;
	if (cli.json) {
		out_json(result);
	} else {
		out_print("%s %zu rule%s\n", enable ? "enabled" : "disabled",
			  json_array_size(names), json_array_size(names) == 1 ? "" : "s");
		json_array_foreach (names, i, name) {
			out_print("  %s ", out_sign(OUT_DOT));
			out_puts_safe(json_string_value(name));
			out_print("\n");
		}
		cli_set_remarks(result);
	}
	json_decref(result);
	return CLI_OK;
}

static int do_enable(const struct cli_args *args)
{
	return do_switch(args, true);
}

static int do_disable(const struct cli_args *args)
{
	return do_switch(args, false);
}

static const struct cli_option switch_options[] = {
	{"tag", 't', NULL, "all rules with that tag, instead of a name", CLI_COMPLETE_NONE},
	{"ephemeral", 'e', NULL, "forget it when the daemon ends", CLI_COMPLETE_NONE},
	{.name = NULL},
};

#define SWITCH_MORE                                                                                \
	"NAME may be a pattern ('Read *'). It holds whatever the files say, for rules to come "    \
	"too,\nuntil the same name is switched again, and survives restarts unless --ephemeral "   \
	"is given."

static const struct cli_command cmd_enable = {
	.name = "enable",
	.operands = "NAME",
	.help = "turn rules on, by name or tag",
	.more = SWITCH_MORE,
	.min = 1,
	.max = 1,
	.options = switch_options,
	.run = do_enable,
};

static const struct cli_command cmd_disable = {
	.name = "disable",
	.operands = "NAME",
	.help = "turn rules off, by name or tag",
	.more = SWITCH_MORE,
	.min = 1,
	.max = 1,
	.options = switch_options,
	.run = do_disable,
};

static const struct cli_option list_options[] = {
	{"long", 'l', NULL, "with condition, output and tags", CLI_COMPLETE_NONE},
	{.name = NULL},
};

static const struct cli_command cmd_list = {
	.name = "list",
	.help = "the loaded rules and where each comes from",
	.options = list_options,
	.run = do_list,
};

static const struct cli_command cmd_add = {
	.name = "add",
	.operands = "FILE",
	.help = "add a set of rules to the running daemon (- is stdin)",
	.more = "A set of the same name is replaced. The set is refused whole when anything in it "
		"is\n"
		"wrong, and what ran goes on. It survives restarts unless --ephemeral is given.",
	.min = 1,
	.max = 1,
	.complete = CLI_COMPLETE_FILE,
	.options = cli_set_options,
	.run = do_add,
};

static const struct cli_command cmd_replace = {
	.name = "replace",
	.operands = "FILE",
	.help = "put another set in the place of one that was added here",
	.more = "As `rules add`, but refused when there is no set of that name.",
	.min = 1,
	.max = 1,
	.complete = CLI_COMPLETE_FILE,
	.options = cli_set_options,
	.run = do_replace,
};

static const struct cli_command cmd_remove = {
	.name = "remove",
	.operands = "NAME",
	.help = "remove a set that was added here",
	.more = "NAME is the set's, or that of a rule which is alone in its set.",
	.min = 1,
	.max = 1,
	.run = do_remove,
};

static const struct cli_command cmd_reload = {
	.name = "reload",
	.help = "read the configured rule files again",
	.more = "When a file has an error, the rules that ran go on and the error is shown.",
	.run = do_reload,
};

static const struct cli_command *const subs[] = {
	&cmd_list,          &cmd_add,          &cmd_replace, &cmd_remove,
	&cmd_reload,        &cmd_enable,       &cmd_disable, &cmd_rules_validate,
	&cmd_rules_explain, &cmd_rules_fields, NULL,
};

const struct cli_command cmd_rules = {
	.name = "rules",
	.help = "detection rules",
	.subs = subs,
};
