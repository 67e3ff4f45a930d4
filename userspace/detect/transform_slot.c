/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "detect/transform.h"

/* Transformers when rules are loaded: what each takes and yields, and the slots for them. */

struct maker {
	struct tip_rules *set;
	const struct tip_text *text;
	bool used;
	bool *unknown;
	struct tip_cond_error *err;
};

bool tip_field_own_way(const struct tip_field_ref *ref)
{
	static const char *const names[] = {
		"evt.rawarg",  "evt.around",  "fd.ip",         "fd.net",        "fd.port",
		"fd.proto",    "fd.cnet",     "fd.snet",       "fd.lnet",       "fd.rnet",
		"fd.cip.name", "fd.sip.name", "fd.lip.name",   "fd.rip.name",   "proc.apid",
		"proc.aname",  "proc.aexe",   "proc.aexepath", "proc.acmdline", "proc.aenv",
	};

	if (ref->index >= 0)
		return false;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(names); i++)
		if (strcmp(ref->field->name, names[i]) == 0)
			return true;
	return false;
}

static bool text(const struct tip_transform_arg *a)
{
	return a->type == TIP_T_STRING || a->type == TIP_T_PATH;
}

static int refuse(struct maker *m, const struct tip_ast_expr *e, const char *takes)
{
	tip_cond_fail(m->err, m->text, e->pos, "%s() takes %s", tip_fn_name(e->fn), takes);
	return -1;
}

/* What the function yields of its arguments, into `f`. 0, or -1 with the error. */
static int type_of(struct maker *m, const struct tip_ast_expr *e, const struct tip_transform *t,
		   struct tip_field *f)
{
	const struct tip_transform_arg *a = t->args;

	f->type = TIP_T_STRING;
	f->list = t->fn == TIP_FN_LIST || (t->fn == TIP_FN_GETOPT && !e->arg);
	if (t->fn == TIP_FN_LIST)
		return 0;
	if (t->fn == TIP_FN_JOIN) {
		if (t->nargs == 2 && text(&a[0]) && !a[0].list && a[1].list)
			return 0;
		return refuse(m, e, "a separator and a list: join(\"-\", (a, b))");
	}
	if (t->fn == TIP_FN_CONCAT) {
		bool ok = t->nargs >= 2;

		for (size_t i = 0; i < t->nargs; i++)
			ok &= text(&a[i]) && !a[i].list;
		return ok ? 0 : refuse(m, e, "two texts or more");
	}
	if (t->fn == TIP_FN_GETOPT) {
		if (t->nargs == 2 && a[0].list && text(&a[0]) && text(&a[1]) && !a[1].list)
			return 0;
		return refuse(m, e, "a list and the options: getopt((\"-a\", \"x\"), \"a:\")");
	}
	if (t->nargs != 1)
		return refuse(m, e, "one argument");
	if (t->fn == TIP_FN_LEN) {
		f->type = TIP_T_UINT;
		return a->list || text(a) || a->type == TIP_T_BYTES
			       ? 0
			       : refuse(m, e, "a text, a buffer or a list");
	}
	f->type = a->type;
	f->list = a->list;
	if (t->fn == TIP_FN_B64)
		return a->type == TIP_T_STRING || a->type == TIP_T_BYTES
			       ? 0
			       : refuse(m, e, "a text or a buffer, and no path");
	return text(a) ? 0 : refuse(m, e, "a text");
}

/* A slot that is no field of an event; `ref` is taken over but for its text. */
static int64_t add_ref(struct maker *m, const char *key, struct tip_field_ref *ref)
{
	struct tip_rules *set = m->set;

	ref->text = tip_arena_strdup(set->arena, key);
	ref->index = -1;
	ref->type = ref->field->type;
	set->refs = tip_realloc(set->refs, set->nrefs + 1, sizeof(*set->refs));
	set->refs[set->nrefs++] = *ref;
	tip_map_puts(set->slots, key, (void *)(intptr_t)set->nrefs);
	return (int64_t)set->nrefs - 1;
}

