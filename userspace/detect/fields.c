/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/field.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ---- the tables as one catalogue --------------------------------------------------------- */

#define FIELDS_MAX 512
static const struct tip_field *by_name[FIELDS_MAX];
static struct tip_field_info *infos;
static struct tip_arena *arena; /* of the infos */
static size_t nfields;
static pthread_once_t sorted = PTHREAD_ONCE_INIT, described = PTHREAD_ONCE_INIT;

static int cmp_name(const void *a, const void *b)
{
	return strcmp((*(const struct tip_field *const *)a)->name,
		      (*(const struct tip_field *const *)b)->name);
}

static void sort_fields(void)
{
	static const struct tip_field_table *const tables[] = {
		&tip_fields_evt,  &tip_fields_proc,      &tip_fields_fd,      &tip_fields_user,
		&tip_fields_live, &tip_fields_env,       &tip_fields_net,     &tip_fields_path,
		&tip_fields_poll, &tip_fields_container, &tip_fields_unserved};

	for (size_t t = 0; t < TIP_ARRAY_SIZE(tables); t++)
		for (size_t i = 0; i < tables[t]->count && nfields < FIELDS_MAX; i++)
			by_name[nfields++] = &tables[t]->fields[i];
	qsort(by_name, nfields, sizeof(by_name[0]), cmp_name);
}

static void describe(const struct tip_field *f, struct tip_field_info *out)
{
	static const char *const arguments[] = {
		[TIP_ARG_INDEX] = "[NUMBER]",   [TIP_ARG_INDEX_REQ] = "[NUMBER]",
		[TIP_ARG_NAME] = "[NAME]",      [TIP_ARG_NAME_REQ] = "[NAME]",
		[TIP_ARG_EVENT] = "[ARGUMENT]",
	};
	const char **events = tip_arena_alloc(arena, (TIP_CODE_MAX + 1) * sizeof(*events));
	size_t n = 0;

	*out = (struct tip_field_info){
		.name = f->name,
		.type = tip_type_name(f->type),
		.desc = f->desc,
		.argument = arguments[f->arg],
		.needs_argument = f->arg == TIP_ARG_INDEX_REQ || f->arg == TIP_ARG_NAME_REQ ||
				  f->arg == TIP_ARG_EVENT,
		.several = f->list,
		.everywhere = f->get && f->codes == TIP_CODES_ALL,
		.served = f->get,
		.events = events,
		.deprecated = f->deprecated,
	};
	/* TIP_CODE_OTHER is no event of the language */
	for (int c = 0; f->get && !out->everywhere && c < TIP_CODE_OTHER; c++)
		if (f->codes & TIP_CODE_BIT(c))
			events[n++] = tip_code_name((enum tip_code)c);
	for (size_t i = 0; f->calls && f->calls[i]; i++)
		events[n++] = f->calls[i];
	events[n] = NULL;
}

/* Only who prints the catalogue pays for its making: it lives as long as the program. */
static void describe_all(void)
{
	arena = tip_arena_new();
	pthread_once(&sorted, sort_fields);
	infos = tip_arena_alloc(arena, nfields * sizeof(*infos));
	for (size_t i = 0; i < nfields; i++)
		describe(by_name[i], &infos[i]);
}

const struct tip_field_info *tip_fields(size_t *count)
{
	pthread_once(&described, describe_all);
	*count = nfields;
	return infos;
}

static const struct tip_field *lookup(const char *name)
{
	struct tip_field key = {.name = name};
	const struct tip_field *k = &key, **found;

	pthread_once(&sorted, sort_fields);
	found = bsearch(&k, by_name, nfields, sizeof(by_name[0]), cmp_name);
	return found ? *found : NULL;
}

/* The field of "evt.arg.NAME" and its like; NAME begins at `len`. */
static const struct tip_field *with_name(const char *name, size_t *len)
{
	static const struct {
		const char *before, *field;
	} forms[] = {
		{"evt.arg.", "evt.arg"},
		{"evt.rawarg.", "evt.rawarg"},
		{"evt.type.is.", "evt.type.is"},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(forms); i++) {
		*len = strlen(forms[i].before);
		if (strncmp(name, forms[i].before, *len) == 0)
			return lookup(forms[i].field);
	}
	return NULL;
}

static int parse_index(const char *arg, int64_t *index)
{
	*index = 0;
	if (!*arg || strlen(arg) > 9)
		return -1;
	for (; *arg; arg++) {
		if (!isdigit((unsigned char)*arg))
			return -1;
		*index = *index * 10 + (*arg - '0');
	}
	return 0;
}

static int find_event_arg(const struct tip_field *f, struct tip_field_ref *ref, char *why,
			  size_t size)
{
	tip_codes codes;

	if (ref->index < 0 && !tip_event_arg_known(ref->arg, &ref->type, &codes)) {
		snprintf(why, size, "no event has an argument '%s' (in %s)", ref->arg, f->name);
		return -1;
	}
	return 0;
}

