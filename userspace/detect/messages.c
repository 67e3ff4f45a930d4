/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/loader.h"

/*
 * What the loader has to say. Each message has its own place, one-based, for people and logs; and
 * the way to it from the outside in, zero-based, as other tools of the language tell it.
 */

#define SNIPPET_WIDTH 76
/* Of an expression's text, as far as it serves for its name. */
#define NAME_WIDTH 20

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

/* ---- the way to a message ------------------------------------------------------------------ */

static void add_location(struct tip_loader *l, struct tip_load_message *m, const char *type,
			 const char *item, const char *name, size_t line, size_t column,
			 size_t offset)
{
	struct tip_load_location *at;

	if (m->nlocations == TIP_LOAD_LOCATIONS_MAX)
		return;
	at = &m->locations[m->nlocations++];
	*at = (struct tip_load_location){
		.item_type = type,
		.item_name = *item ? tip_arena_strdup(l->result->arena, item) : "",
		.name = tip_arena_strdup(l->result->arena, name),
		.line = line,
		.column = column,
		.offset = offset};
}

static void add_node(struct tip_loader *l, struct tip_load_message *m, const char *type,
		     const char *item, const struct tip_rule_source *source,
		     const struct tip_yaml *n)
{
	add_location(l, m, type, item, source->name, (size_t)(n->line > 0 ? n->line - 1 : 0),
		     (size_t)(n->column > 0 ? n->column - 1 : 0), n->offset);
}

static const char *type_name(const char *item_type)
{
	if (!*item_type)
		return "rules content item";
	return strcmp(item_type, "required_plugin_versions") == 0 ? "required plugin versions"
								  : item_type;
}

static void add_item(struct tip_loader *l, struct tip_load_message *m, const char *item_type,
		     const char *item_name, const struct tip_rule_source *source,
		     const struct tip_yaml *item)
{
	add_location(l, m, "rules content", "", source->name, 0, 0, 0);
	if (item)
		add_node(l, m, type_name(item_type), item_name, source, item);
}

/* Where in the item an error is. */
static void add_detail(struct tip_loader *l, struct tip_load_message *m, const struct tip_yaml *at)
{
	const struct tip_yaml *item = l->item;

	if (l->exception) {
		add_node(l, m, "exception", l->exception_name, l->source, l->exception);
		return;
	}
	for (size_t i = 0; item && item->kind == TIP_YAML_MAPPING && i < item->count; i++) {
		const struct tip_yaml *v = item->items[i];
		const char *key = item->keys[i]->text ? item->keys[i]->text : "";
		bool override = strcmp(key, "override") == 0;

		if (v == at && strcmp(key, "priority") == 0) {
			add_node(l, m, "rule priority", "", l->source, v);
			return;
		}
		/* what names the item is the item */
		if (v == at && strcmp(key, l->item_type) == 0)
			return;
		if (v == at && !override) {
			add_node(l, m, "value for", key, l->source, v);
			return;
		}
		for (size_t k = 0; v->kind != TIP_YAML_SCALAR && k < v->count; k++) {
			bool is_key = v->kind == TIP_YAML_MAPPING && v->keys[k] == at;

			if (!is_key && v->items[k] != at)
				continue;
			if (override) {
				add_node(l, m, "overrides", "", l->source, item);
				add_node(l, m, is_key ? "overrides" : "value for",
					 v->keys[k]->text ? v->keys[k]->text : "", l->source, at);
			} else {
				add_node(l, m, "value for", key, l->source, v);
				add_node(l, m, "list item", "", l->source, at);
			}
			return;
		}
	}
}

/* ---- snippets ------------------------------------------------------------------------------ */

/* The line of the text around `pos`, cut to a width that fits a terminal. */
static void fill_snippet(struct tip_loader *l, struct tip_load_message *m, const char *s,
			 size_t len, size_t pos)
{
	size_t start, end;
	bool before, after;

	if (pos > len)
		pos = len;
	start = end = pos;
	while (start && s[start - 1] != '\n' && pos - start < SNIPPET_WIDTH / 2)
		start--;
	while (end < len && s[end] != '\n' && s[end] != '\r' && end - start < SNIPPET_WIDTH)
		end++;
	before = start && s[start - 1] != '\n';
	after = end < len && s[end] != '\n' && s[end] != '\r';
	/* never a part of a character */
	while (before && start < pos && ((unsigned char)s[start] & 0xc0) == 0x80)
		start++;
	while (after && end > pos && ((unsigned char)s[end] & 0xc0) == 0x80)
		end--;
	m->snippet = tip_arena_sprintf(l->result->arena, "%s%.*s%s", before ? "..." : "",
				       (int)(end - start), s + start, after ? "..." : "");
	m->caret = (int)(pos - start) + (before ? 3 : 0);
}

static void fill_place(struct tip_loader *l, struct tip_load_message *m,
		       const struct tip_rule_source *source, const struct tip_yaml *node)
{
	size_t offset = m->nlocations ? m->locations[m->nlocations - 1].offset : 0;

	snprintf(m->at.file, sizeof(m->at.file), "%s", source->name);
	if (node) {
		m->at.line = node->line;
		m->at.column = node->column;
	}
	fill_snippet(l, m, source->text, source->len, offset);
}

