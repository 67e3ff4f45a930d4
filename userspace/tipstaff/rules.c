/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/control.h"
#include "tipstaff/out.h"
#include "tipstaff/tipstaff.h"

/* Room for the rest of a request, and for what JSON's escapes add. */
#define MAX_RULES (TIP_CONTROL_MAX_REQUEST / 2)

/* ---- list ------------------------------------------------------------------------------ */

static void put_rule_row(struct out_table *t, json_t *r)
{
	const char *set = get_string(r, "set", NULL), *action = get_string(r, "action", "none");
	bool enabled = get_bool(r, "enabled");
	enum out_style style = enabled ? OUT_PLAIN : OUT_DIM;

	out_cell(t, style, "%s", get_string(r, "name", "?"));
	out_cell(t, style, "%s", get_string(r, "priority", "?"));
	out_cell(t, style, "%s", !enabled ? "off" : strcmp(action, "none") ? action : "alert");
	if (set)
		out_cell(t, OUT_DIM, "set %s:%lld", set, get_int(r, "line"));
	else
		out_cell(t, OUT_DIM, "%s:%lld", get_string(r, "file", "?"), get_int(r, "line"));
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
	out_field(9, "action", "%s%s", strcmp(action, "none") ? action : "alert",
		  get_bool(r, "enabled") ? "" : " (off)");
	if (tags.len)
		out_field(9, "tags", "%s", tags.data);
	out_field(9, "from", "%s%s:%lld", set ? "set " : "", set ? set : get_string(r, "file", "?"),
		  get_int(r, "line"));
	tip_buf_free(&tags);
}

static int do_list(const struct cli_args *args)
{
	json_t *result = cli_call("rules.list", NULL);
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
	t = out_table_new("RULE,PRIORITY,ACTION,FROM");
	json_array_foreach (list, i, r)
		put_rule_row(t, r);
	out_table_end(t, "no rules are loaded");
out:
	json_decref(result);
	return CLI_OK;
}

/* ---- add, remove, reload ---------------------------------------------------------------- */

/* What the loader and the guard had to say. */
static void put_remarks(json_t *result)
{
	static const char *const kinds[][2] = {{"warnings", "warning"}, {"notes", "note"}};

	for (size_t k = 0; k < 2; k++) {
		json_t *list = json_object_get(result, kinds[k][0]), *text;
		size_t i;

		json_array_foreach (list, i, text) {
			out_print("%s%s%s: ", out_on(stdout, k ? OUT_BLUE : OUT_YELLOW),
				  kinds[k][1], out_off(stdout));
			out_puts_safe(json_is_string(text) ? json_string_value(text) : "");
			out_print("\n");
		}
	}
}

static void put_names(const char *verb, json_t *result)
{
	json_t *names = json_object_get(result, "rules"), *name;
	size_t n = json_array_size(names), i;

	out_print("%s %zu rule%s of set ", verb, n, n == 1 ? "" : "s");
	out_puts_safe(get_string(result, "set", "?"));
	out_print("\n");
	json_array_foreach (names, i, name) {
		out_print("  %s ", out_sign(OUT_DOT));
		out_puts_safe(json_is_string(name) ? json_string_value(name) : "?");
		out_print("\n");
	}
}

/* All of stdin, at most MAX_RULES bytes. */
static int read_stdin(struct tip_buf *text, struct tip_error *err)
{
	char chunk[16384];
	size_t n;

	while ((n = fread(chunk, 1, sizeof(chunk), stdin)) > 0) {
		if (text->len + n > MAX_RULES)
			return tip_error_at(err, "stdin", 0, 0, "more than %u bytes", MAX_RULES);
		tip_buf_add(text, chunk, n);
	}
	return ferror(stdin) ? tip_error_at(err, "stdin", 0, 0, "cannot be read") : 0;
}

/* "/tmp/My rules.yaml" -> "my-rules". */
static char *set_name(const char *file)
{
	const char *base = strrchr(file, '/');
	char *name = tip_strdup(base ? base + 1 : file), *dot = strrchr(name, '.');

	if (dot && dot != name && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml")))
		*dot = '\0';
	for (char *p = name; *p; p++) {
		*p = (char)tolower((unsigned char)*p);
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789._-", *p))
			*p = '-';
	}
	return name;
}

static int do_add(const struct cli_args *args)
{
	const char *file = args->argv[0], *given = cli_value(args, "name", NULL);
	bool from_stdin = !strcmp(file, "-");
	struct tip_error err = {0};
	struct tip_buf text = {0};
	json_t *params, *result;
	char *name = NULL, *set = NULL;
	int ret = CLI_FAIL;

	if (from_stdin && !given)
		return cli_usage("for example `tipstaff rules add - --name mine < rules.yaml`",
				 "rules from stdin want a --name");
	if (from_stdin ? read_stdin(&text, &err) : tip_file_read(file, MAX_RULES, &text, &err)) {
		cli_fail_error(&err, NULL);
		goto out;
	}
	name = given ? tip_strdup(given) : set_name(file);
	params = json_pack("{s:s, s:s%, s:b}", "name", name, "text", text.len ? text.data : "",
			   text.len, "ephemeral", cli_given(args, "ephemeral"));
	if (!params) {
		cli_fail("save it as UTF-8 text", "%s: is not UTF-8 text", file);
		goto out;
	}
	/* The daemon has no file: it names the set. */
	set = tip_sprintf("set %s", name);
	result = cli_call_with_file("rules.add", params, set, from_stdin ? "stdin" : file);
	if (!result)
		goto out;
	if (cli.json) {
		out_json(result);
	} else {
		put_names("added", result);
		put_remarks(result);
	}
	json_decref(result);
	ret = CLI_OK;
out:
	free(name);
	free(set);
	tip_buf_free(&text);
	return ret;
}

static int do_remove(const struct cli_args *args)
{
	json_t *result = cli_call("rules.remove", json_pack("{s:s}", "name", args->argv[0]));

	if (!result)
		return CLI_FAIL;
	if (cli.json)
		out_json(result);
	else
		put_names("removed", result);
	json_decref(result);
	return CLI_OK;
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
		put_remarks(result);
	}
	json_decref(result);
	return CLI_OK;
}

static const struct cli_option list_options[] = {
	{"long", 'l', NULL, "with condition, output and tags", CLI_COMPLETE_NONE},
	{.name = NULL},
};

static const struct cli_option add_options[] = {
	{"name", 0, "NAME", "name of the set, [a-z0-9._-]; from the file's name if not given",
	 CLI_COMPLETE_NONE},
	{"ephemeral", 'e', NULL, "forget the set when the daemon ends", CLI_COMPLETE_NONE},
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
	.options = add_options,
	.run = do_add,
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
	&cmd_list, &cmd_add, &cmd_remove, &cmd_reload, &cmd_rules_validate, NULL,
};

const struct cli_command cmd_rules = {
	.name = "rules",
	.help = "detection rules",
	.subs = subs,
};
