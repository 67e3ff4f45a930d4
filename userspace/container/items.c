/* SPDX-License-Identifier: Apache-2.0 */
#include "container/items.h"

#include <string.h>

#define KEY       "items"
#define DEPTH_MAX 256

/* Bytes of the item that is being taken. */
static void add(struct tip_items *t, const char *data, size_t len)
{
	if (!t->taking || t->skipping)
		return;
	if (len > t->max - t->item.len)
		t->skipping = true;
	else
		tip_buf_add(&t->item, data, len);
}

static void end_item(struct tip_items *t, tip_items_fn take, void *ctx)
{
	if (t->skipping)
		take(ctx, NULL, 0);
	else
		take(ctx, t->item.data, t->item.len);
	t->taking = t->skipping = false;
	tip_buf_reset(&t->item);
}

static void string_byte(struct tip_items *t, char c)
{
	if (t->escaped) {
		t->escaped = false;
		return;
	}
	t->escaped = c == '\\';
	t->in_string = c != '"';
	/* A key that is written with escapes is none of Kubernetes'. */
	if (t->in_string && t->depth == 1 && !t->value && t->key_len < sizeof(t->key))
		t->key[t->key_len++] = c;
}

static bool is_key(const struct tip_items *t)
{
	return t->key_len == strlen(KEY) && memcmp(t->key, KEY, t->key_len) == 0;
}

static enum tip_items_state open_one(struct tip_items *t, char c)
{
	if (t->depth >= DEPTH_MAX || (t->depth == 0 && c != '{'))
		return TIP_ITEMS_BAD;
	t->inside = t->inside || (t->depth == 1 && t->value && is_key(t) && c == '[');
	t->taking = t->taking || (t->depth == 2 && t->inside);
	t->depth++;
	return TIP_ITEMS_MORE;
}

static enum tip_items_state close_one(struct tip_items *t, char c)
{
	if (t->depth == 0)
		return TIP_ITEMS_BAD;
	t->depth--;
	if (t->depth == 1 && t->inside) {
		t->inside = false;
		return c == ']' ? TIP_ITEMS_MORE : TIP_ITEMS_BAD;
	}
	if (t->depth)
		return TIP_ITEMS_MORE;
	return c == '}' && t->found ? TIP_ITEMS_DONE : TIP_ITEMS_BAD;
}

static enum tip_items_state byte(struct tip_items *t, char c)
{
	if (t->in_string) {
		string_byte(t, c);
		return TIP_ITEMS_MORE;
	}
	switch (c) {
	case '{':
	case '[': return open_one(t, c);
	case '}':
	case ']': return close_one(t, c);
	case '"':
		t->in_string = true;
		t->key_len = t->depth == 1 && !t->value ? 0 : t->key_len;
		break;
	case ':':
	case ',':
		if (t->depth != 1)
			break;
		t->value = c == ':';
		if (t->value && is_key(t) && t->found)
			return TIP_ITEMS_BAD; /* twice: two readers would read two lists */
		t->found = t->found || (t->value && is_key(t));
		break;
	default: break;
	}
	return t->depth || memchr(" \t\r\n", c, 4) ? TIP_ITEMS_MORE : TIP_ITEMS_BAD;
}

enum tip_items_state tip_items_feed(struct tip_items *t, const char *data, size_t len,
				    tip_items_fn take, void *ctx)
{
	enum tip_items_state state = TIP_ITEMS_MORE;
	const char *from = data, *end = data + len;

	for (const char *p = data; p < end && state == TIP_ITEMS_MORE; p++) {
		const bool taking = t->taking;

		state = byte(t, *p);
		if (t->taking && !taking)
			from = p;
		if (t->taking && t->depth == 2) {
			add(t, from, (size_t)(p + 1 - from));
			end_item(t, take, ctx);
		}
	}
	if (state == TIP_ITEMS_MORE)
		add(t, from, (size_t)(end - from));
	return state;
}

void tip_items_free(struct tip_items *t)
{
	tip_buf_free(&t->item);
}