/* ---- messages ------------------------------------------------------------------------------ */

int tip_load_say(struct tip_loader *l, const char *code, const struct tip_yaml *at, const char *fmt,
		 ...)
{
	struct tip_load_message *m = add_message(l, code, l->item_type, l->item_name);
	va_list ap;

	if (!m)
		return -1;
	add_item(l, m, l->item_type, l->item_name, l->source, l->item);
	if (m->is_error || l->exception)
		add_detail(l, m, at);
	fill_place(l, m, l->source, at);
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
	add_item(l, m, item_type, item_name, place->source, place->item);
	fill_place(l, m, place->source, place->node);
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
	add_location(l, m, "rules content", "", a->file, 0, 0, 0);
	snprintf(m->at.file, sizeof(m->at.file), "%s", a->file);
	m->at.line = a->line;
	m->at.column = a->column;
	va_start(ap, fmt);
	vsnprintf(m->at.text, sizeof(m->at.text), fmt, ap);
	va_end(ap);
	return -1;
}

/* Both one-based, as the language counts inside an expression. */
static void line_and_column(const struct tip_text *text, size_t pos, size_t *line, size_t *column)
{
	*line = *column = 1;
	for (size_t i = 0; i < pos && i < text->buf.len; i++) {
		++*column;
		if (text->buf.data[i] == '\n' || text->buf.data[i] == '\r') {
			*column = 1;
			++*line;
		}
	}
}

/* The start of an expression in quotes and on one line. */
static void expression_name(const struct tip_text *text, char *out, size_t size)
{
	size_t len = text->buf.len;
	bool cut = len > NAME_WIDTH;

	snprintf(out, size, "\"%.*s%s\"", (int)(cut ? NAME_WIDTH - 3 : len),
		 text->buf.data ? text->buf.data : "", cut ? "..." : "");
	for (char *c = out; *c; c++)
		if (*c == '\n' || *c == '\r')
			*c = ' ';
}

/*
 * Behind the item: the key with the condition or output, and the place in the expression. A macro
 * that is not there has no key: its place counts from the item, as Falco has it.
 */
static void add_expression(struct tip_loader *l, struct tip_load_message *m,
			   const struct tip_cond_error *err)
{
	bool output = strcmp(err->code, "LOAD_ERR_COMPILE_OUTPUT") == 0;
	const struct tip_text *text = err->text;
	const struct tip_load_location *base;
	char name[NAME_WIDTH * 4];
	size_t line, column;

	if (text->count && strcmp(err->code, "LOAD_ERR_VALIDATE") != 0)
		add_node(l, m,
			 output                 ? "rule output"
			 : *m->item_type == 'm' ? "macro condition"
						: "rule condition",
			 "", text->pieces[0].source, text->pieces[0].node);
	if (output)
		return;
	expression_name(text, name, sizeof(name));
	line_and_column(text, err->pos, &line, &column);
	base = &m->locations[m->nlocations - 1];
	add_location(l, m, "condition expression", "", name, base->line + line,
		     base->column + column, base->offset + err->pos);
}

int tip_load_say_cond(struct tip_loader *l, const char *code, const struct tip_cond_error *err,
		      const struct tip_def_place *place, const char *item_type,
		      const char *item_name)
{
	struct tip_load_message *m = add_message(l, code ? code : err->code, item_type, item_name);

	if (!m)
		return -1;
	snprintf(m->at.text, sizeof(m->at.text), "%s", err->what);
	add_item(l, m, item_type, item_name, place->source, place->item);
	add_expression(l, m, err);
	tip_text_place(err->text, err->pos, &m->at);
	fill_snippet(l, m, err->text->buf.data ? err->text->buf.data : "", err->text->buf.len,
		     err->pos);
	return -1;
}

void tip_load_say_yaml(struct tip_loader *l, const struct tip_error *err)
{
	struct tip_load_message *m = add_message(l, "LOAD_ERR_YAML_PARSE", "", "");
	const char *s = l->source->text, *end = s + l->source->len;
	size_t line = err->line > 0 ? (size_t)err->line - 1 : 0, offset;
	size_t column = err->column > 0 ? (size_t)err->column - 1 : 0;

	m->at = *err;
	add_location(l, m, "rules content", "", l->source->name, 0, 0, 0);
	for (size_t i = 0; i < line && s < end; i++) {
		const char *next = memchr(s, '\n', (size_t)(end - s));

		s = next ? next + 1 : end;
	}
	offset = (size_t)(s - l->source->text) + column;
	if (offset > l->source->len)
		offset = l->source->len;
	add_location(l, m, "value for", "", l->source->name, line, column, offset);
	fill_snippet(l, m, l->source->text, l->source->len, offset);
}

void tip_load_result_free(struct tip_load_result *r)
{
	free(r->messages);
	tip_arena_free(r->arena);
	*r = (struct tip_load_result){0};
}
