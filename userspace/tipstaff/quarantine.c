/* SPDX-License-Identifier: Apache-2.0 */

#include <time.h>

#include "base/clock.h"
#include "policy/spiffe_id.h"
#include "tipstaff/out.h"
#include "tipstaff/tipstaff.h"

int cli_check_id(const char *id)
{
	struct tip_error err = {0};

	if (tip_spiffe_id_check(id, true, &err) == 0)
		return CLI_OK;
	return cli_usage("a SPIFFE ID looks like spiffe://example.org/frontend", "\"%s\": %s", id,
			 err.text);
}

static int do_add(const struct cli_args *args)
{
	const char *id = args->argv[0], *reason = cli_value(args, "reason", "");
	json_t *result, *effect;
	long long processes;
	size_t i;
	int ret;

	ret = cli_check_id(id);
	if (ret)
		return ret;
	if (!*reason)
		return cli_usage("the reason is kept with the quarantine and shown in `tipstaff "
				 "quarantine list`",
				 "quarantine wants --reason TEXT");
	result = cli_call("quarantine.add",
			  json_pack("{s:s, s:s}", "spiffe_id", id, "reason", reason));
	if (!result)
		return CLI_FAIL;
	if (cli.json) {
		out_json(result);
		goto out;
	}
	processes = get_int(result, "processes");
	out_print("%s ", get_bool(result, "already") ? "already quarantined:" : "quarantined");
	out_puts_safe(get_string(result, "spiffe_id", id));
	out_print(" (%lld process%s now)\n", processes, processes == 1 ? "" : "es");
	json_array_foreach (json_object_get(result, "effects"), i, effect) {
		out_print("  %s ", out_sign(OUT_DOT));
		out_puts_safe(json_is_string(effect) ? json_string_value(effect) : "");
		out_print("\n");
	}
	if (processes == 0)
		out_print("note: no process holds it now; one that gets it is cut off at once\n");
out:
	json_decref(result);
	return CLI_OK;
}

/* "2026-11-22T05:04:03.123Z" as how long ago that was; anything else as it is. */
static void put_since(struct out_table *t, const char *since)
{
	time_t now = (time_t)(tip_clock_real() / TIP_NSEC_PER_SEC), then;
	struct tm tm = {0};
	char ago[32];

	if (!strptime(since, "%Y-%m-%dT%H:%M:%S", &tm) || (then = timegm(&tm)) > now)
		out_cell(t, OUT_PLAIN, "%s", since);
	else
		out_cell(t, OUT_PLAIN, "%s ago",
			 out_duration((uint64_t)(now - then), ago, sizeof(ago)));
}

static int do_list(const struct cli_args *args)
{
	json_t *result = cli_call("quarantine.list", NULL), *q;
	struct out_table *t;
	size_t i;

	if (!result)
		return CLI_FAIL;
	if (cli.json) {
		out_json(result);
		goto out;
	}
	t = out_table_new("SPIFFE ID,SINCE,BY,REASON");
	json_array_foreach (json_object_get(result, "quarantined"), i, q) {
		out_cell(t, OUT_RED, "%s", get_string(q, "spiffe_id", "?"));
		put_since(t, get_string(q, "since", "?"));
		out_cell(t, OUT_PLAIN, "%s", get_string(q, "by", "-"));
		out_cell(t, OUT_PLAIN, "%s", get_string(q, "reason", "-"));
	}
	out_table_end(t, "nothing is quarantined");
out:
	json_decref(result);
	return CLI_OK;
}

static int do_release(const struct cli_args *args)
{
	const char *id = args->argv[0];
	json_t *result;
	int ret;

	ret = cli_check_id(id);
	if (ret)
		return ret;
	result = cli_call("quarantine.release", json_pack("{s:s}", "spiffe_id", id));
	if (!result)
		return CLI_FAIL;
	if (cli.json) {
		out_json(result);
	} else {
		out_print("released ");
		out_puts_safe(get_string(result, "spiffe_id", id));
		out_print("\n");
	}
	json_decref(result);
	return CLI_OK;
}

static const struct cli_option add_options[] = {
	{"reason", 0, "TEXT", "why: kept in the journal and told in the alert (required)",
	 CLI_COMPLETE_NONE},
	{.name = NULL},
};

static const struct cli_command cmd_quarantine_list = {
	.name = "list",
	.help = "who is quarantined, since when, by whom and why",
	.run = do_list,
};

static const struct cli_command *const subs[] = {&cmd_quarantine_list, NULL};

const struct cli_command cmd_quarantine = {
	.name = "quarantine",
	.operands = "ID",
	.help = "cut a SPIFFE ID off: no SVIDs, no new connections",
	.more = "Holds for every process whose identity is ID, or whose lineage last held it, so "
		"that\n"
		"a workload cannot exec its way out. It survives restarts until `tipstaff "
		"release`.",
	.min = 1,
	.max = 1,
	.options = add_options,
	.subs = subs,
	.run = do_add,
};

const struct cli_command cmd_release = {
	.name = "release",
	.operands = "ID",
	.help = "lift the quarantine of a SPIFFE ID",
	.min = 1,
	.max = 1,
	.run = do_release,
};
