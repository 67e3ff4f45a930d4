/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tip_text_free(struct tip_text *t)
{
	tip_buf_free(&t->buf);
	free(t->pieces);
	*t = (struct tip_text){0};
}

void tip_text_add(struct tip_text *t, const struct tip_rule_source *source,
		  const struct tip_yaml *node, size_t from, bool fixed, const char *s, size_t len)
{
	if ((t->count & (t->count - 1)) == 0)
		t->pieces = tip_realloc(t->pieces, t->count ? t->count * 2 : 1, sizeof(*t->pieces));
	t->pieces[t->count++] = (struct tip_text_piece){
		.start = t->buf.len, .source = source, .node = node, .from = from, .fixed = fixed};
	tip_buf_add(&t->buf, s, len);
}

void tip_text_add_node(struct tip_text *t, const struct tip_rule_source *source,
		       const struct tip_yaml *node)
{
	tip_text_add(t, source, node, 0, false, node->text, strlen(node->text));
}

/* The piece that holds byte `pos`; the last one for the end of the text. */
static const struct tip_text_piece *piece_at(const struct tip_text *t, size_t pos)
{
	size_t lo = 0, hi = t->count;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->pieces[mid].start <= pos)
			lo = mid;
		else
			hi = mid;
	}
	return t->count ? &t->pieces[lo] : NULL;
}

void tip_text_copy(struct tip_text *t, const struct tip_text *from, size_t start, size_t len)
{
	while (len) {
		const struct tip_text_piece *p = piece_at(from, start);
		size_t end = p + 1 < from->pieces + from->count ? p[1].start : from->buf.len;
		size_t n = end - start < len ? end - start : len;

		tip_text_add(t, p->source, p->node, p->fixed ? p->from : p->from + start - p->start,
			     p->fixed, from->buf.data + start, n);
		start += n;
		len -= n;
	}
}

void tip_text_put(struct tip_text *t, const struct tip_text *from, size_t at, const char *s,
		  size_t len)
{
	const struct tip_text_piece *p = piece_at(from, at);

	tip_text_add(t, p->source, p->node, p->fixed ? p->from : p->from + at - p->start, true, s,
		     len);
}

void tip_text_place(const struct tip_text *t, size_t pos, struct tip_error *err)
{
	const struct tip_text_piece *p = piece_at(t, pos);

	if (!p)
		return;
	snprintf(err->file, sizeof(err->file), "%s", p->source->name);
	tip_scalar_place(p->source, p->node, p->fixed ? p->from : p->from + pos - p->start,
			 &err->line, &err->column);
}

/* ---- from a value's byte back to the file ------------------------------------------- */

struct cursor {
	const char *p, *end;
	int line, column;
};

static void step(struct cursor *c)
{
	unsigned char ch = (unsigned char)*c->p++;

	if (ch == '\n') {
		c->line++;
		c->column = 1;
	} else if ((ch & 0xc0) != 0x80) {
		/* columns count characters, as libyaml does */
		c->column++;
	}
}

static void steps(struct cursor *c, size_t n)
{
	while (n-- && c->p < c->end)
		step(c);
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Bytes that an escape takes in a double-quoted scalar (YAML 1.1, 5.7). */
static size_t escape_len(char c)
{
	return c == 'x' ? 4 : c == 'u' ? 6 : c == 'U' ? 10 : 2;
}

static size_t utf8_bytes(unsigned char c)
{
	return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* Steps over an anchor or tag, and over a block scalar's header or an opening quote. */
static char open_scalar(struct cursor *c, const struct tip_yaml *node)
{
	char quote = 0;

	while (c->p < c->end && (*c->p == '&' || *c->p == '!')) {
		while (c->p < c->end && !blank(*c->p))
			step(c);
		while (c->p < c->end && blank(*c->p))
			step(c);
	}
	if (node->block) {
		while (c->p < c->end && *c->p != '\n')
			step(c);
	} else if (!node->plain && c->p < c->end && (*c->p == '"' || *c->p == '\'')) {
		quote = *c->p;
		step(c);
	}
	return quote;
}

/*
 * Walks the file and the value side by side. Folding, indentation and chomping only ever touch
 * white space, so after each visible character both are in step again: that one is exact for all
 * five styles of scalar. Where they do not agree (an alias), the node's own place is the answer.
 */
void tip_scalar_place(const struct tip_rule_source *source, const struct tip_yaml *node, size_t pos,
		      int *line, int *column)
{
	struct cursor c = {
		.end = source->text + source->len, .line = node->line, .column = node->column};
	struct cursor last;
	size_t v = 0, len;
	char quote;

	*line = node->line;
	*column = node->column;
	if (node->kind != TIP_YAML_SCALAR || node->offset >= source->len)
		return;
	c.p = source->text + node->offset;
	len = strlen(node->text);
	quote = open_scalar(&c, node);
	last = c;
	/* the end of a text, or blanks before it, is where its last visible character ends */
	while (len && blank(node->text[len - 1]))
		len--;
	if (pos > len)
		pos = len;
	while (v < len) {
		size_t take = 1, raw = 1;
		bool escaped;

		if (!blank(node->text[v]))
			while (c.p < c.end && blank(*c.p))
				step(&c);
		while (quote == '"' && c.end - c.p > 1 && c.p[0] == '\\' &&
		       (c.p[1] == '\n' || c.p[1] == '\r')) {
			steps(&c, 2);
			while (c.p < c.end && blank(*c.p))
				step(&c);
		}
		if (c.p >= c.end)
			return;
		escaped = quote == '"' && *c.p == '\\' && c.end - c.p > 1;
		if (escaped) {
			raw = escape_len(c.p[1]);
			take = raw > 2 ? utf8_bytes((unsigned char)node->text[v]) : 1;
		} else if (quote == '\'' && *c.p == '\'') {
			raw = 2;
		} else if (blank(node->text[v])) {
			if (!blank(*c.p))
				raw = 0;
		} else if (*c.p != node->text[v]) {
			return;
		}
		if (pos < v + take) {
			*line = c.line;
			*column = c.column;
			return;
		}
		steps(&c, raw);
		v += take;
		last = c;
	}
	*line = last.line;
	*column = last.column;
}
