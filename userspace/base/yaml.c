/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <yaml.h>

#include "base/map.h"

#define MAX_TEXT   (16u << 20)
#define MAX_LEVELS 64
/* Below this many pairs, comparing keys with each other is cheaper than a hash map. */
#define FEW_PAIRS 12

static const char utf8_bom[] = "\xef\xbb\xbf";

/*
 * What an alias stands for. Aliases share the node: the limits count what a reader
 * that walks the tree would see, so the size and height of the subtree are kept here.
 */
struct anchor {
	struct tip_yaml *node; /* NULL while it is being read: an alias to it would be endless */
	size_t nodes;
	int height;
};

struct parser {
	yaml_parser_t yaml;
	struct tip_arena *arena;
	struct tip_error *err;
	const char *file;
	const char *text; /* after the byte order mark */
	size_t len;
	size_t bom; /* bytes of it */

	/* libyaml counts characters: one cursor turns them into bytes. */
	size_t cursor_char;
	size_t cursor_byte;

	size_t nodes;            /* so far, aliases expanded */
	struct tip_map *anchors; /* of this document */

	/* Children of the collections that are open, innermost last. */
	struct tip_yaml **stack;
	size_t stack_len;
	size_t stack_cap;
};

static struct tip_yaml *parse_node(struct parser *p, const yaml_event_t *ev, int level,
				   int *height);

static int fail(struct parser *p, const yaml_mark_t *mark, const char *text)
{
	return tip_error_at(p->err, p->file, (int)mark->line + 1, (int)mark->column + 1, "%s",
			    text);
}

/* libyaml's reader knows only the byte where it stumbled. */
static int fail_at_byte(struct parser *p, size_t offset, const char *text)
{
	int line = 1, column = 1;

	if (offset > p->len)
		offset = p->len;
	for (size_t i = 0; i < offset; i++) {
		if (p->text[i] == '\n') {
			line++;
			column = 1;
		} else if (((unsigned char)p->text[i] & 0xc0) != 0x80) {
			column++;
		}
	}
	return tip_error_at(p->err, p->file, line, column, "%s", text);
}

static int fail_yaml(struct parser *p)
{
	const yaml_parser_t *y = &p->yaml;
	const char *problem = y->problem ? y->problem : "unreadable";

	switch (y->error) {
	case YAML_READER_ERROR: return fail_at_byte(p, y->problem_offset, problem);
	case YAML_SCANNER_ERROR:
	case YAML_PARSER_ERROR: break;
	default: return tip_error_at(p->err, p->file, 0, 0, "YAML: %s", problem);
	}
	if (!y->context)
		return fail(p, &y->problem_mark, problem);
	return tip_error_at(p->err, p->file, (int)y->problem_mark.line + 1,
			    (int)y->problem_mark.column + 1, "%s, %s that starts at line %zu",
			    problem, y->context, y->context_mark.line + 1);
}

static int next_event(struct parser *p, yaml_event_t *ev)
{
	if (yaml_parser_parse(&p->yaml, ev))
		return 0;
	return fail_yaml(p);
}

/* The byte offset of the character `index`. Marks rise but for a step back now and then. */
static size_t byte_offset(struct parser *p, size_t index)
{
#define CONTINUES(at) (((unsigned char)p->text[at] & 0xc0) == 0x80)
	while (p->cursor_char < index && p->cursor_byte < p->len) {
		p->cursor_byte++;
		while (p->cursor_byte < p->len && CONTINUES(p->cursor_byte))
			p->cursor_byte++;
		p->cursor_char++;
	}
	while (p->cursor_char > index) {
		p->cursor_byte--;
		while (p->cursor_byte > 0 && CONTINUES(p->cursor_byte))
			p->cursor_byte--;
		p->cursor_char--;
	}
#undef CONTINUES
	return p->bom + p->cursor_byte;
}

