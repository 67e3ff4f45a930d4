/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "detect/detect.h"
#include "tipstaff/out.h"
#include "tipstaff/sources.h"
#include "tipstaff/tipstaff.h"

/* `rules validate`: the daemon's own loader, here, without a daemon. */

/* What cannot be read is a result as well. */
static void unreadable(const struct cli_sources *in, const struct tip_error *err,
		       struct tip_load_result *result)
{
	const char *name = in->names[in->count - 1];
	struct tip_load_message *m = tip_calloc(1, sizeof(*m));

	result->arena = tip_arena_new();
	result->messages = m;
	result->count = 1;
	*m = (struct tip_load_message){
		.code = "LOAD_ERR_FILE_READ",
		.is_error = true,
		.item_type = "",
		.item_name = "",
		.snippet = "",
		.caret = -1,
		.locations = {{.item_type = "rules content", .item_name = "", .name = name}},
		.nlocations = 1};
	snprintf(m->at.file, sizeof(m->at.file), "%s", name);
	snprintf(m->at.text, sizeof(m->at.text), "%s", err->text);
}

/* Messages carry a bounded copy of the file's name. */
static bool concerns(const struct tip_load_message *m, const char *name)
{
	return !strncmp(m->at.file, name, sizeof(m->at.file) - 1);
}

static void count(const struct tip_load_result *r, const char *name, size_t *errors,
		  size_t *warnings)
{
	*errors = *warnings = 0;
	for (size_t i = 0; i < r->count; i++)
		if (concerns(&r->messages[i], name))
			++*(r->messages[i].is_error ? errors : warnings);
}

/* ---- codes -------------------------------------------------------------------------------- */

struct code {
	const char *code, *brief, *long_text;
};

static const struct code codes[] = {
	{"LOAD_ERR_FILE_READ", "File read error", ""},
	{"LOAD_ERR_YAML_PARSE", "YAML parse error", ""},
	{"LOAD_ERR_YAML_VALIDATE", "Error validating internal structure of YAML file", ""},
	{"LOAD_ERR_COMPILE_CONDITION", "Error compiling condition", ""},
	{"LOAD_ERR_COMPILE_OUTPUT", "Error compiling output", ""},
	{"LOAD_ERR_VALIDATE", "Error validating rule/macro/list/exception objects", ""},
	{"LOAD_UNKNOWN_SOURCE", "Unknown event source",
	 "The rule is for an event source that is not here, so it is left out."},
	{"LOAD_NO_EVTTYPE", "Condition has no event-type restriction",
	 "The condition can match very many types of events, which costs time on each of them. "
	 "Let it ask for evt.type."},
	{"LOAD_UNKNOWN_FILTER", "Unknown field or event-type in condition or output",
	 "The rule names a field or a type of events that does not exist. It is left out, because "
	 "it says skip-if-unknown-filter."},
	{"LOAD_UNUSED_MACRO", "Unused macro", "No rule and no macro uses this macro."},
	{"LOAD_UNUSED_LIST", "Unused list", "No rule, macro or list uses this list."},
	{"LOAD_UNKNOWN_ITEM", "Unknown rules file item",
	 "The item is of no kind that is known, and is left out."},
	{"LOAD_DEPRECATED_ITEM", "Used deprecated item",
	 "Something is used that still works and will go some day."},
	{"LOAD_WARNING_EXTENSION", "Warning in extension item",
	 "Something beside the language itself is worth a look."},
	{"LOAD_APPEND_NO_VALUES", "Overriding/appending with no values",
	 "An exception is changed without any values."},
	{"LOAD_EXCEPTION_NAME_NOT_UNIQUE", "Multiple exceptions defined with the same name",
	 "Two exceptions of one rule have the same name."},
	{"LOAD_INVALID_MACRO_NAME", "Invalid macro name", "No condition can name this macro."},
	{"LOAD_INVALID_LIST_NAME", "Invalid list name", "No condition can name this list."},
	{"LOAD_COMPILE_CONDITION", "Warning in rule condition",
	 "The condition loads, and may not say what was meant."},
	{"LOAD_UNKNOWN_KEY", "Unknown key in item definition",
	 "The item has a key that is not known, and is read as if it had not: a slip of the pen, "
	 "or a key of another kind of item."},
};

