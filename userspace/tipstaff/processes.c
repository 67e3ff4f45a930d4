/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tipstaff/out.h"
#include "tipstaff/tipstaff.h"

/* What the IDENTITY column says: the SPIFFE ID; or its state, with the ID that its lineage held. */
static void put_identity(struct out_table *t, json_t *p)
{
	const char *id = get_string(p, "spiffe_id", NULL);
	const char *origin = get_string(p, "origin_id", NULL);
	const char *state = get_string(p, "state", "?");

	if (id)
		out_cell(t, OUT_GREEN, "%s", id);
	else if (origin)
		out_cell(t, OUT_YELLOW, "%s, from %s", state, origin);
	else
		out_cell(t, OUT_DIM, "%s", state);
}

static bool wanted(json_t *p, const char *id, bool bound)
{
	const char *current = get_string(p, "spiffe_id", "");
	const char *origin = get_string(p, "origin_id", "");

	if (id && strcmp(current, id) && strcmp(origin, id))
		return false;
	return !bound || *current || *origin;
}

static int do_processes(const struct cli_args *args)
{
	const char *id = cli_value(args, "id", NULL);
	bool bound = cli_given(args, "bound");
	json_t *result, *list, *p;
	struct out_table *t;
	size_t i;

	if (id && cli_check_id(id))
		return CLI_USAGE;
	result = cli_call("processes.list", NULL);
	list = json_object_get(result, "processes");
	if (!result)
		return CLI_FAIL;
	for (i = json_array_size(list); i-- > 0;)
		if (!wanted(json_array_get(list, i), id, bound))
			json_array_remove(list, i);
	if (cli.json) {
		out_json(result);
		goto out;
	}
	t = out_table_new("PID>,PPID>,UID>,NAME,IDENTITY,COMMAND");
	json_array_foreach (list, i, p) {
		const char *command = get_string(p, "cmdline", "");

		if (!*command)
			command = get_string(p, "exepath", "");
		out_cell(t, OUT_PLAIN, "%lld", get_int(p, "pid"));
		out_cell(t, OUT_DIM, "%lld", get_int(p, "ppid"));
		out_cell(t, OUT_PLAIN, "%lld", get_int(p, "uid"));
		out_cell(t, OUT_PLAIN, "%s", get_string(p, "name", "?"));
		put_identity(t, p);
		out_cell(t, OUT_PLAIN, "%s", command);
	}
	out_table_end(t, "no process matches");
out:
	json_decref(result);
	return CLI_OK;
}

static const struct cli_option options[] = {
	{"bound", 'b', NULL, "only processes that hold an identity or come from one that did",
	 CLI_COMPLETE_NONE},
	{"id", 0, "ID", "only processes whose identity or origin is this SPIFFE ID",
	 CLI_COMPLETE_NONE},
	{.name = NULL},
};

const struct cli_command cmd_processes = {
	.name = "processes",
	.help = "the living processes in scope, and the identity of each",
	.options = options,
	.run = do_processes,
};