static int count_nodes(struct parser *p, size_t more, const yaml_mark_t *mark)
{
	p->nodes += more;
	if (p->nodes <= TIP_YAML_MAX_NODES)
		return 0;
	return tip_error_at(p->err, p->file, (int)mark->line + 1, (int)mark->column + 1,
			    "too large: more than %d nodes once aliases are expanded",
			    TIP_YAML_MAX_NODES);
}

static struct tip_yaml *new_node(struct parser *p, const yaml_event_t *ev, enum tip_yaml_kind kind)
{
	struct tip_yaml *n;

	if (count_nodes(p, 1, &ev->start_mark) < 0)
		return NULL;
	n = tip_arena_alloc(p->arena, sizeof(*n));
	n->kind = kind;
	n->line = (int)ev->start_mark.line + 1;
	n->column = (int)ev->start_mark.column + 1;
	n->offset = byte_offset(p, ev->start_mark.index);
	return n;
}

static void push(struct parser *p, struct tip_yaml *n)
{
	if (p->stack_len == p->stack_cap) {
		p->stack_cap = p->stack_cap ? 2 * p->stack_cap : 64;
		p->stack = tip_realloc(p->stack, p->stack_cap, sizeof(struct tip_yaml *));
	}
	p->stack[p->stack_len++] = n;
}

static struct anchor *open_anchor(struct parser *p, const yaml_char_t *name)
{
	struct anchor *a;

	if (!name)
		return NULL;
	a = tip_arena_alloc(p->arena, sizeof(*a));
	/* YAML lets a later anchor of the same name hide the earlier one. */
	tip_map_puts(p->anchors, (const char *)name, a);
	return a;
}

static struct tip_yaml *parse_alias(struct parser *p, const yaml_event_t *ev, int level,
				    int *height)
{
	const struct anchor *a = tip_map_gets(p->anchors, (const char *)ev->data.alias.anchor);

	if (!a) {
		fail(p, &ev->start_mark, "alias without an anchor before it");
		return NULL;
	}
	if (!a->node) {
		fail(p, &ev->start_mark, "alias inside the node that it stands for");
		return NULL;
	}
	if (level + a->height > MAX_LEVELS) {
		fail(p, &ev->start_mark, "nested too deeply (64 levels)");
		return NULL;
	}
	if (count_nodes(p, a->nodes, &ev->start_mark) < 0)
		return NULL;
	*height = a->height;
	return a->node;
}

static struct tip_yaml *parse_scalar(struct parser *p, const yaml_event_t *ev)
{
	const char *value = (const char *)ev->data.scalar.value;
	const char *tag = (const char *)ev->data.scalar.tag;
	yaml_scalar_style_t style = ev->data.scalar.style;
	struct tip_yaml *n;

	if (memchr(value, '\0', ev->data.scalar.length)) {
		fail(p, &ev->start_mark, "a value with a NUL character in it");
		return NULL;
	}
	n = new_node(p, ev, TIP_YAML_SCALAR);
	if (!n)
		return NULL;
	n->text = tip_arena_strndup(p->arena, value, ev->data.scalar.length);
	n->plain = style == YAML_PLAIN_SCALAR_STYLE &&
		   (!tag || (strcmp(tag, "!") && strcmp(tag, YAML_STR_TAG)));
	n->block = style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE;
	return n;
}

static int duplicate_key(struct parser *p, const struct tip_yaml *key)
{
	return tip_error_at(p->err, p->file, key->line, key->column,
			    "the key \"%.100s\" is there twice", key->text);
}

static int check_keys(struct parser *p, const struct tip_yaml *n)
{
	struct tip_map *seen;
	int ret = 0;

	if (n->count <= FEW_PAIRS) {
		for (size_t i = 1; i < n->count; i++)
			for (size_t j = 0; j < i; j++)
				if (!strcmp(n->keys[i]->text, n->keys[j]->text))
					return duplicate_key(p, n->keys[i]);
		return 0;
	}
	seen = tip_map_new();
	for (size_t i = 0; i < n->count && !ret; i++)
		if (tip_map_puts(seen, n->keys[i]->text, n->keys[i]))
			ret = duplicate_key(p, n->keys[i]);
	tip_map_free(seen, NULL);
	return ret;
}

