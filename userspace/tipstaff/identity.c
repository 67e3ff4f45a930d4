/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "policy/selector.h"
#include "tipstaff/out.h"
#include "tipstaff/tipstaff.h"

static void join(struct tip_buf *b, json_t *list)
{
	json_t *item;
	size_t i;

	tip_buf_reset(b);
	tip_buf_adds(b, "");
	json_array_foreach (list, i, item) {
		if (i > 0)
			tip_buf_addc(b, ' ');
		tip_buf_adds(b, json_is_string(item) ? json_string_value(item) : "?");
	}
}

/* Where an entry comes from: its place in a file, or who added it. */
static char *origin_of(json_t *entry)
{
	const char *from = get_string(entry, "from", "file");
	const char *file = get_string(entry, "file", NULL);

	if (!strcmp(from, "file") && file)
		return tip_sprintf("%s:%lld", file, get_int(entry, "line"));
	return tip_strdup(from);
}

static void put_table(json_t *entries)
{
	struct out_table *t = out_table_new("SPIFFE ID,PROCESSES>,FROM,SELECTORS");
	struct tip_buf selectors = {0};
	json_t *e;
	size_t i;

	json_array_foreach (entries, i, e) {
		bool cut_off = get_bool(e, "quarantined");
		char *from = origin_of(e);

		join(&selectors, json_object_get(e, "selectors"));
		out_cell(t, cut_off ? OUT_RED : OUT_PLAIN, "%s%s", get_string(e, "spiffe_id", "?"),
			 cut_off ? " (quarantined)" : "");
		out_cell(t, OUT_PLAIN, "%lld", get_int(e, "processes"));
		out_cell(t, OUT_DIM, "%s", from);
		out_cell(t, OUT_PLAIN, "%s", selectors.data);
		free(from);
	}
	out_table_end(t, "no registration entries; `tipstaff identity add` makes one");
	tip_buf_free(&selectors);
}

static void put_lifetime(json_t *e)
{
	const long long x509 = get_int(e, "x509_ttl"), jwt = get_int(e, "jwt_ttl");
	char text[32], token[32];

	if (x509 > 0 && jwt > 0)
		out_field(9, "lifetime", "%s, of a token %s",
			  out_duration((uint64_t)x509, text, sizeof(text)),
			  out_duration((uint64_t)jwt, token, sizeof(token)));
}

static void put_long(json_t *entries)
{
	struct tip_buf list = {0};
	json_t *e, *selector;
	size_t i, k;

	json_array_foreach (entries, i, e) {
		char *from = origin_of(e);

		out_print("%s%s", i > 0 ? "\n" : "", out_on(stdout, OUT_BOLD));
		out_puts_safe(get_string(e, "spiffe_id", "?"));
		out_print("%s\n", out_off(stdout));
		out_field(9, "id", "%s", get_string(e, "id", "?"));
		json_array_foreach (json_object_get(e, "selectors"), k, selector)
			out_field(9, k ? "" : "selectors", "%s", json_string_value(selector));
		put_lifetime(e);
		if (*get_string(e, "hint", ""))
			out_field(9, "hint", "%s", get_string(e, "hint", ""));
		join(&list, json_object_get(e, "dns_names"));
		if (list.len)
			out_field(9, "dns names", "%s", list.data);
		out_field(9, "from", "%s", from);
		out_field(9, "processes", "%lld%s", get_int(e, "processes"),
			  get_bool(e, "quarantined") ? ", quarantined" : "");
		free(from);
	}
	if (json_array_size(entries) == 0)
		out_print("no registration entries; `tipstaff identity add` makes one\n");
	tip_buf_free(&list);
}

static int do_list(const struct cli_args *args)
{
	json_t *result = cli_call("identity.list", NULL);

	if (!result)
		return CLI_FAIL;
	if (cli.json)
		out_json(result);
	else if (cli_given(args, "long"))
		put_long(json_object_get(result, "entries"));
	else
		put_table(json_object_get(result, "entries"));
	json_decref(result);
	return CLI_OK;
}

/* What can be known to be wrong without the daemon is a wrong command line. */
static int check_add(const char *id, json_t *selectors, const char *ttl, const char *jwt_ttl)
{
	struct tip_arena *arena = tip_arena_new();
	struct tip_selector parsed;
	struct tip_error err = {0};
	int ret = CLI_OK;
	uint64_t ns;
	json_t *s;
	size_t i;

	ret = cli_check_id(id);
	if (ret)
		goto out;
	if (json_array_size(selectors) == 0) {
		ret = cli_usage("for example --selector unix:uid:1000; every selector must hold",
				"an entry wants at least one --selector");
		goto out;
	}
	json_array_foreach (selectors, i, s) {
		if (tip_selector_parse(arena, json_string_value(s), &parsed, &err)) {
			ret = cli_usage("see `tipstaff identity add --help`", "--selector: %s",
					err.text);
			goto out;
		}
	}
	if (ttl && tip_duration_parse(ttl, &ns))
		ret = cli_usage("for example 90s, 10m or 1h", "--ttl: \"%s\" is not a duration",
				ttl);
	else if (jwt_ttl && tip_duration_parse(jwt_ttl, &ns))
		ret = cli_usage("for example 90s, 10m or 1h", "--jwt-ttl: \"%s\" is not a duration",
				jwt_ttl);
out:
	tip_arena_free(arena);
	return ret;
}

