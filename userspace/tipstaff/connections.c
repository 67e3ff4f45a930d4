/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tipstaff/out.h"
#include "tipstaff/tipstaff.h"

static enum out_style state_style(const char *state)
{
	return !strcmp(state, "open") ? OUT_GREEN : !strcmp(state, "held") ? OUT_YELLOW : OUT_PLAIN;
}

/* An ID, or a sign that there is none (yet). */
static const char *id_of(json_t *c, const char *key)
{
	const char *id = get_string(c, key, "");

	return *id ? id : "-";
}

static void put_bytes(struct out_table *t, long long n)
{
	char text[32];

	out_cell(t, OUT_PLAIN, "%s", out_bytes(n > 0 ? (uint64_t)n : 0, text, sizeof(text)));
}

static void put_row(struct out_table *t, json_t *c)
{
	const char *state = get_string(c, "state", "?");
	bool inbound = !strcmp(get_string(c, "direction", ""), "inbound");
	char age[32];

	out_cell(t, OUT_DIM, "%lld", get_int(c, "id"));
	out_cell(t, state_style(state), "%s", state);
	out_cell(t, OUT_PLAIN, "%s",
		 out_duration((uint64_t)get_int(c, "age_ms") / 1000, age, sizeof(age)));
	out_cell(t, OUT_PLAIN, "%lld", get_int(c, "pid"));
	out_cell(t, OUT_PLAIN, "%s", get_string(c, "process", "?"));
	out_cell(t, OUT_PLAIN, "%s", get_string(c, "local", "?"));
	out_cell(t, OUT_DIM, "%s", inbound ? "from" : "to");
	out_cell(t, OUT_PLAIN, "%s", get_string(c, "remote", "?"));
	put_bytes(t, get_int(c, "sent"));
	put_bytes(t, get_int(c, "received"));
	out_cell(t, OUT_PLAIN, "%s", id_of(c, "own_id"));
	out_cell(t, OUT_PLAIN, "%s", id_of(c, "peer_id"));
}

static void put_long(json_t *c)
{
	const char *backend = get_string(c, "backend", "");
	char sent[32], received[32], age[32];

	out_print("%s%lld%s\n", out_on(stdout, OUT_BOLD), get_int(c, "id"), out_off(stdout));
	out_field(8, "state", "%s, %s", get_string(c, "direction", "?"),
		  get_string(c, "state", "?"));
	out_field(8, "process", "%s (%lld) %s", get_string(c, "process", "?"), get_int(c, "pid"),
		  get_string(c, "exe", ""));
	out_field(8, "own ID", "%s", id_of(c, "own_id"));
	out_field(8, "peer ID", "%s", id_of(c, "peer_id"));
	out_field(8, "local", "%s", get_string(c, "local", "?"));
	out_field(8, "remote", "%s", get_string(c, "remote", "?"));
	out_field(8, "policy", "%s", id_of(c, "policy"));
	out_field(8, "records", "%s", *backend ? backend : "-");
	out_field(8, "bytes", "%s sent, %s received",
		  out_bytes((uint64_t)get_int(c, "sent"), sent, sizeof(sent)),
		  out_bytes((uint64_t)get_int(c, "received"), received, sizeof(received)));
	out_field(8, "age", "%s",
		  out_duration((uint64_t)get_int(c, "age_ms") / 1000, age, sizeof(age)));
}

static bool wanted(json_t *c, const char *id)
{
	return !id || !strcmp(get_string(c, "own_id", ""), id) ||
	       !strcmp(get_string(c, "peer_id", ""), id);
}

static int do_connections(const struct cli_args *args)
{
	const char *id = cli_value(args, "id", NULL);
	json_t *result, *list, *c;
	struct out_table *t;
	size_t i;

	if (id && cli_check_id(id))
		return CLI_USAGE;
	result = cli_call("connections.list", NULL);
	list = json_object_get(result, "connections");
	if (!result)
		return CLI_FAIL;
	for (i = json_array_size(list); i-- > 0;)
		if (!wanted(json_array_get(list, i), id))
			json_array_remove(list, i);
	if (cli.json) {
		out_json(result);
		goto out;
	}
	if (cli_given(args, "long")) {
		json_array_foreach (list, i, c) {
			out_print("%s", i ? "\n" : "");
			put_long(c);
		}
		goto out;
	}
	t = out_table_new(
		"ID>,STATE,AGE>,PID>,PROCESS,LOCAL,WAY,REMOTE,SENT>,RECEIVED>,OWN ID,PEER ID");
	json_array_foreach (list, i, c)
		put_row(t, c);
	out_table_end(t, id ? "no connection matches" : "no connection is relayed");
out:
	json_decref(result);
	return CLI_OK;
}

static const struct cli_option options[] = {
	{"long", 'l', NULL, "with executable, policy and record backend", CLI_COMPLETE_NONE},
	{"id", 0, "ID", "only connections with this SPIFFE ID at either end", CLI_COMPLETE_NONE},
	{.name = NULL},
};

const struct cli_command cmd_connections = {
	.name = "connections",
	.help = "the connections that traffic policies hold to mutual TLS",
	.options = options,
	.run = do_connections,
};
