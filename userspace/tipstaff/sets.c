/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaff/sets.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/control.h"
#include "tipstaff/out.h"

/* Room for the rest of a request, and for what JSON's escapes add. */
#define MAX_TEXT (TIP_CONTROL_MAX_REQUEST / 2)

const struct cli_option cli_set_options[] = {
	{"name", 0, "NAME", "name of the set, [a-z0-9._-]; from the file's name if not given",
	 CLI_COMPLETE_NONE},
	{"ephemeral", 'e', NULL, "forget the set when the daemon ends", CLI_COMPLETE_NONE},
	{.name = NULL},
};

void cli_set_remarks(json_t *result)
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

static void put_names(const struct cli_set_kind *kind, const char *verb, json_t *result)
{
	json_t *names = json_object_get(result, kind->members), *name;
	size_t n = json_array_size(names), i;

	out_print("%s %zu %s of set ", verb, n, n == 1 ? kind->one : kind->many);
	out_puts_safe(get_string(result, "set", "?"));
	out_print("\n");
	json_array_foreach (names, i, name) {
		out_print("  %s ", out_sign(OUT_DOT));
		out_puts_safe(json_is_string(name) ? json_string_value(name) : "?");
		out_print("\n");
	}
}

/* All of stdin, at most MAX_TEXT bytes. */
static int read_stdin(struct tip_buf *text, struct tip_error *err)
{
	char chunk[16384];
	size_t n;

	while ((n = fread(chunk, 1, sizeof(chunk), stdin)) > 0) {
		if (text->len + n > MAX_TEXT)
			return tip_error_at(err, "stdin", 0, 0, "more than %u bytes", MAX_TEXT);
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

int cli_set_add(const struct cli_args *args, const struct cli_set_kind *kind)
{
	const char *file = args->argv[0], *given = cli_value(args, "name", NULL);
	bool from_stdin = !strcmp(file, "-");
	struct tip_error err = {0};
	struct tip_buf text = {0};
	json_t *params, *result;
	char *name = NULL, *set = NULL;
	int ret = CLI_FAIL;

	if (from_stdin && !given)
		return cli_usage(kind->example, "%s from stdin want a --name", kind->many);
	if (from_stdin ? read_stdin(&text, &err) : tip_file_read(file, MAX_TEXT, &text, &err)) {
		cli_fail_error(&err, NULL);
		goto out;
	}
	name = given ? tip_strdup(given) : set_name(file);
	params = json_pack("{s:s, s:s%, s:b, s:b}", "name", name, "text", text.len ? text.data : "",
			   text.len, "ephemeral", cli_given(args, "ephemeral"), "replace",
			   (int)kind->replace);
	if (!params) {
		cli_fail("save it as UTF-8 text", "%s: is not UTF-8 text", file);
		goto out;
	}
	/* The daemon has no file: it names the set. */
	set = tip_sprintf("set %s", name);
	result = cli_call_with_file(kind->add, params, set, from_stdin ? "stdin" : file);
	if (!result)
		goto out;
	if (cli.json) {
		out_json(result);
	} else {
		put_names(kind, kind->verb, result);
		cli_set_remarks(result);
	}
	json_decref(result);
	ret = CLI_OK;
out:
	free(name);
	free(set);
	tip_buf_free(&text);
	return ret;
}

int cli_set_remove(const struct cli_args *args, const struct cli_set_kind *kind)
{
	json_t *result = cli_call(kind->remove, json_pack("{s:s}", "name", args->argv[0]));

	if (!result)
		return CLI_FAIL;
	if (cli.json)
		out_json(result);
	else
		put_names(kind, "removed", result);
	json_decref(result);
	return CLI_OK;
}
