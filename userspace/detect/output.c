/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "detect/lexer.h"
#include "detect/transform.h"

/* Output templates: "text %field, %field[arg] and %tolower(field)". */

static void add_segment(struct tip_rules *set, struct tip_template *t, const struct tip_segment *s)
{
	if ((t->count & (t->count - 1)) == 0) {
		struct tip_segment *grown =
			tip_arena_alloc(set->arena, (t->count ? t->count * 2 : 1) * sizeof(*grown));

		if (t->count)
			memcpy(grown, t->segments, t->count * sizeof(*grown));
		t->segments = grown;
	}
	t->segments[t->count++] = *s;
}

static void add_literal(struct tip_rules *set, struct tip_template *t, const char *s, size_t len)
{
	if (len)
		add_segment(set, t,
			    &(struct tip_segment){.text = tip_arena_strndup(set->arena, s, len),
						  .len = len});
}

static void *bad(struct tip_cond_error *err, const struct tip_text *text, size_t pos,
		 const char *what)
{
	tip_cond_fail(err, text, pos, "%s", what);
	err->code = "LOAD_ERR_COMPILE_OUTPUT";
	return NULL;
}

/* "tolower(proc.name)" at `*pos`. */
static int64_t transformed(struct tip_rules *set, const struct tip_text *text, size_t *pos,
			   bool used, bool *unknown, struct tip_cond_error *err)
{
	const struct tip_ast_expr *e = tip_parse_expr(set->arena, text, false, pos, err);
	int64_t slot = e ? tip_rules_expr_slot(set, text, e, used, unknown, err) : -1;

	if (slot < 0)
		err->code = "LOAD_ERR_COMPILE_OUTPUT";
	return slot;
}

/*
 * One field at `*pos`, which stands after the '%'. Moves behind it; returns its slot or -1. The
 * name is as long as a known field can be made of it, so that "%proc.name." ends a sentence.
 */
static int64_t field(struct tip_rules *set, const struct tip_text *text, size_t *pos, bool used,
		     bool *unknown, struct tip_cond_error *err)
{
	const char *s = text->buf.data;
	size_t len = text->buf.len, p = *pos, start, n;
	char *name, *arg = NULL, why[160];
	struct tip_lexer lx = {.s = s, .len = len, .pos = p};
	int64_t slot = -1;
	enum tip_fn fn;

	if (!isspace((unsigned char)s[p]) && tip_lex_function(&lx, true, &fn))
		return transformed(set, text, pos, used, unknown, err);
	n = tip_field_prefix(s + p, len - p);
	if (!n) {
		for (n = 0; p + n < len && (isalnum((unsigned char)s[p + n]) || s[p + n] == '_' ||
					    s[p + n] == '.');)
			n++;
		*unknown = n > 0;
		if (!n)
			bad(err, text, p - 1,
			    "'%' must be followed by a field: there is no way to write a bare '%'");
		else if (p + n < len && s[p + n] == '(')
			bad(err, text, p, "there is no such transformer");
		else
			bad(err, text, p, "there is no such field");
		return -1;
	}
	start = p;
	p += n;
	name = tip_strndup(s + start, n);
	if (p < len && s[p] == '[') {
		const char *end = memchr(s + p, ']', len - p);

		if (!end) {
			bad(err, text, p, "the ']' after the field's argument is missing");
			goto out;
		}
		arg = tip_strndup(s + p + 1, (size_t)(end - s) - p - 1);
		p = (size_t)(end - s) + 1;
	}
	slot = tip_rules_slot(set, name, arg, used, why, sizeof(why));
	*unknown = slot < 0;
	if (slot < 0)
		bad(err, text, start, why);
	*pos = p;
out:
	free(name);
	free(arg);
	return slot;
}

static int by_text(const void *a, const void *b, void *refs)
{
	const struct tip_field_ref *r = refs;

	return strcmp(r[*(const uint32_t *)a].text, r[*(const uint32_t *)b].text);
}