static const struct code *find_code(const char *code)
{
	static const struct code unknown = {"", "", ""};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(codes); i++)
		if (strcmp(codes[i].code, code) == 0)
			return &codes[i];
	return &unknown;
}

/* ---- as text ------------------------------------------------------------------------------- */

/*
 * The offending text with a caret below it. The caret is placed by the width of what is printed,
 * since escapes are wider than what they stand for.
 */
static void put_snippet(const struct tip_load_message *m)
{
	size_t len = strlen(m->snippet), at;
	struct tip_buf before = {0}, after = {0};

	if (len == 0) {
		out_print("<No context available>\n");
		return;
	}
	at = m->caret < 0 ? 0 : (size_t)m->caret > len ? len : (size_t)m->caret;
	tip_buf_adds(&before, "");
	out_safen(&before, m->snippet, at);
	tip_buf_adds(&after, "");
	out_safen(&after, m->snippet + at, len - at);
	out_print("%s%s\n", before.data, after.data);
	if (m->caret >= 0)
		out_print("%*s%s^%s\n", (int)out_width(before.data), "", out_on(stdout, OUT_GREEN),
			  out_off(stdout));
	tip_buf_free(&before);
	tip_buf_free(&after);
}

static void put_message(const struct tip_load_message *m)
{
	for (size_t i = 0; i < m->nlocations; i++) {
		const struct tip_load_location *at = &m->locations[i];

		out_print("%s%s", i ? "    " : "In ", at->item_type);
		if (*at->item_name) {
			out_print(" '");
			out_puts_safe(at->item_name);
			out_print("'");
		}
		out_print(": (");
		out_puts_safe(at->name);
		out_print(":%zu:%zu)\n", at->line, at->column);
	}
	out_print("------\n");
	put_snippet(m);
	out_print("------\n%s%s%s (%s): ", out_on(stdout, m->is_error ? OUT_RED : OUT_YELLOW),
		  m->code, out_off(stdout), find_code(m->code)->brief);
	out_puts_safe(m->at.text);
	out_print("\n");
}

static void put_messages(const struct tip_load_result *r, const char *name, bool errors, size_t n)
{
	if (!n)
		return;
	out_print("%zu %s:\n", n, errors ? "Errors" : "Warnings");
	for (size_t k = 0; k < r->count; k++)
		if (r->messages[k].is_error == errors && concerns(&r->messages[k], name))
			put_message(&r->messages[k]);
}

static void put_text(const struct cli_sources *in, size_t from, size_t to,
		     const struct tip_load_result *r)
{
	for (size_t i = from; i < to; i++) {
		size_t errors, warnings;
		enum out_style style;

		count(r, in->names[i], &errors, &warnings);
		style = errors ? OUT_RED : warnings ? OUT_YELLOW : OUT_GREEN;
		out_puts_safe(in->names[i]);
		out_print(": %s%s%s\n", out_on(stdout, style),
			  errors     ? "Invalid"
			  : warnings ? "Ok, with warnings"
				     : "Ok",
			  out_off(stdout));
		put_messages(r, in->names[i], true, errors);
		out_print("%s", errors && warnings ? "\n" : "");
		put_messages(r, in->names[i], false, warnings);
	}
}

/* ---- as JSON ------------------------------------------------------------------------------- */

static json_t *message_json(const struct tip_load_message *m)
{
	const struct code *c = find_code(m->code);
	json_t *locations = json_array();
	struct tip_buf snippet = {0};
	json_t *j;

	for (size_t i = 0; i < m->nlocations; i++) {
		const struct tip_load_location *at = &m->locations[i];

		json_array_append_new(
			locations,
			json_pack("{s:s, s:o, s:{s:o, s:I, s:I, s:I}}", "item_type", at->item_type,
				  "item_name", cli_text_json(at->item_name), "position", "name",
				  cli_text_json(at->name), "line", (json_int_t)at->line, "column",
				  (json_int_t)at->column, "offset", (json_int_t)at->offset));
	}
	tip_buf_addf(&snippet, "%s\n", *m->snippet ? m->snippet : "<No context available>");
	if (*m->snippet && m->caret >= 0)
		tip_buf_addf(&snippet, "%*s^\n", m->caret, "");
	j = json_pack("{s:s, s:s, s:o, s:{s:o, s:o}}", "code", m->code, "codedesc",
		      m->is_error ? c->brief : c->long_text, "message", cli_text_json(m->at.text),
		      "context", "locations", locations, "snippet", cli_text_json(snippet.data));
	tip_buf_free(&snippet);
	return j;
}