int tip_field_find(const char *name, const char *arg, struct tip_field_ref *ref, char *why,
		   size_t size)
{
	const struct tip_field *f = lookup(name);
	bool dot = false;
	size_t len;

	*ref = (struct tip_field_ref){.arg = arg, .index = -1};
	if (!f && (f = with_name(name, &len))) {
		if (arg) {
			snprintf(why, size, "field '%s' takes no second argument", name);
			return -1;
		}
		dot = true;
		ref->arg = name + len;
	}
	if (!f) {
		snprintf(why, size, "there is no field '%s'", name);
		return -1;
	}
	ref->field = f;
	ref->type = f->type;
	if (!ref->arg) {
		if (f->arg != TIP_ARG_INDEX_REQ && f->arg != TIP_ARG_NAME_REQ &&
		    f->arg != TIP_ARG_EVENT)
			return 0;
		snprintf(why, size, "field '%s' needs an argument: %s[...]", name, name);
		return -1;
	}
	switch (f->arg) {
	case TIP_ARG_NONE: snprintf(why, size, "field '%s' takes no argument", name); return -1;
	case TIP_ARG_INDEX:
	case TIP_ARG_INDEX_REQ:
		if (parse_index(ref->arg, &ref->index) == 0)
			return 0;
		snprintf(why, size, "the argument of '%s' must be a number, not '%s'", name,
			 ref->arg);
		return -1;
	case TIP_ARG_EVENT:
		if (dot || parse_index(ref->arg, &ref->index) < 0)
			ref->index = -1;
		return find_event_arg(f, ref, why, size);
	case TIP_ARG_NAME:
	case TIP_ARG_NAME_REQ:
	default: return 0;
	}
}

size_t tip_field_prefix(const char *s, size_t len)
{
	char name[96];
	size_t n = 0, stem;

	while (n < len && n < sizeof(name) - 1 &&
	       (isalnum((unsigned char)s[n]) || s[n] == '_' || s[n] == '.')) {
		name[n] = s[n];
		n++;
	}
	if (!n)
		return 0;
	name[n] = '\0';
	/* an argument of an event runs to the next dot: "%evt.arg.flags." ends a sentence */
	if (with_name(name, &stem))
		return stem + strcspn(name + stem, ".");
	for (; n; n--) {
		name[n] = '\0';
		if (lookup(name))
			return n;
	}
	return 0;
}

/* ---- memory of one event ------------------------------------------------------------------- */

#define BLOCK_SIZE 32768u

struct tip_scratch_block {
	struct tip_scratch_block *next;
	size_t size, used;
	_Alignas(16) char data[];
};

void *tip_scratch_alloc(struct tip_scratch *s, size_t size)
{
	struct tip_scratch_block *b, **link;
	void *p;

	size = (size + 15) & ~(size_t)15;
	/* blocks stay linked between events: after a while there is always one that fits */
	for (b = s->current; b && b->size - b->used < size; b = b->next)
		;
	if (!b) {
		size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;

		b = tip_alloc(sizeof(*b) + room);
		b->size = room;
		for (link = &s->first; *link; link = &(*link)->next)
			;
		*link = b;
	}
	s->current = b;
	p = b->data + b->used;
	b->used += size;
	return p;
}

void tip_scratch_reset(struct tip_scratch *s)
{
	for (struct tip_scratch_block *b = s->first; b && b->used; b = b->next)
		b->used = 0;
	s->current = s->first;
}

void tip_scratch_free(struct tip_scratch *s)
{
	struct tip_scratch_block *b, *next;

	for (b = s->first; b; b = next) {
		next = b->next;
		free(b);
	}
	*s = (struct tip_scratch){0};
}

/* ---- for extractors ----------------------------------------------------------------------------
 */

void tip_value_strn(struct tip_value *v, const char *s, size_t len)
{
	v->set = true;
	v->str.s = s;
	v->str.len = len;
}

void tip_value_str(struct tip_value *v, const char *s)
{
	tip_value_strn(v, s, strlen(s));
}

void tip_value_int(struct tip_value *v, int64_t i)
{
	v->set = true;
	v->i = i;
}

void tip_value_fmt(struct tip_extract *x, struct tip_value *v, const char *fmt, ...)
{
	char *p;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	p = tip_scratch_alloc(x->scratch, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	tip_value_strn(v, p, (size_t)n);
}

struct tip_value *tip_value_items(struct tip_extract *x, struct tip_value *v, uint32_t count)
{
	struct tip_value *items = tip_scratch_alloc(x->scratch, count * sizeof(*items));

	memset(items, 0, count * sizeof(*items));
	v->set = count > 0;
	v->count = count;
	v->items = items;
	return items;
}

const char *tip_errno_name(int64_t ret)
{
	const char *name;

	if (ret >= 0)
		return "SUCCESS";
	name = ret > -4096 ? strerrorname_np((int)-ret) : NULL;
	return name ? name : "E_UNKNOWN";
}