static int64_t slot_of(struct maker *m, const struct tip_ast_expr *e);

static int64_t make_call(struct maker *m, const struct tip_ast_expr *e, const char *key)
{
	struct tip_transform *t = tip_arena_alloc(m->set->arena, sizeof(*t));
	struct tip_field *f = tip_arena_alloc(m->set->arena, sizeof(*f));
	struct tip_field_ref ref = {.field = f, .transform = t};

	f->codes = TIP_CODES_ALL;
	f->get = tip_transform_get;
	t->fn = e->fn;
	t->nargs = e->nargs;
	t->args = tip_arena_alloc(m->set->arena, (e->nargs + 1) * sizeof(*t->args));
	for (size_t i = 0; i < e->nargs; i++) {
		int64_t slot = slot_of(m, e->args[i]);
		const struct tip_field_ref *a;

		if (slot < 0)
			return -1;
		a = &m->set->refs[slot];
		if (tip_field_own_way(a)) {
			tip_cond_fail(m->err, m->text, e->args[i]->pos,
				      "field '%s' does not support transformers", a->text);
			return -1;
		}
		t->args[i] = (struct tip_transform_arg){
			.slot = (uint32_t)slot, .type = a->type, .list = a->field->list};
		/* unset where one of its arguments is */
		f->codes &= a->field->get ? a->field->codes : 0;
		if (!f->deprecated)
			f->deprecated = a->field->deprecated;
	}
	if (e->arg && (e->fn != TIP_FN_GETOPT || strlen(e->arg) != 1)) {
		tip_cond_fail(m->err, m->text, e->pos, "%s() takes %s in []", tip_fn_name(e->fn),
			      e->fn == TIP_FN_GETOPT ? "one letter" : "nothing");
		return -1;
	}
	if (e->arg)
		t->option = (unsigned char)e->arg[0];
	if (type_of(m, e, t, f) < 0)
		return -1;
	f->name = tip_arena_strdup(m->set->arena, key);
	return add_ref(m, key, &ref);
}

static int64_t make(struct maker *m, const struct tip_ast_expr *e)
{
	static const struct tip_field literal = {
		.name = "", .type = TIP_T_STRING, .codes = TIP_CODES_ALL, .get = tip_literal_get};
	struct tip_buf key = {0};
	int64_t slot;

	tip_expr_text(e, &key);
	slot = (intptr_t)tip_map_gets(m->set->slots, key.data) - 1;
	if (slot < 0 && e->kind == TIP_EXPR_CALL)
		slot = make_call(m, e, key.data);
	else if (slot < 0)
		slot = add_ref(
			m, key.data,
			&(struct tip_field_ref){.field = &literal,
						.arg = tip_arena_strdup(m->set->arena, e->name)});
	tip_buf_free(&key);
	return slot;
}

static int64_t slot_of(struct maker *m, const struct tip_ast_expr *e)
{
	char why[160];
	int64_t slot;

	/* val() says only that what stands in it is a field */
	if (e->kind == TIP_EXPR_CALL && e->fn == TIP_FN_VAL && e->nargs == 1 && !e->arg)
		return slot_of(m, e->args[0]);
	if (e->kind != TIP_EXPR_FIELD) {
		slot = make(m, e);
	} else {
		slot = tip_rules_slot(m->set, e->name, e->arg, m->used, why, sizeof(why));
		if (slot < 0) {
			*m->unknown = true;
			tip_cond_fail(m->err, m->text, e->pos, "%s", why);
		}
	}
	if (slot >= 0 && m->used)
		m->set->refs[slot].used = true;
	return slot;
}

int64_t tip_rules_expr_slot(struct tip_rules *set, const struct tip_text *text_of,
			    const struct tip_ast_expr *e, bool used, bool *unknown,
			    struct tip_cond_error *err)
{
	struct maker m = {
		.set = set, .text = text_of, .used = used, .unknown = unknown, .err = err};

	return slot_of(&m, e);
}
