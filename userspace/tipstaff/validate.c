/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "detect/detect.h"
#include "tipstaff/out.h"
#include "tipstaff/tipstaff.h"

/* `rules validate`: the daemon's own loader, here, without a daemon. */

#define MAX_FILE (16u << 20)

struct input {
	struct tip_buf *texts;
	struct tip_rule_source *sources;
	char **names;
	size_t count;
};

static void input_free(struct input *in)
{
	for (size_t i = 0; i < in->count; i++) {
		tip_buf_free(&in->texts[i]);
		free(in->names[i]);
	}
	free(in->texts);
	free(in->sources);
	free(in->names);
}

/* Reads one file, whose name is taken over. */
static int input_add(struct input *in, char *name)
{
	struct tip_error err = {0};
	struct tip_buf *text;
	size_t n = in->count + 1;

	in->texts = tip_realloc(in->texts, n, sizeof(*in->texts));
	in->sources = tip_realloc(in->sources, n, sizeof(*in->sources));
	in->names = tip_realloc(in->names, n, sizeof(*in->names));
	text = &in->texts[in->count];
	memset(text, 0, sizeof(*text));
	in->names[in->count++] = name;
	if (tip_file_read(name, MAX_FILE, text, &err))
		return cli_fail_error(&err, NULL);
	return CLI_OK;
}

static int input_read(struct input *in, const struct cli_args *args)
{
	static const char *const endings[] = {".yaml", ".yml", NULL};

	for (int i = 0; i < args->argc; i++) {
		struct tip_error err = {0};
		char **files;
		int count = tip_file_list(args->argv[i], endings, &files, &err), ret = CLI_OK;

		if (count < 0)
			return cli_fail_error(&err, NULL);
		for (int k = 0; k < count; k++) {
			if (ret == CLI_OK)
				ret = input_add(in, files[k]);
			else
				free(files[k]);
		}
		free(files);
		if (ret)
			return ret;
	}
	/* Only now: the arrays no longer move. */
	for (size_t i = 0; i < in->count; i++)
		in->sources[i] = (struct tip_rule_source){
			.name = in->names[i],
			.text = in->texts[i].len ? in->texts[i].data : "",
			.len = in->texts[i].len,
		};
	return CLI_OK;
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

/*
 * The offending text with a caret below it. The snippet is cut around the caret to what fits a
 * line, and the caret is placed by the width of what is printed, since escapes are wider than what
 * they stand for.
 */
static void put_snippet(const struct tip_load_message *m)
{
	const size_t room = 76;
	size_t len = m->snippet ? strlen(m->snippet) : 0, from = 0, to, at;
	struct tip_buf before = {0}, after = {0};

	if (len == 0)
		return;
	at = m->caret < 0 ? 0 : (size_t)m->caret > len ? len : (size_t)m->caret;
	if (at > room * 3 / 4)
		from = at - room * 3 / 4;
	/* Never in the middle of a character. */
	while (from > 0 && from < at && ((unsigned char)m->snippet[from] & 0xc0) == 0x80)
		from++;
	to = len - from > room ? from + room : len;
	while (to < len && to > at && ((unsigned char)m->snippet[to] & 0xc0) == 0x80)
		to--;
	if (from > 0)
		tip_buf_adds(&before, out_sign(OUT_ELLIPSIS));
	tip_buf_adds(&before, "");
	out_safen(&before, m->snippet + from, at - from);
	tip_buf_adds(&after, "");
	out_safen(&after, m->snippet + at, to - at);
	out_print("    | %s%s%s\n", before.data, after.data,
		  to < len ? out_sign(OUT_ELLIPSIS) : "");
	if (m->caret >= 0)
		out_print("    | %*s%s^%s\n", (int)out_width(before.data), "",
			  out_on(stdout, OUT_GREEN), out_off(stdout));
	tip_buf_free(&before);
	tip_buf_free(&after);
}

static void put_message(const struct tip_load_message *m)
{
	struct tip_error place = m->at;
	char where[sizeof(place)];

	place.text[0] = '\0';
	out_puts_safe(tip_error_str(&place, where, sizeof(where)));
	out_print("%s%s%s: ", out_on(stdout, m->is_error ? OUT_RED : OUT_YELLOW),
		  m->is_error ? "error" : "warning", out_off(stdout));
	if (*m->item_type) {
		out_print("%s '", m->item_type);
		out_puts_safe(m->item_name);
		out_print("': ");
	}
	out_puts_safe(m->at.text);
	out_print(" [%s]\n", m->code);
	put_snippet(m);
}

static void put_text(const struct input *in, const struct tip_load_result *r)
{
	for (size_t i = 0; i < in->count; i++) {
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
		for (size_t k = 0; k < r->count; k++)
			if (concerns(&r->messages[k], in->names[i]))
				put_message(&r->messages[k]);
	}
}

static json_t *message_json(const struct tip_load_message *m)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:o}", "code", m->code,
			 "message", m->at.text, "item_type", m->item_type, "item_name",
			 m->item_name, "file", m->at.file, "line", m->at.line, "column",
			 m->at.column, "snippet", m->snippet ? m->snippet : "", "caret",
			 m->caret < 0 ? json_null() : json_integer(m->caret));
}

static void put_json(const struct input *in, const struct tip_load_result *r)
{
	json_t *files = json_array(), *doc;

	for (size_t i = 0; i < in->count; i++) {
		json_t *errors = json_array(), *warnings = json_array();

		for (size_t k = 0; k < r->count; k++) {
			const struct tip_load_message *m = &r->messages[k];

			if (concerns(m, in->names[i]))
				json_array_append_new(m->is_error ? errors : warnings,
						      message_json(m));
		}
		json_array_append_new(files, json_pack("{s:s, s:b, s:o, s:o}", "name", in->names[i],
						       "successful", json_array_size(errors) == 0,
						       "errors", errors, "warnings", warnings));
	}
	doc = json_pack("{s:o}", "files", files);
	out_json(doc);
	json_decref(doc);
}

static int do_validate(const struct cli_args *args)
{
	struct tip_load_result result = {0};
	struct tip_rules *rules = NULL;
	struct input in = {0};
	int ret;

	ret = input_read(&in, args);
	if (ret)
		goto out;
	if (in.count == 0) {
		ret = cli_fail("give a file, or a folder with .yaml files",
			       "there is nothing to check");
		goto out;
	}
	rules = tip_rules_load(in.sources, in.count, &result);
	if (cli.json)
		put_json(&in, &result);
	else
		put_text(&in, &result);
	ret = rules ? CLI_OK : CLI_FAIL;
out:
	tip_rules_free(rules);
	tip_load_result_free(&result);
	input_free(&in);
	return ret;
}

const struct cli_command cmd_rules_validate = {
	.name = "validate",
	.operands = "FILE...",
	.help = "check rule files without a daemon",
	.more = "Files are loaded in the order given, so that later ones may use what earlier "
		"ones\n"
		"define. Exits 0 when all are valid, with or without warnings, and 1 when one is "
		"not.",
	.min = 1,
	.max = -1,
	.complete = CLI_COMPLETE_FILE,
	.run = do_validate,
};