/* Moves the children above `base` off the stack into `n`. */
static int adopt(struct parser *p, struct tip_yaml *n, size_t base)
{
	size_t count = p->stack_len - base;

	p->stack_len = base;
	if (n->kind == TIP_YAML_SEQUENCE) {
		n->count = count;
		n->items = tip_arena_alloc(p->arena, (count + 1) * sizeof(*n->items));
		for (size_t i = 0; i < count; i++)
			n->items[i] = p->stack[base + i];
		return 0;
	}
	n->count = count / 2;
	n->keys = tip_arena_alloc(p->arena, (n->count + 1) * sizeof(*n->keys));
	n->items = tip_arena_alloc(p->arena, (n->count + 1) * sizeof(*n->items));
	for (size_t i = 0; i < n->count; i++) {
		n->keys[i] = p->stack[base + 2 * i];
		n->items[i] = p->stack[base + 2 * i + 1];
	}
	return check_keys(p, n);
}

static struct tip_yaml *parse_collection(struct parser *p, const yaml_event_t *start, int level,
					 int *height)
{
	bool mapping = start->type == YAML_MAPPING_START_EVENT;
	yaml_event_type_t end = mapping ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
	size_t base = p->stack_len;
	int highest = 0;
	struct tip_yaml *n;

	if (level >= MAX_LEVELS) {
		fail(p, &start->start_mark, "nested too deeply (64 levels)");
		return NULL;
	}
	n = new_node(p, start, mapping ? TIP_YAML_MAPPING : TIP_YAML_SEQUENCE);
	if (!n)
		return NULL;
	for (;;) {
		bool is_key = mapping && (p->stack_len - base) % 2 == 0;
		struct tip_yaml *child;
		yaml_event_t ev;
		int child_height = 0;

		if (next_event(p, &ev) < 0)
			return NULL;
		if (ev.type == end) {
			yaml_event_delete(&ev);
			break;
		}
		child = parse_node(p, &ev, level + 1, &child_height);
		if (child && is_key && child->kind != TIP_YAML_SCALAR) {
			fail(p, &ev.start_mark, "a key must be a plain word or a string");
			child = NULL;
		}
		yaml_event_delete(&ev);
		if (!child)
			return NULL;
		push(p, child);
		if (child_height > highest)
			highest = child_height;
	}
	*height = highest + 1;
	return adopt(p, n, base) < 0 ? NULL : n;
}

/* Reads the node that `ev` starts. `*height`: levels in it. NULL with the error set. */
static struct tip_yaml *parse_node(struct parser *p, const yaml_event_t *ev, int level, int *height)
{
	size_t before = p->nodes;
	struct anchor *anchor = NULL;
	struct tip_yaml *n = NULL;

	*height = 0;
	switch (ev->type) {
	case YAML_ALIAS_EVENT: return parse_alias(p, ev, level, height);
	case YAML_SCALAR_EVENT:
		anchor = open_anchor(p, ev->data.scalar.anchor);
		n = parse_scalar(p, ev);
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = open_anchor(p, ev->data.sequence_start.anchor);
		n = parse_collection(p, ev, level, height);
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = open_anchor(p, ev->data.mapping_start.anchor);
		n = parse_collection(p, ev, level, height);
		break;
	default: fail(p, &ev->start_mark, "a value was expected here"); break;
	}
	if (n && anchor) {
		anchor->node = n;
		anchor->nodes = p->nodes - before;
		anchor->height = *height;
	}
	return n;
}

/* Reads the root and the end of a document. NULL with the error set. */
static struct tip_yaml *parse_document(struct parser *p)
{
	struct tip_yaml *root;
	yaml_event_t ev;
	int height;

	tip_map_free(p->anchors, NULL);
	p->anchors = tip_map_new();
	if (next_event(p, &ev) < 0)
		return NULL;
	root = parse_node(p, &ev, 0, &height);
	yaml_event_delete(&ev);
	if (!root || next_event(p, &ev) < 0)
		return NULL;
	yaml_event_delete(&ev); /* DOCUMENT-END: libyaml's grammar allows nothing else */
	return root;
}