/* What a schema of rule files would refuse though it loads. */
static json_t *schema_warnings(const struct tip_load_result *r, const char *name)
{
	json_t *list = json_array();

	for (size_t k = 0; k < r->count; k++) {
		const struct tip_load_message *m = &r->messages[k];

		if (concerns(m, name) && (strcmp(m->code, "LOAD_UNKNOWN_KEY") == 0 ||
					  strcmp(m->code, "LOAD_UNKNOWN_ITEM") == 0))
			json_array_append_new(list, cli_text_json(m->at.text));
	}
	return list;
}

static void put_json(const struct cli_sources *in, size_t from, size_t to,
		     const struct tip_load_result *r)
{
	json_t *files = json_array(), *doc;

	for (size_t i = from; i < to; i++) {
		json_t *errors = json_array(), *warnings = json_array();
		json_t *schema = schema_warnings(r, in->names[i]);

		for (size_t k = 0; k < r->count; k++) {
			const struct tip_load_message *m = &r->messages[k];

			if (concerns(m, in->names[i]))
				json_array_append_new(m->is_error ? errors : warnings,
						      message_json(m));
		}
		json_array_append_new(files,
				      json_pack("{s:o, s:b, s:b, s:o, s:o, s:o}", "name",
						cli_text_json(in->names[i]), "successful",
						json_array_size(errors) == 0, "schema_valid",
						json_array_size(schema) == 0, "schema_warnings",
						schema, "errors", errors, "warnings", warnings));
	}
	doc = json_pack("{s:o}", "falco_load_results", files);
	out_json(doc);
	json_decref(doc);
}

/* Loading ends at the first file with an error: nothing can be said of those behind it. */
static size_t judged(const struct cli_sources *in, const struct tip_load_result *r)
{
	size_t errors = 0, warnings, n = 0;

	while (n < in->count && !errors)
		count(r, in->names[n++], &errors, &warnings);
	return n;
}

static int do_validate(const struct cli_args *args)
{
	struct tip_load_result result = {0};
	struct tip_rules *rules = NULL;
	struct cli_sources in = {0};
	struct tip_error err = {0};
	size_t from = 0, to = 0;
	int ret = CLI_FAIL;

	if (cli_sources_read(&in, args->argv, args->argc, &err) < 0) {
		unreadable(&in, &err, &result);
		to = in.count;
		from = to - 1;
		goto put;
	}
	if (in.count == 0) {
		ret = cli_fail("give a file, or a folder with .yaml files",
			       "there is nothing to check");
		goto out;
	}
	rules = tip_rules_load(in.list, in.count, &result);
	if (result.unmet) {
		/* the files may be right: it is the place that is not for them */
		fprintf(stderr, "Error: a plugin is required that is not built in, one of: %s\n",
			result.unmet);
		ret = CLI_FAIL;
		goto out;
	}
	ret = rules ? CLI_OK : CLI_FAIL;
	to = judged(&in, &result);
put:
	if (cli.json)
		put_json(&in, from, to, &result);
	else
		put_text(&in, from, to, &result);
out:
	tip_rules_free(rules);
	tip_load_result_free(&result);
	cli_sources_free(&in);
	return ret;
}

const struct cli_command cmd_rules_validate = {
	.name = "validate",
	.operands = "FILE...",
	.help = "check rule files without a daemon",
	.more = "Files are loaded in the order given, so that later ones may use what earlier "
		"ones\n"
		"define. Exits 0 when all are valid, with or without warnings, and 1 when one is "
		"not. Places are those of the language's other tools: lines and columns of files "
		"count\n"
		"from 0, inside a condition from 1.",
	.min = 1,
	.max = -1,
	.complete = CLI_COMPLETE_FILE,
	.run = do_validate,
};
