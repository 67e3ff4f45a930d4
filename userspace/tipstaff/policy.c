/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "policy/traffic.h"
#include "tipstaff/out.h"
#include "tipstaff/sets.h"
#include "tipstaff/tipstaff.h"

#define MAX_FILE (16u << 20)

/* ---- list ------------------------------------------------------------------------------ */

/* "10.0.2.0/24:8080", "[fd00::/8]:80-90" */
static void add_destination(struct tip_buf *b, json_t *to)
{
	const char *cidr = get_string(to, "cidr", "?");

	tip_buf_addf(b, strchr(cidr, ':') ? "[%s]:%s" : "%s:%s", cidr, get_string(to, "port", "?"));
}

/* The first of a list, and how many more there are. */
static void put_first(struct out_table *t, json_t *list, void (*add)(struct tip_buf *b, json_t *o))
{
	size_t n = json_array_size(list);
	struct tip_buf b = {0};

	tip_buf_adds(&b, "");
	if (n)
		add(&b, json_array_get(list, 0));
	if (n > 1)
		tip_buf_addf(&b, " +%zu", n - 1);
	out_cell(t, OUT_PLAIN, "%s", b.data);
	tip_buf_free(&b);
}

static void add_id(struct tip_buf *b, json_t *id)
{
	tip_buf_adds(b, json_is_string(id) ? json_string_value(id) : "?");
}

static void put_row(struct out_table *t, json_t *p)
{
	const char *mode = get_string(p, "mode", "?"), *set = get_string(p, "set", NULL);

	out_cell(t, OUT_PLAIN, "%s", get_string(p, "name", "?"));
	out_cell(t, strcmp(mode, "strict") ? OUT_DIM : OUT_GREEN, "%s", mode);
	put_first(t, json_object_get(p, "to"), add_destination);
	put_first(t, json_object_get(p, "server"), add_id);
	put_first(t, json_object_get(p, "clients"), add_id);
	if (set)
		out_cell(t, OUT_DIM, "set %s:%lld", set, get_int(p, "line"));
	else
		out_cell(t, OUT_DIM, "%s:%lld", get_string(p, "file", "?"), get_int(p, "line"));
}

static void put_each(const char *name, json_t *list, void (*add)(struct tip_buf *b, json_t *o))
{
	struct tip_buf b = {0};
	json_t *item;
	size_t i;

	json_array_foreach (list, i, item) {
		tip_buf_reset(&b);
		add(&b, item);
		out_field(7, i ? "" : name, "%s", b.data);
	}
	tip_buf_free(&b);
}

static void put_long(json_t *p)
{
	const char *set = get_string(p, "set", NULL);

	out_print("%s", out_on(stdout, OUT_BOLD));
	out_puts_safe(get_string(p, "name", "?"));
	out_print("%s\n", out_off(stdout));
	out_field(7, "mode", "%s", get_string(p, "mode", "?"));
	put_each("to", json_object_get(p, "to"), add_destination);
	put_each("server", json_object_get(p, "server"), add_id);
	put_each("clients", json_object_get(p, "clients"), add_id);
	out_field(7, "from", "%s%s:%lld", set ? "set " : "", set ? set : get_string(p, "file", "?"),
		  get_int(p, "line"));
}

static int do_list(const struct cli_args *args)
{
	json_t *result = cli_call("policy.list", NULL);
	json_t *list = json_object_get(result, "policies"), *p;
	struct out_table *t;
	size_t i;

	if (!result)
		return CLI_FAIL;
	if (cli.json) {
		out_json(result);
		goto out;
	}
	if (cli_given(args, "long")) {
		json_array_foreach (list, i, p) {
			out_print("%s", i ? "\n" : "");
			put_long(p);
		}
	} else {
		t = out_table_new("POLICY,MODE,TO,SERVER,CLIENTS,FROM");
		json_array_foreach (list, i, p)
			put_row(t, p);
		out_table_end(t, "no traffic policies: every connection is left alone");
	}
	cli_set_remarks(result);
out:
	json_decref(result);
	return CLI_OK;
}

/* ---- apply, remove --------------------------------------------------------------------- */

static const struct cli_set_kind set_kind = {
	.add = "policy.apply",
	.remove = "policy.remove",
	.verb = "applied",
	.members = "policies",
	.one = "policy",
	.many = "policies",
	.example = "for example `tipstaff policy apply - --name mine < policies.yaml`",
};

static int do_apply(const struct cli_args *args)
{
	return cli_set_add(args, &set_kind);
}

static int do_remove(const struct cli_args *args)
{
	return cli_set_remove(args, &set_kind);
}

/* ---- explain --------------------------------------------------------------------------- */

static int do_explain(const struct cli_args *args)
{
	json_t *result = cli_call("policy.explain", json_pack("{s:s, s:s}", "from", args->argv[0],
							      "to", args->argv[1]));
	const char *text, *end;
	struct tip_buf line = {0};

	if (!result)
		return CLI_FAIL;
	if (cli.json) {
		out_json(result);
		goto out;
	}
	for (text = get_string(result, "text", ""); *text; text = end + (*end == '\n')) {
		end = text + strcspn(text, "\n");
		tip_buf_reset(&line);
		tip_buf_adds(&line, "");
		out_safen(&line, text, (size_t)(end - text));
		out_print("%s\n", line.data);
	}
	cli_set_remarks(result);
out:
	tip_buf_free(&line);
	json_decref(result);
	return CLI_OK;
}