/* The fields that a slot is made of; as in Falco, what transformers make has no key. */
static size_t leaves(const struct tip_rules *set, uint32_t slot, uint32_t *keys)
{
	const struct tip_field_ref *ref = &set->refs[slot];
	size_t n = 0;

	if (ref->transform) {
		for (size_t i = 0; i < ref->transform->nargs; i++)
			n += leaves(set, ref->transform->args[i].slot, keys ? keys + n : NULL);
		return n;
	}
	/* the alert itself brings evt.time, as a number */
	if (ref->field->get == tip_literal_get || strcmp(ref->text, "evt.time") == 0)
		return 0;
	if (keys)
		*keys = slot;
	return 1;
}

static void make_keys(struct tip_rules *set, struct tip_template *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->count; i++)
		n += t->segments[i].text ? 0 : leaves(set, t->segments[i].slot, NULL);
	t->keys = tip_arena_alloc(set->arena, (n + 1) * sizeof(*t->keys));
	n = 0;
	for (size_t i = 0; i < t->count; i++)
		if (!t->segments[i].text)
			n += leaves(set, t->segments[i].slot, t->keys + n);
	qsort_r(t->keys, n, sizeof(*t->keys), by_text, set->refs);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || t->keys[i] != t->keys[i - 1])
			t->keys[t->nkeys++] = t->keys[i];
}

void tip_template_join(struct tip_rules *set, struct tip_template *t,
		       const struct tip_template *more)
{
	add_literal(set, t, " ", 1);
	for (size_t i = 0; i < more->count; i++)
		add_segment(set, t, &more->segments[i]);
	t->nkeys = 0;
	make_keys(set, t);
}

int tip_template_compile(struct tip_rules *set, const struct tip_text *text, bool used,
			 struct tip_template *out, const char **deprecated, bool *unknown,
			 struct tip_cond_error *err)
{
	const char *s = text->buf.data ? text->buf.data : "";
	size_t len = text->buf.len, p = 0, literal;
	int64_t slot;

	*out = (struct tip_template){0};
	*deprecated = NULL;
	*unknown = false;
	while (len && isspace((unsigned char)s[len - 1]))
		len--;
	while (p < len && isspace((unsigned char)s[p]))
		p++;
	/* a leading '*' once meant "print although fields are unset", which is always so now */
	if (p < len && s[p] == '*')
		p++;
	if (p >= len) {
		bad(err, text, 0, "the output is empty");
		return -1;
	}
	for (literal = p; p < len;) {
		if (s[p] != '%') {
			p++;
			continue;
		}
		add_literal(set, out, s + literal, p - literal);
		p++;
		slot = field(set, text, &p, used, unknown, err);
		if (slot < 0)
			return -1;
		if (set->refs[slot].field->deprecated)
			*deprecated = set->refs[slot].field->deprecated;
		add_segment(set, out, &(struct tip_segment){.slot = (uint32_t)slot});
		literal = p;
	}
	add_literal(set, out, s + literal, len - literal);
	make_keys(set, out);
	return 0;
}

/* ---- rendering ------------------------------------------------------------------------------- */

/* How a value is written. */
struct style {
	bool json;
	bool base64; /* bytes */
};

static void base64(const struct tip_value *v, struct style style, struct tip_buf *out)
{
	if (style.json)
		tip_buf_addc(out, '"');
	tip_base64_encode(v->str.s, v->str.len, out);
	if (style.json)
		tip_buf_addc(out, '"');
}

static void scalar(enum tip_type type, const struct tip_value *v, struct style style,
		   struct tip_buf *out)
{
	char ip[INET6_ADDRSTRLEN] = "";
	const char *s = ip;
	size_t len;