static int parse_stream(struct parser *p)
{
	for (;;) {
		yaml_event_type_t type;
		struct tip_yaml *root;
		yaml_event_t ev;

		if (next_event(p, &ev) < 0)
			return -1;
		type = ev.type;
		yaml_event_delete(&ev);
		if (type == YAML_STREAM_END_EVENT)
			return 0;
		if (type != YAML_DOCUMENT_START_EVENT)
			continue; /* STREAM-START */
		root = parse_document(p);
		if (!root)
			return -1;
		if (root->kind != TIP_YAML_SCALAR || !root->plain || root->text[0])
			push(p, root);
	}
}

int tip_yaml_parse(struct tip_arena *arena, const char *file, const char *text, size_t len,
		   struct tip_yaml ***docs, size_t *ndocs, struct tip_error *err)
{
	struct parser p = {.arena = arena, .err = err, .file = file, .text = text, .len = len};
	int ret = -1;

	*docs = NULL;
	*ndocs = 0;
	if (len > MAX_TEXT)
		return tip_error_at(err, file, 0, 0, "larger than 16 MiB");
	/* Told the encoding, libyaml takes the mark for a character; asked to find it, UTF-16 for
	 * text. */
	if (len >= 3 && !memcmp(text, utf8_bom, 3)) {
		p.bom = 3;
		p.text += 3;
		p.len -= 3;
	}
	if (!yaml_parser_initialize(&p.yaml))
		return tip_error_at(err, file, 0, 0, "out of memory");
	yaml_parser_set_encoding(&p.yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p.yaml, (const unsigned char *)(p.len ? p.text : ""), p.len);
	if (parse_stream(&p) < 0)
		goto out;
	*ndocs = p.stack_len;
	*docs = tip_arena_alloc(arena, (p.stack_len + 1) * sizeof(**docs));
	for (size_t i = 0; i < p.stack_len; i++)
		(*docs)[i] = p.stack[i];
	ret = 0;
out:
	tip_map_free(p.anchors, NULL);
	free(p.stack);
	yaml_parser_delete(&p.yaml);
	return ret;
}

struct tip_yaml *tip_yaml_get(const struct tip_yaml *map, const char *key)
{
	if (!map || map->kind != TIP_YAML_MAPPING)
		return NULL;
	for (size_t i = 0; i < map->count; i++)
		if (!strcmp(map->keys[i]->text, key))
			return map->items[i];
	return NULL;
}

int tip_yaml_bool(const struct tip_yaml *n, bool *out)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {
		{"true", true}, {"false", false}, {"yes", true},
		{"no", false},  {"on", true},     {"off", false},
	};

	if (!n || n->kind != TIP_YAML_SCALAR || !n->plain)
		return -1;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(words); i++) {
		if (!strcasecmp(n->text, words[i].word)) {
			*out = words[i].value;
			return 0;
		}
	}
	return -1;
}

int tip_yaml_int(const struct tip_yaml *n, int64_t *out)
{
	const char *digits;
	long long value;

	if (!n || n->kind != TIP_YAML_SCALAR || !n->plain)
		return -1;
	digits = n->text + (n->text[0] == '-');
	if (!digits[0] || strspn(digits, "0123456789") != strlen(digits))
		return -1;
	/* 010 is eight to YAML 1.1 and ten to YAML 1.2: nobody may have to guess. */
	if (digits[0] == '0' && digits[1])
		return -1;
	errno = 0;
	value = strtoll(n->text, NULL, 10);
	if (errno)
		return -1;
	*out = value;
	return 0;
}

bool tip_yaml_is_null(const struct tip_yaml *n)
{
	if (!n || n->kind != TIP_YAML_SCALAR || !n->plain)
		return false;
	return !n->text[0] || !strcmp(n->text, "~") || !strcasecmp(n->text, "null");
}