/* ---- validate -------------------------------------------------------------------------- */

/* Reads one file into `all`: whether it is valid. */
static bool validate_one(struct tip_traffic_policies *all, const char *name, json_t *files)
{
	json_t *errors = json_array();
	struct tip_error err = {0};
	struct tip_buf text = {0};
	char said[1200];
	bool ok = tip_file_read(name, MAX_FILE, &text, &err) == 0 &&
		  tip_traffic_policies_parse(all, name, text.data ? text.data : "", text.len,
					     &err) == 0;

	if (!ok)
		json_array_append_new(errors,
				      json_pack("{s:s, s:s, s:i, s:i}", "message", err.text, "file",
						name, "line", err.line, "column", err.column));
	json_array_append_new(files, json_pack("{s:s, s:b, s:o, s:[]}", "name", name, "successful",
					       ok, "errors", errors, "warnings"));
	if (!cli.json) {
		out_puts_safe(name);
		out_print(": %s%s%s\n", out_on(stdout, ok ? OUT_GREEN : OUT_RED),
			  ok ? "Ok" : "Invalid", out_off(stdout));
		if (!ok) {
			out_puts_safe(tip_error_str(&err, said, sizeof(said)));
			out_print("\n");
		}
	}
	tip_buf_free(&text);
	return ok;
}

static int do_validate(const struct cli_args *args)
{
	static const char *const endings[] = {".yaml", ".yml", NULL};
	struct tip_traffic_policies *all = tip_traffic_policies_new();
	json_t *files = json_array(), *doc = json_pack("{s:o}", "files", files);
	int ret = CLI_OK;

	for (int i = 0; i < args->argc; i++) {
		struct tip_error err = {0};
		char **list;
		int count = tip_file_list(args->argv[i], endings, &list, &err);

		if (count < 0) {
			ret = cli_fail_error(&err, NULL);
			goto out;
		}
		for (int k = 0; k < count; k++)
			if (!validate_one(all, list[k], files))
				ret = CLI_FAIL;
		tip_strings_free(list, (size_t)count);
	}
	if (json_array_size(files) == 0)
		ret = cli_fail("give a file, or a folder with .yaml files",
			       "there is nothing to check");
	else if (cli.json)
		out_json(doc);
out:
	json_decref(doc);
	tip_traffic_policies_free(all);
	return ret;
}

/* ---------------------------------------------------------------------------------------- */

static const struct cli_option list_options[] = {
	{"long", 'l', NULL, "with every destination, server and client", CLI_COMPLETE_NONE},
	{.name = NULL},
};

static const struct cli_command cmd_list = {
	.name = "list",
	.help = "the traffic policies in force and where each comes from",
	.options = list_options,
	.run = do_list,
};

static const struct cli_command cmd_apply = {
	.name = "apply",
	.operands = "FILE",
	.help = "put a set of traffic policies into force (- is stdin)",
	.more = "A set of the same name is replaced. The set is refused whole when anything in it "
		"is\n"
		"wrong, and what held goes on. Open connections that the new policies deny are "
		"cut.\n"
		"It survives restarts unless --ephemeral is given.",
	.min = 1,
	.max = 1,
	.complete = CLI_COMPLETE_FILE,
	.options = cli_set_options,
	.run = do_apply,
};

static const struct cli_command cmd_remove = {
	.name = "remove",
	.operands = "NAME",
	.help = "remove a set that was applied here",
	.more = "NAME is the set's, or that of a policy which is alone in its set.",
	.min = 1,
	.max = 1,
	.run = do_remove,
};

static const struct cli_command cmd_explain = {
	.name = "explain",
	.operands = "FROM TO:PORT",
	.help = "what happens when FROM dials TO:PORT, and which line decides it",
	.more = "FROM is a SPIFFE ID, or `none` for a process without one. TO:PORT is "
		"10.0.0.1:443\n"
		"or [fd00::1]:443.",
	.min = 2,
	.max = 2,
	.run = do_explain,
};

static const struct cli_command cmd_validate = {
	.name = "validate",
	.operands = "FILE...",
	.help = "check traffic policy files without a daemon",
	.more = "Files are read in the order given, as one set: names are unique, and policies do "
		"not\n"
		"contradict each other. Exits 0 when all are valid and 1 when one is not.",
	.min = 1,
	.max = -1,
	.complete = CLI_COMPLETE_FILE,
	.run = do_validate,
};

static const struct cli_command *const subs[] = {
	&cmd_list, &cmd_apply, &cmd_remove, &cmd_explain, &cmd_validate, NULL,
};

const struct cli_command cmd_policy = {
	.name = "policy",
	.help = "traffic policies: who speaks mutual TLS with whom",
	.subs = subs,
};
