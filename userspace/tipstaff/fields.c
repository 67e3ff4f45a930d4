/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "detect/detect.h"
#include "tipstaff/out.h"
#include "tipstaff/tipstaff.h"

/* `rules fields`: what conditions and outputs may name. docs/fields.md is made of it. */

static void put_events(const struct tip_field_info *f, struct tip_buf *b, const char *between)
{
	if (!f->served)
		tip_buf_adds(b, "none");
	else if (f->everywhere)
		tip_buf_adds(b, "all");
	for (size_t i = 0; f->events[i]; i++)
		tip_buf_addf(b, "%s%s", i ? between : "", f->events[i]);
	if (!b->len)
		tip_buf_adds(b, "");
}

/* "proc.aname[NUMBER]", in further brackets if it can be left out. */
static void put_name(const struct tip_field_info *f, struct tip_buf *b)
{
	tip_buf_adds(b, f->name);
	if (f->argument)
		tip_buf_addf(b, f->needs_argument ? "%s" : "[%s]", f->argument);
}

/* ---- as JSON -------------------------------------------------------------------------------- */

static json_t *as_json(const struct tip_field_info *f)
{
	json_t *events = f->everywhere ? json_null() : json_array();

	for (size_t i = 0; f->events[i]; i++)
		json_array_append_new(events, json_string(f->events[i]));
	return json_pack("{s:s, s:s, s:s?, s:b, s:b, s:b, s:o, s:s, s:s?}", "name", f->name, "type",
			 f->type, "argument", f->argument, "needs_argument", f->needs_argument,
			 "several", f->several, "served", f->served, "events", events, "about",
			 f->desc, "deprecated", f->deprecated);
}

/* ---- as a page --------------------------------------------------------------------------------
 */

static const struct {
	const char *prefix, *title;
} families[] = {
	{"evt.", "Events"},
	{"syscall.", NULL},
	{"proc.", "Processes"},
	{"thread.", "Threads"},
	{"user.", "Users and groups"},
	{"group.", NULL},
	{"spiffe.", "Identity"},
	{"fd.", "Files and connections"},
	{"fdlist.", NULL},
	{"fs.", "Paths"},
	{"container.", "Containers"},
	{"k8s.", "Kubernetes"},
};

static void put_cell(const char *s)
{
	for (; *s; s++)
		out_print(*s == '|' ? "\\|" : "%c", *s);
}

static void put_page_row(const struct tip_field_info *f)
{
	struct tip_buf name = {0}, events = {0};

	put_name(f, &name);
	put_events(f, &events, ", ");
	out_print("| `%s` | %s | ", name.data, f->type);
	put_cell(events.data);
	out_print(" | ");
	put_cell(f->desc);
	if (f->deprecated)
		out_print(" (deprecated)");
	out_print(" |\n");
	tip_buf_free(&name);
	tip_buf_free(&events);
}

static void put_page(const struct tip_field_info *list, size_t count)
{
	out_print(
		"<!-- SPDX-License-Identifier: Apache-2.0 -->\n"
		"<!-- Made by `make fields-doc` from the fields themselves: not to be edited. -->\n"
		"# Fields\n\n"
		"What conditions and outputs of rules may name ([rules.md](rules.md)). "
		"`tipstaff rules fields` prints the same.\n\n"
		"- *Type* is Falco's name of it. An argument in double brackets may be left out.\n"
		"- *Events* are those that can have the field; elsewhere it is unset, and a "
		"comparison with an unset field is false. A field of no event is known, so that "
		"rule files load, and always unset.\n"
		"- *When the rule asks*: no event carries it. The daemon looks into `/proc` when a "
		"rule reads the field, so it costs some microseconds then and nothing otherwise, "
		"it is as the process is by then, and unset when the process has ended. Put such "
		"a test behind the cheaper ones.\n");
	for (size_t i = 0; i < TIP_ARRAY_SIZE(families); i++) {
		if (families[i].title)
			out_print("\n## %s\n\n| field | type | events | meaning |\n"
				  "|---|---|---|---|\n",
				  families[i].title);
		for (size_t n = 0; n < count; n++)
			if (strncmp(list[n].name, families[i].prefix, strlen(families[i].prefix)) ==
			    0)
				put_page_row(&list[n]);
	}
}

/* ---- as text ------------------------------------------------------------------------------------
 */

static void put_table(const struct tip_field_info *list, size_t count)
{
	struct out_table *t = out_table_new("FIELD,TYPE,EVENTS,ABOUT");

	for (size_t i = 0; i < count; i++) {
		const struct tip_field_info *f = &list[i];
		enum out_style style = f->served ? OUT_PLAIN : OUT_DIM;
		struct tip_buf name = {0};
		size_t n = 0;

		put_name(f, &name);
		while (f->events[n])
			n++;
		out_cell(t, style, "%s", name.data);
		out_cell(t, style, "%s", f->type);
		if (!f->served)
			out_cell(t, style, "none");
		else if (f->everywhere)
			out_cell(t, style, "all");
		else if (n == 1)
			out_cell(t, style, "%s", f->events[0]);
		else
			out_cell(t, style, "%zu", n);
		out_cell(t, style, "%s", f->desc);
		tip_buf_free(&name);
	}
	out_table_end(t, "there are no fields");
}

static int do_fields(const struct cli_args *args)
{
	const struct tip_field_info *list;
	json_t *array, *doc;
	size_t count;

	list = tip_fields(&count);
	if (cli.json) {
		array = json_array();
		for (size_t i = 0; i < count; i++)
			json_array_append_new(array, as_json(&list[i]));
		doc = json_pack("{s:o}", "fields", array);
		out_json(doc);
		json_decref(doc);
	} else if (cli_given(args, "markdown")) {
		put_page(list, count);
	} else {
		put_table(list, count);
	}
	return CLI_OK;
}

static const struct cli_option fields_options[] = {
	{"markdown", 'm', NULL, "as the page docs/fields.md", CLI_COMPLETE_NONE},
	{.name = NULL},
};

const struct cli_command cmd_rules_fields = {
	.name = "fields",
	.help = "the fields that rules may name, and which events have them",
	.more = "Works without a daemon. EVENTS is the number of events that can have the field, "
		"or\n"
		"the one; --json has their names.",
	.options = fields_options,
	.run = do_fields,
};