	switch (type) {
	case TIP_T_BOOL: tip_buf_adds(out, v->i ? "true" : "false"); return;
	case TIP_T_UINT: tip_buf_addf(out, "%" PRIu64, (uint64_t)v->i); return;
	case TIP_T_DOUBLE: tip_buf_addf(out, "%.3f", v->d); return;
	case TIP_T_IPADDR:
	case TIP_T_IPNET:
		inet_ntop(v->ip.family, v->ip.addr, ip, sizeof(ip));
		len = strlen(ip);
		break;
	case TIP_T_BYTES:
		if (style.base64) {
			base64(v, style, out);
			return;
		}
		/* fallthrough */
	case TIP_T_STRING:
	case TIP_T_PATH:
		s = v->str.s;
		len = v->str.len;
		break;
	default: tip_buf_addf(out, "%" PRId64, v->i); return;
	}
	if (style.json)
		tip_buf_add_json_string(out, s, len);
	else
		tip_buf_add(out, s, len);
}

static void value(const struct tip_field_ref *ref, const struct tip_value *v, struct style style,
		  struct tip_buf *out)
{
	const bool json = style.json;

	if (!v->set) {
		tip_buf_adds(out, json ? "null" : "<NA>");
		return;
	}
	if (!v->count) {
		scalar(ref->type, v, style, out);
		return;
	}
	tip_buf_addc(out, json ? '[' : '(');
	for (uint32_t i = 0; i < v->count; i++) {
		if (i)
			tip_buf_addc(out, ',');
		if (v->items[i].set)
			scalar(ref->type, &v->items[i], style, out);
		else
			tip_buf_adds(out, json ? "null" : "<NA>");
	}
	tip_buf_addc(out, json ? ']' : ')');
}

static void render_text(const struct tip_rules *set, const struct tip_template *t,
			struct tip_matcher *m, struct tip_buf *out)
{
	for (size_t i = 0; i < t->count; i++) {
		const struct tip_segment *s = &t->segments[i];

		if (s->text)
			tip_buf_add(out, s->text, s->len);
		else
			value(&set->refs[s->slot], tip_matcher_value(m, s->slot),
			      (struct style){.base64 = set->base64}, out);
	}
}

static void add_key(const char *name, struct tip_buf *fields)
{
	if (fields->len)
		tip_buf_addc(fields, ',');
	tip_buf_add_json_string(fields, name, strlen(name));
	tip_buf_addc(fields, ':');
}

static void add_value(const struct tip_rules *set, uint32_t slot, struct tip_matcher *m,
		      struct tip_buf *fields)
{
	value(&set->refs[slot], tip_matcher_value(m, slot),
	      (struct style){.json = true, .base64 = set->base64}, fields);
}

static void add_named(const struct tip_rules *set, const struct tip_named *n, struct tip_matcher *m,
		      struct tip_buf *fields)
{
	struct tip_buf text = {0};

	add_key(n->name, fields);
	if (n->typed) {
		add_value(set, n->format.segments->slot, m, fields);
		return;
	}
	render_text(set, &n->format, m, &text);
	tip_buf_add_json_string(fields, text.data ? text.data : "", text.len);
	tip_buf_free(&text);
}

void tip_rule_render(const struct tip_rule *rule, struct tip_matcher *m,
		     const struct tip_match_input *in, struct tip_buf *text, struct tip_buf *fields)
{
	const struct tip_rules *set = rule->set;
	const struct tip_template *t = &rule->output;
	const struct tip_named *named = rule->named, *end = rule->named + rule->nnamed;
	enum tip_code code = tip_event_code(in->ev);

	if (code >= TIP_CODE_MAX)
		return;
	if (!tip_matcher_holds(m, set, in))
		tip_matcher_begin(m, set, in, code);
	render_text(set, t, m, text);
	for (size_t i = 0; i < t->nkeys; i++) {
		const char *name = set->refs[t->keys[i]].text;

		while (named < end && strcmp(named->name, name) < 0)
			add_named(set, named++, m, fields);
		if (named < end && strcmp(named->name, name) == 0)
			continue; /* the configuration's takes its place */
		add_key(name, fields);
		add_value(set, t->keys[i], m, fields);
	}
	while (named < end)
		add_named(set, named++, m, fields);
}
