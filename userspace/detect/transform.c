/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "detect/transform.h"

/* Transformers at work: from the values of their arguments to one of their own. */

static const struct tip_value *arg_value(struct tip_extract *x, const struct tip_transform *t,
					 size_t i)
{
	return tip_matcher_value(x->matcher, t->args[i].slot);
}

static char *copy(struct tip_extract *x, const char *s, size_t len)
{
	char *p = tip_scratch_alloc(x->scratch, len + 1);

	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

/* One value of `in` to one of `out`; false: it has none. */
typedef bool (*map_fn)(struct tip_extract *x, const struct tip_value *in, struct tip_value *out);

static bool to_case(struct tip_extract *x, const struct tip_value *in, struct tip_value *out,
		    int (*change)(int))
{
	char *s = tip_scratch_alloc(x->scratch, in->str.len + 1);

	for (size_t i = 0; i < in->str.len; i++) {
		/* letters of ASCII only, whatever the locale of the daemon */
		unsigned char c = (unsigned char)in->str.s[i];

		s[i] = (char)(c < 0x80 ? change(c) : c);
	}
	s[in->str.len] = '\0';
	tip_value_strn(out, s, in->str.len);
	return true;
}

static bool lower(struct tip_extract *x, const struct tip_value *in, struct tip_value *out)
{
	return to_case(x, in, out, tolower);
}

static bool upper(struct tip_extract *x, const struct tip_value *in, struct tip_value *out)
{
	return to_case(x, in, out, toupper);
}

static bool base(struct tip_extract *x, const struct tip_value *in, struct tip_value *out)
{
	const char *slash = memrchr(in->str.s, '/', in->str.len);
	const char *name = slash ? slash + 1 : in->str.s;

	tip_value_strn(out, name, in->str.len - (size_t)(name - in->str.s));
	return true;
}

static int digit64(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *d = c ? strchr(digits, c) : NULL;

	return d ? (int)(d - digits) : -1;
}

/* RFC 4648, padding optional: what is not base64 has no value. */
static bool unbase64(struct tip_extract *x, const struct tip_value *in, struct tip_value *out)
{
	char *s = tip_scratch_alloc(x->scratch, in->str.len / 4 * 3 + 4);
	size_t len = in->str.len, n = 0;
	uint32_t bits = 0;

	while (len && len + 2 > in->str.len && in->str.s[len - 1] == '=')
		len--;
	if (len % 4 == 1)
		return false;
	for (size_t i = 0; i < len; i++) {
		int d = digit64(in->str.s[i]);

		if (d < 0)
			return false;
		bits = bits << 6 | (uint32_t)d;
		if (i % 4)
			s[n++] = (char)(bits >> (6 - 2 * (i % 4)));
	}
	s[n] = '\0';
	tip_value_strn(out, s, n);
	return true;
}

static void each(struct tip_extract *x, const struct tip_value *in, struct tip_value *out,
		 map_fn map)
{
	struct tip_value *items;

	if (!in->count) {
		if (!map(x, in, out))
			out->set = false;
		return;
	}
	items = tip_value_items(x, out, in->count);
	for (uint32_t i = 0; i < in->count; i++)
		if (!in->items[i].set || !map(x, &in->items[i], &items[i])) {
			out->set = false;
			return;
		}
}

/* A value as text, as outputs show it. */
static void as_text(struct tip_extract *x, enum tip_type type, const struct tip_value *v,
		    struct tip_value *out)
{
	switch (type) {
	case TIP_T_STRING:
	case TIP_T_PATH:
	case TIP_T_BYTES: *out = *v; break;
	case TIP_T_BOOL: tip_value_str(out, v->i ? "true" : "false"); break;
	case TIP_T_UINT: tip_value_fmt(x, out, "%" PRIu64, (uint64_t)v->i); break;
	default: tip_value_fmt(x, out, "%" PRId64, v->i); break;
	}
}

/* Lists in a list are laid flat; one element that is unset leaves all of it unset. */
static void list(struct tip_extract *x, const struct tip_transform *t, struct tip_value *out)
{
	struct tip_value *items;
	uint32_t count = 0, n = 0;

	for (size_t i = 0; i < t->nargs; i++) {
		const struct tip_value *v = arg_value(x, t, i);

		if (!v->set)
			return;
		count += t->args[i].list ? v->count : 1;
	}
	items = tip_value_items(x, out, count);
	/* a list that is written out is there even when it is empty */
	out->set = true;
	for (size_t i = 0; i < t->nargs; i++) {
		const struct tip_value *v = arg_value(x, t, i);

		for (uint32_t k = 0; k < v->count; k++)
			as_text(x, t->args[i].type, &v->items[k], &items[n++]);
		if (!v->count && !t->args[i].list)
			as_text(x, t->args[i].type, v, &items[n++]);
	}
}

static void glue(struct tip_extract *x, const struct tip_value *parts, size_t count,
		 const char *sep, size_t sep_len, struct tip_value *out)
{
	size_t len = 0, at = 0;
	char *s;

	for (size_t i = 0; i < count; i++)
		len += parts[i].str.len + sep_len;
	s = tip_scratch_alloc(x->scratch, len + 1);
	for (size_t i = 0; i < count; i++) {
		if (i) {
			memcpy(s + at, sep, sep_len);
			at += sep_len;
		}
		memcpy(s + at, parts[i].str.s, parts[i].str.len);
		at += parts[i].str.len;
	}
	s[at] = '\0';
	tip_value_strn(out, s, at);
}

static void concat(struct tip_extract *x, const struct tip_transform *t, struct tip_value *out)
{
	struct tip_value *parts = tip_scratch_alloc(x->scratch, t->nargs * sizeof(*parts));

	for (size_t i = 0; i < t->nargs; i++) {
		const struct tip_value *v = arg_value(x, t, i);

		if (!v->set)
			return;
		parts[i] = *v;
	}
	glue(x, parts, t->nargs, "", 0, out);
}

/* ---- getopt ------------------------------------------------------------------------------- */

/* POSIX getopt over a list of arguments; long options are passed over. */
struct options {
	struct tip_extract *x;
	const struct tip_value *args;
	uint32_t nargs, at;
	const char *spec;
	unsigned char wanted;
	struct tip_value *out; /* room for two values a byte of the arguments */
	uint32_t count;
};

/* 0: unknown, 1: stands alone, 2: takes an argument. */
static int option_kind(const char *spec, char c)
{
	const char *p = c && c != ':' ? strchr(spec, c) : NULL;

	return !p ? 0 : p[1] == ':' ? 2 : 1;
}

static void told(struct options *o, const char *s, size_t len)
{
	tip_value_strn(&o->out[o->count++], s, len);
}

static void option_found(struct options *o, const char *name, const char *arg, size_t arg_len)
{
	if (o->wanted) {
		/* the last one counts, by its argument, or its name when it takes none */
		o->count = 0;
		told(o, arg ? arg : name, arg ? arg_len : 1);
		return;
	}
	told(o, name, 1);
	if (arg)
		told(o, arg, arg_len);
}

/* One argument of the form -abc. */
static void option_cluster(struct options *o, const struct tip_value *v)
{
	for (size_t i = 1; i < v->str.len; i++) {
		const char *name = v->str.s + i;
		int kind = option_kind(o->spec, *name);
		bool want = !o->wanted || (unsigned char)*name == o->wanted;
		/* a text of its own: values end in a NUL */
		const char *letter = want ? copy(o->x, name, 1) : NULL;

		if (!kind && !o->wanted)
			told(o, "?", 1);
		if (kind == 1 && want)
			option_found(o, letter, NULL, 0);
		if (kind != 2)
			continue;
		if (i + 1 < v->str.len) {
			if (want)
				option_found(o, letter, name + 1, v->str.len - i - 1);
		} else if (o->at < o->nargs) {
			const struct tip_value *arg = &o->args[o->at++];

			if (want)
				option_found(o, letter, arg->str.s, arg->str.len);
		} else if (want) {
			/* the argument is missing: an empty text in the place of all of it */
			if (o->wanted)
				o->count = 0;
			told(o, "", 0);
		}
		return;
	}
}

static void getopt_values(struct tip_extract *x, const struct tip_transform *t,
			  struct tip_value *out)
{
	const struct tip_value *args = arg_value(x, t, 0);
	const struct tip_value *spec = arg_value(x, t, 1);
	struct options o = {.x = x, .wanted = t->option};
	size_t room = 2;

	if (!args->set || !spec->set)
		return;
	o.args = args->items;
	o.nargs = args->count;
	o.spec = spec->str.s;
	for (uint32_t i = 0; i < o.nargs; i++)
		room += 2 * o.args[i].str.len + 2;
	o.out = tip_scratch_alloc(x->scratch, room * sizeof(*o.out));
	memset(o.out, 0, room * sizeof(*o.out));
	while (o.at < o.nargs) {
		const struct tip_value *v = &o.args[o.at++];

		if (strcmp(v->str.s, "--") == 0 || v->str.s[0] != '-' || !v->str.s[1])
			break;
		if (v->str.s[1] != '-')
			option_cluster(&o, v);
	}
	if (o.wanted) {
		if (o.count)
			*out = o.out[0];
		return;
	}
	out->set = true;
	out->count = o.count;
	out->items = o.out;
}

void tip_transform_get(struct tip_extract *x, const struct tip_field_ref *ref,
		       struct tip_value *out)
{
	static const map_fn maps[TIP_FN_MAX] = {
		[TIP_FN_TOLOWER] = lower,
		[TIP_FN_TOUPPER] = upper,
		[TIP_FN_B64] = unbase64,
		[TIP_FN_BASENAME] = base,
	};
	const struct tip_transform *t = ref->transform;
	const struct tip_value *v, *sep;

	switch (t->fn) {
	case TIP_FN_LIST: list(x, t, out); return;
	case TIP_FN_CONCAT: concat(x, t, out); return;
	case TIP_FN_GETOPT: getopt_values(x, t, out); return;
	case TIP_FN_JOIN:
		sep = arg_value(x, t, 0);
		v = arg_value(x, t, 1);
		if (sep->set && v->set)
			glue(x, v->items, v->count, sep->str.s, sep->str.len, out);
		return;
	default: break;
	}
	v = arg_value(x, t, 0);
	if (!v->set)
		return;
	if (t->fn != TIP_FN_LEN)
		each(x, v, out, maps[t->fn]);
	else if (t->args[0].list)
		tip_value_int(out, v->count);
	else
		tip_value_int(out, (int64_t)v->str.len);
}

void tip_literal_get(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	tip_value_str(out, ref->arg);
}