static int do_add(const struct cli_args *args)
{
	json_t *selectors = cli_values(args, "selector"), *dns = cli_values(args, "dns");
	const char *id = args->argv[0], *ttl = cli_value(args, "ttl", NULL);
	const char *jwt_ttl = cli_value(args, "jwt-ttl", NULL);
	const char *hint = cli_value(args, "hint", NULL);
	json_t *params, *result;
	int ret;

	ret = check_add(id, selectors, ttl, jwt_ttl);
	if (ret)
		goto out;
	params = json_pack("{s:s, s:O, s:b}", "spiffe_id", id, "selectors", selectors, "ephemeral",
			   cli_given(args, "ephemeral"));
	if (ttl)
		json_object_set_new(params, "x509_ttl", json_string(ttl));
	if (jwt_ttl)
		json_object_set_new(params, "jwt_ttl", json_string(jwt_ttl));
	if (hint)
		json_object_set_new(params, "hint", json_string(hint));
	if (json_array_size(dns) > 0)
		json_object_set(params, "dns_names", dns);
	result = cli_call("identity.add", params);
	if (!result) {
		ret = CLI_FAIL;
		goto out;
	}
	if (cli.json) {
		out_json(result);
	} else {
		out_print("added ");
		out_puts_safe(id);
		out_print("\n");
		out_field(9, "id", "%s", get_string(result, "id", "?"));
		out_field(9, "processes", "%lld now", get_int(result, "processes"));
		if (cli_given(args, "ephemeral"))
			out_field(9, "lifetime", "until the daemon restarts");
	}
	json_decref(result);
out:
	json_decref(selectors);
	json_decref(dns);
	return ret;
}

static int do_remove(const struct cli_args *args)
{
	json_t *result = cli_call("identity.remove", json_pack("{s:s}", "id", args->argv[0]));
	json_t *removed = json_object_get(result, "removed");

	if (!result)
		return CLI_FAIL;
	if (cli.json) {
		out_json(result);
	} else {
		out_print("removed ");
		out_puts_safe(args->argv[0]);
		if (json_is_integer(removed) && json_integer_value(removed) != 1)
			out_print(" (%lld entries)", (long long)json_integer_value(removed));
		out_print("\n");
	}
	json_decref(result);
	return CLI_OK;
}

static const struct cli_option list_options[] = {
	{"long", 'l', NULL, "all that is known of each entry, its id included", CLI_COMPLETE_NONE},
	{.name = NULL},
};

static const struct cli_option add_options[] = {
	{"selector", 's', "SELECTOR",
	 "what a process must be: unix:uid:N, unix:gid:N, unix:path:P, "
	 "unix:sha256:H, cgroup:path:P; may be "
	 "repeated,"
	 " then all must hold (required)",
	 CLI_COMPLETE_NONE},
	{"ttl", 0, "DURATION", "lifetime of its X.509-SVIDs, such as 10m or 1h", CLI_COMPLETE_NONE},
	{"jwt-ttl", 0, "DURATION", "lifetime of its JWT-SVIDs, such as 5m", CLI_COMPLETE_NONE},
	{"hint", 0, "TEXT", "hint that the Workload API hands out with the SVID",
	 CLI_COMPLETE_NONE},
	{"dns", 0, "NAME", "DNS name in the SVID; may be repeated", CLI_COMPLETE_NONE},
	{"ephemeral", 'e', NULL, "forget the entry when the daemon ends", CLI_COMPLETE_NONE},
	{.name = NULL},
};

static const struct cli_command cmd_list = {
	.name = "list",
	.help = "the registration entries: who gets which SPIFFE ID",
	.options = list_options,
	.run = do_list,
};

static const struct cli_command cmd_add = {
	.name = "add",
	.operands = "ID",
	.help = "add a registration entry; running processes get it at once",
	.more = "The entry survives restarts unless --ephemeral is given.",
	.min = 1,
	.max = 1,
	.options = add_options,
	.run = do_add,
};

static const struct cli_command cmd_remove = {
	.name = "remove",
	.operands = "ID",
	.help = "remove an entry that was added here, by its id or SPIFFE ID",
	.more = "Entries from files are removed by editing the file; the error says which one.",
	.min = 1,
	.max = 1,
	.run = do_remove,
};

static const struct cli_command *const subs[] = {&cmd_list, &cmd_add, &cmd_remove, NULL};

const struct cli_command cmd_identity = {
	.name = "identity",
	.help = "registration entries: who gets which SPIFFE ID",
	.subs = subs,
};
