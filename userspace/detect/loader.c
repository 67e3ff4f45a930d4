/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/loader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rule files to a set of rules: reads each file's items, then has everything so far compiled. */

#define SNIPPET_WIDTH 76

/* ---- messages
 * ------------------------------------------------------------------------------------ */

static struct tip_load_message *add_message(struct tip_loader *l, const char *code,
					    const char *item_type, const char *item_name)
{
	struct tip_load_result *res = l->result;
	struct tip_load_message *m;
	bool error = strncmp(code, "LOAD_ERR_", 9) == 0;

	if (error)
		l->failed = true;
	/* errors end a file, so it is warnings that a hostile file could pile up */
	if (!error && res->count >= TIP_LOAD_MESSAGES_MAX)
		return NULL;
	res->messages = tip_realloc(res->messages, res->count + 1, sizeof(*res->messages));
	m = &res->messages[res->count++];
	*m = (struct tip_load_message){.code = code,
				       .is_error = error,
				       .item_type = item_type,
				       .item_name = tip_arena_strdup(res->arena, item_name),
				       .snippet = "",
				       .caret = -1};
	return m;
}

static void fill_place(struct tip_load_message *m, const struct tip_rule_source *source,
		       const struct tip_yaml *node)
{
	snprintf(m->at.file, sizeof(m->at.file), "%s", source->name);
	if (node) {
		m->at.line = node->line;
		m->at.column = node->column;
	}
}

int tip_load_say(struct tip_loader *l, const char *code, const struct tip_yaml *at, const char *fmt,
		 ...)
{
	struct tip_load_message *m = add_message(l, code, l->item_type, l->item_name);
	va_list ap;

	if (!m)
		return -1;
	fill_place(m, l->source, at);
	va_start(ap, fmt);
	vsnprintf(m->at.text, sizeof(m->at.text), fmt, ap);
	va_end(ap);
	return -1;
}

int tip_load_say_def(struct tip_loader *l, const char *code, const struct tip_def_place *place,
		     const char *item_type, const char *item_name, const char *fmt, ...)
{
	struct tip_load_message *m = add_message(l, code, item_type, item_name);
	va_list ap;

	if (!m)
		return -1;
	fill_place(m, place->source, place->node);
	va_start(ap, fmt);
	vsnprintf(m->at.text, sizeof(m->at.text), fmt, ap);
	va_end(ap);
	return -1;
}

int tip_load_say_append(struct tip_loader *l, const struct tip_rule_append *a, const char *fmt, ...)
{
	struct tip_load_message *m =
		add_message(l, "LOAD_ERR_COMPILE_OUTPUT", l->item_type, l->item_name);
	va_list ap;

	if (!m)
		return -1;
	snprintf(m->at.file, sizeof(m->at.file), "%s", a->file);
	m->at.line = a->line;
	m->at.column = a->column;
	va_start(ap, fmt);
	vsnprintf(m->at.text, sizeof(m->at.text), fmt, ap);
	va_end(ap);
	return -1;
}

/* The line of the text around `pos`, cut to a width that fits a terminal. */
static void fill_snippet(struct tip_loader *l, struct tip_load_message *m,
			 const struct tip_text *text, size_t pos)
{
	const char *s = text->buf.data ? text->buf.data : "";
	size_t start, end;
	bool before, after;

	if (pos > text->buf.len)
		pos = text->buf.len;
	start = end = pos;
	while (start && s[start - 1] != '\n' && pos - start < SNIPPET_WIDTH / 2)
		start--;
	while (end < text->buf.len && s[end] != '\n' && end - start < SNIPPET_WIDTH)
		end++;
	before = start && s[start - 1] != '\n';
	after = end < text->buf.len && s[end] != '\n';
	m->snippet = tip_arena_sprintf(l->result->arena, "%s%.*s%s", before ? "..." : "",
				       (int)(end - start), s + start, after ? "..." : "");
	m->caret = (int)(pos - start) + (before ? 3 : 0);
}

int tip_load_say_cond(struct tip_loader *l, const char *code, const struct tip_cond_error *err,
		      const char *item_type, const char *item_name)
{
	struct tip_load_message *m = add_message(l, code ? code : err->code, item_type, item_name);

	if (!m)
		return -1;
	snprintf(m->at.text, sizeof(m->at.text), "%s", err->what);
	tip_text_place(err->text, err->pos, &m->at);
	fill_snippet(l, m, err->text, err->pos);
	return -1;
}

void tip_load_result_free(struct tip_load_result *r)
{
	free(r->messages);
	tip_arena_free(r->arena);
	*r = (struct tip_load_result){0};
}

/* ---- files
 * --------------------------------------------------------------------------------------- */

static int load_file(struct tip_loader *l, const struct tip_rule_source *source)
{
	struct tip_load_message *m;
	struct tip_yaml **docs;
	struct tip_error err = {0};
	size_t ndocs;

	l->source = source;
	l->item_type = l->item_name = "";
	if (tip_yaml_parse(l->defs->arena, source->name, source->text, source->len, &docs, &ndocs,
			   &err) < 0) {
		m = add_message(l, "LOAD_ERR_YAML_PARSE", "", "");
		if (m)
			m->at = err;
		return -1;
	}
	for (size_t d = 0; d < ndocs; d++) {
		l->item_type = l->item_name = "";
		if (tip_yaml_is_null(docs[d]))
			continue;
		if (docs[d]->kind != TIP_YAML_SEQUENCE)
			return tip_load_say(l, "LOAD_ERR_YAML_VALIDATE", docs[d],
					    "a rule file must be a list of items ('- rule: ...')");
		for (size_t i = 0; i < docs[d]->count; i++)
			if (tip_load_item(l, docs[d]->items[i]) < 0)
				return -1;
	}
	return 0;
}

struct tip_rules *tip_rules_load(const struct tip_rule_source *sources, size_t count,
				 struct tip_load_result *result)
{
	return tip_rules_load_with(sources, count, NULL, result);
}

struct tip_rules *tip_rules_load_with(const struct tip_rule_source *sources, size_t count,
				      const struct tip_rules_options *options,
				      struct tip_load_result *result)
{
	static const struct tip_rules_options none = {.min_priority = TIP_PRIO_DEBUG};
	struct tip_loader l = {.result = result, .options = options ? options : &none};
	struct tip_rules *rules = NULL;

	*result = (struct tip_load_result){.arena = tip_arena_new()};
	l.defs = tip_defs_new();
	l.skipped = tip_map_new();
	/* a later file may lean on an earlier one: after a bad one nothing more can be said */
	for (size_t i = 0; i < count && !l.failed; i++) {
		if (load_file(&l, &sources[i]) < 0)
			break;
		tip_rules_free(rules);
		rules = tip_load_build(&l, i + 1 == count);
	}
	if (count == 0)
		rules = tip_load_build(&l, true);
	if (l.failed) {
		tip_rules_free(rules);
		rules = NULL;
	}
	tip_map_free(l.skipped, NULL);
	tip_defs_free(l.defs);
	return rules;
}
