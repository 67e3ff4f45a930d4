/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/switches.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define FILE_MAX    (1u << 20)
#define PATTERN_MAX 1024

static int bad(const char *file, const struct tip_yaml *n, struct tip_error *err)
{
	return tip_error_at(err, file, n->line, n->column,
			    "a list of 'disable: {rule: PATTERN}' and the like is wanted here, "
			    "with enable or disable, and rule or tag");
}

static int read_one(const char *file, const struct tip_yaml *n, struct tip_rule_switch *out,
		    struct tip_error *err)
{
	const struct tip_yaml *what, *text;

	if (n->kind != TIP_YAML_MAPPING || n->count != 1)
		return bad(file, n, err);
	what = n->items[0];
	out->enable = strcmp(n->keys[0]->text, "enable") == 0;
	if ((!out->enable && strcmp(n->keys[0]->text, "disable") != 0) ||
	    what->kind != TIP_YAML_MAPPING || what->count != 1)
		return bad(file, n, err);
	text = what->items[0];
	if (text->kind != TIP_YAML_SCALAR || !*text->text || strlen(text->text) > PATTERN_MAX)
		return bad(file, text, err);
	if (strcmp(what->keys[0]->text, "rule") == 0)
		out->rule = text->text;
	else if (strcmp(what->keys[0]->text, "tag") == 0)
		out->tag = text->text;
	else
		return bad(file, what->keys[0], err);
	return 0;
}

int tip_switches_read(struct tip_arena *arena, const char *file, const struct tip_yaml *n,
		      const struct tip_rule_switch **out, size_t *count, struct tip_error *err)
{
	struct tip_rule_switch *list;

	if (n->kind != TIP_YAML_SEQUENCE)
		return bad(file, n, err);
	if (n->count > TIP_SWITCHES_MAX)
		return tip_error_at(err, file, n->line, n->column, "at most %d of them",
				    TIP_SWITCHES_MAX);
	list = tip_arena_alloc(arena, (n->count + 1) * sizeof(*list));
	for (size_t i = 0; i < n->count; i++)
		if (read_one(file, n->items[i], &list[i], err) < 0)
			return -1;
	*out = list;
	*count = n->count;
	return 0;
}

static bool same(const struct tip_rule_switch *a, const struct tip_rule_switch *b)
{
	return a->rule ? b->rule && strcmp(a->rule, b->rule) == 0
		       : b->tag && strcmp(a->tag, b->tag) == 0;
}

static void push(struct tip_switches *s, const struct tip_rule_switch *is, bool ephemeral)
{
	s->list = tip_realloc(s->list, s->count + 1, sizeof(*s->list));
	s->list[s->count++] =
		(struct tip_switch){.is = {.enable = is->enable,
					   .rule = is->rule ? tip_strdup(is->rule) : NULL,
					   .tag = is->tag ? tip_strdup(is->tag) : NULL},
				    .ephemeral = ephemeral};
}

int tip_switches_with(const struct tip_switches *from, const struct tip_rule_switch *is,
		      bool ephemeral, struct tip_switches *out, struct tip_error *err)
{
	*out = (struct tip_switches){0};
	if (strlen(is->rule ? is->rule : is->tag) > PATTERN_MAX)
		return tip_error_set(err, "a pattern has at most %d bytes", PATTERN_MAX);
	for (size_t i = 0; i < from->count; i++)
		if (!same(&from->list[i].is, is))
			push(out, &from->list[i].is, from->list[i].ephemeral);
	if (out->count == TIP_SWITCHES_MAX) {
		tip_switches_free(out);
		return tip_error_set(err, "at most %d patterns and tags can be switched",
				     TIP_SWITCHES_MAX);
	}
	push(out, is, ephemeral);
	return 0;
}

void tip_switches_free(struct tip_switches *s)
{
	for (size_t i = 0; i < s->count; i++) {
		free((char *)s->list[i].is.rule);
		free((char *)s->list[i].is.tag);
	}
	free(s->list);
	*s = (struct tip_switches){0};
}

int tip_switches_stage(const struct tip_switches *s, const char *path, struct tip_error *err)
{
	struct tip_buf b = {0};
	int ret;

	tip_buf_adds(&b, "# Written by the daemon: what `tipstaff rules enable` and `disable` "
			 "asked for.\n");
	for (size_t i = 0; i < s->count; i++) {
		const struct tip_rule_switch *is = &s->list[i].is;
		const char *text = is->rule ? is->rule : is->tag;

		if (s->list[i].ephemeral)
			continue;
		tip_buf_addf(&b, "- %s: {%s: ", is->enable ? "enable" : "disable",
			     is->rule ? "rule" : "tag");
		tip_buf_add_json_string(&b, text, strlen(text));
		tip_buf_adds(&b, "}\n");
	}
	ret = tip_file_stage(path, b.data, b.len, 0600, err);
	tip_buf_free(&b);
	return ret;
}

int tip_switches_restore(struct tip_switches *s, const char *path, struct tip_error *err)
{
	struct tip_arena *arena = tip_arena_new();
	const struct tip_rule_switch *list = NULL;
	struct tip_yaml **docs = NULL;
	struct tip_buf text = {0};
	size_t ndocs = 0, count = 0;
	int ret = 0;

	tip_switches_free(s);
	if (access(path, F_OK) != 0)
		goto out;
	ret = tip_file_read(path, FILE_MAX, &text, err);
	if (ret == 0)
		ret = tip_yaml_parse(arena, path, text.data ? text.data : "", text.len, &docs,
				     &ndocs, err);
	for (size_t i = 0; ret == 0 && i < ndocs; i++) {
		if (tip_yaml_is_null(docs[i]))
			continue;
		ret = tip_switches_read(arena, path, docs[i], &list, &count, err);
		for (size_t k = 0; ret == 0 && k < count; k++)
			push(s, &list[k], false);
	}
out:
	tip_buf_free(&text);
	tip_arena_free(arena);
	return ret;
}
